"""Snapshot and time -> rows for people: each job and each root with what follows from the
time. The command line, the API and the pages show these.

Pure: no clock, no I/O. What is shown of a row, and where, is the table in ``facts``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

from exporter.errors import Reason
from exporter.model import formatting
from exporter.model.job import Job, Logs, Reading
from exporter.model.names.grouping import UNKNOWN, Group
from exporter.model.snapshot import Root, Snapshot, Totals
from exporter.model.stall import idle_seconds
from exporter.model.state import STATES, State, urgency_of
from exporter.model.upstream import JobKey

_ROOTS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One job at the report's time: the job itself, and what follows from the time. None
    is "not known", never 0.

    `idle_seconds` is for jobs that may still do something, `remaining_seconds` for a running
    one that completed something since its launch. Once that estimate has passed there is
    none, and `overdue_seconds` is how long ago that was. `group` says which step of a pipeline it
    is, and of what. Times are Unix seconds.
    """

    root: Root
    job: Job
    idle_seconds: float | None = None
    tasks_per_hour: float | None = None
    remaining_seconds: float | None = None
    overdue_seconds: float | None = None
    eta_timestamp: float | None = None
    group: Group = UNKNOWN

    @property
    def job_name(self) -> str:
        return self.job.name

    @property
    def state(self) -> State:
        """As the last scan found it."""
        return self.job.state

    @property
    def stall_threshold_seconds(self) -> float | None:
        """How long it may be idle, as of the last scan."""
        return self.job.stall_threshold_seconds

    @property
    def key(self) -> JobKey:
        """No two rows have the same."""
        return self.root.name, self.job.name

    def title(self, *, with_root: bool) -> str:
        """The job_name, where there are several roots after that of its own."""
        return f"{self.root.name}: {self.job_name}" if with_root else self.job_name

    @property
    def error(self) -> Reason | None:
        """Why the job cannot be read; its `reading` is then the last good one."""
        return self.job.error

    @property
    def as_of(self) -> float | None:
        """When what is shown was found, where scans of the root do not get to the job."""
        return self.job.as_of

    @property
    def reading(self) -> Reading | None:
        return self.job.reading

    @property
    def logs(self) -> Logs | None:
        """What its logs tell, as of that reading."""
        return None if self.reading is None else self.reading.logs

    @property
    def is_complete(self) -> bool:
        """Every task is done, also as far as an unreadable job was last known."""
        return self.reading is not None and self.reading.is_complete

    @property
    def missing(self) -> Iterator[tuple[int, int]]:
        """Ranks without a completion marker, as runs (first, last) in ascending order."""
        if self.reading is None:
            return iter(())
        return self.reading.ranks.missing_runs(self.reading.tasks)


@dataclass(frozen=True, slots=True)
class RootRow:
    """One root at the report's time. `age_seconds` is that of its data: the time since
    the last successful scan; `is_fresh` says that this is recent."""

    root: Root
    age_seconds: float | None
    is_fresh: bool

    @property
    def is_up_to_date(self) -> bool:
        """The root was scanned lately and to the end."""
        return self.root.up and self.is_fresh


@dataclass(frozen=True, slots=True)
class Report:
    """Everything at one time: roots as configured, rows in the order of attention. The
    totals are those of the metrics."""

    time: float
    roots: tuple[RootRow, ...]
    rows: tuple[Row, ...]
    totals: Totals

    @property
    def roots_missing(self) -> tuple[str, ...]:
        """Names of the roots that the totals leave out, because nothing of them is known: those
        never read, and those *lost*, whose jobs were known and are too old."""
        return tuple(row.root.name for row in self.roots if row.root.totals is None)

    @property
    def left_out(self) -> str:
        """The same in words, ``without root scratch (583 jobs as of 14:02 UTC)``, but for
        roots that no scan was tried of yet; empty if there are none."""
        roots = [row.root for row in self.roots if row.root.totals is None and row.root.attempted]
        if not roots:
            return ""
        named = [self._last_known(root) for root in roots[:_ROOTS_NAMED]]
        if more := len(roots) - len(named):
            named.append(f"{more} more")
        return f"without root{'s' * (len(roots) > 1)} {formatting.series(named)}"

    def _last_known(self, root: Root) -> str:
        if root.jobs_lost is None or root.last_successful_scan_timestamp is None:
            return f"{root.name} (never read)"
        jobs = formatting.counted(root.jobs_lost, "job")
        at = formatting.clock(root.last_successful_scan_timestamp, self.time)
        return f"{root.name} ({jobs} as of {at})"


def report_on(snapshot: Snapshot, now: float) -> Report:
    """The report on a snapshot at the Unix time `now`."""
    roots = tuple(_root_row(root, now) for root in snapshot.roots)
    rows = [
        _row(root, job, now, group)
        for root in roots
        for job, group in zip(root.root.jobs, root.root.groups or repeat(UNKNOWN))  # noqa: B905
    ]
    return Report(now, roots, tuple(sorted(rows, key=attention)), snapshot.totals)


def attention(row: Row) -> tuple[int, float, str, str]:
    """A key that sorts what needs attention first to the front: by state; then the longest
    idle, the first to end, the last to have completed; then by name."""
    within = float("inf")
    if row.state == "stalled" and row.idle_seconds is not None:
        within = -row.idle_seconds
    elif row.state == "running" and (left := time_left(row)) is not None:
        within = left
    elif row.state == "complete" and row.reading is not None:
        last = row.reading.last_completion_timestamp
        within = within if last is None else -last
    return urgency_of(row.state), within, row.job.name, row.root.name


def time_left(row: Row) -> float | None:
    """Seconds until the estimated end; less than 0 once that has passed."""
    return row.remaining_seconds if row.overdue_seconds is None else -row.overdue_seconds


def count_states(rows: Iterable[Row]) -> dict[State, int]:
    """How many rows are in each state, every state named."""
    return dict.fromkeys(STATES, 0) | Counter([row.job.state for row in rows])


def _root_row(root: Root, now: float) -> RootRow:
    last = root.last_successful_scan_timestamp
    age = None if last is None else max(0.0, now - last)
    return RootRow(root, age, is_fresh=age is not None and age < root.fresh_for_seconds)


def _row(root_row: RootRow, job: Job, now: float, group: Group) -> Row:
    root, reading = root_row.root, job.reading
    if reading is None:
        return Row(root, job, group=group)
    is_old = job.as_of is not None
    now = now if job.as_of is None else job.as_of  # then it is in the state that it had
    is_open = job.state not in ("unreadable", "abandoned", "complete")
    idle = idle_seconds(reading, now) if is_open and (root_row.is_fresh or is_old) else None
    seconds_per_task = _seconds_per_task(reading)
    left = None
    if job.state == "running" and not is_old and idle is not None and seconds_per_task is not None:
        left = reading.tasks_left * seconds_per_task - idle
    remaining = left if left is not None and left > 0 else None
    return Row(
        root,
        job,
        idle_seconds=idle,
        tasks_per_hour=3600 / seconds_per_task if seconds_per_task else None,
        remaining_seconds=remaining,
        overdue_seconds=None if left is None or left > 0 else abs(left),
        eta_timestamp=None if remaining is None else now + remaining,
        group=group,
    )


def _seconds_per_task(reading: Reading) -> float | None:
    """Mean time from completion to completion since the start. Up to the last one, not
    up to now: in tests on eight kinds of jobs that estimated the end eight times better."""
    completed = reading.tasks_completed_since_launch
    start, last = reading.start_timestamp, reading.last_completion_timestamp
    if not completed or start is None or last is None or last <= start:
        return None
    return (last - start) / completed
