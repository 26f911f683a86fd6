"""What is kept of one root between scans, and how it becomes the Root of a snapshot.

No I/O, no threads, no clock: results of a scan and the time come in as arguments.
Monotonic times (`now`) decide what is too old; wall-clock times are only published.

Keep or drop: what was read stays as it is for `stale_after` once it cannot be read any
more, then goes. What a successful listing no longer shows goes at once. Nothing is made
up from a listing that did not end.
"""

import logging
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from exporter.config.settings import (
    RootConfig,
    without_query,
)
from exporter.errors import REASONS, Reason, StorageError
from exporter.log import event
from exporter.model.snapshot import Job, Reading, Root, Totals
from exporter.scanning.discovery import Selection, job_name
from exporter.scanning.job_log import JobLog
from exporter.scanning.job_scan import JobScan, Memory
from exporter.storage.base import Folder, Path

_LOG = logging.getLogger("exporter.rootstate")
_SCOPES = ("root", "job")


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """What a visit to one folder starts from, and how much it may take on trust."""

    folder: Folder | None
    memory: Memory | None
    list_thoroughly: bool
    look_thoroughly: bool


@dataclass(slots=True)
class _JobState:
    name: str
    memory: Memory | None = None
    reading: Reading | None = None
    is_settled: bool = False
    look_due: float = 0.0
    verify_due: float = 0.0
    error: Reason | None = None
    failed_since: float | None = None
    logged: Reason | None = None


@dataclass(slots=True)
class _FolderState:
    folder: Folder
    list_due: float


def _share(path: Path) -> float:
    """A fixed number from 0 to 1 that differs from folder to folder. What is done to each
    now and then is first done after that share of its interval, so never to all at once."""
    return zlib.crc32("/".join(path).encode("utf-8", "surrogateescape")) / 2**32


