"""What is remembered of the stats of a job's tasks, and for how long a file is hoped for. Pure."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.datatrove.executor_file import Executor
from exporter.datatrove.ranks import NO_RANKS, UNKNOWN, Markers, Ranks
from exporter.datatrove.stats import JobStats, Stats
from exporter.errors import StorageError
from exporter.model.job import Reading

RETRY_PAUSES_SECONDS = (10.0, 60.0, 600.0, 3600.0, 6 * 3600.0)
# Before a file that is missing or half is looked for again.
MOST_PIPELINES = 4
# Of one job, whose sums are kept. More than one is a mistake that somebody mends.
_SOON = 3
# For so many tries a complete job is looked at like others; then as seldom as complete ones.
_OLD_SECONDS = 24 * 3600.0
# A job that was done longer ago than this is not about to get its merged stats.


@dataclass(frozen=True, slots=True)
class Done:
    """The tasks of a job that are done, as of a scan."""

    executor: Executor
    launch_ns: int | None
    markers: Markers
    reading: Reading

    def ranks(self) -> Ranks:
        """Those whose marker counts; where all are run again, those with one of this launch."""
        ranks = self.markers.ranks.below(self.executor.world_size)
        launch_ns, times = self.launch_ns, self.markers.by_rank()
        if self.reading.is_complete or not self.executor.repeats_completed or launch_ns is None:
            return ranks
        return Ranks(rank for rank in ranks if times.get(rank, UNKNOWN) >= launch_ns)


@dataclass(frozen=True, slots=True)
class PipelineSums:
    """The sums over the `ranks` of one pipeline, the last of which completed at `newest_ns`."""

    stats: Stats
    ranks: Ranks
    newest_ns: int


@dataclass(frozen=True, slots=True)
class StatsMemory:
    """What was read of one job. `pipelines` are those that completed tasks last, the last first;
    `others` are ranks of further ones, `unusable` have no file that can be read, of which those
    `hoped` for may have one later; `waiting` were not read yet. All of it is as of the markers
    `seen`. `of_all`: from ``stats.json``, or to come from there; without `stats`, it cannot be
    trusted. `error` is why nothing more can be read before `due` (monotonic). Files were looked
    for again so many times (`tries`), and will be at `retry_due`. `fault` is what is wrong with
    the first file that cannot be used."""

    launch_ns: int | None
    seen: Markers | None = None
    pipelines: tuple[PipelineSums, ...] = ()
    others: Ranks = NO_RANKS
    unusable: Ranks = NO_RANKS
    waiting: Ranks = NO_RANKS
    of_all: bool = False
    error: StorageError | None = None
    due: float = 0.0
    hoped: Ranks = NO_RANKS
    tries: int = 0
    retry_due: float = 0.0
    fault: StorageError | None = None

    @property
    def stats(self) -> Stats | None:
        """The sums that are shown."""
        return self.pipelines[0].stats if self.pipelines else None

    @property
    def read(self) -> Ranks:
        """Ranks whose file was read, with whatever success."""
        ranks = self.others | self.unusable
        for each in self.pipelines:
            ranks |= each.ranks
        return ranks

    @property
    def is_due(self) -> bool:
        """Whether there is anything to read now."""
        now = time.monotonic()
        return bool(self.waiting and now >= self.due) or bool(self.hoped and now >= self.retry_due)

    @property
    def expects_more(self) -> bool:
        """Whether what is left may be read soon."""
        if self.of_all:
            return bool(self.waiting) and 0 < self.tries <= _SOON
        return bool(self.waiting) or (bool(self.hoped) and self.tries < _SOON)

    def published(self) -> JobStats | None:
        """What of it is published."""
        if self.of_all and self.stats is None:
            return None
        tasks, *of_others = [len(each.ranks) for each in self.pipelines] or [0]
        others = sum(of_others) + len(self.others)
        return JobStats(tasks, self.stats, others, len(self.unusable), len(self.waiting))


def hoping(memory: StatsMemory, ranks: Sequence[int]) -> StatsMemory:
    """The memory, to look again for the files of these ranks, unless that was done often."""
    if not ranks or memory.tries == len(RETRY_PAUSES_SECONDS):
        return memory
    due = (
        memory.retry_due if memory.hoped else time.monotonic() + RETRY_PAUSES_SECONDS[memory.tries]
    )
    return replace(memory, hoped=memory.hoped | Ranks(ranks), retry_due=due)


def looking_again(memory: StatsMemory) -> StatsMemory:
    """The memory that waits for the files it hoped for, when it is time."""
    if not memory.hoped or time.monotonic() < memory.retry_due:
        return memory
    return replace(
        memory,
        unusable=memory.unusable - memory.hoped,
        waiting=memory.waiting | memory.hoped,
        hoped=NO_RANKS,
        tries=memory.tries + 1,
    )


def again(waiting: StatsMemory, done: Done) -> StatsMemory:
    """The memory that looks for ``stats.json`` again, or gives it up."""
    last, tries = done.reading.last_completion_timestamp, waiting.tries
    is_old = last is None or time.time() - last > _OLD_SECONDS
    if is_old or tries == len(RETRY_PAUSES_SECONDS):
        return replace(waiting, waiting=NO_RANKS)
    return replace(waiting, tries=tries + 1, due=time.monotonic() + RETRY_PAUSES_SECONDS[tries])


def still_holding(memory: StatsMemory, done: Done) -> StatsMemory:
    """The memory without what does not hold any more: ranks whose marker is gone, or another."""
    kept = done.ranks() - Ranks(_rewritten(memory, done))
    return replace(
        memory,
        pipelines=tuple(each for each in memory.pipelines if kept.has_all_of(each.ranks)),
        others=memory.others - (memory.others - kept),
        unusable=memory.unusable - (memory.unusable - kept),
        hoped=memory.hoped - (memory.hoped - kept),
    )


def _rewritten(memory: StatsMemory, done: Done) -> Iterator[int]:
    """Ranks whose marker has another time than before, or one of a new launch if that before is
    not known."""
    if memory.seen is None or memory.seen is done.markers:
        return
    times, launch_ns = memory.seen.by_rank(), done.launch_ns
    for rank, time_ns in done.markers.by_rank().items():
        known_ns = times.get(rank)
        is_new = known_ns != time_ns
        if known_ns is None:
            is_new = (
                launch_ns is not None and launch_ns != memory.launch_ns and time_ns >= launch_ns
            )
        if is_new:
            yield rank
