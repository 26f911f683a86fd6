"""Takes one look at the logs of one job: which there are, and how those end that fell quiet.

* A log is read once whenever it falls quiet: it is as it was at the look before, or was not
  written for a minute. So the log of a task that writes is never read.
* Its end tells how it ended; its beginning is read, too, where the end holds no header, or where
  it tells when the task began.
"""

import time
from collections.abc import Container
from dataclasses import dataclass, field, replace
from itertools import islice

from exporter.config.settings import RootConfig, ShowErrors
from exporter.datatrove.executor_file import Executor
from exporter.datatrove.failure import Cause, LogEnd, end_of
from exporter.datatrove.layout import LOGS, log_name, rank_of_log
from exporter.datatrove.logs import span_of
from exporter.errors import StorageError
from exporter.scanning.probes.limits import Budget
from exporter.scanning.probes.log_memory import LogMemory, SeenLog, UnderWay
from exporter.scanning.probes.silences import learn
from exporter.scanning.probes.slurm import ElementLook, Elements, look_at_elements
from exporter.storage.base import PART_BYTES, File, NameRange, Path, Storage

_QUIET_NS = 60 * 10**9
_ENDED_LOOKS = 10
# A log that has ended is asked for its status at every so many looks.
_WRITES_TO_LEARN = 3
_PAGE_KEYS = 1000  # of object stores
_RUNS = 10
_FIVE_DIGITS = 100_000
_SHOWS_WHILE_WRITTEN = ("local", "slurm", "unknown")
_TO_TRY_AGAIN = ("timeout", "throttled", "unavailable", "partial")


def may_be_live(storage: Storage, executor: Executor) -> bool:
    """Whether logs of this launch could show there while their tasks run."""
    return storage.is_local and executor.kind in _SHOWS_WHILE_WRITTEN


