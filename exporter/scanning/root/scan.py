"""One scan of one root, from its begin to its end.

It queues the visits to make, has visitors make them on worker threads, and enters what they
report into the root's state. It never waits: its owner calls it when there are reports, now
and then in between, and at the deadline.

When every folder was visited, it is asked what is wanted now that the jobs are known: which jobs
those of other shards are and how far, and times of markers. Then it ends, or earlier, when it is
given up. Visits that run on beyond that are stuck: their folders are not visited again until they
return, and what they return is thrown away. What it sees of a root that goes meanwhile, or of a
storage that breaks down, is no result (see ``check``).
"""

import time
from collections.abc import Callable, Hashable
from functools import partial

from exporter.errors import StorageError
from exporter.scanning.discovery import FolderToVisit, folders_below, is_nobodys
from exporter.scanning.job_memory import JobScan
from exporter.scanning.root.check import RootCheck
from exporter.scanning.root.state import RootState
from exporter.scanning.root.storage import RootStorage
from exporter.scanning.root.visitor import CHECK, Visit, Visitor, VisitQueue, VisitReport
from exporter.storage.base import Path
from exporter.workers import OVERDUE_PER_OWNER, Call

_MOST_ASKED = 10_000
# So many times of markers, or files of other shards' jobs, a scan asks for at most beyond what it
# takes to read its own.
_NO_PROGRESS_SECONDS = 0.2
# After so long without the end of a visit, one folder may hold up the only visitor.


