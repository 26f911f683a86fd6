"""Makes a job's reading of a look at its folder and of what ``executor.json`` says.

It asks for the times of markers that are not known yet, and for the start of the launch. Each
time of a marker is asked for only once.
"""

import time
from array import array
from dataclasses import replace
from itertools import compress, islice

from exporter.datatrove.executor_file import Executor
from exporter.datatrove.pace import pace_of, without_future
from exporter.datatrove.ranks import UNKNOWN, Markers
from exporter.datatrove.throughput import NOTHING, Hourly
from exporter.model.job import Reading
from exporter.scanning.job_memory import Memory
from exporter.scanning.probes.start import Completion, Start, find_start
from exporter.storage.base import Path, Storage

_OLD_SECONDS = 24 * 3600
# At what pace a job went that ended before, nobody asks after an exporter's restart.


def with_reading(
    storage: Storage,
    path: Path,
    memory: Memory,
    executor: Executor,
    before: Memory | None,
    *,
    has_start: bool = True,
) -> Memory:
    """The memory with a reading; asks for the times that `before` did not know. Without
    `has_start`, nobody asks when its launch left the queue."""
    markers = _with_times(storage, path, memory, executor, before)
    start = _start_of(storage, path, memory, executor, markers) if has_start else None
    look = replace(memory.look, markers=markers, world_size=executor.world_size)
    memory = replace(memory, look=look, start=start)
    reading = _reading_of(memory, executor)
    return replace(memory, reading=reading, by_hour=reading.by_hour)


def _reading_of(memory: Memory, executor: Executor) -> Reading:
    """What the look of this memory and the launch's start tell. Reads nothing."""
    markers, start = memory.look.markers, memory.start
    completed = markers.ranks.count_below(executor.world_size)
    launch_ns = memory.version.modified_ns
    now_ns = time.time_ns()
    times = without_future(sorted(markers.times_below(executor.world_size)), launch_ns, now_ns)
    has_times = len(times) == completed  # of a part alone nothing can be said
    start_ns = start.time_ns if start is not None else launch_ns
    has_sign = start is not None and start_ns is not None
    pace = pace_of(times, launch_ns, start_ns) if has_times and launch_ns is not None else None
    by_hour = Hourly.of_ordered(times, now_ns) if pace else None
    if memory.by_hour is not None:
        by_hour = (by_hour or NOTHING).with_all_of(memory.by_hour)
    # Markers without times were written once each, so their folder's own time, if it has one,
    # is that of the last.
    folder_ns = memory.look.completions_modified_ns
    last_ns = (times[-1] if has_times else folder_ns) if completed else None
    return Reading(
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


def _may_have_gone(memory: Memory, before: Memory) -> bool:
    """Whether a marker may have been deleted and, by a new launch, written again since the look
    before: it would have the name of the old one."""
    is_launch = memory.version.modified_ns != before.version.modified_ns
    seen, now = before.look.completions_modified_ns, memory.look.completions_modified_ns
    return is_launch and (seen is None or seen != now)


def with_known_times(markers: Markers, known: Markers, since_ns: int = UNKNOWN) -> Markers:
    """The markers with the times of at least `since_ns` that an earlier look gave them, if
    they come without times."""
    if markers.modified_ns is not None or known.modified_ns is None:
        return markers
    by_rank = known.by_rank()
    times = (by_rank.get(rank, UNKNOWN) for rank in markers.ranks)
    kept = (time_ns if time_ns >= since_ns else UNKNOWN for time_ns in times)
    return replace(markers, modified_ns=array("q", kept))


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
        is_known = executor.skip_completed and not _may_have_gone(memory, before)
        since_ns = UNKNOWN if is_known or launch_ns is None else launch_ns
        markers = with_known_times(markers, before.look.markers, since_ns)
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


def without_old_times(memory: Memory, before: Memory | None) -> Memory:
    """The memory without the times that somebody asked for, if there may be others now."""
    if memory.times is None or before is None or memory.reading is None:
        return memory
    look, seen = memory.look, before.look
    is_same = look.markers.has_same_entries(seen.markers) and look.executor.is_same(seen.executor)
    is_same = is_same and look.completions_modified_ns == seen.completions_modified_ns
    return memory if is_same and memory.reading.is_complete else replace(memory, times=None)


def without_needless_times(memory: Memory) -> Memory:
    """The memory without the times of a complete job's markers: eight bytes a task, most likely
    never needed again."""
    markers = memory.look.markers
    if memory.reading is None or not memory.reading.is_complete or markers.modified_ns is None:
        return memory
    without = replace(markers, modified_ns=None)
    stats = memory.stats
    if stats is not None and stats.seen is markers:
        stats = replace(stats, seen=without)
    return replace(memory, look=replace(memory.look, markers=without), stats=stats)


def with_sign_of_life(storage: Storage, path: Path, memory: Memory, reading: Reading) -> Memory:
    """The memory of a job that completed nothing since its launch, with that launch's start if
    it shows another sign of life by now."""
    before, kind, has_logs = memory.start, reading.executor, memory.look.has_logs
    if before is None:
        return memory
    start = find_start(storage, path, before.launch_ns, None, before, kind=kind, has_logs=has_logs)
    if start.time_ns != before.time_ns:
        reading = replace(reading, started=True, start_timestamp=_seconds(start.time_ns))
    return memory if start is before else replace(memory, start=start, reading=reading)


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


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
