"""Takes one look at the logs of one job: which there are, and how those end that fell quiet.

* A log is read once whenever it falls quiet: it is as it was at the look before, or was not
  written for a minute. So the log of a task that writes is never read.
* Its end tells how it ended; its beginning is read, too, where the end holds no header, or where
  it tells when the task began.
"""

import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from exporter.config.settings import RootConfig, ShowErrors
from exporter.datatrove.executor_file import Executor
from exporter.datatrove.failure import Cause, LogEnd, end_of
from exporter.datatrove.layout import LOGS, log_file, log_name, rank_of_log
from exporter.datatrove.logs import span_of
from exporter.datatrove.task_state import is_of_launch
from exporter.errors import StorageError
from exporter.scanning.probes.limits import Budget
from exporter.scanning.probes.logs.memory import LogMemory, SeenLog, UnderWay
from exporter.scanning.probes.logs.silences import Learned, learn
from exporter.scanning.probes.logs.slurm import ElementLook, Elements, look_at_elements
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

    def finds_nothing_new(self) -> bool:
        """There were no open logs, and surely none came since: nothing more is to be asked."""
        before = self.before
        if before.logs or before.tasks is None or before.error is not None:
            return False
        is_alone = self.storage.is_local and self.job.executor.kind != "slurm"
        return is_alone and before.done == self.job.done and self._state() is before.state

    def _state(self) -> object:
        return self.storage.inner_state(self.path, LOGS, self.before.state)

    def take(self) -> LogMemory:
        """What is known after the look. Raises what the storage does."""
        job, elements = self.job, self.before.elements
        if job.executor.kind == "slurm" and self.storage.is_local:
            elements = self._elements()
        if self.storage.is_local:
            state, logs, left = self._local_logs(elements)
        else:
            state, logs, left = None, self._remote_logs(), 0
        gap_ns, knows_gap = self._gap(logs)
        logs, unread, error = self._with_ends(logs)
        is_live = self._is_live(logs, elements)
        return replace(
            self.before,
            is_live=is_live,
            done=job.done,
            state=state,
            logs=logs,
            elements=elements,
            learned=self._learned(logs) if is_live else self.before.learned,
            gap_ns=gap_ns,
            knows_gap=knows_gap,
            is_over=elements.is_over(job.launch_ns, job.executor),
            deferred=left + unread + elements.deferred,
            error=error,
        )

    def catch_up(self) -> LogMemory:
        """What is known after reading some of what the last look left, without a new one."""
        logs, unread, error = self._with_ends(self.before.logs)
        return replace(self.before, logs=logs, deferred=unread, error=error)

    def newest_sign_ns(self, memory: LogMemory) -> int:
        """When the job last showed a sign of life: its launch, a marker, or an open log."""
        signs = [self.job.launch_ns, max(self.job.markers.modified_ns or (0,))]
        return max([*signs, *(log.modified_ns for log in memory.logs.values())])

    def _elements(self) -> Elements:
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
            quiet_after_ns=_QUIET_NS,
            has_fallen_quiet=has_fallen_quiet,
        )
        return look_at_elements(look, self.before.elements, self.job.is_open)

    def _is_of_launch(self, log: SeenLog) -> bool:
        job = self.job
        return is_of_launch(log.modified_ns, job.launch_ns, is_slice=job.executor.is_slice)

    def _remote_logs(self) -> dict[int, SeenLog]:
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
        return {rank: log for rank, log in logs.items() if self.job.is_open(rank)}

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

    def _local_logs(self, elements: Elements) -> tuple[object, dict[int, SeenLog], int]:
        """The state of ``logs/``, the open logs, and how many were left for later."""
        state = self._state()
        if state is self.before.state and self.job.done.has_all_of(self.before.done):
            present = {rank for rank in self.before.logs if self.job.is_open(rank)}
        else:
            ranks = (rank_of_log(file.name) for file in self.storage.list_files(self.path, LOGS))
            present = {rank for rank in ranks if rank is not None and self.job.is_open(rank)}
        known = self.before.logs
        logs = {rank: known.get(rank) or SeenLog(File(log_name(rank))) for rank in present}
        in_launch = elements.by_rank(self.job.launch_ns) if elements.keys else None
        chosen = [rank for rank in sorted(logs) if self._is_to_ask(rank, logs[rank], in_launch)]
        granted = self.budget.stats(len(chosen), self.path)
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
        return state, logs, left

    def _is_to_ask(self, rank: int, log: SeenLog, in_launch: Container[int] | None) -> bool:
        """A log may have changed since it was seen. One that ended hardly did; and one of an
        earlier launch did not, unless Slurm has begun its element (`in_launch`)."""
        if log.file.modified_ns is None:
            return True
        if not self._is_of_launch(log):
            return in_launch is None or rank in in_launch
        return log.ended != "failed" or self.before.looks % _ENDED_LOOKS == 0

    def _seen(self, before: SeenLog | None, file: File) -> SeenLog:
        age_ns = self.now_ns - (file.modified_ns or 0)
        is_quiet = self.storage.is_object_store or age_ns > _QUIET_NS
        if before is None or before.file.modified_ns is None:
            return SeenLog(file, is_quiet=is_quiet)
        if before.file == file:
            return replace(before, is_quiet=True)
        return SeenLog(file, is_quiet=is_quiet, writes=before.writes + 1)

    def _gap(self, logs: Mapping[int, SeenLog]) -> tuple[int, bool]:
        """The longest time between two writes that were seen of one log, and if that is known."""
        gap_ns, knows_gap = self.before.gap_ns, self.before.knows_gap
        for rank, log in logs.items():
            before = self.before.logs.get(rank)
            if before is None or before.writes == log.writes or not self._is_of_launch(before):
                continue
            gap_ns = max(gap_ns, log.modified_ns - before.modified_ns)
            knows_gap = knows_gap or log.writes >= _WRITES_TO_LEARN
        return gap_ns, knows_gap

    def _with_ends(
        self, logs: Mapping[int, SeenLog]
    ) -> tuple[dict[int, SeenLog], int, StorageError | None]:
        """The logs, with the ends of those that fell quiet; how many were left for later; and why
        one could not be read."""
        to_read = [
            rank
            for rank, log in logs.items()
            if log.end is None and log.is_quiet and self._is_of_launch(log)
        ]
        to_read.sort(key=lambda rank: -logs[rank].modified_ns)
        granted = self.budget.reads(len(to_read), self.path)
        known, error = dict(logs), None
        left = len(to_read) - granted
        if left:  # those that waited longest are not to wait for ever
            to_read = [*to_read[: granted - granted // 2], *to_read[len(to_read) - granted // 2 :]]
        for rank in to_read[:granted]:
            try:
                known[rank] = self._read(rank, known[rank])
            except StorageError as problem:
                error = problem
                if problem.reason == "not_found":
                    del known[rank]
                elif problem.reason in _TO_TRY_AGAIN:
                    left += 1
                else:
                    known[rank] = replace(known[rank], end=LogEnd("open", has_header=False))
        return known, left, error

    def _read(self, rank: int, log: SeenLog) -> SeenLog:
        file = log_file(rank)
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

    def _is_live(self, logs: Mapping[int, SeenLog], elements: Elements) -> bool:
        """Logs of this job were seen to show while their tasks run."""
        if self.before.is_live:
            return True
        if not may_be_live(self.storage, self.job.executor):
            return False
        if elements.of_launch(self.job.launch_ns):
            return True
        return any(
            log.writes > 1 or (log.end is not None and log.ended == "open" and log.end.has_header)
            for log in logs.values()
            if self._is_of_launch(log)
        )

    def _learned(self, logs: Mapping[int, SeenLog]) -> Learned:
        """What completed tasks teach, if a task has been silent for so long that it matters."""
        after_ns = self.config.stall.after_seconds * 1e9
        is_silent = any(
            log.ended == "open"
            and self.now_ns - log.modified_ns > after_ns
            and self._is_of_launch(log)
            for log in logs.values()
        )
        if not is_silent:
            return self.before.learned
        times = self.job.markers.by_rank()
        completed = {r: t for r, t in times.items() if t >= self.job.launch_ns}
        most = self.budget.learned(len(completed))
        return learn(self.storage, self.path, completed, self.before.learned, most)


def _allowed(cause: Cause, show: ShowErrors) -> Cause:
    """What may be kept of a cause."""
    if show == "none":
        return Cause(cause.reason)
    return cause if show == "text" else replace(cause, message="")
