"""Has the probes look at a job that was scanned, and puts what they find into its memory.

Each step gives back the very same memory where there is nothing new.
"""

from dataclasses import replace

from exporter.errors import StorageError
from exporter.scanning.job_memory import Memory
from exporter.scanning.probes.arrays import find_arrays
from exporter.scanning.probes.log_memory import LogMemory
from exporter.scanning.probes.mixed import MixedWatch
from exporter.scanning.probes.past import Past
from exporter.scanning.probes.stats import StatsWatch
from exporter.scanning.probes.stats_memory import Done, StatsMemory
from exporter.storage.base import Path, Storage


def with_past(storage: Storage, path: Path, memory: Memory, past: Past) -> Memory:
    """The memory with about when the tasks were completed whose markers have unknown times; the
    very same one where it is not the time to ask for that."""
    reading, last = memory.reading, None
    if reading is not None and reading.is_complete:
        last = reading.last_completion_timestamp
    if reading is None or last is None:
        return memory
    by_hour = past.look(storage, path, reading.tasks, last)
    if by_hour is None:
        return memory
    return replace(memory, reading=replace(reading, by_hour=by_hour), by_hour=by_hour)


def with_arrays(storage: Storage, path: Path, memory: Memory) -> Memory:
    """The memory with the arrays of a job that Slurm runs; the very same one if it has them."""
    reading, logs = memory.reading, memory.logs
    if reading is None or reading.executor != "slurm" or not reading.started:
        return memory
    launch_ns, is_complete = memory.version.modified_ns, reading.is_complete
    seen = logs.elements.keys if logs is not None and logs.launch_ns == launch_ns else ()
    arrays = find_arrays(storage, path, launch_ns, memory.arrays, seen, is_complete=is_complete)
    return memory if arrays is memory.arrays else replace(memory, arrays=arrays)


def with_stats(storage: Storage, path: Path, memory: Memory, watch: StatsWatch) -> Memory:
    """The memory with what the tasks that are done counted, in its reading, too."""
    done = _done(memory)
    if done is None:
        return memory
    stats = watch.look(storage, path, done, memory.stats)
    published = stats.published()
    if stats is memory.stats and done.reading.stats == published:
        return memory
    return replace(memory, stats=stats, reading=replace(done.reading, stats=published))


def with_mixed(storage: Storage, path: Path, memory: Memory, watch: MixedWatch) -> Memory:
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


def new_error(
    now: LogMemory | StatsMemory | None, before: LogMemory | StatsMemory | None
) -> StorageError | None:
    """The trouble of a probe, unless it had the same before."""
    error, known = (memory.error if memory is not None else None for memory in (now, before))
    is_new = error is not None and (known is None or known.reason != error.reason)
    return error if is_new else None


def new_fault(now: StatsMemory | None, before: StatsMemory | None) -> StorageError | None:
    """What is wrong with a file of stats, unless one of the job was wrong before."""
    is_known = before is not None and before.fault is not None
    return None if now is None or is_known else now.fault
