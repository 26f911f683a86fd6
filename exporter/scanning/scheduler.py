"""Decides when each root is scanned, on how many threads, and until when.

One thread decides. It never calls storage, never waits for a worker, and holds a lock for moments
only. Workers only make visits to folders and report back. Clocks are monotonic.

* One scan of a root is in flight at a time. A scan that is due while the one before still
  runs, or while the root's storage hangs, is counted as skipped.
* No more scans make progress at a time than there are workers; others wait for their
  turn, the longest overdue first. A scan that makes no progress holds up nobody.
* A scan that has not ended at its deadline is given up.
* A bug met with one root ends that root's scan, and no other's.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.model.snapshot import Latest, Snapshot
from exporter.model.upstream import TOLERANCE_SECONDS
from exporter.scanning.event_queue import EventQueue
from exporter.scanning.pipeline import Pipeline
from exporter.scanning.root.scan import RootScan
from exporter.scanning.root.state import RootState
from exporter.scanning.root.storage import OpenStorage, RootStorage
from exporter.scanning.root.visitor import VisitReport
from exporter.scanning.schedule import Schedule
from exporter.storage import open_storage
from exporter.workers import Workers

_LOG = logging.getLogger("exporter.scheduler")
_HEARTBEAT_SECONDS = 1.0
_ROUNDS_BETWEEN_ROOTS = 2
# First of a job, when it began; then of its upstream.
_BATCH_SECONDS = 0.1  # for longer, other roots' deadlines would have to wait


class _ScheduledRoot:
    """A root and its scan under way, which any thread may read."""

    def __init__(
        self, config: RootConfig, workers: Workers, open_storage: OpenStorage, now: float
    ) -> None:
        self.state = RootState(config)
        self.storage = RootStorage(config, workers, open_storage)
        self.schedule = Schedule(config.scan_interval_seconds, now)
        self.scan: RootScan | None = None

    def begin_scan(
        self,
        report: Callable[[RootScan, VisitReport], None],
        connect: Callable[[], None],
        now: float,
    ) -> None:
        """Begin a scan, whose visitors call `report` on their threads."""
        self.scan = RootScan(self.state, self.storage, report, connect, now)
        self.scan.begin(now)

    def skip_scan(self, now: float) -> None:
        """Count a scan that is due and cannot begin."""
        self.state.health.scan_skipped()
        if self.scan is None:
            hang = StorageError("timeout", "earlier attempts still hang")
            self.state.scan_impossible(hang, now, time.time())

    def settle(self) -> bool:
        """Take note of it if the scan has ended; True if so."""
        if (scan := self.scan) is None or not scan.is_over:
            return False
        self.schedule.ended(failing=scan.check.is_overloaded)
        self.state.health.backs_off(self.schedule.backoff_seconds)
        self.scan = None
        return True

    def drop_scan(self) -> None:
        """End the scan under way without a result."""
        if (scan := self.scan) is not None:
            self.scan = None
            scan.drop()


class Scheduler:
    """Scans `roots` and publishes what it finds to `latest`. A marker is late for what came of it
    if it is newer by more than the tolerance."""

    def __init__(
        self,
        roots: Sequence[RootConfig],
        latest: Latest,
        workers: Workers,
        open_storage: OpenStorage = open_storage,
        late_tolerance_seconds: float = TOLERANCE_SECONDS,
    ) -> None:
        now = time.monotonic()
        self._latest = latest
        self._workers = workers
        self._open_storage = open_storage
        self._roots = [_ScheduledRoot(config, workers, open_storage, now) for config in roots]
        self._events: EventQueue[tuple[_ScheduledRoot, RootScan, VisitReport]] = EventQueue()
        self._stopping = threading.Event()
        self._wanted: deque[Sequence[RootConfig]] = deque(maxlen=1)
        self._pipeline = Pipeline(late_tolerance_seconds)
        self._changed = True
        self.last_heartbeat = now
        """Monotonic time at which the scheduler last showed that it is alive."""
        self._publish_changes()

    @property
    def progress(self) -> tuple[int, int]:
        """Folders listed and jobs read so far by the scans under way, for any thread."""
        under_way = [scan.progress for root in self._roots if (scan := root.scan) is not None]
        return sum(listed for listed, _ in under_way), sum(read for _, read in under_way)

    def run_once(self) -> Snapshot:
        """Scan every root once, until its end or its deadline; returns the result. One of several
        roots is scanned again where only another one told which times of its markers matter."""
        self._run_once(self._roots)
        for _ in range(_ROUNDS_BETWEEN_ROOTS if len(self._roots) > 1 else 0):
            if again := [
                root for root in self._roots if any(root.state.jobs.questions(1, (), -math.inf))
            ]:
                self._run_once(again)
        return self._latest.read()

    def _run_once(self, roots: Sequence[_ScheduledRoot]) -> None:
        now = time.monotonic()
        for root in roots:
            root.schedule.change(now)
        while not self._stopping.is_set() and not all(
            root.scan is None and root.schedule.due == math.inf for root in self._roots
        ):
            self._step(repeating=False)

    def run(self) -> None:
        """Scan on schedule until `stop`."""
        while not self._stopping.is_set():
            try:
                self._step(repeating=True)
            except Exception:
                _LOG.exception("the scheduler met a bug of the exporter and goes on")
                self._stopping.wait(_HEARTBEAT_SECONDS)

    def reconfigure(self, roots: Sequence[RootConfig]) -> None:
        """Scan these roots from now on, from any thread. Those whose configuration is the same
        keep their jobs, counters and schedule; all others begin anew, and the series of those
        that are no longer there go at once."""
        self._wanted.append(roots)  # of two in a row the last one counts
        self._events.wake()

    def stop(self) -> None:
        """Make `run` return, from any thread. Visits under way are not waited for."""
        self._stopping.set()
        self._events.wake()

    def _step(self, *, repeating: bool) -> None:
        now = time.monotonic()
        if self._wanted:
            self._replace_roots(self._wanted.popleft(), now)
        for root in self._roots:
            with self._bugs_kept_to(root):
                self._attend(root, now)
        self._begin_scans(now, repeating=repeating)
        self._workers.relieve()
        self._publish_changes()
        self._events.wait(self._next_moment(now))
        self._handle_events()
        self._publish_changes()
        self.last_heartbeat = time.monotonic()

    def _attend(self, root: _ScheduledRoot, now: float) -> None:
        """See to it that the root's scan goes on or ends, and that nothing grows too old."""
        if (scan := root.scan) is not None:
            if now < scan.deadline:
                scan.go_on(now)
            else:
                self._handle_events()
                if not scan.is_over:  # what was just reported was not the rest
                    scan.give_up()
            self._changed |= root.settle()
        if root.state.next_expiry <= now:
            root.state.expire(now, time.time())
            self._changed = True

    def _handle_events(self) -> None:
        """Hand a batch of reports to the scans, then have each go on."""
        told: dict[RootScan, _ScheduledRoot] = {}
        for root, scan, report in self._events.take(time.monotonic() + _BATCH_SECONDS):
            told[scan] = root
            with self._bugs_kept_to(root):
                scan.handle(report)
        for scan, root in told.items():
            with self._bugs_kept_to(root):
                scan.go_on(time.monotonic())
                self._changed |= root.settle()

    def _report(self, root: _ScheduledRoot, scan: RootScan, report: VisitReport) -> None:
        """Tell the scheduler's thread (from any thread)."""
        self._events.put((root, scan, report), is_urgent=report.is_urgent)

    @contextmanager
    def _bugs_kept_to(self, root: _ScheduledRoot) -> Iterator[None]:
        """Whatever fails inside ends the scan of this root and nothing else."""
        try:
            yield
        except Exception:
            _LOG.exception("the scan of a root met a bug of the exporter")
            root.drop_scan()
            bug = StorageError("other", "a bug of the exporter; the log has it")
            with suppress(Exception):
                root.state.scan_impossible(bug, time.monotonic(), time.time())
            self._changed = True

    def _replace_roots(self, wanted: Sequence[RootConfig], now: float) -> None:
        before = {root.state.config.name: root for root in self._roots}
        roots = []
        for config in wanted:
            root = before.get(config.name)
            if root is not None and root.state.config == config:
                roots.append(before.pop(config.name))
                continue
            new = _ScheduledRoot(config, self._workers, self._open_storage, now)
            if root is not None:
                new.storage.take_over(root.storage)
            roots.append(new)
        for root in before.values():
            root.drop_scan()
            root.storage.close()  # what runs on in it counts as stuck until it returns
        self._roots = roots
        self._changed = True

    def _next_moment(self, now: float) -> float:
        """Until when to sleep if nothing is reported (monotonic)."""
        moments = [now + _HEARTBEAT_SECONDS]
        for root in self._roots:
            if root.schedule.due > now:  # the others wait for others to end
                moments.append(root.schedule.due)
            if root.scan is not None:
                moments.append(root.scan.deadline)
        return min(moments)

    def _begin_scans(self, now: float, *, repeating: bool) -> None:
        """Start the scans that are due, as many as have room, or count why not."""
        due = [root for root in self._roots if root.schedule.due <= now]
        moving = sum(
            root.scan is not None and now - root.scan.last_progress < self._workers.patience_seconds
            for root in self._roots
        )
        for root in sorted(due, key=lambda root: root.schedule.due):
            may_begin = root.scan is None and not root.storage.is_hung
            if may_begin and moving >= self._workers.size:
                continue  # its turn comes
            root.schedule.began(now)
            if repeating:
                root.storage.probes.begin_of_many()
            else:
                root.schedule.change(math.inf)
            with self._bugs_kept_to(root):
                if may_begin:
                    moving += 1
                    root.begin_scan(partial(self._report, root), self._connect, now)
                    self._changed |= root.settle()
                else:
                    root.skip_scan(now)
                    self._changed = True

    def _connect(self) -> None:
        """Tell jobs their upstreams. Where that fails they have those from before; it ends no
        root's scan, and all is published."""
        try:
            self._pipeline.connect(root.state for root in self._roots)
        except Exception:
            _LOG.exception("the search for upstreams met a bug of the exporter")

    def _publish_changes(self) -> None:
        if self._changed:
            self._connect()
            self._latest.publish(Snapshot(tuple(root.state.health.root for root in self._roots)))
            self._changed = False
