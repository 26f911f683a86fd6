"""Has the probes look at a job that was scanned, and puts what they find into its memory.

Each step gives back the very same memory where there is nothing new.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from exporter.config.settings import RootConfig
from exporter.datatrove.ranks import Ranks
from exporter.errors import StorageError
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_reading import with_reading
from exporter.scanning.probes.arrays import find_arrays
from exporter.scanning.probes.logs.memory import LogMemory, UnderWay
from exporter.scanning.probes.logs.watch import LogWatch
from exporter.scanning.probes.mixed import MixedWatch
from exporter.scanning.probes.past import Past
from exporter.scanning.probes.stats import StatsWatch
from exporter.scanning.probes.stats_memory import Done, StatsMemory
from exporter.storage.base import Folder, Path, Storage

Probe = Callable[[Storage, Path, Folder, Memory], Memory]
"""Looks at a job in a folder that was just listed and scanned. What it raises of a storage fails
the scan of the job, but for what the probes before it learned."""


class Probes:
    """Those of one root. A new kind of probe is one more here. `all`, in the order in which they
    look, are for any thread."""

    def __init__(self, config: RootConfig) -> None:
        logs, stats = LogWatch(config), StatsWatch(config)
        self._past, self._mixed = Past(), MixedWatch(config)
        self._watches = (logs, stats, self._mixed)
        self.all: Sequence[Probe] = (
            partial(with_logs, logs),
            partial(with_past, self._past),
            partial(with_stats, stats),
            partial(with_mixed, self._mixed),
            with_arrays,
        )

    def begin(self) -> None:
        """A scan begins."""
        for watch in self._watches:
            watch.begin()

    def begin_of_many(self) -> None:
        """A scan begins after which others will follow."""
        self._past.begin()
        self._mixed.is_followed = True


def scan_of(memory: Memory, known: Memory) -> JobScan:
    """What a scan found that ended with this memory; `known` is what was so before the probes."""
    logs, stats = memory.logs, memory.stats
    return JobScan(
        memory.reading,
        memory,
        log_error=_new_error(logs, known.logs),
        stats_error=_new_error(stats, known.stats),
        stats_fault=_new_fault(stats, known.stats),
    )


def with_logs(
    watch: LogWatch, storage: Storage, path: Path, folder: Folder, memory: Memory
) -> Memory:
    """The memory with what the logs of a launch under way tell, in its reading, too."""
    if not watch.is_on:
        return memory
    job = _under_way(memory)
    if job is None:
        return _without_logs(memory)
    logs = watch.look(storage, path, job, memory.logs)
    if logs is memory.logs and memory.reading is not None and memory.reading.logs is not None:
        return memory
    if logs.to_confirm:
        return _confirmed(watch, storage, path, folder, memory, logs=logs)
    return _with_reading_of_logs(replace(memory, logs=logs), logs)


def _confirmed(
    watch: LogWatch,
    storage: Storage,
    path: Path,
    folder: Folder,
    memory: Memory,
    *,
    logs: LogMemory,
) -> Memory:
    """The memory with what `logs` tell, once its markers are newer than they are: a listing of
    logs shows what was true before."""
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
        memory = with_reading(storage, path, anew, memory.executor, memory)
    job = _under_way(memory)
    if job is None:
        return _without_logs(memory)
    logs = watch.confirm(logs, job, storage)
    return _with_reading_of_logs(replace(memory, logs=logs), logs)


def _without_logs(memory: Memory) -> Memory:
    memory = memory if memory.logs is None else replace(memory, logs=None)
    return _with_reading_of_logs(memory, None)


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


def with_past(past: Past, storage: Storage, path: Path, _: Folder, memory: Memory) -> Memory:
    """The memory with about when the tasks were completed whose markers have unknown times; the
    very same one where it is not the time to ask for that."""
    reading, last = memory.reading, None
    if reading is not None and reading.is_complete and memory.by_hour is None:
        last = reading.last_completion_timestamp
    if reading is None or last is None:
        return memory
    by_hour = past.look(storage, path, reading.tasks, last)
    if by_hour is None:
        return memory
    return replace(memory, reading=replace(reading, by_hour=by_hour), by_hour=by_hour)


def with_arrays(storage: Storage, path: Path, _: Folder, memory: Memory) -> Memory:
    """The memory with the arrays of a job that Slurm runs; the very same one if it has them."""
    reading, logs = memory.reading, memory.logs
    if reading is None or reading.executor != "slurm" or not reading.started:
        return memory
    launch_ns, is_complete = memory.version.modified_ns, reading.is_complete
    seen = logs.elements.keys if logs is not None and logs.launch_ns == launch_ns else ()
    arrays = find_arrays(storage, path, launch_ns, memory.arrays, seen, is_complete=is_complete)
    return memory if arrays is memory.arrays else replace(memory, arrays=arrays)


def with_stats(
    watch: StatsWatch, storage: Storage, path: Path, _: Folder, memory: Memory
) -> Memory:
    """The memory with what the tasks that are done counted, in its reading, too."""
    done = _done(memory) if watch.is_on else None
    if done is None:
        return memory
    stats = watch.look(storage, path, done, memory.stats)
    published = stats.published()
    if stats is memory.stats and done.reading.stats == published:
        return memory
    return replace(memory, stats=stats, reading=replace(done.reading, stats=published))


def with_mixed(
    watch: MixedWatch, storage: Storage, path: Path, _: Folder, memory: Memory
) -> Memory:
    """The memory with whether tasks ran different pipelines, in its reading, too."""
    done = _done(memory)
    if done is None:
        return memory
    mixed = watch.look(storage, path, done, memory.mixed)
    is_mixed = mixed.is_mixed if mixed is not None else None
    if mixed is memory.mixed and done.reading.mixed_pipelines == is_mixed:
        return memory
    return replace(memory, mixed=mixed, reading=replace(done.reading, mixed_pipelines=is_mixed))


def _done(memory: Memory) -> Done | None:
    if memory.reading is None or memory.executor is None:
        return None
    return Done(memory.executor, memory.version.modified_ns, memory.look.markers, memory.reading)


def _new_error(
    now: LogMemory | StatsMemory | None, before: LogMemory | StatsMemory | None
) -> StorageError | None:
    """The trouble of a probe, unless it had the same before."""
    error, known = (memory.error if memory is not None else None for memory in (now, before))
    is_new = error is not None and (known is None or known.reason != error.reason)
    return error if is_new else None


def _new_fault(now: StatsMemory | None, before: StatsMemory | None) -> StorageError | None:
    """What is wrong with a file of stats, unless one of the job was wrong before."""
    is_known = before is not None and before.fault is not None
    return None if now is None or is_known else now.fault
