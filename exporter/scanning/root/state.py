"""Keeps one root's jobs and folders between scans, and when each is due.

No I/O, no threads, no clock: results of a scan and the time come in as arguments.
Monotonic times (`now`) decide what is too old; wall-clock times are only published.

What was read stays for `stale_after` once it cannot be read any more, then goes. What a
successful listing no longer shows goes at once. Nothing is made up from a listing that did
not end: jobs that a failed scan of the root did not reach stay as they were, and are old.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.model.pause import pauses_of
from exporter.model.stall import Circumstances, with_state
from exporter.model.steps import with_steps
from exporter.model.upstream import Upstream
from exporter.scanning.discovery import (
    FolderToVisit,
    is_at_or_below,
    is_wanted,
    jitter,
    job_name,
    may_be_or_hold_wanted,
)
from exporter.scanning.job_log import JobLog
from exporter.scanning.job_memory import JobScan
from exporter.scanning.root.departed import Departed
from exporter.scanning.root.elsewhere import Elsewhere
from exporter.scanning.root.folders import RootFolders, shows_empty
from exporter.scanning.root.health import RootHealth
from exporter.scanning.root.job_state import JobState
from exporter.scanning.root.jobs import RootJobs
from exporter.scanning.root.visitor import Visit
from exporter.storage.base import Folder, Path


class RootState:
    """One root's jobs and folders. Used by one thread."""

    def __init__(self, config: RootConfig) -> None:
        self.config = config
        self.health = RootHealth(config)
        self._log = JobLog(config.name)
        self._departed = Departed()
        self.elsewhere = Elsewhere(config)
        """The jobs of the root that are left to other shards."""
        self.jobs = RootJobs(self.elsewhere)
        self.folders = RootFolders(config)
        self._oldest_failure = math.inf
        self._read_again_at: float | None = None

    def connect(self, upstreams: Mapping[str, Upstream | None]) -> None:
        """Take in the upstreams of these jobs, each of which is another one than before."""
        self.health.replace_jobs(self.jobs.connect(upstreams))

    def settled_folder(self, path: Path, now: float) -> Folder | None:
        """The folder as it was last listed, if it needs no visit: it holds a completed job that
        was looked at lately."""
        state = self.jobs.get(path)
        if state is None or not state.is_settled or now >= state.look_due:
            return None
        known = self.folders.get(path) if path else None  # the root must still be there
        return known.folder if known is not None else None

    def visit_to(self, target: FolderToVisit, now: float) -> Visit:
        """The visit to make to this folder now."""
        known, state = self.folders.get(target.path), self.jobs.get(target.path)
        return Visit(
            target,
            known.folder if known is not None else None,
            state.memory if state is not None else None,
            list_thoroughly=known is None or now >= known.list_due,
            look_thoroughly=state is None or now >= state.verify_due,
            search=known is None or now >= known.search_due,
        )

    def folder_listed(
        self,
        path: Path,
        folder: Folder,
        now: float,
        *,
        thorough: bool,
        holds_more: bool | None = None,
    ) -> None:
        """Take in the listing of a folder, and whether one at `max_depth` holds more, if that was
        seen."""
        if self.folders.is_another(path, folder):
            self._forget_below(path)
            if path == () and self.jobs and shows_empty(folder, self.config):
                self.health.emptied()
        self.folders.listed(path, folder, now, thorough=thorough, holds_more=holds_more)
        if self.jobs.get(path) is None:
            self.elsewhere.listed(path, folder)

    def _forget_below(self, path: Path) -> None:
        """Another folder took the place of this one: what its jobs and folders looked like says
        nothing of those that have their names now."""
        self.folders.forget_below(path)
        self.elsewhere.forget_below(path)
        replaced = self.jobs.at_or_below(path)
        self._departed_went(replaced)
        for state in replaced.values():
            state.is_settled, state.memory = False, None

    def _departed_went(self, jobs: dict[Path, JobState]) -> None:
        root = self.health.root
        groups = dict(zip((job.name for job in root.jobs), root.groups))  # noqa: B905
        self._departed.went({path: state.job for path, state in jobs.items()}, groups)

    def job_scanned(self, path: Path, scan: JobScan, now: float, *, thorough: bool = False) -> None:
        """Take in the scan of a job; one without memory leaves that of the scan before."""
        if scan.is_gone:
            return  # it goes with the end of the scan, unless the whole root went
        state = self.jobs.get(path) or self._new_job(path, now)
        scan = self._departed.came_back(path, scan)
        self.jobs.remember(state, scan.memory)
        state.reached = self.health.root.scans
        if scan.error is not None:
            self.health.count_job_error(scan.error)
            self._fail(state, scan.error, now)
            return
        self._tell_of_probes(state.job.name, scan)
        config = self.config
        if scan.is_settled and not (state.is_settled and now < state.look_due):
            state.look_due = self._next_look(path, state, now)
        state.is_settled = scan.is_settled
        if thorough and now >= state.verify_due:
            state.verify_due = now + config.verify_interval_seconds - config.scan_interval_seconds
        if scan.reading is not None:
            self._log.scanned(state.job.name, scan.reading)
        if state.logged is not None:
            self._log.recovered(state.job.name)
        state.was_read(scan.reading)

    def _tell_of_probes(self, name: str, scan: JobScan) -> None:
        for error in (scan.log_error, scan.stats_error):
            if error is not None:
                self.health.count_job_error(error)
        if scan.log_error is not None:
            self._log.logs_failed(name, scan.log_error)
        if scan.stats_error is not None:
            self._log.stats_failed(name, scan.stats_error)
        if scan.stats_fault is not None:
            self._log.stats_left_out(name, scan.stats_fault)

    def _next_look(self, path: Path, state: JobState, now: float) -> float:
        """Time of the next look at a job that is complete, newly or still. Many become so in one
        scan (the first, and the first after an outage)."""
        interval = self.config.completed_scan_interval_seconds
        following = state.look_due + interval
        return following if state.is_settled and following > now else now + jitter(path) * interval

    def folder_failed(self, path: Path, error: StorageError, now: float) -> None:
        """A folder below the root could not be listed, or a job not be read in time: the jobs
        known at or below it are unreadable. If none is known it may well be one, so it is shown
        as an unreadable job; where that has a name that is not wanted, jobs may be missed in it."""
        affected = list(self.jobs.at_or_below(path).values())
        if not affected:
            if not may_be_or_hold_wanted(path, self.config):
                return
            if is_wanted(job_name(path), self.config):
                affected = [self._new_job(path, now)]
            else:
                self.folders.failed(path, error)
                self.elsewhere.listed(path, None)
        self.health.count_job_error(error)
        for state in affected:
            state.reached = self.health.root.scans
            self._fail(state, error, now)

    def _new_job(self, path: Path, now: float) -> JobState:
        verify_due = now + jitter(path) * self.config.verify_interval_seconds
        return self.jobs.add(path, JobState.unread(job_name(path), self.config, verify_due))

    def _fail(self, state: JobState, error: StorageError, now: float) -> None:
        if state.logged != error.reason:
            self._log.failed(state.job.name, error)
        state.logged = error.reason
        state.was_not_read(error.reason, now)

    def scan_ended(
        self,
        found: set[Path],
        listed: set[Path],
        unlisted: Collection[Path],
        *,
        denied: int = 0,
        duration_seconds: float,
        wall_time: float,
    ) -> None:
        """Every folder was visited: those `listed`, and the `unlisted`, which could not be, beside
        so many `denied` ones that are nobody's error. Jobs not `found` are gone, unless they lie at
        or below an unlisted folder."""
        missing = [path for path in self.jobs.paths() if path not in found]
        gone = self.jobs.drop(
            [path for path in missing if not any(is_at_or_below(path, f) for f in unlisted)]
        )
        if gone:
            self._departed_went(gone)
            self._departed.drop_moved(state.job for state in self.jobs.states())
        self.folders.scan_ended(listed, unlisted)
        self.elsewhere.keep_found(listed, unlisted)
        root = self.health.root
        last = root.last_successful_scan_timestamp
        was_old = last is not None and wall_time - last > root.fresh_for_seconds
        if was_old and self.health.failed_since < math.inf:
            self._read_again_at = wall_time
        self.health.scan_succeeded(duration_seconds=duration_seconds, wall_time=wall_time)
        seen = replace(self.folders.seen(has_jobs=bool(self.jobs)), folders_denied=denied)
        self.health.looked(seen)
        self._publish(wall_time)
        if last is None:
            self.health.first_read(seen.folders)

    def scan_failed(
        self,
        read: set[Path],
        error: StorageError,
        *,
        duration_seconds: float,
        now: float,
        wall_time: float,
    ) -> None:
        """The root could not be listed, or not to the end. What this scan did `read` counts;
        nothing is taken to be gone."""
        self._keep_unreached(read, wall_time)
        self.health.scan_failed(error, duration_seconds=duration_seconds, now=now)
        self.expire(now, wall_time)

    def scan_impossible(self, error: StorageError, now: float, wall_time: float) -> None:
        """No scan can begin, or come to an end: nothing of the root is known any more. A
        root that is down already stays as it is."""
        if self.health.failed_since == math.inf:
            self._keep_unreached(set(), wall_time)
            self.health.scan_impossible(error, now)
            self._publish(wall_time)

    def _keep_unreached(self, read: set[Path], wall_time: float) -> None:
        """A scan failed that had `read` these jobs, and perhaps met others that cannot be read.
        The rest is as old as it was: the root is what fails, and not each of its jobs."""
        root = self.health.root
        for path, state in self.jobs.items():
            if path in read or state.reached == root.scans:
                state.reached_at = wall_time
            else:
                state.was_not_reached(root.last_successful_scan_timestamp)

    @property
    def next_expiry(self) -> float:
        """Time at which something kept will be too old (monotonic); infinity if nothing can be."""
        return self._oldest_failure + self.config.stale_after_seconds

    def expire(self, now: float, wall_time: float) -> None:
        """Drop what could not be read for `stale_after`."""
        limit = now - self.config.stale_after_seconds
        is_lost = self.health.failed_since <= limit
        if is_lost:
            gone = self.jobs.drop(tuple(self.jobs.paths()))
            self._departed_went(gone)  # those that come back know what they did
            self.elsewhere.forget_below(())
        for state in self.jobs.states():
            state.expire(limit)
        self.elsewhere.expire(limit)
        self._publish(wall_time, is_lost=is_lost)

    def _publish(self, wall_time: float, *, is_lost: bool = False) -> None:
        self._log.write()
        since = [state.failed_since for state in self.jobs.states() if state.job.reading]
        is_known = bool(self.jobs) or self.health.root.totals is not None
        since.append(self.health.failed_since if is_known and not is_lost else math.inf)
        self._oldest_failure = min(since)
        readings = (state.job.reading for state in self.jobs.states() if state.job.reading)
        pauses = pauses_of(readings, self.config.stall)
        circumstances = Circumstances(pauses, self._read_again_at)
        for state in self.jobs.states():
            if state.began_at == math.inf:
                state.began_at = wall_time
            job = with_state(state.job, self.config, wall_time, circumstances)
            state.job = with_steps(job, self.config.read_stats, wall_time)
        jobs = [state.job for state in self.jobs.states()]
        self.health.departed(
            () if is_lost else self._departed.published(self.jobs.paths(), wall_time)
        )
        self.health.publish(jobs, wall_time, is_lost=is_lost, elsewhere=self.elsewhere.others)
