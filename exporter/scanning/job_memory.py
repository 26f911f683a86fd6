"""What scans know of one job: what is remembered from one to the next, and what one found."""

from dataclasses import dataclass

from exporter.datatrove.executor_file import Executor
from exporter.datatrove.throughput import Hourly
from exporter.errors import StorageError
from exporter.model.job import Reading
from exporter.scanning.probes.arrays import Arrays
from exporter.scanning.probes.logs.memory import LogMemory
from exporter.scanning.probes.mixed import MixedMemory
from exporter.scanning.probes.start import Start
from exporter.scanning.probes.stats_memory import StatsMemory
from exporter.scanning.probes.times import Times
from exporter.storage.base import Look, Version


@dataclass(frozen=True, slots=True)
class Memory:
    """The cache of one job: the last `look`, its markers with all times that are known; the
    `version` of ``executor.json`` that was read last; `executor`, what it says, or `error`, why
    it does not say how many tasks there are; `reading`, what look and executor mean, None until
    that is known; `start`, when the launch left its queue, None where it has none; `logs`, what
    was seen of the logs of a launch under way; `by_hour`, the completions of all launches; `stats`,
    what its tasks counted; `mixed`, whether they ran different pipelines;
    `arrays`, those that Slurm ran it as; `times`, when the tasks of a complete job were completed,
    as far as somebody asked."""

    look: Look
    version: Version
    executor: Executor | None
    error: StorageError | None = None
    reading: Reading | None = None
    start: Start | None = None
    logs: LogMemory | None = None
    by_hour: Hourly | None = None
    stats: StatsMemory | None = None
    mixed: MixedMemory | None = None
    arrays: Arrays | None = None
    times: Times | None = None


@dataclass(frozen=True, slots=True)
class JobScan:
    """A reading, or an error, or neither if the folder is gone or no job any more. `memory`
    goes to the next scan in any case. `log_error` is new trouble with the job's logs,
    `stats_error` with the stats of its tasks; `stats_fault` is what is wrong with the first file of
    stats that cannot be used, if none was like that before."""

    reading: Reading | None
    memory: Memory | None
    error: StorageError | None = None
    log_error: StorageError | None = None
    stats_error: StorageError | None = None
    stats_fault: StorageError | None = None

    @property
    def is_gone(self) -> bool:
        return self.reading is None and self.error is None

    @property
    def is_settled(self) -> bool:
        """Nothing more is expected of the job until it is launched again."""
        reading, memory = self.reading, self.memory
        if reading is None or not reading.is_complete or memory is None:
            return False
        is_read = memory.stats is None or not memory.stats.expects_more
        return is_read and not may_rewrite(memory)


def may_rewrite(memory: Memory) -> bool:
    """The launch does not skip completed tasks, so it writes their markers again, and has not
    written them all."""
    executor, reading = memory.executor, memory.reading
    if executor is None or executor.skip_completed:
        return False
    return reading is None or reading.tasks_completed_since_launch != reading.tasks
