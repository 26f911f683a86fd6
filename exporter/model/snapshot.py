"""What is known at one moment: Totals, Root, Snapshot; and Latest, the one mutable cell.

Contract: everything here is immutable. A snapshot that was published is never modified
again; readers may keep it as long as they like and need no lock, and a reader never
delays the writer. "Not known" is None and never 0.

Times are seconds since the Unix epoch.
"""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from exporter.config.labels import Labels
from exporter.config.settings import DEFAULT_STALL_RULE, ShowErrors, StallRule
from exporter.datatrove.failure import FAILURE_REASONS, FailureReason
from exporter.datatrove.throughput import Hourly
from exporter.errors import Reason
from exporter.model.job import Job
from exporter.model.names.grouping import Group
from exporter.model.state import STATES, State

FRESH_SECONDS = 600.0
FRESH_INTERVALS = 3
"""Data is recent for this long, or for this many scan intervals if that is longer."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over jobs; ratios are None at 0 of 0."""

    jobs: int = 0
    jobs_completed: int = 0
    jobs_unreadable: int = 0
    jobs_hidden: int = 0
    tasks: int = 0
    tasks_completed: int = 0
    logs_deferred: int = 0
    jobs_by_state: tuple[int, ...] = (0,) * len(STATES)
    """In the order of `STATES`."""
    failed_by_reason: tuple[int, ...] = (0,) * len(FAILURE_REASONS)
    """Tasks that failed, in the order of `FAILURE_REASONS`."""

    @property
    def jobs_completed_ratio(self) -> float | None:
        return self.jobs_completed / self.jobs if self.jobs else None

    @property
    def tasks_completed_ratio(self) -> float | None:
        return self.tasks_completed / self.tasks if self.tasks else None

    @property
    def jobs_in_state(self) -> dict[State, int]:
        """How many jobs are in each state, every state named."""
        return dict(zip(STATES, self.jobs_by_state, strict=True))

    @property
    def tasks_failed(self) -> dict[FailureReason, int]:
        """How many tasks failed for each reason, every reason named."""
        return dict(zip(FAILURE_REASONS, self.failed_by_reason, strict=True))

    @classmethod
    def of_jobs(cls, jobs: Iterable[Job]) -> "Totals":
        count = completed = unreadable = hidden = tasks = tasks_completed = deferred = 0
        in_state = dict.fromkeys(STATES, 0)
        failed: Counter[FailureReason] = Counter()
        for job in jobs:
            count += 1
            unreadable += job.error is not None
            hidden += job.hidden
            in_state[job.state] += 1
            if job.reading is not None:
                completed += job.reading.is_complete
                tasks += job.reading.tasks
                tasks_completed += job.reading.tasks_completed
                if job.reading.logs is not None:
                    deferred += job.reading.logs.deferred
                    failed += job.reading.logs.tasks.failed_by_reason()
        states = tuple(in_state.values())
        reasons = tuple(failed[reason] for reason in FAILURE_REASONS)
        numbers = (count, completed, unreadable, hidden, tasks, tasks_completed, deferred)
        return cls(*numbers, jobs_by_state=states, failed_by_reason=reasons)

    @classmethod
    def of_totals(cls, parts: Iterable["Totals"]) -> "Totals":
        listed = [cls(), *parts]

        def added(name: str) -> Any:
            values = [getattr(part, name) for part in listed]
            if isinstance(values[0], tuple):
                return tuple(map(sum, zip(*values, strict=True)))
            return sum(values)

        return cls(**{field.name: added(field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class DepartedJob:
    """A job that is gone, and what it completed in the last two weeks before it went."""

    name: str
    group: Group
    by_hour: Hourly
    labels: Labels | None = None


StageSums = tuple[tuple[str, Totals], ...]
"""Stages by name, each with the sums of its jobs."""


@dataclass(frozen=True, slots=True)
class Root:
    """One configured root as of its last scan.

    `jobs` are sorted by name, and `groups` are their stages and items, for people; `departed` are
    gone, and what they completed counts among what was completed lately. `totals` is
    None until the whole root was read once, and again when what was read is too old: an
    unreachable root has no jobs to count, which is not the same as 0 jobs; `stages` have none
    then. `jobs_lost` is how many there were, None unless the root is so *lost*.
    `error` says why the last scan failed as a whole.
    `backoff_seconds` is how much longer than its interval it is left alone for now.
    `url` is where it lies, without query or credentials. `notes` are sentences about its
    storage that its operator should know, `missed` say where jobs may lie that the last
    scan that succeeded could not see. Counters run from the start of the process:
    `errors` by (scope, reason), `requests` by operation. `jobs_unwatched` of the hidden jobs
    are in a state that should be watched: the root has more than `max_per_root` has room for.
    `folders_unread` could not be listed, and are no jobs by their own names; `folders_denied` are
    others', found by wildcards and closed. `show_errors` says what may be shown of failures,
    `stage_order` in which order its pipeline runs.
    """

    name: str
    scan_interval_seconds: float
    url: str = ""
    stall: StallRule = DEFAULT_STALL_RULE
    show_errors: ShowErrors = "types"
    stage_order: tuple[str, ...] = ()
    up: bool = False
    attempted: bool = False
    error: str | None = None
    jobs: tuple[Job, ...] = ()
    groups: tuple[Group, ...] = ()
    departed: tuple[DepartedJob, ...] = ()
    totals: Totals | None = None
    stages: StageSums = ()
    jobs_lost: int | None = None
    jobs_unwatched: int = 0
    last_successful_scan_timestamp: float | None = None
    last_scan_duration_seconds: float | None = None
    backoff_seconds: float = 0.0
    scans: int = 0
    scans_skipped: int = 0
    errors: tuple[tuple[tuple[str, Reason], int], ...] = ()
    requests: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    folders_unsearched: int = 0
    folders_unread: int = 0
    folders_denied: int = 0

    @property
    def error_in_words(self) -> str:
        """The error without its reason, which comes before a colon."""
        return (self.error or "").partition(": ")[2] or "unknown error"

    @property
    def fresh_for_seconds(self) -> float:
        """How long after a scan what it found tells how the jobs are. Where scans take long, what
        is known is old by nature. The alerts have the same numbers."""
        longest = max(FRESH_SECONDS, FRESH_INTERVALS * self.scan_interval_seconds)
        return longest + (self.last_scan_duration_seconds or 0.0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every root, in the order of the configuration."""

    roots: tuple[Root, ...] = ()

    @property
    def totals(self) -> Totals:
        """Sums over the roots of which something is known."""
        return Totals.of_totals(root.totals for root in self.roots if root.totals is not None)

    @property
    def has_totals(self) -> bool:
        """Those sums say something about all roots: one was read, and of none that a scan was
        tried of, nothing is known."""
        is_known = any(root.totals is not None for root in self.roots)
        return is_known and not any(root.attempted and root.totals is None for root in self.roots)

    @property
    def is_ready(self) -> bool:
        """Whether every root had one attempt, successful or not."""
        return all(root.attempted for root in self.roots)


class Latest:
    """Holds the newest snapshot. One thread publishes, any number read, one may wait."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._published = threading.Event()

    def publish(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot  # one reference, replaced atomically
        self._published.set()

    def wait(self, seconds: float) -> bool:
        """Wait that long for a snapshot published since the last call; whether one was."""
        came = self._published.wait(seconds)
        self._published.clear()  # before the snapshot is read, so that none is missed
        return came

    def read(self) -> Snapshot:
        return self._snapshot
