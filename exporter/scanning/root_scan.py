"""One scan of one root, from its begin to its end.

It knows what is left to visit and what was found so far, gives the errands to runners on
worker threads, and enters what they report into the root's state. It does not know other
roots, nor when scans are due, and it never waits: who owns it calls it when there is a
report, now and then in between, and at the deadline. All calls come from one thread.

* It ends when every folder was visited, or when it is given up. Visits that run on beyond
  that are stuck: their folders are not visited again until they return, and what they
  return is thrown away.
* What a root shows that went away meanwhile, or a storage that broke down, is no result
  (see ``doubt``).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from exporter.errors import StorageError
from exporter.scanning.discovery import Visit, visits_below
from exporter.scanning.root_check import Doubt
from exporter.scanning.root_state import RootState
from exporter.scanning.root_storage import RootStorage
from exporter.scanning.visitor import CHECK, Errand, Errands, Event, Runner
from exporter.storage.base import Path
from exporter.workers import OVERDUE_PER_OWNER, Workers

_NO_PROGRESS_SECONDS = 0.2
# After so long without the end of a visit, one folder may hold up the only runner.


class RootScan:
    """See the module's docstring. `report` hands an event, from any thread, to who owns
    the scan, who gives it to `handle`. The workers' calls belong to `storage`."""

    def __init__(
        self,
        state: RootState,
        storage: RootStorage,
        workers: Workers,
        report: Callable[["RootScan", Event], None],
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
        self._errands = Errands()
        self._unfinished = 0
        self._runners: set[Runner] = set()
        self._found: set[Path] = set()
        self._unlisted: set[Path] = set()
        self._doubt = Doubt()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, been given up or dropped."""
        return self._errands.is_over

    @property
    def is_overloaded(self) -> bool:
        """Whether what it met says that the storage is better left alone for a while."""
        return self._doubt.is_overloaded

    def begin(self, now: float) -> None:
        self._storage.parallelism.begin(now, time.process_time())
        self._visit_or_skip(Visit(()), now)
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Have as many runners as it takes; end the scan if nothing is left to visit."""
        if self.is_over:
            return
        # A runner held up by one folder must not stand in the way of the others.
        moving = [r for r in self._runners if r.call is None or not r.call.is_overdue]
        idle = sum(runner.errand is None for runner in moving)
        wanted = min(self._most_runners(now) - len(moving), len(self._errands.waiting) - idle)
        for _ in range(wanted):
            runner = Runner(self._errands, self._storage, self._state.selection, self._report)
            try:
                runner.call = self._workers.submit(self._storage, runner.run)
            except RuntimeError:  # no threads to be had: again in a moment
                break
            self._runners.add(runner)
        if self._unfinished == 0:
            if self._doubt.wants_check_at_end:
                self._check(now)
            else:
                self._end()

    def handle(self, event: Event) -> None:
        """Enter what a runner reports. `go_on` is to be called after the last of several."""
        now = time.monotonic()
        if self.is_over:  # it was given up; its last visits come home now
            if event.errand is None:
                self._storage.returned(event.runner)
            return
        if event.errand is None:
            self._runners.discard(event.runner)
        else:
            self._handle_visit(event, event.errand, now)

    def give_up(self) -> None:
        """The deadline passed: hold on to what is stuck, let go of the rest."""
        timeout = self._state.config.scan_timeout_seconds
        late = StorageError("timeout", f"not read within {timeout:g} s")
        for errand in self.drop():
            self._unfinished -= 1
            if errand.is_check:
                self._doubt.root_error = late
            else:
                self._failed(errand.visit.path, late)
        if self._unfinished and self._doubt.root_error is None:
            self._doubt.root_error = StorageError(
                "timeout", f"not all folders could be visited within {timeout:g} s"
            )
        self._end()

    def drop(self) -> list[Errand]:
        """End without a result. Returns the errands under way, which count as stuck until
        they return."""
        running = set(self._workers.abandon(self._storage))
        self._errands.is_over = True
        stuck = []
        for runner in self._runners:
            if runner.call in running and (errand := runner.errand) is not None:
                self._storage.stuck[errand.visit.path] = runner
                stuck.append(errand)
        self._errands.waiting.clear()
        return stuck

    def _most_runners(self, now: float) -> int:
        most = self._workers.size
        threads, cpu = self._workers.busy, time.process_time()
        width = self._storage.parallelism.width(most, threads, now, cpu)
        if now - self.last_progress > _NO_PROGRESS_SECONDS:
            return max(width, min(most, OVERDUE_PER_OWNER))
        return width

    def _visit_or_skip(self, visit: Visit, now: float) -> None:
        """Queue a visit, unless it would be known to find what the last one found."""
        state, path = self._state, visit.path
        if path in self._storage.stuck:
            self._failed(path, StorageError("timeout", "an earlier attempt still hangs"))
        elif state.needs_no_visit(path, now):
            folder = state.folder_of(path)
            assert folder is not None
            for path_set in (self.listed, self._found, self.read):
                path_set.add(path)
            for below in visits_below(visit, folder, state.selection):
                self._visit_or_skip(below, now)
        else:
            self._unfinished += 1
            self._errands.waiting.append(Errand(visit, state.plan(path, now)))

    def _check(self, now: float) -> None:
        """Ask whether the root is still there, before anything else is visited."""
        self._doubt.check_begins()
        self._unfinished += 1
        self._errands.waiting.appendleft(CHECK)
        self.go_on(now)

    def _handle_visit(self, event: Event, errand: Errand, now: float) -> None:
        path = errand.visit.path
        if errand.is_check:
            self._doubt.check_ended(event.folder, event.error)
            if self._doubt.root_error is not None:
                self._drop_waiting()
        elif event.folder is not None and path not in self.listed:
            self._handle_listing(event, errand, now)
        if event.job is not None:
            thorough = errand.plan.look_thoroughly
            self._state.job_scanned(path, event.job, now, thorough=thorough)
            if event.job.is_gone:
                self._doubt.has_lost_folders = True
            else:
                self.read.add(path)
                self._found.add(path)
        elif event.error is not None and not errand.is_check:
            self._failed(path, event.error)
        if event.is_over:
            self._unfinished -= 1
            self.last_progress = time.monotonic()
            self._storage.parallelism.visit_ended(event.waited, event.worked)
            self._doubt.visit_ended(event.job.error if event.job is not None else event.error)
            if self._doubt.wants_check_at_once:
                self._check(now)

    def _handle_listing(self, event: Event, errand: Errand, now: float) -> None:
        state, path, folder = self._state, errand.visit.path, event.folder
        assert folder is not None
        if path == ():
            self._doubt.identity = folder.identity
        self.listed.add(path)
        state.folder_listed(path, folder, now, thorough=errand.plan.list_thoroughly)
        if self._doubt.root_error is None:
            for visit in event.below:
                self._visit_or_skip(visit, now)

    def _drop_waiting(self) -> None:
        """Make no more visits but those under way."""
        with suppress(IndexError):
            while True:
                self._errands.waiting.popleft()
                self._unfinished -= 1

    def _failed(self, path: Path, error: StorageError) -> None:
        now = time.monotonic()
        if path in self.listed:  # the job in this folder; those below it are visited apart
            self._found.add(path)
            self._state.job_failed(path, error, now)
        elif path == ():
            self._doubt.root_error = error
        elif error.reason not in ("not_found", "invalid"):
            self._unlisted.add(path)
            self._state.folder_failed(path, error, now)
        else:  # it went, or became a file, since its parent was listed
            self._doubt.has_lost_folders = True

    def _end(self) -> None:
        state, error = self._state, self._doubt.root_error
        self._errands.is_over = True
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