class RootState:
    """One root's jobs, counters and health. Used by one thread."""

    def __init__(self, config: RootConfig) -> None:
        self.config = config
        self.selection = Selection(
            config.max_depth,
            config.prefix,
            config.include,
            config.exclude,
            config.name,
            config.shard,
        )
        self._jobs: dict[Path, _JobState] = {}
        self._folders: dict[Path, _FolderState] = {}
        self._errors = Counter[tuple[str, Reason]]()
        self._failed_since: float | None = None
        self._oldest_failure = float("inf")
        self._log = JobLog(config.name)
        self._root = Root(
            config.name,
            config.scan_interval_seconds,
            without_query(config.url),
            config.stall,
            errors=tuple(((scope, reason), 0) for scope in _SCOPES for reason in REASONS),
        )
        self._published_jobs: dict[str, Job] = {}

    @property
    def root(self) -> Root:
        """The root as of the last scan."""
        return self._root

    def folder_of(self, path: Path) -> Folder | None:
        """The folder at `path` as it was last listed."""
        known = self._folders.get(path)
        return known.folder if known is not None else None

    def needs_no_visit(self, path: Path, now: float) -> bool:
        """Whether the folder holds a completed job that was looked at lately."""
        state = self._jobs.get(path)
        return (
            state is not None
            and state.is_settled
            and now < state.look_due
            and path in self._folders
            and path != ()  # the root is asked whether it is still there
        )

    def plan(self, path: Path, now: float) -> VisitPlan:
        """How to visit the folder at `path` now."""
        known, state = self._folders.get(path), self._jobs.get(path)
        return VisitPlan(
            known.folder if known is not None else None,
            state.memory if state is not None else None,
            list_thoroughly=known is None or now >= known.list_due,
            look_thoroughly=state is None or now >= state.verify_due,
        )

    def folder_listed(self, path: Path, folder: Folder, now: float, *, thorough: bool) -> None:
        """Take in the listing of one folder of this root."""
        known = self._folders.get(path)
        if known is None:
            interval = self.config.completed_scan_interval_seconds
            self._folders[path] = _FolderState(folder, now + _share(path) * interval)
            return
        known.folder = folder
        if thorough:
            known.list_due = now + self.config.completed_scan_interval_seconds

    def job_failed(self, path: Path, error: StorageError, now: float) -> None:
        """The job in a folder that could be listed could not be read."""
        state = self._jobs.get(path)
        self.job_scanned(path, JobScan(None, state.memory if state else None, error), now)

    def job_scanned(
        self, path: Path, result: JobScan, now: float, *, thorough: bool = False
    ) -> None:
        """Take in the scan of one job of this root."""
        if result.is_gone:
            return  # it goes with the end of the scan, unless the whole root went
        state = self._jobs.get(path)
        if state is None:
            state = self._jobs[path] = self._new_job(path, now)
        state.memory = result.memory
        if result.error is not None:
            state.is_settled = False
            self._count("job", result.error)
            self._fail(state, result.error, now)
            return
        config = self.config
        if result.is_settled and not (state.is_settled and now < state.look_due):
            state.look_due = self._next_look(path, state, now)
        state.is_settled = result.is_settled
        if thorough and now >= state.verify_due:
            state.verify_due = now + config.verify_interval_seconds - config.scan_interval_seconds
        if _LOG.isEnabledFor(logging.DEBUG) and result.reading is not None:
            event(
                _LOG,
                logging.DEBUG,
                "job scanned",
                root=self.config.name,
                job_name=state.name,
                tasks=result.reading.tasks,
                tasks_completed=result.reading.tasks_completed,
            )
        if state.logged is not None:
            self._log.recovered(state.name)
        state.reading = result.reading
        state.error = state.failed_since = state.logged = None

    def _next_look(self, path: Path, state: _JobState, now: float) -> float:
        """When to look again at a job that is complete, as it was at the last look or not.
        Many become so in one scan (the first, and the first after an outage)."""
        interval = self.config.completed_scan_interval_seconds
        following = state.look_due + interval
        return following if state.is_settled and following > now else now + _share(path) * interval

    def folder_failed(self, path: Path, error: StorageError, now: float) -> None:
        """A folder below the root could not be listed, or a job not be read in time.

        Jobs known at or below it are unreadable. If none is known it may well be one, so
        it is shown as an unreadable job, unless the configuration leaves it out.
        """
        affected = [state for known, state in self._jobs.items() if known[: len(path)] == path]
        name = job_name(path)
        if not affected:
            if not self.selection.wants(name):
                return
            affected = [self._jobs.setdefault(path, self._new_job(path, now))]
        self._count("job", error)
        for state in affected:
            state.is_settled = False
            self._fail(state, error, now)

    def _new_job(self, path: Path, now: float) -> _JobState:
        verify_due = now + _share(path) * self.config.verify_interval_seconds
        return _JobState(job_name(path), verify_due=verify_due)

    def scan_ended(
        self,
        found: set[Path],
        listed: set[Path],
        unlisted: Iterable[Path],
        *,
        duration_seconds: float,
        wall_time: float,
    ) -> None:
        """Every folder was visited: those `listed`, and the `unlisted`, which could not be.
        Jobs not `found` are gone, unless they lie at or below one of the latter."""
        kept_below = tuple(unlisted)
        for path in [path for path in self._jobs if path not in found]:
            if not any(path[: len(folder)] == folder for folder in kept_below):
                del self._jobs[path]
        self._folders = {path: f for path, f in self._folders.items() if path in listed}
        self._failed_since = None
        if self._root.error is not None:
            event(_LOG, logging.INFO, "root can be read again", root=self.config.name)
        self._publish(
            wall_time,
            up=True,
            attempted=True,
            error=None,
            last_successful_scan_timestamp=wall_time,
            last_scan_duration_seconds=duration_seconds,
            scans=self._root.scans + 1,
        )

    def scan_failed(
        self, error: StorageError, *, duration_seconds: float, now: float, wall_time: float
    ) -> None:
        """The root could not be listed, or not to the end. What this scan did read
        counts; nothing is taken to be gone."""
        self._root_failed(error, now)
        self._publish(
            wall_time,
            up=False,
            attempted=True,
            error=str(error),
            last_scan_duration_seconds=duration_seconds,
            scans=self._root.scans + 1,
        )

    def scan_impossible(self, error: StorageError, now: float, wall_time: float) -> None:
        """No scan can begin, or come to an end: nothing of the root is known any more. A
        root that is down already stays as it is."""
        if self._failed_since is not None:
            return
        self.mark_unread(set(), error, now)
        self._root_failed(error, now)
        self._publish(wall_time, up=False, attempted=True, error=str(error))

    def _root_failed(self, error: StorageError, now: float) -> None:
        self._count("root", error)
        if self._failed_since is None:
            self._failed_since = now
        if self._root.error != str(error):
            event(
                _LOG,
                logging.WARNING,
                "root cannot be read",
                root=self.config.name,
                reason=error.reason,
                detail=error.detail,
            )

    def mark_unread(self, read: set[Path], error: StorageError, now: float) -> None:
        """Jobs that a failed scan did not get to were not read by it."""
        for path, state in self._jobs.items():
            if path not in read and state.error is None:
                state.error, state.failed_since = error.reason, now
                state.is_settled = False

    def scan_skipped(self) -> None:
        """A scan was due and did not start: the one before is still under way."""
        self._root = replace(self._root, scans_skipped=self._root.scans_skipped + 1)

    def backs_off(self, seconds: float) -> None:
        """The next scan is put off by so much because the storage keeps failing."""
        self._root = replace(self._root, backoff_seconds=seconds)

    def count_requests(self, totals: tuple[tuple[str, int], ...]) -> None:
        """Requests sent to this root's storage so far, by operation."""
        self._root = replace(self._root, requests=totals)

    @property
    def next_expiry(self) -> float:
        """When something kept will be too old (monotonic); infinity if nothing can be."""
        return self._oldest_failure + self.config.stale_after_seconds

    def expire(self, now: float, wall_time: float) -> None:
        """Drop what could not be read for `stale_after`."""
        limit = now - self.config.stale_after_seconds
        if self._failed_since is not None and self._failed_since <= limit:
            self._jobs.clear()
        for state in self._jobs.values():
            if state.failed_since is not None and state.failed_since <= limit:
                state.reading = None
        self._publish(wall_time)

    def _fail(self, state: _JobState, error: StorageError, now: float) -> None:
        if state.logged != error.reason:
            self._log.failed(state.name, error)
        state.error = state.logged = error.reason
        if state.failed_since is None:
            state.failed_since = now

    def _count(self, scope: str, error: StorageError) -> None:
        self._errors[scope, error.reason] += 1

    def _publish(self, wall_time: float, **changes: Any) -> None:
        self._log.tell()
        since = [state.failed_since for state in self._jobs.values() if state.reading]
        since.append(self._failed_since if self._jobs else None)
        self._oldest_failure = min((t for t in since if t is not None), default=float("inf"))
        jobs = self._to_jobs(wall_time)
        known = changes.get("up", self._root.up) or self._root.totals is not None
        if not self._jobs and self._failed_since is not None:
            known = False
        self._root = replace(
            self._root,
            **changes,
            jobs=jobs,
            totals=Totals.of_jobs(jobs) if known else None,
            errors=tuple((key, self._errors[key]) for key, _ in self._root.errors),
        )

    def _to_jobs(self, wall_time: float) -> tuple[Job, ...]:
        """Jobs by name. A job that did not change stays the very same object, so that
        nobody downstream has to compare or render it again."""
        states = sorted(self._jobs.values(), key=lambda state: state.name)
        hidden = self._hidden(states, wall_time)
        jobs = {}
        for state in states:
            job = Job(state.name, state.reading, state.error, state.name in hidden)
            before = self._published_jobs.get(state.name)
            jobs[state.name] = before if before == job else job
        self._published_jobs = jobs
        return tuple(jobs.values())

    def _hidden(self, states: list[_JobState], wall_time: float) -> set[str]:
        """Names of jobs without series: complete for long enough, and what is over the
        limit; there complete jobs give way first, then the last by name."""
        after = self.config.hide_completed_after_seconds
        hidden = set()
        shown: list[_JobState] = []
        for state in states:
            if after is not None and _complete_for(state, wall_time) >= after:
                hidden.add(state.name)
            else:
                shown.append(state)
        if len(shown) > self.config.max_per_root:
            shown.sort(key=_is_complete)  # stable: by name within
            hidden |= {state.name for state in shown[self.config.max_per_root :]}
        return hidden


def _is_complete(state: _JobState) -> bool:
    return state.reading is not None and state.reading.is_complete


def _complete_for(state: _JobState, wall_time: float) -> float:
    """Seconds since the job's last completion, at least 0; minus infinity while it is not
    complete or cannot be read."""
    if state.error is not None or state.reading is None or not state.reading.is_complete:
        return float("-inf")
    last = state.reading.last_completion_timestamp or state.reading.launch_timestamp
    return max(0.0, wall_time - last) if last is not None else 0.0