class RootScan:
    """Used by the scheduler's thread. Visitors call `report` on theirs with each report, which
    the scan's owner gives to `handle`. The workers' calls belong to `storage`. `connect` finds out
    what is wanted."""

    def __init__(
        self,
        state: RootState,
        storage: RootStorage,
        report: Callable[["RootScan", VisitReport], None],
        connect: Callable[[], None],
        started: float,
    ) -> None:
        self._state = state
        self._connect = connect
        self._storage = storage
        self._workers = storage.workers
        self._report = partial(report, self)
        self.deadline = started + state.config.scan_timeout_seconds
        """Time at which to give it up (monotonic)."""
        self.check = RootCheck()
        self.last_progress = started
        """Time at which a visit ended last (monotonic)."""
        self._started = started
        self._queue = VisitQueue()
        self._visitors: dict[Visitor, Call] = {}
        self._unfinished = 0
        self._listed: set[Path] = set()
        self._unlisted: set[Path] = set()
        self._found: set[Path] = set()
        self._read: set[Path] = set()
        self._denied = 0
        self._asked: set[tuple[Path, Hashable]] = set()
        self._may_ask = _MOST_ASKED
        self._is_asking = False

    @property
    def progress(self) -> tuple[int, int]:
        """Folders listed and jobs read so far, for any thread."""
        return len(self._listed), len(self._read)

    @property
    def is_over(self) -> bool:
        """It has ended, been given up or dropped."""
        return self._queue.is_closed

    def begin(self, now: float) -> None:
        self._storage.concurrency.begin(now, time.process_time())
        self._storage.probes.begin()
        self._visit_or_skip(FolderToVisit(()), now)
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Have as many visitors as it takes; end the scan if nothing is left to visit."""
        if self.is_over:
            return
        # A visitor held up by one folder must not stand in the way of the others.
        moving = [visitor for visitor, call in self._visitors.items() if not call.is_overdue]
        idle = sum(visitor.visit is None for visitor in moving)
        wanted = min(self._most_visitors(now) - len(moving), len(self._queue) - idle)
        for _ in range(wanted):
            visitor = Visitor(self._queue, self._storage, self._report)
            try:
                self._visitors[visitor] = self._workers.submit(self._storage, visitor.run)
            except RuntimeError:  # no threads to be had: again in a moment
                break
        if self._unfinished == 0:
            if self.check.is_due_at_end:
                self._begin_check(now)
            elif not self._ask(now):
                self._end()

    def handle(self, report: VisitReport) -> None:
        """Enter what a visitor reports. `go_on` is to be called after the last of a batch."""
        if self.is_over:  # it was given up; its last visits return now
            if report.visit is None:
                self._storage.returned(report.visitor)
        elif report.visit is None:
            self._visitors.pop(report.visitor, None)
        else:
            now = time.monotonic()
            if not self._is_asking:
                self._handle_visit(report, report.visit, now)
            elif report.visit.question is not None:
                path, question = report.visit.target.path, report.visit.question
                self._state.jobs.answered(path, question, report.answer, now)
            if report.is_over:
                self._unfinished -= 1
                self.last_progress = time.monotonic()
                self._storage.concurrency.visit_ended(report.waited, report.worked)
                if self._is_asking:
                    return
                self.check.visit_ended(report.job.error if report.job else report.error)
                if self.check.is_due_at_once:
                    self._begin_check(now)

    def _ask(self, now: float) -> bool:
        """Ask what is wanted now that all jobs were visited; whether there is anything."""
        if self.check.root_error is not None:
            return False
        self._is_asking = True
        self._connect()
        for visit, question in list(self._state.jobs.questions(self._may_ask, self._asked, now)):
            if visit.target.path in self._storage.stuck:
                continue
            self._asked.add((visit.target.path, question.key))
            self._may_ask -= question.cost
            self._unfinished += 1
            self._queue.add(visit)
        if not self._unfinished:
            return False
        self.go_on(now)
        return True

    def give_up(self) -> None:
        """The deadline passed: what is under way is stuck, the rest is left. Once it asks what is
        wanted, all jobs were read."""
        timeout = self._state.config.scan_timeout_seconds
        late = StorageError("timeout", f"not read within {timeout:g} s")
        for visit in self.drop():
            self._unfinished -= 1
            if visit.is_check:
                self.check.root_failed(late)
            elif not self._is_asking:
                self._failed(visit.target, late)
        if self._unfinished and not self._is_asking and self.check.root_error is None:
            self.check.root_failed(
                StorageError("timeout", f"not all folders could be visited within {timeout:g} s")
            )
        self._end()

    def drop(self) -> list[Visit]:
        """End without a result. Returns the visits under way, which count as stuck until
        they return."""
        self._workers.abandon(self._storage)
        self._queue.close()
        stuck = []
        for visitor, call in self._visitors.items():
            if call.is_stuck and (visit := visitor.visit) is not None:
                self._storage.hold(visit.target.path, visitor)
                stuck.append(visit)
        self._queue.drop()
        return stuck

    def _most_visitors(self, now: float) -> int:
        most, threads = self._workers.size, self._workers.busy
        limit = self._storage.concurrency.limit(most, threads, now, time.process_time())
        if now - self.last_progress > _NO_PROGRESS_SECONDS:
            return max(limit, min(most, OVERDUE_PER_OWNER))
        return limit

    def _visit_or_skip(self, target: FolderToVisit, now: float) -> None:
        """Queue a visit, unless it is known to find what the last one found."""
        state, path = self._state, target.path
        if path in self._storage.stuck:
            self._failed(target, StorageError("timeout", "an earlier attempt still hangs"))
        elif (folder := state.settled_folder(path, now)) is not None:
            for paths in (self._listed, self._found, self._read):
                paths.add(path)
            for below in folders_below(target, folder, state.config):
                self._visit_or_skip(below, now)
        else:
            self._unfinished += 1
            self._queue.add(state.visit_to(target, now))

    def _begin_check(self, now: float) -> None:
        """Ask whether the root is still there, before anything else is visited."""
        self.check.began()
        self._unfinished += 1
        self._queue.add(CHECK)
        self.go_on(now)

    def _handle_visit(self, report: VisitReport, visit: Visit, now: float) -> None:
        path, folder, job = visit.target.path, report.folder, report.job
        if visit.is_check:
            self.check.ended(folder, report.error)
            if self.check.root_error is not None:  # no more visits but those under way
                self._unfinished -= self._queue.drop()
        elif folder is not None and path not in self._listed:
            if path == ():
                self.check.root_listed(folder)
            self._listed.add(path)
            thorough, holds_more = visit.list_thoroughly, report.holds_more
            self._state.folder_listed(path, folder, now, thorough=thorough, holds_more=holds_more)
            for target in report.below if self.check.root_error is None else ():
                self._visit_or_skip(target, now)
        if job is not None:
            self._state.job_scanned(path, job, now, thorough=visit.look_thoroughly)
            if job.is_gone:
                self.check.folder_lost()
            else:
                self._read.add(path)
                self._found.add(path)
        elif report.error is not None and not visit.is_check:
            self._failed(visit.target, report.error)

    def _failed(self, target: FolderToVisit, error: StorageError) -> None:
        now, path, state = time.monotonic(), target.path, self._state
        if path in self._listed:  # the job in this folder; those below it are visited apart
            self._found.add(path)
            state.job_scanned(path, JobScan(None, None, error), now)
        elif path == ():
            self.check.root_failed(error)
        elif error.reason == "denied" and is_nobodys(path, state.config):
            self._denied += 1
        elif error.reason not in ("not_found", "invalid"):
            self._unlisted.add(path)
            state.folder_failed(path, error, now)
        elif not target.is_assumed or state.folders.get(path) is not None:
            # It went, or became a file, since its parent was listed.
            self.check.folder_lost()

    def _end(self) -> None:
        state, error = self._state, self.check.root_error
        self._queue.close()
        now, wall_time = time.monotonic(), time.time()
        took = now - self._started
        state.health.count_requests(self._storage.requests())
        state.health.storage_noted(self._storage.notes())
        if error is None:
            state.scan_ended(
                self._found,
                self._listed,
                self._unlisted,
                denied=self._denied,
                duration_seconds=took,
                wall_time=wall_time,
            )
        else:
            state.scan_failed(
                self._read, error, duration_seconds=took, now=now, wall_time=wall_time
            )
