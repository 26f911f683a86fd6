"""One scan of one root, from its begin to its end.

It knows what is left to visit and what was found so far, gives the visits to visitors on
worker threads, and enters what they report into the root's state. It does not know other
roots, nor when scans are due, and it never waits: who owns it calls it when there is a
report, now and then in between, and at the deadline. All calls come from one thread.

* It ends when every folder was visited, or when it is given up. Visits that run on beyond
  that are stuck: their folders are not visited again until they return, and what they
  return is thrown away.
* What a root shows that went away meanwhile, or a storage that broke down, is no result
  (see ``root_check``).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from exporter.errors import StorageError
from exporter.scanning.discovery import FolderToVisit, folders_below
from exporter.scanning.root_check import RootCheck
from exporter.scanning.root_state import RootState
from exporter.scanning.root_storage import RootStorage
from exporter.scanning.visitor import CHECK, Visit, Visitor, VisitQueue, VisitReport
from exporter.storage.base import Path
from exporter.workers import OVERDUE_PER_OWNER, Workers

_NO_PROGRESS_SECONDS = 0.2
# After so long without the end of a visit, one folder may hold up the only visitor.


class RootScan:
    """See the module's docstring. `report` hands an event, from any thread, to who owns
    the scan, who gives it to `handle`. The workers' calls belong to `storage`."""

    def __init__(
        self,
        state: RootState,
        storage: RootStorage,
        workers: Workers,
        report: Callable[["RootScan", VisitReport], None],
        started: float,
    ) -> None:
        self.deadline = started + state.config.scan_timeout_seconds
        self.last_progress = started
        self.listed: set[Path] = set()
        self.read: set[Path] = set()
        self._state = state
        self._storage = storage
        self._workers = workers
        self._report = partial(report, self)
        self._started = started
        self._queue = VisitQueue()
        self._unfinished = 0
        self._visitors: set[Visitor] = set()
        self._found: set[Path] = set()
        self._unlisted: set[Path] = set()
        self._check = RootCheck()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, been given up or dropped."""
        return self._queue.is_over

    @property
    def is_overloaded(self) -> bool:
        """Whether what it met says that the storage is better left alone for a while."""
        return self._check.is_overloaded

    def begin(self, now: float) -> None:
        self._storage.concurrency.begin(now, time.process_time())
        self._visit_or_skip(FolderToVisit(()), now)
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Have as many visitors as it takes; end the scan if nothing is left to visit."""
        if self.is_over:
            return
        # A visitor held up by one folder must not stand in the way of the others.
        moving = [r for r in self._visitors if r.call is None or not r.call.is_overdue]
        idle = sum(visitor.visit is None for visitor in moving)
        wanted = min(self._most_visitors(now) - len(moving), len(self._queue.waiting) - idle)
        for _ in range(wanted):
            visitor = Visitor(self._queue, self._storage, self._state.selection, self._report)
            try:
                visitor.call = self._workers.submit(self._storage, visitor.run)
            except RuntimeError:  # no threads to be had: again in a moment
                break
            self._visitors.add(visitor)
        if self._unfinished == 0:
            if self._check.wants_check_at_end:
                self._begin_check(now)
            else:
                self._end()

    def handle(self, event: VisitReport) -> None:
        """Enter what a visitor reports. `go_on` is to be called after the last of several."""
        now = time.monotonic()
        if self.is_over:  # it was given up; its last visits come home now
            if event.visit is None:
                self._storage.returned(event.visitor)
            return
        if event.visit is None:
            self._visitors.discard(event.visitor)
        else:
            self._handle_visit(event, event.visit, now)

    def give_up(self) -> None:
        """The deadline passed: hold on to what is stuck, let go of the rest."""
        timeout = self._state.config.scan_timeout_seconds
        late = StorageError("timeout", f"not read within {timeout:g} s")
        for visit in self.drop():
            self._unfinished -= 1
            if visit.is_check:
                self._check.root_error = late
            else:
                self._failed(visit.target.path, late)
        if self._unfinished and self._check.root_error is None:
            self._check.root_error = StorageError(
                "timeout", f"not all folders could be visited within {timeout:g} s"
            )
        self._end()

    def drop(self) -> list[Visit]:
        """End without a result. Returns the visits under way, which count as stuck until
        they return."""
        running = set(self._workers.abandon(self._storage))
        self._queue.is_over = True
        stuck = []
        for visitor in self._visitors:
            if visitor.call in running and (visit := visitor.visit) is not None:
                self._storage.stuck[visit.target.path] = visitor
                stuck.append(visit)
        self._queue.waiting.clear()
        return stuck

    def _most_visitors(self, now: float) -> int:
        most = self._workers.size
        threads, cpu = self._workers.busy, time.process_time()
        limit = self._storage.concurrency.limit(most, threads, now, cpu)
        if now - self.last_progress > _NO_PROGRESS_SECONDS:
            return max(limit, min(most, OVERDUE_PER_OWNER))
        return limit

    def _visit_or_skip(self, target: FolderToVisit, now: float) -> None:
        """Queue a visit, unless it would be known to find what the last one found."""
        state, path = self._state, target.path
        if path in self._storage.stuck:
            self._failed(path, StorageError("timeout", "an earlier attempt still hangs"))
        elif state.needs_no_visit(path, now):
            folder = state.folder_of(path)
            assert folder is not None
            for path_set in (self.listed, self._found, self.read):
                path_set.add(path)
            for below in folders_below(target, folder, state.selection):
                self._visit_or_skip(below, now)
        else:
            self._unfinished += 1
            self._queue.waiting.append(Visit(target, state.plan(path, now)))

    def _begin_check(self, now: float) -> None:
        """Ask whether the root is still there, before anything else is visited."""
        self._check.check_begins()
        self._unfinished += 1
        self._queue.waiting.appendleft(CHECK)
        self.go_on(now)

    def _handle_visit(self, event: VisitReport, visit: Visit, now: float) -> None:
        path = visit.target.path
        if visit.is_check:
            self._check.check_ended(event.folder, event.error)
            if self._check.root_error is not None:
                self._drop_waiting()
        elif event.folder is not None and path not in self.listed:
            self._handle_listing(event, visit, now)
        if event.job is not None:
            thorough = visit.plan.look_thoroughly
            self._state.job_scanned(path, event.job, now, thorough=thorough)
            if event.job.is_gone:
                self._check.has_lost_folders = True
            else:
                self.read.add(path)
                self._found.add(path)
        elif event.error is not None and not visit.is_check:
            self._failed(path, event.error)
        if event.is_over:
            self._unfinished -= 1
            self.last_progress = time.monotonic()
            self._storage.concurrency.visit_ended(event.waited, event.worked)
            self._check.visit_ended(event.job.error if event.job is not None else event.error)
            if self._check.wants_check_at_once:
                self._begin_check(now)

    def _handle_listing(self, event: VisitReport, visit: Visit, now: float) -> None:
        state, path, folder = self._state, visit.target.path, event.folder
        assert folder is not None
        if path == ():
            self._check.identity = folder.identity
        self.listed.add(path)
        state.folder_listed(path, folder, now, thorough=visit.plan.list_thoroughly)
        if self._check.root_error is None:
            for target in event.below:
                self._visit_or_skip(target, now)

    def _drop_waiting(self) -> None:
        """Make no more visits but those under way."""
        with suppress(IndexError):
            while True:
                self._queue.waiting.popleft()
                self._unfinished -= 1

    def _failed(self, path: Path, error: StorageError) -> None:
        now = time.monotonic()
        if path in self.listed:  # the job in this folder; those below it are visited apart
            self._found.add(path)
            self._state.job_failed(path, error, now)
        elif path == ():
            self._check.root_error = error
        elif error.reason not in ("not_found", "invalid"):
            self._unlisted.add(path)
            self._state.folder_failed(path, error, now)
        else:  # it went, or became a file, since its parent was listed
            self._check.has_lost_folders = True

    def _end(self) -> None:
        state, error = self._state, self._check.root_error
        self._queue.is_over = True
        now = time.monotonic()
        duration, wall_time = now - self._started, time.time()
        if self._storage.opened is not None:
            state.count_requests(self._storage.opened.requests.totals())
        if error is None:
            state.scan_ended(
                self._found,
                self.listed,
                self._unlisted,
                duration_seconds=duration,
                wall_time=wall_time,
            )
        else:
            state.mark_unread(self.read, error, now)
            state.scan_failed(error, duration_seconds=duration, now=now, wall_time=wall_time)
