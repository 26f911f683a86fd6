"""Scans one job folder into one reading. Expected trouble is part of the result, not raised.

A scan looks at the folder, reads ``executor.json`` if it changed, and asks for the times of
markers that are not known yet. What it learned is handed to the next scan as Memory. So
``executor.json`` is read again only when it changed, the time of a marker is asked for only
once, and a job in which nothing changed costs one look.
"""

import time
from array import array
from dataclasses import replace
from itertools import compress, islice

from exporter.datatrove.executor_file import (
    EXECUTOR_FILE_LIMIT_BYTES,
    Executor,
    ExecutorFileError,
    parse_executor,
)
from exporter.datatrove.pace import pace_of
from exporter.datatrove.ranks import UNKNOWN, Markers, Ranks
from exporter.datatrove.throughput import NOTHING, Hourly
from exporter.errors import StorageError
from exporter.model.snapshot import Reading
from exporter.scanning.job_memory import JobScan, Memory, may_rewrite
from exporter.scanning.probes.log_memory import LogMemory, UnderWay
from exporter.scanning.probes.logs import LogWatch
from exporter.scanning.probes.mixed import MixedWatch
from exporter.scanning.probes.past import Past
from exporter.scanning.probes.start import Completion, Start, find_start
from exporter.scanning.probes.stats import StatsWatch
from exporter.scanning.probing import (
    new_error,
    new_fault,
    with_arrays,
    with_mixed,
    with_past,
    with_stats,
)
from exporter.storage.base import Folder, Look, Path, Storage, Version

_REWRITE_PAUSES_SECONDS = (0.02, 0.05, 0.15)
# datatrove rewrites executor.json in place, so half a file is normal while it does:
# 9 to 20 ms with an ordinary pipeline.
_BEING_WRITTEN_SECONDS = 60
# A file last written longer ago than this is not about to become whole.
_OLD_SECONDS = 24 * 3600
# At what pace a job went that ended before, nobody asks after an exporter's restart.


def scan_job(
    storage: Storage,
    path: Path,
    folder: Folder,
    memory: Memory | None = None,
    *,
    thorough: bool = False,
    log_watch: LogWatch | None = None,
    past: Past | None = None,
    stats_watch: StatsWatch | None = None,
    mixed_watch: MixedWatch | None = None,
) -> JobScan:
    """Read the job in a folder that was just listed. Raises nothing that a storage or a
    file can cause. With `thorough`, nothing is taken on trust that was seen before. Without
    `log_watch`, nobody looks at logs, without `past` nobody asks when a job was done that was
    complete when it was first seen, and without the others nobody at what tasks counted."""
    try:  # step by step: when one fails, the memory has what those before it learned
        # Only a marker's own time tells that it was written again.
        thorough = thorough or (memory is not None and may_rewrite(memory))
        look = storage.look(path, folder, memory.look if memory else None, thorough=thorough)
        before, memory = memory, _with_executor(storage, path, look, memory)
        if memory.executor is None:
            return JobScan(None, memory, memory.error)
        if memory.reading is None:
            memory = _with_reading(storage, path, memory, memory.executor, before)
            memory = _without_old_times(memory, before)
        elif memory.reading.tasks_completed_since_launch == 0:
            memory = _with_sign_of_life(storage, path, memory, memory.reading)
        known = memory
        if log_watch is not None and log_watch.is_on:
            memory = _with_logs(storage, path, folder, memory, log_watch)
        if past is not None and memory.by_hour is None:
            memory = with_past(storage, path, memory, past)
        if stats_watch is not None and stats_watch.is_on:
            memory = with_stats(storage, path, memory, stats_watch)
        if mixed_watch is not None:
            memory = with_mixed(storage, path, memory, mixed_watch)
        memory = with_arrays(storage, path, memory)
        return JobScan(
            memory.reading,
            _without_needless_times(memory),
            log_error=new_error(memory.logs, known.logs),
            stats_error=new_error(memory.stats, known.stats),
            stats_fault=new_fault(memory.stats, known.stats),
        )
    except StorageError as error:
        is_gone = error.reason == "not_found"
        return JobScan(None, None) if is_gone else JobScan(None, memory, error)


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
    look = replace(look, markers=_with_known_times(look.markers, known), world_size=0)
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


def _with_known_times(markers: Markers, known: Markers, since_ns: int = UNKNOWN) -> Markers:
    """The markers with the times of at least `since_ns` that an earlier look gave them, if
    they come without times."""
    if markers.modified_ns is not None or known.modified_ns is None:
        return markers
    by_rank = known.by_rank()
    times = (by_rank.get(rank, UNKNOWN) for rank in markers.ranks)
    kept = (time_ns if time_ns >= since_ns else UNKNOWN for time_ns in times)
    return replace(markers, modified_ns=array("q", kept))


