"""Adds up what the steps of a pipeline counted, from the stats of tasks that are done.

A task writes its stats before its marker, so each file is read once, when the marker is new, and
only the sums are kept, with the ranks that are in them. A scan reads so many files of all jobs of
a root at most; what is left comes with later scans, so a restart is caught up with in time. A job
in which nothing changed costs nothing.

* Only ranks whose marker counts are in the sums. Where one of them goes or is written again, what
  it added is not known any more: the sums begin anew.
* The ranks of one pipeline are shown, of the one that completed a task last. Others are added up
  apart: a script that was changed may be changed back. Files that are missing, too large or broken
  are left out.
* A file that is missing or half is looked for again, a few times within hours: folders are copied
  in the order of names, markers before stats.
* Of a job that is complete when it is first seen only ``stats.json`` is read, which datatrove
  merges, and only where it holds all ranks: Ray and Jobs merge them all; Local those of its last
  launch; Slurm, in a job of its own, all that lie in ``stats/``. Else nothing is known. It is
  written after the last marker, so where a job just became complete it may be still to come.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from exporter.config.settings import RootConfig
from exporter.datatrove.layout import MERGED_STATS, stats_file
from exporter.datatrove.ranks import NO_RANKS, UNKNOWN, Ranks
from exporter.datatrove.stats import (
    STATS_LIMIT_BYTES,
    Stats,
    StatsFileError,
    parse_stats,
    tasks_merged,
)
from exporter.errors import Reason, StorageError
from exporter.scanning.probes.limits import Budget, Limits
from exporter.scanning.probes.stats_memory import (
    MOST_PIPELINES,
    Done,
    PipelineSums,
    StatsMemory,
    again,
    hoping,
    looking_again,
    still_holding,
)
from exporter.storage.base import Path, Storage

_LIMITS = Limits(reads_of_job=200, reads=200, stats=10_000)
_ENOUGH_SECONDS = 5.0
# After so long the others have their turn, however slow the storage is.
_OF_ONE_ANSWER = Limits(reads_of_job=20_000, reads=20_000, stats=20_000)
_ENOUGH_OF_ONE_ANSWER_SECONDS = 240.0
# Somebody waits for the answer, and there is no scan that could bring the rest.
_DENIED_PAUSE_SECONDS = 600.0
_FOR_GOOD: tuple[Reason, ...] = ("not_found", "invalid", "too_large")
_OF_ONE_FILE: tuple[Reason, ...] = ("denied", "other")
# Perhaps: others are tried then, until so many were like that.
_MOST_HELD = 3


class StatsWatch:
    """Reads the stats of the jobs of one root. `look` is for any thread."""

    def __init__(self, config: RootConfig) -> None:
        self._reads_all = "stats" in config.asked
        self.is_on = config.read_stats != "never" or self._reads_all
        self._limits = _OF_ONE_ANSWER if self._reads_all else _LIMITS
        self._budget = Budget(self._limits)
        all_of_it = _ENOUGH_OF_ONE_ANSWER_SECONDS
        self._enough_seconds = all_of_it if self._reads_all else _ENOUGH_SECONDS

    def begin(self) -> None:
        """A scan begins."""
        self._budget.begin()

    def look(
        self, storage: Storage, path: Path, done: Done, before: StatsMemory | None
    ) -> StatsMemory:
        """What is known now; the very same as before if nothing changed. Raises nothing that a
        storage or a file can cause."""
        is_same = (
            before is not None
            and before.seen is done.markers
            and before.launch_ns == done.launch_ns
        )
        if before is not None and is_same and not before.is_due:
            return before
        if done.reading.is_complete and (before is None or before.of_all):
            is_known = before is not None and before.launch_ns == done.launch_ns
            if before is not None and is_known and not before.is_due:
                return replace(before, seen=done.markers)
            merged = self._merged(storage, path, done, before.tries if before and is_known else 0)
            if merged.stats is not None or not self._reads_all:
                return merged
        if before is None or before.of_all:
            before = StatsMemory(done.launch_ns)
        return self._read(storage, path, done, still_holding(before, done))

    def _merged(self, storage: Storage, path: Path, done: Done, tries: int) -> StatsMemory:
        """What ``stats.json`` says, if it is to be trusted; or when to look again."""
        ranks = done.ranks()
        unread = StatsMemory(done.launch_ns, done.markers, of_all=True, tries=tries)
        waiting = replace(unread, waiting=ranks)
        try:
            is_whole = self._holds_all(storage, path, done)
            if is_whole and not self._budget.reads(1, path):
                is_whole = None
            if not is_whole:
                return waiting if is_whole is None else unread
            stats = _merged_stats(storage, path, done)
        except StatsFileError as error:
            return again(waiting, done) if error.may_be_half else unread
        except StorageError as error:
            if error.reason == "not_found":
                return again(waiting, done)
            return unread if error.reason in _FOR_GOOD else replace(waiting, error=error)
        if stats is None:
            return again(waiting, done)
        return replace(unread, pipelines=(PipelineSums(stats, ranks, UNKNOWN),))

    def _holds_all(self, storage: Storage, path: Path, done: Done) -> bool | None:
        """Whether ``stats.json`` holds all ranks, as far as that can be told without it; None if
        that has to wait."""
        kind, reading = done.executor.kind, done.reading
        if kind == "slurm":
            return not reading.stray_markers
        if kind != "local":
            return kind in ("ray", "jobs")
        since_launch = reading.tasks_completed_since_launch
        if done.executor.is_slice or since_launch is not None or done.launch_ns is None:
            return not done.executor.is_slice and since_launch == reading.tasks
        if not storage.is_local or reading.tasks > self._limits.stats:
            return False
        if self._budget.stats(reading.tasks, path) < reading.tasks:
            return None
        times = storage.marker_times(path, done.ranks())
        return all(time_ns is not None and time_ns >= done.launch_ns for time_ns in times)

    def _read(self, storage: Storage, path: Path, done: Done, memory: StatsMemory) -> StatsMemory:
        """The memory with the stats of ranks that it does not have yet, the newest first."""
        memory = looking_again(memory)
        new, now_ns = done.ranks() - memory.read, time.time_ns()
        is_paused = time.monotonic() < memory.due
        when = {} if is_paused else _when(new, self._times(storage, path, done), memory, now_ns)
        error = memory.error if is_paused else None
        memory = replace(memory, launch_ns=done.launch_ns, seen=done.markers, error=error)
        order = sorted(when, key=lambda rank: (when[rank], rank), reverse=True)
        taken = _Sums(memory)
        enough = time.monotonic() + self._enough_seconds
        for rank in order[: self._budget.reads(len(order), path) if order else 0]:
            try:
                data = storage.read_file(path, stats_file(rank), STATS_LIMIT_BYTES)[1]
                taken.add(rank, when[rank], parse_stats(data))
            except StatsFileError as error:
                taken.leave_out(
                    rank, StorageError("invalid", str(error)), may_come=error.may_be_half
                )
            except StorageError as error:
                is_missing = error.reason == "not_found"
                if is_missing and storage.lag_seconds * 1e9 > now_ns - when[rank]:
                    continue
                if error.reason not in _FOR_GOOD:
                    due = _DENIED_PAUSE_SECONDS if error.reason == "denied" else 0.0
                    memory = replace(memory, error=error, due=time.monotonic() + due)
                    if error.reason in _OF_ONE_FILE and taken.hold_back(rank, error) < _MOST_HELD:
                        continue
                    break
                taken.leave_out(rank, error, may_come=is_missing)
            if time.monotonic() > enough:
                break
        if taken.leaves_out_held():
            memory = replace(memory, error=None, due=0.0)
        return taken.entered(memory, new)

    def _times(self, storage: Storage, path: Path, done: Done) -> Mapping[int, int]:
        """When tasks were done, by rank, as far as that is known."""
        if done.markers.modified_ns is not None or not (self._reads_all and storage.is_local):
            return done.markers.by_rank()
        ranks = list(done.ranks())
        try:
            times = storage.marker_times(path, ranks)
        except StorageError:
            return {}
        return {rank: ns for rank, ns in zip(ranks, times, strict=True) if ns is not None}


class _Sums:
    """Sums while files are read."""

    def __init__(self, memory: StatsMemory) -> None:
        self._unusable: list[int] = []
        self._hoped: list[int] = []
        self._held: dict[int, StorageError] = {}
        self._fault = memory.fault
        self._pipelines = {each.stats.pipeline.key: each for each in memory.pipelines}
        self._ranks: dict[bytes, list[int]] = {}

    def add(self, rank: int, time_ns: int, stats: Stats) -> None:
        """Add a task that completed then to those of its pipeline."""
        key = stats.pipeline.key
        before = self._pipelines.get(key)
        if before is None:
            self._pipelines[key] = PipelineSums(stats, NO_RANKS, time_ns)
        else:
            newest_ns = max(before.newest_ns, time_ns)
            self._pipelines[key] = PipelineSums(before.stats.plus(stats), before.ranks, newest_ns)
        self._ranks.setdefault(key, []).append(rank)

    def hold_back(self, rank: int, error: StorageError) -> int:
        """The file of this task cannot be read, and others perhaps can; how many are like it."""
        self._held[rank] = error
        return len(self._held)

    def leaves_out_held(self) -> bool:
        """Leave out what was held back, if others could be read: it was not all of the folder."""
        if not (self._held and self._ranks):
            return False
        for rank, error in self._held.items():
            self.leave_out(rank, error, may_come=True)
        return True

    def leave_out(self, rank: int, error: StorageError, *, may_come: bool) -> None:
        """The file of this task cannot be used, at least not now."""
        self._unusable.append(rank)
        if may_come:
            self._hoped.append(rank)
        if self._fault is None:
            self._fault = StorageError(error.reason, f"{stats_file(rank)}: {error.detail}")

    def entered(self, memory: StatsMemory, new: Ranks) -> StatsMemory:
        """The memory with what was read; the rest of the `new` ranks waits."""
        unusable = Ranks(self._unusable)
        added = (
            replace(each, ranks=each.ranks | Ranks(self._ranks.get(key, ())))
            for key, each in self._pipelines.items()
        )
        pipelines = sorted(added, key=lambda each: each.newest_ns, reverse=True)
        others = memory.others
        for each in pipelines[MOST_PIPELINES:]:
            others |= each.ranks
        memory = replace(
            hoping(memory, self._hoped),
            fault=self._fault if unusable or memory.unusable else None,
            pipelines=tuple(pipelines[:MOST_PIPELINES]),
            others=others,
            unusable=memory.unusable | unusable,
        )
        waiting = new - memory.read
        is_quiet = not (waiting or memory.hoped or unusable)
        return replace(memory, waiting=waiting, tries=0 if is_quiet else memory.tries)


def _when(new: Ranks, times: Mapping[int, int], before: StatsMemory, now_ns: int) -> dict[int, int]:
    """When the tasks of the `new` ranks were done. Where times are not told, what was not there
    before is the newest."""
    known = before.waiting if before.seen is not None else new
    return {rank: times.get(rank, UNKNOWN if rank in known else now_ns) for rank in new}


def _merged_stats(storage: Storage, path: Path, done: Done) -> Stats | None:
    """What ``stats.json`` says; None if it is that of a launch before, or tasks of Slurm completed
    since it was written."""
    modified_ns, data = storage.read_file(path, MERGED_STATS, STATS_LIMIT_BYTES)
    kind, since = done.executor.kind, None
    if kind == "slurm":
        since = done.reading.last_completion_timestamp
    elif kind == "local" and done.launch_ns is not None:
        since = done.launch_ns / 1e9
    # Some storages tell the second only.
    is_newest = since is None or (modified_ns is not None and modified_ns / 1e9 >= int(since))
    if not is_newest:
        return None
    stats, tasks = parse_stats(data), tasks_merged(data)
    # Where times are whole seconds, a marker may be of the launch before this one, or of this.
    is_sure = kind != "local" or done.launch_ns not in done.markers.by_rank().values()
    if tasks not in (None, done.reading.tasks) and not (is_sure and tasks == 1):
        raise StatsFileError("other tasks are in it")
    return stats
