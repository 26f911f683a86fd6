"""Finds out whether the tasks of a job were run by different pipelines.

A launch skips the tasks that are done. When a script was changed, or another one logs into the
same folder, they are those of another pipeline: all tasks are done then, and the result is wrong.
So once a launch completed its first task, the steps of the first task of all are compared with
those of one since that launch. That is two small reads for each launch. (The first of all, since a
script that was changed is often launched more than once.)

Where a job is complete when it is first seen, as after a restart, the times of its markers are
unknown on disks. They are asked for once, of what was done lately, as many in a scan as there is
room for; and of all where somebody waits for the answer (`RootConfig.asked`).
"""

import time
from dataclasses import dataclass

from exporter.config.settings import RootConfig
from exporter.datatrove.layout import stats_file
from exporter.datatrove.stats import STATS_LIMIT_BYTES, StatsFileError, parse_stats
from exporter.errors import Reason, StorageError
from exporter.model.job import Reading
from exporter.scanning.probes.limits import Budget, Limits
from exporter.scanning.probes.stats_memory import Done
from exporter.scanning.probes.times import times_of
from exporter.storage.base import Path, Storage

_LIMITS = Limits(reads_of_job=2, reads=200, stats=10_000)
_NO_LIMITS = Limits(reads_of_job=2, reads=10**9, stats=10**9)
_LATE_SECONDS = 14 * 86_400
# What was done longer ago is not found out after a restart.
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
        self._limits = _NO_LIMITS if self._is_asked else _LIMITS
        self._budget = Budget(self._limits)
        self.is_followed = False
        """Other scans come after this one: then times are worth asking for that tell what was so
        before the first."""

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
        if done.reading.repeats_completed:  # tasks of another pipeline are done again
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
            is_sure = launch_ns not in times.values() or min(times.values()) >= launch_ns
            return MixedMemory(launch_ns, is_mixed=False) if times and is_sure else None
        if self._budget.reads(2, path) < _LIMITS.reads_of_job:
            return None
        before_launch, since = (_pipeline(storage, path, rank) for rank in pair)
        return MixedMemory(launch_ns, before_launch != since)

    def _times(self, storage: Storage, path: Path, done: Done) -> dict[int, int]:
        """When tasks were done, by rank; nothing where all of it was on one side of the launch, or
        where that has to wait or is not worth asking for."""
        reading, ranks = done.reading, list(done.ranks())
        since_launch = reading.tasks_completed_since_launch
        if since_launch is None and not (storage.is_local and self._is_worth_asking(reading)):
            return {}
        if since_launch is not None and not 0 < since_launch < reading.tasks_completed:
            return {}
        known = done.markers.by_rank()
        if not all(rank in known for rank in ranks):
            most = min(len(ranks), self._limits.stats)
            if self._budget.stats(most, path) < most:
                return {}
            known = times_of(storage, path, ranks)
        return {rank: known[rank] for rank in ranks if rank in known}

    def _is_worth_asking(self, reading: Reading) -> bool:
        last, launch = reading.last_completion_timestamp, reading.launch_timestamp
        if last is None or launch is None or self._is_asked:
            return self._is_asked
        return self.is_followed and last >= launch and time.time() - last < _LATE_SECONDS


def _from_before_and_since(times: dict[int, int], launch_ns: int) -> tuple[int, int] | None:
    """The rank that completed first of all, before the launch, and the first since. (Where times
    are whole seconds, one of the launch's own second may be of the launch before.)"""
    since = [rank for rank, time_ns in times.items() if time_ns > launch_ns]
    first = min(times, key=times.__getitem__, default=None)
    if first is None or times[first] >= launch_ns or not since:
        return None
    return first, min(since, key=times.__getitem__)


def _pipeline(storage: Storage, path: Path, rank: int) -> bytes:
    data = storage.read_file(path, stats_file(rank), STATS_LIMIT_BYTES)[1]
    return parse_stats(data).pipeline.key
