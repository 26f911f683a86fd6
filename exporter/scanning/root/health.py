"""Owns what snapshots show of one root: its health, its counters, and the jobs as last
published. No I/O, no clock.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.config.addresses import without_query
from exporter.config.settings import RootConfig
from exporter.errors import REASONS, Reason, StorageError
from exporter.log import event
from exporter.model.job import Job
from exporter.model.missed import Seen, what_is_missed
from exporter.model.snapshot import DepartedJob, Root, Totals
from exporter.scanning.root.publish import NO_OTHERS, Others, with_jobs

_LOG = logging.getLogger("exporter.rootstate")
_SCOPES = ("root", "job")


class RootHealth:
    """Used by one thread. Errors that are counted show with the next `publish`, all else at
    once. `root` is as of the last scan; the very same object while nothing changes."""

    def __init__(self, config: RootConfig) -> None:
        self._config = config
        self._errors = Counter[tuple[str, Reason]]()
        self._elsewhere = NO_OTHERS
        self.failed_since = math.inf
        """Time of the first failure in a row (monotonic); infinity if the root was read last."""
        self.root = Root(
            config.name,
            config.scan_interval_seconds,
            without_query(config.url),
            config.stall,
            config.show_errors,
            config.stage_order,
            errors=tuple(((scope, reason), 0) for scope in _SCOPES for reason in REASONS),
        )

    def count_job_error(self, error: StorageError) -> None:
        """A job, or a folder that may hold jobs, could not be read."""
        self._errors["job", error.reason] += 1

    def count_requests(self, totals: tuple[tuple[str, int], ...]) -> None:
        """Requests sent to this root's storage so far, by operation."""
        self.root = replace(self.root, requests=totals)

    def storage_noted(self, notes: tuple[str, ...]) -> None:
        """What was found out about this root's storage so far."""
        self.root = replace(self.root, notes=notes)

    def scan_succeeded(self, *, duration_seconds: float, wall_time: float) -> None:
        """A scan visited every folder."""
        self.failed_since = math.inf
        if self.root.error is not None:
            event(_LOG, logging.INFO, "root can be read again", root=self._config.name)
        self.root = replace(
            self.root,
            up=True,
            attempted=True,
            error=None,
            last_successful_scan_timestamp=wall_time,
            last_scan_duration_seconds=duration_seconds,
            scans=self.root.scans + 1,
        )

    def looked(self, seen: Seen) -> None:
        """A scan that succeeded saw this. What it missed is logged when that changes."""
        missed = tuple(what_is_missed(seen, self._config))
        for sentence in missed:
            if sentence not in self.root.missed:
                fields = {"root": self._config.name, "detail": sentence}
                event(_LOG, logging.WARNING, "jobs may be missed", **fields)
        if self.root.missed and not missed:
            event(_LOG, logging.INFO, "no jobs are missed any more", root=self._config.name)
        self.root = replace(
            self.root,
            missed=missed,
            folders_unsearched=seen.folders_unsearched,
            folders_unread=seen.folders_unread,
            folders_denied=seen.folders_denied,
        )

    def emptied(self) -> None:
        """Where the root and its jobs were lies another folder now, with nothing in it."""
        detail = "was it unmounted?"
        message = "the root is another folder than before, and empty"
        event(_LOG, logging.WARNING, message, root=self._config.name, detail=detail)

    def first_read(self, folders: int) -> None:
        """The first scan that succeeded is published, and had visited so many folders."""
        totals = self.root.totals or Totals()
        found = {"jobs": totals.jobs, "tasks": totals.tasks, "folders": folders}
        seconds = round(self.root.last_scan_duration_seconds or 0.0, 3)
        event(
            _LOG, logging.INFO, "first scan done", root=self._config.name, **found, seconds=seconds
        )

    def scan_failed(self, error: StorageError, *, duration_seconds: float, now: float) -> None:
        """A scan could not list the root, or not come to its end."""
        scans = self.root.scans + 1
        self.root = replace(self.root, last_scan_duration_seconds=duration_seconds, scans=scans)
        self.scan_impossible(error, now)

    def scan_impossible(self, error: StorageError, now: float) -> None:
        """No scan can begin, or come to an end."""
        self._errors["root", error.reason] += 1
        self.failed_since = min(self.failed_since, now)
        if self.root.error != str(error):
            why = {"reason": error.reason, "detail": error.detail}
            event(_LOG, logging.WARNING, "root cannot be read", root=self._config.name, **why)
        self.root = replace(self.root, up=False, attempted=True, error=str(error))

    def scan_skipped(self) -> None:
        """A scan was due and did not start: the one before is still under way, or the storage
        hangs."""
        self.root = replace(self.root, scans_skipped=self.root.scans_skipped + 1)

    def backs_off(self, seconds: float) -> None:
        """The next scan is put off by so much because the storage keeps failing."""
        self.root = replace(self.root, backoff_seconds=seconds)

    def departed(self, jobs: tuple[DepartedJob, ...]) -> None:
        """These jobs are gone."""
        self.root = replace(self.root, departed=jobs)

    def replace_jobs(self, jobs: Mapping[str, Job]) -> None:
        """Show these, by name, in place of the same jobs as they were; those that are hidden stay
        so. Sums stay as they are."""
        shown = [(job, jobs.get(job.name)) for job in self.root.jobs]
        if any(new is not None for _, new in shown):
            self.root = replace(
                self.root,
                jobs=tuple(
                    job if new is None else replace(new, hidden=True) if job.hidden else new
                    for job, new in shown
                ),
            )

    def publish(
        self,
        jobs: Iterable[Job],
        wall_time: float,
        *,
        is_lost: bool = False,
        elsewhere: Others = NO_OTHERS,
    ) -> None:
        """Show these jobs, and everything that was counted so far; see `with_jobs`."""
        errors = tuple((key, self._errors[key]) for key, _ in self.root.errors)
        root = replace(self.root, errors=errors)
        if elsewhere is not self._elsewhere:  # these names tell stages, too
            root, self._elsewhere = replace(root, groups=()), elsewhere
        self.root = with_jobs(
            root,
            jobs,
            self._config,
            wall_time,
            is_lost=is_lost,
            elsewhere=elsewhere,
        )
