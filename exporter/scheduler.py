"""When to scan, on which threads, until when.

One thread decides; workers only carry out visits to folders and report back through a
queue, so no state is shared and nothing here takes a lock. The deciding thread never
calls storage and never waits for a worker.

* Each root has its own timetable. Clocks are monotonic.
* One scan of a root is in flight at a time. A scan that is due while the one before still
  runs, or while the root's storage hangs, is counted as skipped.
* No more scans make progress at a time than there are workers; others wait for their
  turn, the longest overdue first. A scan that makes no progress holds up nobody.
* Visits of a scan wait in one queue, from which *runners* on worker threads take one
  after the other; a runner ends after a short while, so that the roots take turns.
* A scan ends when every folder was visited, or at its deadline. Visits that run on
  beyond it are stuck: their folders are not visited again until they return, and what
  they return is thrown away.
* If folders went during a scan, or visit after visit fails, the root is looked at once
  more: that of a root which went away, or of a storage which broke down, is no result.
* A bug met with one root ends that root's scan, and no other's.
"""

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from exporter.discovery import Visit, is_loop, job_name, visits_below
from exporter.rootstate import Plan, RootState
from exporter.scan import JobScan, scan_job
from exporter.settings import (
    RootConfig,
)
from exporter.snapshot import Latest, Snapshot
from exporter.storage import open_storage
from exporter.storage.base import Folder, Path, Reason, Storage, StorageError
from exporter.timetable import Timetable
from exporter.workers import OVERDUE_PER_OWNER, Call, Workers

_LOG = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 1.0
_EVENTS_SECONDS = 0.1
_WAKE_SECONDS = 0.005
_SLICE_SECONDS = 0.05
_SLOW_VISIT_SECONDS = 0.002
# Visits that wait no longer than that, as on a local disk, are made by one thread: there
# the interpreter lock is the limit, and two threads that fight for it take twice as long.
_NO_PROGRESS_SECONDS = 0.2
_FAILURES_IN_A_ROW = 16
_OVERLOADED: frozenset[Reason] = frozenset({"timeout", "throttled", "unavailable"})
# What says of the storage, and not of one folder in it, that it is better left alone.

OpenStorage = Callable[[str, Mapping[str, Any], int], Storage]


@dataclass(frozen=True, slots=True)
class _Errand:
    """A visit and what it starts from; `is_check` if it only asks whether the root is
    still there."""

    visit: Visit
    plan: Plan
    is_check: bool = False


_CHECK = _Errand(Visit(()), Plan(None, None, True, True), is_check=True)  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class _Event:
    """What a runner reports: the listing of a folder, then the scan of the job in it or
    an error, and that this visit is over; at last, that the runner itself has ended."""

    runner: "_Runner"
    errand: _Errand | None
    folder: Folder | None = None
    error: StorageError | None = None
    job: JobScan | None = None
    waited: float | None = None
    """Seconds that the visit spent waiting and not working, once it is over."""


class _Runner:
    """Carries out visits of one scan, on a worker's thread."""

    def __init__(self, scan: "_RootScan") -> None:
        self.scan = scan
        self.call: Call | None = None
        self.errand: _Errand | None = None


class _RootScan:
    """One scan of one root, while it runs. `waiting` and `is_over` are shared with its
    runners; the rest belongs to the scheduler's thread."""

    def __init__(self, root: "_ScheduledRoot", started: float) -> None:
        self.root = root
        self.started = started
        self.deadline = started + root.state.config.scan_timeout_seconds
        self.waiting: deque[_Errand] = deque()
        self.is_over = False
        self.unfinished = 0
        self.last_progress = started
        self.runners: set[_Runner] = set()
        self.listed: set[Path] = set()
        self.found: set[Path] = set()
        self.read: set[Path] = set()
        self.unlisted: set[Path] = set()
        self.root_error: StorageError | None = None
        self.identity: Hashable | None = None
        self.has_lost_folders = False
        self.failures_in_a_row = 0
        self.is_checking = False
        self.is_overloaded = False

    def drop_waiting(self) -> None:
        """Make no more visits but those under way."""
        with suppress(IndexError):
            while True:
                self.waiting.popleft()
                self.unfinished -= 1


