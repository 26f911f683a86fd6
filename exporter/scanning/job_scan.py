"""Scans one job folder into one reading. Expected trouble is part of the result, not raised.

A scan looks at the folder, reads ``executor.json`` if it changed, and has a reading made of both
(``job_reading``). What it learned is handed to the next scan as Memory. So ``executor.json`` is
read again only when it changed, and a job in which nothing changed costs one look.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.datatrove.executor_file import (
    EXECUTOR_FILE_LIMIT_BYTES,
    Executor,
    ExecutorFileError,
    parse_executor,
)
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.scanning.job_memory import JobScan, Memory, may_rewrite
from exporter.scanning.job_reading import (
    with_known_times,
    with_reading,
    with_sign_of_life,
    without_needless_times,
    without_old_times,
)
from exporter.scanning.probing import Probe, scan_of
from exporter.storage.base import Folder, Look, Path, Storage, Version

_REWRITE_PAUSES_SECONDS = (0.02, 0.05, 0.15)
# datatrove rewrites executor.json in place, so half a file is normal while it does:
# 9 to 20 ms with an ordinary pipeline.
_BEING_WRITTEN_SECONDS = 60
# A file last written longer ago than this is not about to become whole.


def scan_job(
    storage: Storage,
    path: Path,
    folder: Folder,
    memory: Memory | None = None,
    probes: Sequence[Probe] | None = (),
    *,
    thorough: bool = False,
) -> JobScan:
    """Read the job in a folder that was just listed. Raises nothing that a storage or a
    file can cause. With `thorough`, nothing is taken on trust that was seen before. The
    `probes` look one after the other. With None for them nothing is read but how far the job is,
    not even when its launch left the queue."""
    has_start = probes is not None
    try:  # step by step: when one fails, the memory has what those before it learned
        # Only a marker's own time tells that it was written again.
        thorough = thorough or (memory is not None and may_rewrite(memory))
        look = storage.look(path, folder, memory.look if memory else None, thorough=thorough)
        before, memory = memory, _with_executor(storage, path, look, memory)
        if memory.executor is None:
            return JobScan(None, memory, memory.error)
        if memory.reading is None:
            memory = with_reading(
                storage, path, memory, memory.executor, before, has_start=has_start
            )
            memory = without_old_times(memory, before)
        elif memory.reading.tasks_completed_since_launch == 0:
            memory = with_sign_of_life(storage, path, memory, memory.reading)
        known = memory
        for probe in probes or ():
            memory = probe(storage, path, folder, memory)
        return scan_of(without_needless_times(memory), known)
    except StorageError as error:
        is_gone = error.reason == "not_found"
        return JobScan(None, None) if is_gone else JobScan(None, memory, error)


@dataclass(frozen=True, slots=True)
class ProgressQuestion:
    """To read how far a job is that others have. Its `folder` was just listed."""

    folder: Folder
    memory: Memory | None
    thorough: bool
    key = "progress"
    cost = 0

    def ask(self, storage: Storage, path: Path) -> JobScan:
        """The scan of it, without anything else."""
        return scan_job(storage, path, self.folder, self.memory, None, thorough=self.thorough)


def _with_executor(storage: Storage, path: Path, look: Look, memory: Memory | None) -> Memory:
    """The memory after a look and, if it changed, ``executor.json``; without a reading, unless
    nothing changed."""
    if memory is not None and look.executor.is_same(memory.version):
        return memory if look is memory.look else replace(memory, look=look, reading=None)
    for pause in (*_REWRITE_PAUSES_SECONDS, None):
        version, data = storage.read_executor(path, look.executor, EXECUTOR_FILE_LIMIT_BYTES)
        try:
            executor = parse_executor(data)
            return _after_look(memory, look, version, executor)
        except ExecutorFileError as error:
            unreadable = StorageError(error.reason, f"executor.json: {error}")
            if pause is None or not (error.may_be_half and _is_recent(version)):
                break
            time.sleep(pause)
    known = memory.look.markers if memory is not None else Markers()
    look = replace(look, markers=with_known_times(look.markers, known), world_size=0)
    return _after_look(memory, look, version, None, unreadable)


def _after_look(
    memory: Memory | None,
    look: Look,
    version: Version,
    executor: Executor | None,
    error: StorageError | None = None,
) -> Memory:
    """What is remembered of the job after ``executor.json`` was read anew."""
    if memory is None:
        return Memory(look, version, executor, error)
    return replace(memory, look=look, version=version, executor=executor, error=error, reading=None)


def _is_recent(version: Version) -> bool:
    modified_ns = version.modified_ns
    return modified_ns is None or abs(time.time() - modified_ns / 1e9) < _BEING_WRITTEN_SECONDS