def _with_reading(
    storage: Storage, path: Path, memory: Memory, executor: Executor, before: Memory | None
) -> Memory:
    """The memory with a reading; asks for the times that `before` did not know."""
    markers = _with_times(storage, path, memory, executor, before)
    completed = markers.ranks.count_below(executor.world_size)
    launch_ns = memory.version.modified_ns
    times = sorted(markers.times_below(executor.world_size))
    has_times = len(times) == completed  # of a part alone nothing can be said
    start = _start_of(storage, path, memory, executor, markers)
    start_ns = start.time_ns if start is not None else launch_ns
    has_sign = start is not None and start_ns is not None
    pace = pace_of(times, launch_ns, start_ns) if has_times and launch_ns is not None else None
    by_hour = Hourly.of_ordered(times, time.time_ns()) if pace else None
    if memory.by_hour is not None:
        by_hour = (by_hour or NOTHING).with_all_of(memory.by_hour)
    # Markers without times were written once each, so their folder's own time, if it has one,
    # is that of the last.
    folder_ns = memory.look.completions_modified_ns
    last_ns = (times[-1] if has_times else folder_ns) if completed else None
    reading = Reading(
        tasks=executor.world_size,
        tasks_completed=completed,
        tasks_completed_since_launch=pace.completed_since_launch if pace else None,
        stray_markers=markers.stray(executor.world_size),
        launch_timestamp=_seconds(launch_ns),
        last_completion_timestamp=_seconds(last_ns),
        longest_completion_gap_seconds=_seconds(pace.longest_gap_ns) if pace else None,
        started=bool(markers.ranks) or memory.look.has_logs or has_sign,
        executor=executor.kind,
        slurm_job_name=executor.slurm_job_name,
        ranks=markers.ranks,
        history=pace.history if pace else None,
        repeats_completed=executor.repeats_completed,
        is_slice=executor.is_slice,
        start_timestamp=_seconds(pace.start_ns if pace else start_ns),
        waits=pace.waits if pace else None,
        by_hour=by_hour,
    )
    look = replace(memory.look, markers=markers, world_size=executor.world_size)
    return replace(memory, look=look, reading=reading, start=start, by_hour=by_hour)


def _without_needless_times(memory: Memory) -> Memory:
    """The memory without the times of a complete job's markers: eight bytes a task, most likely
    never needed again."""
    markers = memory.look.markers
    if memory.reading is None or not memory.reading.is_complete or markers.modified_ns is None:
        return memory
    look = replace(memory.look, markers=replace(markers, modified_ns=None))
    return replace(memory, look=look)


def _without_old_times(memory: Memory, before: Memory | None) -> Memory:
    """The memory without the times that somebody asked for, if there may be others now."""
    if memory.times is None or before is None or memory.reading is None:
        return memory
    look, seen = memory.look, before.look
    is_same = look.markers.has_same_entries(seen.markers) and look.executor.is_same(seen.executor)
    is_same = is_same and look.completions_modified_ns == seen.completions_modified_ns
    return memory if is_same and memory.reading.is_complete else replace(memory, times=None)


def _start_of(
    storage: Storage, path: Path, memory: Memory, executor: Executor, markers: Markers
) -> Start | None:
    """When the launch left its queue; None for a launch that has none, or without a time. Nothing
    is asked for that of a job that was done long before it was first seen."""
    launch_ns, before = memory.version.modified_ns, memory.start
    if executor.kind == "local" or launch_ns is None:
        return None
    is_same_launch = before is not None and before.launch_ns == launch_ns
    if before is not None and is_same_launch and before.is_final:
        return before
    counting = markers.ranks.count_below(executor.world_size)
    times = markers.times_below(executor.world_size)
    if len(times) < counting:  # the first completion may be one without a time
        times = []
    completions = [(time_ns, at) for at, time_ns in enumerate(times) if time_ns >= launch_ns]
    done = len(completions) if executor.repeats_completed else counting
    if done == executor.world_size and (before is None or not completions):
        last_ns, _ = max(completions, default=(0, 0))
        if time.time() - last_ns / 1e9 > _OLD_SECONDS:
            return before if is_same_launch else Start(launch_ns, is_final=True)
    first = None
    if completions:
        time_ns, at = min(completions)
        first = Completion(next(islice(markers.ranks, at, None)), time_ns)
    return find_start(
        storage, path, launch_ns, first, before, kind=executor.kind, has_logs=memory.look.has_logs
    )


