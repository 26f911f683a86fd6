"""When to scan, on which threads, until when.

One thread decides; workers only carry out visits to folders and report back through a
queue, so no state is shared and nothing here takes a lock. The deciding thread never
calls storage and never waits for a worker.

* Each root has its own schedule: the first scan at once, then one per interval, moved
  by up to 5 % so that many roots do not stay in step. Clocks are monotonic.
* One scan of a root is in flight at a time. A tick that finds the one before still
  running, or the root's storage hung, is counted as skipped.
* A scan ends when every folder was visited, or at its deadline. Visits that run on
  beyond it are stuck: their folders are not visited again until they return, and what
  they return is thrown away.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.config import RootConfig
from exporter.discovery import Visit, is_loop, job_name, visits_below
from exporter.rootstate import RootState
from exporter.scan import JobScan, Memory, scan_job
from exporter.snapshot import Latest, Snapshot
from exporter.storage import open_storage
from exporter.storage.base import Folder, Path, Storage, StorageError
from exporter.workers import Call, Workers

_LOG = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 1.0
_EVENTS_SECONDS = 0.1
_JITTER = 0.05
_STUCK_VISITS_LIMIT = 4

OpenStorage = Callable[[str, Mapping[str, Any], int], Storage]


@dataclass(frozen=True, slots=True)
class _Event:
    """What a worker reports about one visit: exactly one `over` event, before it at
    most one with the folder's listing and one with the job's scan."""

    scan: "_RootScan"
    visit: Visit
    folder: Folder | None = None
    error: StorageError | None = None
    job: JobScan | None = None
    over: bool = False


class _RootScan:
    """One scan of one root, while it runs."""

    def __init__(self, root: "_ScheduledRoot", started: float) -> None:
        self.root = root
        self.started = started
        self.deadline = started + root.state.config.scan_timeout_seconds
        self.calls: dict[Path, Call] = {}
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
        self.stuck: dict[Path, Call] = {}


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
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._changed = False
        self.last_heartbeat = now
        """Monotonic time at which the scheduler last showed that it is alive."""
        self._publish()

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

    def stop(self) -> None:
        """Make `run` return, from any thread. Visits under way are not waited for."""
        self._stopping.set()
        self._events.put(None)

    def _step(self, *, scheduling: bool) -> None:
        self.last_heartbeat = now = time.monotonic()
        for root in self._roots:
            if root.scan is not None and now >= root.scan.deadline:
                self._give_up(root, root.scan)
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
        """Wait for one report, then handle it and those that arrived with it; not for so
        long that other roots' deadlines would have to wait."""
        try:
            event = self._events.get(timeout=max(0.0, until - time.monotonic()))
            enough = time.monotonic() + _EVENTS_SECONDS
            while True:
                if event is not None:
                    self._handle(event)
                if time.monotonic() > enough:
                    return
                event = self._events.get_nowait()
        except queue.Empty:
            return

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
        self._submit(root.scan, Visit(()))

    def _submit(self, scan: _RootScan, visit: Visit) -> None:
        if visit.path in scan.root.stuck:
            self._failed(
                scan, visit.path, StorageError("timeout", "an earlier attempt still hangs")
            )
            return
        memory = scan.root.state.memory_of(visit.path)
        scan.calls[visit.path] = self._workers.submit(
            scan.root, lambda: self._visit(scan, visit, memory)
        )

    def _visit(self, scan: _RootScan, visit: Visit, memory: Memory | None) -> None:
        """List one folder and scan it if it is a wanted job (on a worker's thread)."""
        selection = scan.root.state.selection
        try:
            storage = self._storage_of(scan.root)
            deeper = len(visit.path) < selection.max_depth
            folder = storage.list_folder(visit.path, with_subfolders=deeper)
            self._events.put(_Event(scan, visit, folder=folder))
            is_job = folder.has_executor_file and not is_loop(visit, folder)
            if is_job and selection.wants(job_name(visit.path)):
                job = scan_job(storage.job(visit.path), memory)
                self._events.put(_Event(scan, visit, job=job))
        except StorageError as error:
            self._events.put(_Event(scan, visit, error=error))
        except Exception as error:
            _LOG.exception("a scan failed for a reason that is a bug of the exporter")
            bug = StorageError("other", f"unexpected {type(error).__name__}")
            self._events.put(_Event(scan, visit, error=bug))
        finally:
            self._events.put(_Event(scan, visit, over=True))

    def _storage_of(self, root: _ScheduledRoot) -> Storage:
        """Open the root's storage on first use. Only the visit to the root itself can be
        first, so two threads never get here at once."""
        if root.storage is None:
            config = root.state.config
            options = config.storage_options.reveal()
            root.storage = self._open_storage(config.url, options, self._workers.size)
        return root.storage

    def _handle(self, event: _Event) -> None:
        scan, path = event.scan, event.visit.path
        if scan.root.scan is not scan:  # it was given up; its last visits come home now
            if event.over and scan.root.stuck.get(path) is scan.calls.get(path):
                scan.root.stuck.pop(path, None)
            return
        if event.folder is not None:
            scan.listed.add(path)
            for visit in visits_below(event.visit, event.folder, scan.root.state.selection):
                self._submit(scan, visit)
        elif event.job is not None:
            scan.read.add(path)
            scan.root.state.job_scanned(path, event.job, time.monotonic())
            if not event.job.is_gone:
                scan.found.add(path)
        elif event.error is not None:
            self._failed(scan, path, event.error)
        elif event.over:
            del scan.calls[path]
            if not scan.calls:
                self._end(scan)

    def _failed(self, scan: _RootScan, path: Path, error: StorageError) -> None:
        state, now = scan.root.state, time.monotonic()
        if path in scan.listed:  # the job in this folder; those below it are visited apart
            scan.found.add(path)
            state.job_scanned(path, JobScan(None, state.memory_of(path), error), now)
        elif path == ():
            scan.root_error = error
        elif error.reason not in ("not_found", "invalid"):
            scan.unlisted.add(path)
            state.folder_failed(path, error, now)
        # else: it went, or became a file, since its parent was listed

    def _give_up(self, root: _ScheduledRoot, scan: _RootScan) -> None:
        """The deadline passed: hold on to what is stuck, let go of the rest."""
        timeout = scan.root.state.config.scan_timeout_seconds
        late = StorageError("timeout", f"not read within {timeout:g} s")
        running = {id(call) for call in self._workers.abandon(root)}
        waiting = 0
        for path, call in scan.calls.items():
            if id(call) not in running:
                waiting += 1
                continue
            root.stuck[path] = call
            self._failed(scan, path, late)
        if waiting and scan.root_error is None:
            scan.root_error = StorageError(
                "timeout", f"not all folders could be visited within {timeout:g} s"
            )
        self._end(scan)

    def _end(self, scan: _RootScan) -> None:
        root, state = scan.root, scan.root.state
        now = time.monotonic()
        duration = now - scan.started
        if root.storage is not None:
            state.count_requests(root.storage.requests.totals())
        if scan.root_error is None:
            state.scan_ended(
                scan.found,
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
