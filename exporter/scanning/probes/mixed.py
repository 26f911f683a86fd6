"""Finds out whether the tasks of a job were run by different pipelines.

A launch skips the tasks that are done. When a script was changed, or another one logs into the
same folder, they are those of another pipeline: all tasks are done then, and the result is wrong.
So once a launch completed its first task, the steps of one task from before it are compared with
those of one since. That is two small reads for each launch.
"""

from dataclasses import dataclass

from exporter.config.settings import RootConfig
from exporter.datatrove.stats import STATS_LIMIT_BYTES, StatsFileError, parse_stats
from exporter.errors import Reason, StorageError
from exporter.scanning.probes.limits import Budget, Limits
from exporter.scanning.probes.stats import Done, stats_file
from exporter.storage.base import Path, Storage

_LIMITS = Limits(reads_of_job=2, reads=200)
_MAY_PASS: tuple[Reason, ...] = ("timeout", "throttled", "unavailable", "partial")


@dataclass(frozen=True, slots=True)
class MixedMemory:
    """Whether the launch at `launch_ns` runs another pipeline than those before; None if that
    cannot be told."""

    launch_ns: int | None
    is_mixed: bool | None


class MixedWatch:
    """Compares the pipelines of the jobs of one root. `look` is for any thread."""

    def __init__(self, config: RootConfig) -> None:
        self._reads_stats = config.read_stats != "never"
        self._budget = Budget(_LIMITS)

    def begin(self) -> None:
        """A scan begins."""
        self._budget.begin()

    def look(
        self, storage: Storage, path: Path, done: Done, before: MixedMemory | None
    ) -> MixedMemory | None:
        """What is known of this launch; None while there is nothing to compare."""
        launch_ns, reading = done.launch_ns, done.reading
        if before is not None and before.launch_ns == launch_ns:
            return before
        since_launch = reading.tasks_completed_since_launch
        has_both = launch_ns is not None and since_launch and since_launch < reading.tasks_completed
        if not has_both or not (storage.is_local or self._reads_stats):
            return None
        pair = _from_before_and_since(done, launch_ns or 0)
        if pair is None or self._budget.reads(2, path) < _LIMITS.reads_of_job:
            return None
        try:
            before_launch, since = (_pipeline(storage, path, rank) for rank in pair)
        except StatsFileError:
            return MixedMemory(launch_ns, None)
        except StorageError as error:
            return None if error.reason in _MAY_PASS else MixedMemory(launch_ns, None)
        return MixedMemory(launch_ns, before_launch != since)


def _from_before_and_since(done: Done, launch_ns: int) -> tuple[int, int] | None:
    """The rank that completed last before the launch, and the first since."""
    times = {
        rank: time_ns
        for rank, time_ns in done.markers.by_rank().items()
        if rank < done.executor.world_size
    }
    before = [rank for rank, time_ns in times.items() if time_ns < launch_ns]
    since = [rank for rank, time_ns in times.items() if time_ns >= launch_ns]
    if not before or not since:
        return None
    return max(before, key=times.__getitem__), min(since, key=times.__getitem__)


def _pipeline(storage: Storage, path: Path, rank: int) -> bytes:
    data = storage.read_file(path, stats_file(rank), STATS_LIMIT_BYTES)[1]
    return parse_stats(data).pipeline.key
