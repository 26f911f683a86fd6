"""What is kept of a job's logs from scan to scan, and what of it is published."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.datatrove.executor_file import Executor
from exporter.datatrove.failure import Ended, LogEnd
from exporter.datatrove.logs import Span
from exporter.datatrove.ranks import NO_RANKS, Markers, Ranks
from exporter.datatrove.task_state import OpenTasks
from exporter.errors import StorageError
from exporter.model.job import Logs
from exporter.scanning.probes.logs.silences import Learned
from exporter.scanning.probes.logs.slurm import Elements
from exporter.storage.base import File


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A launch that began and is not done: `done` are the ranks that are, in the sense of this
    launch; `to_do` is the number of the others."""

    executor: Executor
    launch_ns: int
    done: Ranks
    to_do: int
    markers: Markers

    def is_open(self, rank: int) -> bool:
        return rank < self.executor.world_size and rank not in self.done


@dataclass(frozen=True, slots=True)
class SeenLog:
    """One log. `end` and `span` are None until it was read as it is now; `writes` were seen."""

    file: File
    end: LogEnd | None = None
    span: Span | None = None
    is_quiet: bool = False
    writes: int = 1

    @property
    def modified_ns(self) -> int:
        return self.file.modified_ns or 0

    @property
    def ended(self) -> Ended | None:
        """How it ends, as far as that was read."""
        return None if self.end is None else self.end.ended


@dataclass(frozen=True, slots=True)
class LogMemory:
    """What was seen of the logs of one launch. `state` is that of ``logs/``, `logs` are of open
    ranks. `tasks` is what follows; `believed` are the failed ranks among them that were looked
    for in ``completions/`` since, where that is needed: others are `to_confirm`. `error` is why
    nothing is known, or why a log could not be read."""

    launch_ns: int
    is_live: bool = False
    done: Ranks = NO_RANKS
    state: object = None
    logs: Mapping[int, SeenLog] = field(default_factory=dict)
    elements: Elements = field(default_factory=Elements)
    learned: Learned = field(default_factory=Learned)
    gap_ns: int = 0
    knows_gap: bool = False
    tasks: OpenTasks | None = None
    believed: frozenset[int] = frozenset()
    to_confirm: bool = False
    is_over: bool = False
    deferred: int = 0
    looks: int = 0
    due: float = -math.inf
    error: StorageError | None = None

    def published(self) -> Logs | None:
        """What of it is published."""
        if self.tasks is None:
            return None
        states = self.tasks.states
        written = [log.modified_ns for rank, log in self.logs.items() if rank in states]
        under_way = [
            self.logs[rank].modified_ns
            for rank, state in states.items()
            if state in ("running", "silent") and rank in self.logs
        ]
        gap_ns = max(
            self.gap_ns if self.knows_gap else 0,
            self.learned.longest_silence_ns if self.learned.is_all else 0,
        )
        return Logs(
            self.tasks,
            last_write=max(written) / 1e9 if written else None,
            last_open_write=max(under_way) / 1e9 if under_way else None,
            longest_gap_seconds=gap_ns / 1e9 if gap_ns else None,
            deferred=self.deferred,
        )