def _with_sign_of_life(storage: Storage, path: Path, memory: Memory, reading: Reading) -> Memory:
    """The memory of a job that completed nothing since its launch, with that launch's start if
    it shows another sign of life by now."""
    before, kind, has_logs = memory.start, reading.executor, memory.look.has_logs
    if before is None:
        return memory
    start = find_start(storage, path, before.launch_ns, None, before, kind=kind, has_logs=has_logs)
    if start.time_ns != before.time_ns:
        reading = replace(reading, started=True, start_timestamp=_seconds(start.time_ns))
    return memory if start is before else replace(memory, start=start, reading=reading)


def _with_logs(
    storage: Storage, path: Path, folder: Folder, memory: Memory, watch: LogWatch
) -> Memory:
    """The memory with what the logs of a launch under way tell, in its reading, too."""
    job = _under_way(memory)
    if job is None:
        return _with_reading_of_logs(_without_logs(memory), None)
    logs = watch.look(storage, path, job, memory.logs)
    if logs is memory.logs and memory.reading is not None and memory.reading.logs is not None:
        return memory
    if logs.to_confirm:
        # A listing of logs shows what was true before, so the markers are to be newer.
        try:
            folder = storage.list_folder(path, folder, with_subfolders=False)
            look = storage.look(path, folder, memory.look)
        except StorageError as error:
            unknown = replace(logs, tasks=None, error=error)
            return _with_reading_of_logs(replace(memory, logs=unknown), unknown)
        if not look.executor.is_same(memory.version):  # launched again: all of it next time
            return memory
        if look is not memory.look and memory.executor is not None:
            anew = replace(memory, look=look, reading=None)
            memory = _with_reading(storage, path, anew, memory.executor, memory)
            job = _under_way(memory)
        if job is None:
            return _with_reading_of_logs(_without_logs(memory), None)
        logs = watch.confirm(logs, job, storage)
    return _with_reading_of_logs(replace(memory, logs=logs), logs)


def _without_logs(memory: Memory) -> Memory:
    return memory if memory.logs is None else replace(memory, logs=None)


def _under_way(memory: Memory) -> UnderWay | None:
    """The launch, if it began and is not done; None also where storage tells no times."""
    reading, executor, launch_ns = memory.reading, memory.executor, memory.version.modified_ns
    if reading is None or executor is None or launch_ns is None:
        return None
    if reading.is_complete or not reading.started:
        return None
    markers = memory.look.markers
    done = markers.ranks
    if reading.repeats_completed and reading.tasks_completed_since_launch is not None:
        done = Ranks(rank for rank, time_ns in markers.by_rank().items() if time_ns >= launch_ns)
    return UnderWay(executor, launch_ns, done, reading.tasks_left, markers)


def _with_reading_of_logs(memory: Memory, logs: LogMemory | None) -> Memory:
    """The memory with what is published of logs in its reading; the very same one if that is
    what it has."""
    reading = memory.reading
    if reading is None:
        return memory
    published, needs_relaunch = None, None
    if logs is not None and (published := logs.published()) is not None:
        needs_relaunch = published.tasks.needs_relaunch
    elif logs is None and memory.version.modified_ns is not None:  # nothing is open or began
        needs_relaunch = False
    if reading.logs == published and reading.needs_relaunch == needs_relaunch:
        return memory
    return replace(memory, reading=replace(reading, logs=published, needs_relaunch=needs_relaunch))


def _with_times(
    storage: Storage, path: Path, memory: Memory, executor: Executor, before: Memory | None
) -> Markers:
    """The markers with the time of every one that counts; or with none where each would cost a
    system call and the job was already complete when first seen. (That price is paid if its
    markers may have been written again, which no folder's time shows, or the folder's time may
    be that of something else.)"""
    markers = memory.look.markers
    launch_ns = memory.version.modified_ns
    if before is not None:
        since_ns = UNKNOWN if executor.skip_completed or launch_ns is None else launch_ns
        markers = _with_known_times(markers, before.look.markers, since_ns)
    counting = markers.ranks.count_below(executor.world_size)
    if markers.modified_ns is None:
        had_times = before is not None and before.reading is not None and before.reading.history
        is_folders = memory.look.completions_modified_ns is not None  # the time of a marker
        is_enough = executor.skip_completed and is_folders and not markers.stray(counting)
        if counting == executor.world_size and is_enough and not had_times:
            return markers
        times = [UNKNOWN] * len(markers.ranks)
    else:
        times = list(markers.modified_ns)
    # Ranks ascend: those that count come first.
    wanted = [time_ns == UNKNOWN for time_ns in times[:counting]]
    if any(wanted):
        asked = storage.marker_times(path, list(compress(markers.ranks, wanted)))
        for position, time_ns in zip(compress(range(counting), wanted), asked, strict=True):
            times[position] = UNKNOWN if time_ns is None else time_ns
    return replace(markers, modified_ns=array("q", times))


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
