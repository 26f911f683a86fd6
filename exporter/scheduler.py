"""When to scan, on which threads, until when.

One thread decides; workers only carry out visits to folders and report back through a
queue, so no state is shared and nothing here takes a lock. The deciding thread never
calls storage and never waits for a worker.

* Each root has its own schedule: the first scan at once, then one per interval, moved
  by up to 5 % so that many roots do not stay in step. Clocks are monotonic.
* One scan of a root is in flight at a time. A tick that finds the one before still
  running, or the root's storage hung, is counted as skipped.
* Visits of a scan wait in one queue, from which *runners* on worker threads take one
  after the other; a runner ends after a short while, so that the roots take turns.
* A scan ends when every folder was visited, or at its deadline. Visits that run on
  beyond it are stuck: their folders are not visited again until they return, and what
  they return is thrown away.
"""

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
from exporter.storage.base import Folder, Path, Storage, StorageError
from exporter.workers import Call, Workers

_LOG = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 1.0
_EVENTS_SECONDS = 0.1
_WAKE_SECONDS = 0.005
_JITTER = 0.05
_SLICE_SECONDS = 0.05
_SLOW_VISIT_SECONDS = 0.002
# Visits that wait no longer than that, as on a local disk, are made by one thread: there
# the interpreter lock is the limit, and two threads that fight for it take twice as long.
_NO_PROGRESS_SECONDS = 0.2
_STUCK_VISITS_LIMIT = 4

OpenStorage = Callable[[str, Mapping[str, Any], int], Storage]


@dataclass(frozen=True, slots=True)
class _Errand:
    """A visit and what it starts from."""

    visit: Visit
    plan: Plan


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


class _ScheduledRoot:
    """A root, its storage, and when it is due."""

    def __init__(self, config: RootConfig, now: float) -> None:
        self.state = RootState(config)
        self.storage: Storage | None = None
        self.due = now
        self.scan: _RootScan | None = None
        self.stuck: dict[Path, _Runner] = {}
        self.waited_per_visit = 0.0


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
        for root in self._roots:
            self._tick(root, time.monotonic())
        while not self._stopping.is_set() and any(root.scan for root in self._roots):
            self._step(scheduling=False)
        return self._latest.read()

    def run(self) -> None:
        """Scan on schedule until `stop`."""
        while not self._stopping.is_set():
            try:
                self._step(scheduling=True)
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

    def _step(self, *, scheduling: bool) -> None:
        self.last_heartbeat = now = time.monotonic()
        if self._wanted:
            self._replace_roots(self._wanted.popleft(), now)
        for root in self._roots:
            if root.scan is not None:
                if now >= root.scan.deadline:
                    self._give_up(root, root.scan)
                else:
                    self._add_runners(root.scan, now)
            if root.state.next_expiry <= now:
                root.state.expire(now, time.time())
                self._changed = True
            if scheduling and now >= root.due:
                self._tick(root, now)
        self._workers.relieve()
        if self._changed:
            self._publish()
        self._handle_events(self._next_moment(scheduling=scheduling))
        if self._changed:
            self._publish()

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

    def _next_moment(self, *, scheduling: bool) -> float:
        """Until when to sleep if nothing is reported (monotonic)."""
        moments = [self.last_heartbeat + _HEARTBEAT_SECONDS]
        for root in self._roots:
            if scheduling:
                moments.append(root.due)
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
            self._handle(self._events.popleft())

    def _report(self, event: _Event) -> None:
        """Tell the scheduler's thread (from any thread). It is not woken for each of many
        short visits: to hand over the interpreter lock takes longer than they do."""
        self._events.append(event)
        now = time.monotonic()
        if event.errand is None or now - self._last_wake > _WAKE_SECONDS:
            self._last_wake = now
            self._wake.put(None)

    def _tick(self, root: _ScheduledRoot, now: float) -> None:
        """The root is due: start a scan, or count why not."""
        interval = root.state.config.scan_interval_seconds
        spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        # From the time it was due, so the schedule does not drift; but ticks missed
        # altogether (a suspended machine) are not made up for.
        root.due = max(root.due + interval * spread, now)
        is_hung = () in root.stuck or len(root.stuck) >= _STUCK_VISITS_LIMIT
        if root.scan is not None or is_hung:
            root.state.scan_skipped()
            self._changed = True
            return
        root.scan = _RootScan(root, now)
        self._visit_or_skip(root.scan, Visit(()), now)
        self._add_runners(root.scan, now)

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
        has_stopped = now - scan.last_progress > _NO_PROGRESS_SECONDS
        is_slow = scan.root.waited_per_visit > _SLOW_VISIT_SECONDS
        most = self._workers.size if is_slow or has_stopped else 1
        for _ in range(min(most, len(scan.waiting)) - len(scan.runners)):
            runner = _Runner(scan)
            try:
                runner.call = self._workers.submit(scan.root, partial(self._run, runner))
            except RuntimeError:  # no threads to be had: again in a moment
                break
            scan.runners.add(runner)
        if scan.unfinished == 0:
            self._end(scan)

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
        except Exception as error:
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
        if event.folder is not None and path not in scan.listed:
            scan.listed.add(path)
            thorough = errand.plan.list_thoroughly
            state.folder_listed(path, event.folder, now, thorough=thorough)
            for visit in visits_below(errand.visit, event.folder, state.selection):
                self._visit_or_skip(scan, visit, now)
        if event.job is not None:
            scan.read.add(path)
            thorough = errand.plan.look_thoroughly
            state.job_scanned(path, event.job, now, thorough=thorough)
            if not event.job.is_gone:
                scan.found.add(path)
        elif event.error is not None:
            self._failed(scan, path, event.error)
        if event.waited is not None:
            scan.unfinished -= 1
            scan.last_progress = now
            scan.root.waited_per_visit += (event.waited - scan.root.waited_per_visit) / 8

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
        # else: it went, or became a file, since its parent was listed

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
        root.scan = None
        self._changed = True

    def _publish(self) -> None:
        self._latest.publish(Snapshot(tuple(root.state.root for root in self._roots)))
        self._changed = False
