"""One job folder -> one reading. Expected trouble is part of the result, not raised.

What a scan learned is handed to the next one as Memory, so that ``executor.json`` is
read again only when it changed and the time of a marker is asked for only once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.jobfolder import (
    EXECUTOR_FILE_LIMIT_BYTES,
    Executor,
    ExecutorFileError,
    MarkerTimes,
    Pace,
    marker_name,
    pace_of,
    parse_executor,
    rank_of,
    split_markers,
)
from exporter.snapshot import Reading
from exporter.storage.base import JobReader, MarkerListing, StorageError, Version

_REWRITE_PAUSES_SECONDS = (0.02, 0.05, 0.15)
# datatrove rewrites executor.json in place, so half a file is normal while it does:
# 9 to 20 ms with an ordinary pipeline.
_BEING_WRITTEN_SECONDS = 60
# A file last written longer ago than this is not about to become whole.


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of a job between scans.

    `executor` is None when that `version` of the file is known to be invalid, for the
    reason in `problem`. `times` is None while no marker's time was asked for.
    """

    version: Version
    executor: Executor | None
    problem: str = ""
    times: MarkerTimes | None = None


@dataclass(frozen=True, slots=True)
class JobScan:
    """Result of one scan of a job: a reading, or an error, or neither if the folder is
    gone or no job any more. `memory` goes to the next scan in any case."""

    reading: Reading | None
    memory: Memory | None
    error: StorageError | None = None

    @property
    def is_gone(self) -> bool:
        return self.reading is None and self.error is None


def scan_job(reader: JobReader, memory: Memory | None) -> JobScan:
    """Read one job folder. Raises nothing that a storage or a file can cause."""
    try:
        memory = _remember_executor(reader, memory)
        if memory.executor is None:
            return JobScan(None, memory, StorageError("invalid", memory.problem))
        return _read_markers(reader, memory, memory.executor)
    except StorageError as error:
        if error.reason == "not_found":
            return JobScan(None, None)
        return JobScan(None, memory, error)


def _remember_executor(reader: JobReader, memory: Memory | None) -> Memory:
    version = reader.executor_version()
    if memory is not None and version.is_same(memory.version):
        return memory
    times = memory.times if memory is not None else None
    problem = ""
    for pause in (*_REWRITE_PAUSES_SECONDS, None):
        version, data = reader.read_executor(EXECUTOR_FILE_LIMIT_BYTES)
        try:
            return Memory(version, parse_executor(data), times=times)
        except ExecutorFileError as error:
            problem = f"executor.json: {error}"
            if pause is None or not (error.may_be_half and _is_recent(version)):
                break
            time.sleep(pause)
    return Memory(version, None, problem, times)


def _is_recent(version: Version) -> bool:
    modified_ns = version.modified_ns
    return modified_ns is None or abs(time.time() - modified_ns / 1e9) < _BEING_WRITTEN_SECONDS


def _read_markers(reader: JobReader, memory: Memory, executor: Executor) -> JobScan:
    listing = reader.list_markers()
    ranks, stray = split_markers(listing.names, executor.world_size)
    completed = len(ranks)
    times = _marker_times(reader, listing, ranks, memory, executor)
    launch_ns = memory.version.modified_ns
    pace = pace_of(times.modified_ns, launch_ns) if times and launch_ns is not None else None
    reading = Reading(
        tasks=executor.world_size,
        tasks_completed=completed,
        tasks_completed_since_launch=pace.completed_since_launch if pace else None,
        stray_markers=stray,
        launch_timestamp=_seconds(launch_ns),
        last_completion_timestamp=_seconds(_last_completion_ns(listing, completed, times, pace)),
        longest_completion_gap_seconds=_seconds(pace.longest_gap_ns) if pace else None,
        started=completed > 0 or reader.has_logs(),
        executor=executor.kind,
        slurm_job_name=executor.slurm_job_name,
    )
    # Times that come with every listing need not be remembered.
    kept = times if listing.modified_ns is None else None
    return JobScan(reading, Memory(memory.version, executor, times=kept))


def _marker_times(
    reader: JobReader,
    listing: MarkerListing,
    ranks: Sequence[int],
    memory: Memory,
    executor: Executor,
) -> MarkerTimes | None:
    """Times of the counted markers; None where they are not known, or would cost a
    system call each for a job that was already complete when first seen. (That price is
    paid if its markers may have been written again, which no folder's time shows.)"""
    if listing.modified_ns is not None:
        return _times_in_listing(listing, executor.world_size)
    known = memory.times
    is_complete = len(ranks) == executor.world_size
    if known is None and is_complete and executor.skip_completed:
        return None
    by_rank = known.by_rank() if known is not None else {}
    if not executor.skip_completed and memory.version.modified_ns is not None:
        # Such a launch writes markers again that were there before it.
        launch_ns = memory.version.modified_ns
        by_rank = {rank: ns for rank, ns in by_rank.items() if ns >= launch_ns}
    new = [rank for rank in ranks if rank not in by_rank]
    for rank, modified_ns in zip(
        new, reader.marker_times([marker_name(rank) for rank in new]), strict=True
    ):
        if modified_ns is not None:  # else deleted since it was listed
            by_rank[rank] = modified_ns
    present = [rank for rank in ranks if rank in by_rank]
    return MarkerTimes.of(present, [by_rank[rank] for rank in present])


def _times_in_listing(listing: MarkerListing, world_size: int) -> MarkerTimes | None:
    assert listing.modified_ns is not None
    by_rank: dict[int, int] = {}
    for name, modified_ns in zip(listing.names, listing.modified_ns, strict=True):
        rank = rank_of(name)
        if rank is not None and rank < world_size:
            if modified_ns is None:
                return None
            by_rank[rank] = modified_ns
    return MarkerTimes.of(list(by_rank), list(by_rank.values()))


def _last_completion_ns(
    listing: MarkerListing, completed: int, times: MarkerTimes | None, pace: Pace | None
) -> int | None:
    if pace is not None:
        return pace.last_completion_ns
    if times is not None:
        return max(times.modified_ns, default=None)
    # Such markers are written once, so the folder changed last when the last one came.
    return listing.folder_modified_ns if completed else None


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