@dataclass(frozen=True, slots=True)
class LogLook:
    """One look at the logs of one job."""

    storage: Storage
    path: Path
    job: UnderWay
    config: RootConfig
    budget: Budget
    before: LogMemory
    now_ns: int = field(default_factory=time.time_ns)

    def take(self) -> LogMemory:
        is_turn = self.budget.is_turn(self.path)
        memory = replace(self.before, done=self.job.done, error=None)
        if self.job.executor.kind == "slurm" and self.storage.is_local:
            memory = replace(memory, elements=self._elements(is_turn=is_turn))
        memory, left = self._with_files(memory, is_turn=is_turn)
        memory, unread = self._with_ends(memory)
        memory = replace(
            memory,
            is_live=self._is_live(memory),
            is_over=memory.elements.is_over(self.job.launch_ns, self.job.executor),
            deferred=left + unread + memory.elements.deferred,
        )
        return self._with_silences(memory)

    def catch_up(self) -> LogMemory:
        """What is known after reading some of what the last look left, without a new one."""
        memory, unread = self._with_ends(self.before)
        return replace(memory, is_live=self._is_live(memory), deferred=unread)

    def newest_sign_ns(self, memory: LogMemory) -> int:
        """When the job last showed a sign of life: its launch, a marker, or an open log."""
        times = self.job.markers.times_below(self.job.executor.world_size)
        written = (log.modified_ns for log in memory.logs.values())
        return max((self.job.launch_ns, *written, *times))

    def _elements(self, *, is_turn: bool) -> Elements:
        before = self.before.logs

        def has_fallen_quiet(rank: int) -> bool:
            log = before.get(rank)
            return log is None or log.is_quiet or not self._is_of_launch(log)

        look = ElementLook(
            self.storage,
            self.path,
            self.job.executor,
            self.job.launch_ns,
            self.now_ns,
            self.budget,
            is_turn=is_turn,
            quiet_after_ns=_QUIET_NS,
            has_fallen_quiet=has_fallen_quiet,
        )
        return look_at_elements(look, self.before.elements, self.job.is_open)

    def _is_of_launch(self, log: SeenLog) -> bool:
        return self.job.executor.is_slice or log.modified_ns >= self.job.launch_ns

    def _with_files(self, memory: LogMemory, *, is_turn: bool) -> tuple[LogMemory, int]:
        """The memory with the open logs as they are now, and how many were left for later."""
        if self.storage.is_local:
            return self._with_local_files(memory, is_turn=is_turn)
        runs = self._runs()
        between = [NameRange(log_name(a), log_name(b), b - a + 1) for a, b in runs]
        files = self.storage.list_files(self.path, LOGS, list, between=between)
        listed = {rank: f for f in files if (rank := rank_of_log(f.name)) is not None}
        logs = {}
        if runs:  # of the others, nothing new is known
            logs = {
                rank: log
                for rank, log in self.before.logs.items()
                if not any(first <= rank <= last for first, last in runs)
            }
        for rank, file in listed.items():
            logs[rank] = self._seen(self.before.logs.get(rank), file)
        logs = {rank: log for rank, log in logs.items() if self.job.is_open(rank)}
        return self._with_gaps(replace(memory, logs=logs)), 0

    def _runs(self) -> list[tuple[int, int]]:
        """The runs (first, last) of open ranks, where to list only these takes fewer pages than
        to list all; of many, some at each look in turn. None if all are to be listed."""
        tasks = self.job.executor.world_size
        if tasks > _FIVE_DIGITS:  # names are not in the order of ranks
            return []
        runs = list(islice(self.job.done.missing_runs(tasks), _PAGE_KEYS))
        if sum(-(-(last + 1 - first) // _PAGE_KEYS) for first, last in runs) >= tasks / _PAGE_KEYS:
            return []
        if len(runs) > _RUNS and not self.before.looks:
            return []
        begin = self.before.looks * _RUNS % len(runs)
        return [*runs[begin:], *runs[:begin]][:_RUNS]

    def _with_local_files(self, memory: LogMemory, *, is_turn: bool) -> tuple[LogMemory, int]:
        state = self.storage.inner_state(self.path, LOGS, self.before.state)
        if state is self.before.state and self.job.done.has_all_of(self.before.done):
            present = {rank for rank in self.before.logs if self.job.is_open(rank)}
        else:
            ranks = (rank_of_log(file.name) for file in self.storage.list_files(self.path, LOGS))
            present = {rank for rank in ranks if rank is not None and self.job.is_open(rank)}
        known = self.before.logs
        logs = {rank: known.get(rank) or SeenLog(File(log_name(rank))) for rank in present}
        in_launch = memory.elements.by_rank(self.job.launch_ns) if memory.elements.keys else None
        chosen = [rank for rank in sorted(logs) if self._is_to_ask(rank, logs[rank], in_launch)]
        granted = self.budget.stats(len(chosen), is_turn=is_turn)
        left = len(chosen) - granted
        if left and granted:
            first = self.before.looks * granted % len(chosen)
            chosen = [*chosen[first:], *chosen[:first]][:granted]
        names = [log_name(rank) for rank in chosen[:granted]]
        files = self.storage.stat_files(self.path, LOGS, names)
        for rank, file in zip(chosen[:granted], files, strict=True):
            if file is None:
                del logs[rank]
            else:
                logs[rank] = self._seen(known.get(rank), file)
        return self._with_gaps(replace(memory, state=state, logs=logs)), left

    def _is_to_ask(self, rank: int, log: SeenLog, in_launch: Container[int] | None) -> bool:
        """A log may have changed since it was seen. One that ended hardly did; and one of an
        earlier launch did not, unless Slurm has begun its element (`in_launch`)."""
        if log.file.modified_ns is None:
            return True
        if not self._is_of_launch(log):
            return in_launch is None or rank in in_launch
        has_ended = log.end is not None and log.end.ended == "failed"
        return not has_ended or self.before.looks % _ENDED_LOOKS == 0

    def _seen(self, before: SeenLog | None, file: File) -> SeenLog:
        age_ns = self.now_ns - (file.modified_ns or 0)
        is_quiet = self.storage.is_object_store or age_ns > _QUIET_NS
        if before is None or before.file.modified_ns is None:
            return SeenLog(file, is_quiet=is_quiet)
        if before.file == file:
            return replace(before, is_quiet=True)
        return SeenLog(file, is_quiet=is_quiet, writes=before.writes + 1)

    def _with_gaps(self, memory: LogMemory) -> LogMemory:
        """The memory with the longest time between two writes that were seen of one log."""
        gap_ns, knows_gap = memory.gap_ns, memory.knows_gap
        for rank, log in memory.logs.items():
            before = self.before.logs.get(rank)
            if before is None or before.writes == log.writes or not self._is_of_launch(before):
                continue
            gap_ns = max(gap_ns, log.modified_ns - before.modified_ns)
            knows_gap = knows_gap or log.writes >= _WRITES_TO_LEARN
        return replace(memory, gap_ns=gap_ns, knows_gap=knows_gap)

    def _with_ends(self, memory: LogMemory) -> tuple[LogMemory, int]:
        """The memory with the ends of logs that fell quiet, and how many were left for later."""
        to_read = [
            rank
            for rank, log in memory.logs.items()
            if log.end is None and log.is_quiet and self._is_of_launch(log)
        ]
        to_read.sort(key=lambda rank: -memory.logs[rank].modified_ns)
        granted = self.budget.reads(len(to_read))
        logs, error = dict(memory.logs), memory.error
        left = len(to_read) - granted
        for rank in to_read[:granted]:
            try:
                logs[rank] = self._read(rank, logs[rank])
            except StorageError as problem:
                error = problem
                if problem.reason == "not_found":
                    del logs[rank]
                elif problem.reason in _TO_TRY_AGAIN:
                    left += 1
                else:
                    logs[rank] = replace(logs[rank], end=LogEnd("open", has_header=False))
        return replace(memory, logs=logs, error=error), left

    def _read(self, rank: int, log: SeenLog) -> SeenLog:
        file = f"{LOGS}/{log_name(rank)}"
        data = self.storage.read_part(self.path, file, of_end=True)
        end, span = end_of(data), None
        if len(data) < PART_BYTES:
            span = span_of(data, data)
        elif self.storage.is_local or not end.has_header:
            head = self.storage.read_part(self.path, file)
            span = span_of(head, data)
            if not end.has_header and (begin := end_of(head)).ended == "failed":
                end = begin
        if end.cause is not None:
            end = replace(end, cause=_allowed(end.cause, self.config.show_errors))
        return replace(log, end=end, span=span)

    def _is_live(self, memory: LogMemory) -> bool:
        """Logs of this job were seen to show while their tasks run."""
        if memory.is_live:
            return True
        launch_ns = self.job.launch_ns
        if not may_be_live(self.storage, self.job.executor):
            return False
        if self.job.executor.kind == "slurm" and memory.elements.of_launch(launch_ns):
            return True
        return any(
            log.writes > 1
            or (log.end is not None and log.end.ended == "open" and log.end.has_header)
            for log in memory.logs.values()
            if self._is_of_launch(log)
        )

    def _with_silences(self, memory: LogMemory) -> LogMemory:
        """The memory with what completed tasks teach, if a task has been silent for so long that
        it matters."""
        after_ns = self.config.stall.after_seconds * 1e9
        is_silent = memory.is_live and any(
            self.now_ns - log.modified_ns > after_ns
            for log in memory.logs.values()
            if log.end is not None and log.end.ended == "open" and self._is_of_launch(log)
        )
        if not is_silent:
            return memory
        times = self.job.markers.by_rank()
        completed = {r: t for r, t in times.items() if t >= self.job.launch_ns}
        most = self.budget.learned(len(completed))
        return replace(
            memory, learned=learn(self.storage, self.path, completed, memory.learned, most)
        )


def _allowed(cause: Cause, show: ShowErrors) -> Cause:
    """What may be kept of a cause."""
    if show == "none":
        return Cause(cause.reason)
    return cause if show == "text" else replace(cause, message="")
