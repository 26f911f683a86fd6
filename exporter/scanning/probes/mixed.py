"""Finds out whether the tasks of a job were run by different pipelines.

A launch skips the tasks that are done. When a script was changed, or another one logs into the
same folder, they are those of another pipeline: all tasks are done then, and the result is wrong.
So once a launch completed its first task, the steps of one task from before it are compared with
those of one since. That is two small reads for each launch.

Where a job is complete when it is first seen, the times of its markers are unknown on disks. They
are asked for only where somebody waits for the answer (`RootConfig.asked`).
"""

from dataclasses import dataclass

from exporter.config.settings import RootConfig
from exporter.datatrove.stats import STATS_LIMIT_BYTES, StatsFileError, parse_stats
from exporter.errors import Reason, StorageError
from exporter.scanning.probes.limits import Budget, Limits
from exporter.scanning.probes.stats import stats_file
from exporter.scanning.probes.stats_memory import Done
from exporter.storage.base import Path, Storage

_LIMITS = Limits(reads_of_job=2, reads=200)
_NO_LIMITS = Limits(reads_of_job=2, reads=10**9)
_MAY_PASS: tuple[Reason, ...] = ("timeout", "throttled", "unavailable", "partial")


@dataclass(frozen=True, slots=True)
class MixedMemory:
    """Whether the launch at `launch_ns` runs another pipeline than those before; None if that
    cannot be told."""

    launch_ns: int
    is_mixed: bool | None


class MixedWatch:
    """Compares the pipelines of the jobs of one root. `look` is for any thread."""

    def __init__(self, config: RootConfig) -> None:
        self._is_asked = "pipelines" in config.asked
        self._is_on_everywhere = config.read_stats != "never" or self._is_asked
        self._budget = Budget(_NO_LIMITS if self._is_asked else _LIMITS)

    def begin(self) -> None:
        """A scan begins."""
        self._budget.begin()

    def look(
        self, storage: Storage, path: Path, done: Done, before: MixedMemory | None
    ) -> MixedMemory | None:
        """What is known of this launch; None while there is nothing to compare."""
        launch_ns = done.launch_ns
        if before is not None and before.launch_ns == launch_ns:
            return before
        if launch_ns is None or not (storage.is_local or self._is_on_everywhere):
            return None
        try:
            return self._compare(storage, path, done, launch_ns)
        except StatsFileError:
            return MixedMemory(launch_ns, None)
        except StorageError as error:
            return None if error.reason in _MAY_PASS else MixedMemory(launch_ns, None)

    def _compare(
        self, storage: Storage, path: Path, done: Done, launch_ns: int
    ) -> MixedMemory | None:
        times = self._times(storage, path, done)
        pair = _from_before_and_since(times, launch_ns)
        if pair is None:  # where times are known, all was done on one side of the launch
            return MixedMemory(launch_ns, is_mixed=False) if times else None
        if self._budget.reads(2, path) < _LIMITS.reads_of_job:
            return None
        before_launch, since = (_pipeline(storage, path, rank) for rank in pair)
        return MixedMemory(launch_ns, before_launch != since)

    def _times(self, storage: Storage, path: Path, done: Done) -> dict[int, int]:
        """When tasks were done, by rank; nothing where all of it was on one side of the launch."""
        reading, world_size = done.reading, done.executor.world_size
        since_launch = reading.tasks_completed_since_launch
        if since_launch is not None and 0 < since_launch < reading.tasks_completed:
            return {r: t for r, t in done.markers.by_rank().items() if r < world_size}
        if since_launch is not None or not (self._is_asked and storage.is_local):
            return {}
        ranks = list(done.ranks())
        asked = zip(ranks, storage.marker_times(path, ranks), strict=True)
        return {rank: time_ns for rank, time_ns in asked if time_ns is not None}


def _from_before_and_since(times: dict[int, int], launch_ns: int) -> tuple[int, int] | None:
    """The rank that completed last before the launch, and the first since."""
    before = [rank for rank, time_ns in times.items() if time_ns < launch_ns]
    since = [rank for rank, time_ns in times.items() if time_ns >= launch_ns]
    if not before or not since:
        return None
    return max(before, key=times.__getitem__), min(since, key=times.__getitem__)


def _pipeline(storage: Storage, path: Path, rank: int) -> bytes:
    data = storage.read_file(path, stats_file(rank), STATS_LIMIT_BYTES)[1]
    return parse_stats(data).pipeline.key