class _ScheduledRoot:
    """A root, its storage, and when it is due."""

    def __init__(self, config: RootConfig, now: float) -> None:
        self.state = RootState(config)
        self.storage: Storage | None = None
        self.timetable = Timetable(config.scan_interval_seconds, now)
        self.scan: _RootScan | None = None
        self.stuck: dict[Path, _Runner] = {}
        self.waited_per_visit = 0.0

    @property
    def is_hung(self) -> bool:
        return () in self.stuck or len(self.stuck) >= OVERDUE_PER_OWNER


class Scheduler:
    """Scans `roots` and publishes what it finds to `latest`."""

    def __init__(
        self,
        roots: Sequence[RootConfig],
        latest: Latest,
        workers: Workers,
        open_storage: OpenStorage = open_storage,
    ) -> None:
        now = time.monotonic()
        self._roots = [_ScheduledRoot(config, now) for config in roots]
        self._latest = latest
        self._workers = workers
        self._open_storage = open_storage
        self._events: deque[_Event] = deque()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._last_wake = 0.0
        self._stopping = threading.Event()
        self._wanted: deque[Sequence[RootConfig]] = deque(maxlen=1)
        self._changed = False
        self.last_heartbeat = now
        """Monotonic time at which the scheduler last showed that it is alive."""
        self._publish()

    @property
    def progress(self) -> tuple[int, int]:
        """Folders listed and jobs read so far by the scans under way, from any thread."""
        scans = [scan for root in self._roots if (scan := root.scan) is not None]
        return sum(len(scan.listed) for scan in scans), sum(len(scan.read) for scan in scans)

    def run_once(self) -> Snapshot:
        """Scan every root once, until its end or its deadline; returns the result."""
        now = time.monotonic()
        for root in self._roots:
            root.timetable.due = now
        while not self._stopping.is_set() and not all(
            root.scan is None and root.timetable.due == math.inf for root in self._roots
        ):
            self._step(repeating=False)
        return self._latest.read()

    def run(self) -> None:
        """Scan on schedule until `stop`."""
        while not self._stopping.is_set():
            try:
                self._step(repeating=True)
            except Exception:
                _LOG.exception("the scheduler met a bug of the exporter and goes on")
                self._stopping.wait(_HEARTBEAT_SECONDS)

    def reconfigure(self, roots: Sequence[RootConfig]) -> None:
        """Scan these roots from now on, from any thread. Those whose configuration is the
        same keep their jobs, counters and schedule; all others begin anew, and the series
        of those that are no longer there go at once."""
        self._wanted.append(roots)  # of two in a row the last one counts
        self._wake.put(None)

    def stop(self) -> None:
        """Make `run` return, from any thread. Visits under way are not waited for."""
        self._stopping.set()
        self._wake.put(None)

    def _step(self, *, repeating: bool) -> None:
        now = time.monotonic()
        if self._wanted:
            self._replace_roots(self._wanted.popleft(), now)
        for root in self._roots:
            with self._bugs_kept_to(root):
                self._attend(root, now)
        self._begin_scans(now, repeating=repeating)
        self._workers.relieve()
        if self._changed:
            self._publish()
        self._handle_events(self._next_moment(now))
        if self._changed:
            self._publish()
        self.last_heartbeat = time.monotonic()

    def _attend(self, root: _ScheduledRoot, now: float) -> None:
        """See to it that the root's scan goes on or ends, and that nothing grows too old."""
        if root.scan is not None:
            if now >= root.scan.deadline:
                self._give_up(root, root.scan)
            else:
                self._add_runners(root.scan, now)
        if root.state.next_expiry <= now:
            root.state.expire(now, time.time())
            self._changed = True

    @contextmanager
    def _bugs_kept_to(self, root: _ScheduledRoot) -> Iterator[None]:
        """Whatever fails inside ends the scan of this root and nothing else."""
        try:
            yield
        except Exception as error:
            _LOG.exception("the scan of a root met a bug of the exporter")
            if (scan := root.scan) is not None:
                scan.is_over = True
                root.scan = None
                self._workers.abandon(root)
            bug = StorageError("other", f"unexpected {type(error).__name__}")
            with suppress(Exception):
                root.state.scan_impossible(bug, time.monotonic(), time.time())
            self._changed = True

    def _replace_roots(self, wanted: Sequence[RootConfig], now: float) -> None:
        before = {root.state.config.name: root for root in self._roots}
        roots = []
        for config in wanted:
            root = before.get(config.name)
            if root is not None and root.state.config == config:
                del before[config.name]
                roots.append(root)
                continue
            new = _ScheduledRoot(config, now)
            if root is not None and root.state.config.url == config.url:
                new.stuck = root.stuck  # it hangs still: no more threads for it
            roots.append(new)
        for root in before.values():
            self._drop(root)
        self._roots = roots
        self._changed = True

    def _drop(self, root: _ScheduledRoot) -> None:
        """Let go of a root; what runs on in its storage counts as stuck until it returns."""
        running = set(self._workers.abandon(root))
        if (scan := root.scan) is None:
            return
        scan.is_over = True
        scan.waiting.clear()
        for runner in scan.runners:
            if runner.call in running and (errand := runner.errand) is not None:
                root.stuck[errand.visit.path] = runner

    def _next_moment(self, now: float) -> float:
        """Until when to sleep if nothing is reported (monotonic)."""
        moments = [now + _HEARTBEAT_SECONDS]
        for root in self._roots:
            if root.timetable.due > now:  # the others wait for others to end
                moments.append(root.timetable.due)
            if root.scan is not None:
                moments.append(root.scan.deadline)
        return min(moments)

    def _handle_events(self, until: float) -> None:
        """Wait for reports, then handle all there are; not for so long that other roots'
        deadlines would have to wait."""
        with suppress(queue.Empty):
            if not self._events:
                self._wake.get(timeout=max(0.0, until - time.monotonic()))
        self._drain(time.monotonic() + _EVENTS_SECONDS)

    def _drain(self, until: float) -> None:
        while self._events and time.monotonic() < until:
            event = self._events.popleft()
            with self._bugs_kept_to(event.runner.scan.root):
                self._handle(event)

    def _report(self, event: _Event) -> None:
        """Tell the scheduler's thread (from any thread). It is not woken for each of many
        short visits: to hand over the interpreter lock takes longer than they do."""
        self._events.append(event)
        now = time.monotonic()
        if event.errand is None or now - self._last_wake > _WAKE_SECONDS:
            self._last_wake = now
            self._wake.put(None)

    def _begin_scans(self, now: float, *, repeating: bool) -> None:
        """Start the scans that are due, as many as have room, or count why not."""
        due = [root for root in self._roots if root.timetable.due <= now]
        moving = sum(
            root.scan is not None and now - root.scan.last_progress < self._workers.patience_seconds
            for root in self._roots
        )
        for root in sorted(due, key=lambda root: root.timetable.due):
            may_begin = root.scan is None and not root.is_hung
            if may_begin and moving >= self._workers.size:
                continue  # its turn comes
            root.timetable.began(now)
            if not repeating:
                root.timetable.due = math.inf
            with self._bugs_kept_to(root):
                if may_begin:
                    moving += 1
                    self._begin(root, now)
                else:
                    self._skip(root, now)

    def _begin(self, root: _ScheduledRoot, now: float) -> None:
        root.scan = _RootScan(root, now)
        self._visit_or_skip(root.scan, Visit(()), now)
        self._add_runners(root.scan, now)

    def _skip(self, root: _ScheduledRoot, now: float) -> None:
        root.state.scan_skipped()
        if root.scan is None:
            hang = StorageError("timeout", "earlier attempts still hang")
            root.state.scan_impossible(hang, now, time.time())
        self._changed = True

    def _visit_or_skip(self, scan: _RootScan, visit: Visit, now: float) -> None:
        """Queue a visit, unless it would be known to find what the last one found."""
        state = scan.root.state
        if visit.path in scan.root.stuck:
            self._failed(
                scan, visit.path, StorageError("timeout", "an earlier attempt still hangs")
            )
        elif state.needs_no_visit(visit.path, now):
            folder = state.folder_of(visit.path)
            assert folder is not None
            for path_set in (scan.listed, scan.found, scan.read):
                path_set.add(visit.path)
            for below in visits_below(visit, folder, state.selection):
                self._visit_or_skip(scan, below, now)
        else:
            scan.unfinished += 1
            scan.waiting.append(_Errand(visit, state.plan(visit.path, now)))

    def _add_runners(self, scan: _RootScan, now: float) -> None:
        """Have as many runners as it takes; end the scan if nothing is left to visit."""
        # A runner held up by one folder must not stand in the way of the others.
        moving = [r for r in scan.runners if r.call is None or not r.call.is_overdue]
        idle = sum(runner.errand is None for runner in moving)
        most = self._most_runners(scan, now)
        for _ in range(min(most - len(moving), len(scan.waiting) - idle)):
            runner = _Runner(scan)
            try:
                runner.call = self._workers.submit(scan.root, partial(self._run, runner))
            except RuntimeError:  # no threads to be had: again in a moment
                break
            scan.runners.add(runner)
        if scan.unfinished == 0:
            if scan.has_lost_folders and scan.root_error is None:
                self._check(scan, now)
            else:
                self._end(scan)

    def _most_runners(self, scan: _RootScan, now: float) -> int:
        if scan.root.waited_per_visit > _SLOW_VISIT_SECONDS:
            return self._workers.size
        has_stopped = now - scan.last_progress > _NO_PROGRESS_SECONDS
        return min(self._workers.size, OVERDUE_PER_OWNER) if has_stopped else 1

    def _check(self, scan: _RootScan, now: float) -> None:
        """Ask whether the root is still there, before anything else is visited."""
        scan.is_checking = True
        scan.has_lost_folders = False
        scan.failures_in_a_row = 0
        scan.unfinished += 1
        scan.waiting.appendleft(_CHECK)
        self._add_runners(scan, now)

    def _run(self, runner: _Runner) -> None:
        """Carry out visits for a while (on a worker's thread)."""
        scan = runner.scan
        enough = time.monotonic() + _SLICE_SECONDS
        try:
            while not scan.is_over and time.monotonic() < enough:
                try:
                    runner.errand = scan.waiting.popleft()
                except IndexError:
                    break
                if scan.is_over:  # given up meanwhile, and this errand perhaps not seen
                    break
                self._visit(runner, runner.errand)
                runner.errand = None
        finally:
            self._report(_Event(runner, None))

    def _visit(self, runner: _Runner, errand: _Errand) -> None:
        """List one folder and scan it if it is a wanted job."""
        root, visit, plan = runner.scan.root, errand.visit, errand.plan
        started, worked = time.monotonic(), time.thread_time()

        def report(*, is_over: bool = True, **found: Any) -> None:
            waited = time.monotonic() - started - (time.thread_time() - worked)
            self._report(_Event(runner, errand, waited=waited if is_over else None, **found))

        try:
            storage = self._storage_of(root)
            if errand.is_check:
                report(folder=storage.list_folder((), with_subfolders=False, thorough=True))
                return
            selection = root.state.selection
            folder = storage.list_folder(
                visit.path,
                plan.folder,
                with_subfolders=len(visit.path) < selection.max_depth,
                thorough=plan.list_thoroughly,
            )
            is_job = folder.has_executor_file and not is_loop(visit, folder)
            if not is_job or not selection.wants(job_name(visit.path)):
                report(folder=folder)
                return
            if folder.subfolders:  # so that others can begin with them
                report(folder=folder, is_over=False)
            job = scan_job(storage, visit.path, folder, plan.memory, thorough=plan.look_thoroughly)
            report(folder=folder, job=job)
        except StorageError as error:
            report(error=error)
        except BaseException as error:  # also what libraries use to end threads or tasks
            _LOG.exception("a scan failed for a reason that is a bug of the exporter")
            bug = StorageError("other", f"unexpected {type(error).__name__}")
            report(error=bug)

    def _storage_of(self, root: _ScheduledRoot) -> Storage:
        """Open the root's storage on first use. Only the visit to the root itself can be
        first, so two threads never get here at once."""
        if root.storage is None:
            config = root.state.config
            options = config.storage_options.reveal()
            root.storage = self._open_storage(config.url, options, self._workers.size)
        return root.storage

    def _handle(self, event: _Event) -> None:
        scan, runner, now = event.runner.scan, event.runner, time.monotonic()
        if scan.is_over:  # it was given up; its last visits come home now
            if event.errand is None:
                for path in [p for p, stuck in scan.root.stuck.items() if stuck is runner]:
                    del scan.root.stuck[path]
            return
        if event.errand is None:
            scan.runners.discard(runner)
        else:
            self._handle_visit(scan, event, event.errand, now)
        self._add_runners(scan, now)

    def _handle_visit(self, scan: _RootScan, event: _Event, errand: _Errand, now: float) -> None:
        state, path = scan.root.state, errand.visit.path
        if errand.is_check:
            self._checked(scan, event)
        elif event.folder is not None and path not in scan.listed:
            if path == ():
                scan.identity = event.folder.identity
            scan.listed.add(path)
            thorough = errand.plan.list_thoroughly
            state.folder_listed(path, event.folder, now, thorough=thorough)
            if scan.root_error is None:
                for visit in visits_below(errand.visit, event.folder, state.selection):
                    self._visit_or_skip(scan, visit, now)
        if event.job is not None:
            thorough = errand.plan.look_thoroughly
            state.job_scanned(path, event.job, now, thorough=thorough)
            if event.job.is_gone:
                scan.has_lost_folders = True
            else:
                scan.read.add(path)
                scan.found.add(path)
        elif event.error is not None and not errand.is_check:
            self._failed(scan, path, event.error)
        if event.waited is not None:
            scan.unfinished -= 1
            scan.last_progress = now
            scan.root.waited_per_visit += (event.waited - scan.root.waited_per_visit) / 8
            error = event.job.error if event.job is not None else event.error
            self._watch_failures(scan, error, now)

    def _watch_failures(self, scan: _RootScan, error: StorageError | None, now: float) -> None:
        """A storage that breaks down in the middle of a scan is not asked for each of
        thousands of folders."""
        is_overload = error is not None and error.reason in _OVERLOADED
        scan.failures_in_a_row = scan.failures_in_a_row + 1 if is_overload else 0
        scan.is_overloaded |= error is not None and error.reason == "throttled"
        if scan.failures_in_a_row >= _FAILURES_IN_A_ROW and not scan.is_checking:
            self._check(scan, now)

    def _checked(self, scan: _RootScan, event: _Event) -> None:
        scan.is_checking = False
        if event.error is not None:
            scan.root_error = event.error
        elif event.folder is not None and event.folder.identity != scan.identity:
            scan.root_error = StorageError("partial", "the root was replaced during the scan")
        if scan.root_error is not None:
            scan.drop_waiting()

    def _failed(self, scan: _RootScan, path: Path, error: StorageError) -> None:
        state, now = scan.root.state, time.monotonic()
        if path in scan.listed:  # the job in this folder; those below it are visited apart
            scan.found.add(path)
            state.job_failed(path, error, now)
        elif path == ():
            scan.root_error = error
        elif error.reason not in ("not_found", "invalid"):
            scan.unlisted.add(path)
            state.folder_failed(path, error, now)
        else:  # it went, or became a file, since its parent was listed
            scan.has_lost_folders = True

    def _give_up(self, root: _ScheduledRoot, scan: _RootScan) -> None:
        """The deadline passed: hold on to what is stuck, let go of the rest."""
        self._drain(time.monotonic() + _EVENTS_SECONDS)
        if scan.is_over:  # what was just reported was the rest
            return
        timeout = scan.root.state.config.scan_timeout_seconds
        late = StorageError("timeout", f"not read within {timeout:g} s")
        running = set(self._workers.abandon(root))
        scan.is_over = True
        for runner in scan.runners:
            if runner.call in running and (errand := runner.errand) is not None:
                root.stuck[errand.visit.path] = runner
                scan.unfinished -= 1
                if errand.is_check:
                    scan.root_error = late
                else:
                    self._failed(scan, errand.visit.path, late)
        if scan.unfinished and scan.root_error is None:
            scan.root_error = StorageError(
                "timeout", f"not all folders could be visited within {timeout:g} s"
            )
        scan.waiting.clear()
        self._end(scan)

    def _end(self, scan: _RootScan) -> None:
        root, state = scan.root, scan.root.state
        scan.is_over = True
        now = time.monotonic()
        duration = now - scan.started
        if root.storage is not None:
            state.count_requests(root.storage.requests.totals())
        if scan.root_error is None:
            state.scan_ended(
                scan.found,
                scan.listed,
                scan.unlisted,
                duration_seconds=duration,
                wall_time=time.time(),
            )
        else:
            state.mark_unread(scan.read, scan.root_error, now)
            state.scan_failed(
                scan.root_error, duration_seconds=duration, now=now, wall_time=time.time()
            )
        error = scan.root_error
        is_overloaded = scan.is_overloaded or (error is not None and error.reason in _OVERLOADED)
        root.timetable.ended(failing=is_overloaded)
        state.backs_off(root.timetable.backoff_seconds)
        root.scan = None
        self._changed = True

    def _publish(self) -> None:
        self._latest.publish(Snapshot(tuple(root.state.root for root in self._roots)))
        self._changed = False
