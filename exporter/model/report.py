"""Snapshot and time -> rows for people. The command line, the API and the page show these.

Pure: no clock, no I/O. What a job's *state* is, is defined here and nowhere else; the
alert rules say the same in PromQL, from the same facts:

* Idle is the time since the newest completion, or since the launch if that is later. It
  is known only while the last successful scan of the root is recent: old data says
  nothing about idleness.
* The threshold is a few times the longest wait since the launch, and not less than an
  hour. Before the first completion nothing is known of the job's pace: no threshold.
* A job is stalled once it is idle for longer than its threshold, except in its last
  tenth, where stragglers are normal; and in any case once it is idle for a day and for
  half the threshold. One that was launched and shows neither log nor marker is waiting,
  however long: a chain of Slurm jobs is launched all at once.

Measured on simulated and scripted jobs, the longest wait is the one statistic of a
job's waits that bursts of completions do not fool; mean, median and percentiles are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from exporter.config.settings import StallRule
from exporter.errors import Reason
from exporter.model.snapshot import Job, Reading, Root, Snapshot, Totals

State = Literal["unreadable", "stalled", "running", "waiting", "complete"]
STATES: tuple[State, ...] = get_args(State)
"""What needs attention first comes first."""

FRESH_SECONDS = 600.0
FRESH_INTERVALS = 3
"""Data is recent for this long, or for this many scan intervals if that is longer."""

_LAST_TENTH = 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """One job at the report's time. None is "not known", never 0.

    An unreadable job has the values of its last good reading, while there is one; why it
    cannot be read is in `error`. `idle_seconds` and `remaining_seconds` are for jobs
    under way: the latter only for a running one that completed something since its
    launch. Times are Unix seconds. `hidden` jobs have no series of their own. `reading`
    is where all this comes from; its ranks and history are looked into on demand.
    """

    root: str
    job_name: str
    state: State
    error: Reason | None
    tasks: int | None
    tasks_completed: int | None
    tasks_completed_since_launch: int | None
    completion_ratio: float | None
    stray_markers: int | None
    launch_timestamp: float | None
    last_completion_timestamp: float | None
    longest_completion_gap_seconds: float | None
    idle_seconds: float | None
    stall_threshold_seconds: float | None
    tasks_per_hour: float | None
    remaining_seconds: float | None
    eta_timestamp: float | None
    executor: str | None
    slurm_job_name: str | None
    hidden: bool
    reading: Reading | None = field(repr=False, compare=False)

    @property
    def missing(self) -> Iterator[tuple[int, int]]:
        """Ranks without a completion marker, as runs (first, last) in ascending order."""
        if self.reading is None:
            return iter(())
        return self.reading.ranks.missing_runs(self.reading.tasks)

    @property
    def is_complete(self) -> bool:
        """Whether every task is, also as far as an unreadable job was last known."""
        return self.tasks is not None and self.tasks == self.tasks_completed


@dataclass(frozen=True, slots=True)
class RootRow:
    """One root at the report's time. `age_seconds` is that of its data: the time since
    the last successful scan; `is_fresh` whether that is recent. `totals` as in Root."""

    root: str
    url: str
    up: bool
    attempted: bool
    error: str | None
    last_successful_scan_timestamp: float | None
    age_seconds: float | None
    is_fresh: bool
    last_scan_duration_seconds: float | None
    scan_interval_seconds: float
    totals: Totals | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything at one time: roots as configured, rows in the order of attention. The
    totals are those of the metrics."""

    time: float
    roots: tuple[RootRow, ...]
    rows: tuple[Row, ...]
    totals: Totals


def report_on(snapshot: Snapshot, now: float) -> Report:
    """The report on a snapshot at the Unix time `now`."""
    roots = tuple(_root_row(root, now) for root in snapshot.roots)
    rows = (
        _row(root, job, now, is_fresh=root_row.is_fresh)
        for root, root_row in zip(snapshot.roots, roots, strict=True)
        for job in root.jobs
    )
    return Report(now, roots, tuple(sort_rows(rows)), snapshot.totals)


def _root_row(root: Root, now: float) -> RootRow:
    last = root.last_successful_scan_timestamp
    age = None if last is None else max(0.0, now - last)
    fresh_for = max(FRESH_SECONDS, FRESH_INTERVALS * root.scan_interval_seconds)
    return RootRow(
        root=root.name,
        url=root.url,
        up=root.up,
        attempted=root.attempted,
        error=root.error,
        last_successful_scan_timestamp=last,
        age_seconds=age,
        is_fresh=age is not None and age < fresh_for,
        last_scan_duration_seconds=root.last_scan_duration_seconds,
        scan_interval_seconds=root.scan_interval_seconds,
        totals=root.totals,
    )


def _row(root: Root, job: Job, now: float, *, is_fresh: bool) -> Row:
    reading = job.reading
    if reading is None:
        unknown = dict.fromkeys((fact.name for fact in fields(Row)[4:-2]), None)
        return Row(
            root.name,
            job.name,
            "unreadable",
            job.error,
            hidden=job.hidden,
            reading=None,
            **unknown,
        )
    under_way = is_fresh and job.error is None and not reading.is_complete
    idle = _idle_seconds(reading, now) if under_way else None
    state: State = "unreadable" if job.error else state_of(reading, idle, root.stall)
    seconds_per_task = _seconds_per_task(reading)
    remaining = None
    if state == "running" and idle is not None and seconds_per_task is not None:
        to_do = reading.tasks - reading.tasks_completed
        remaining = max(0.0, to_do * seconds_per_task - idle)
    return Row(
        root=root.name,
        job_name=job.name,
        state=state,
        error=job.error,
        tasks=reading.tasks,
        tasks_completed=reading.tasks_completed,
        tasks_completed_since_launch=reading.tasks_completed_since_launch,
        completion_ratio=reading.tasks_completed / reading.tasks,
        stray_markers=reading.stray_markers,
        launch_timestamp=reading.launch_timestamp,
        last_completion_timestamp=reading.last_completion_timestamp,
        longest_completion_gap_seconds=reading.longest_completion_gap_seconds,
        idle_seconds=idle,
        stall_threshold_seconds=stall_threshold_seconds(reading, root.stall),
        tasks_per_hour=3600 / seconds_per_task if seconds_per_task else None,
        remaining_seconds=remaining,
        eta_timestamp=None if remaining is None else now + remaining,
        executor=reading.executor,
        slurm_job_name=reading.slurm_job_name,
        hidden=job.hidden,
        reading=reading,
    )


def state_of(reading: Reading, idle_seconds: float | None, rule: StallRule) -> State:
    """The state of a job that can be read; see the module's docstring. `idle_seconds` is
    None where it is not known."""
    if reading.is_complete:
        return "complete"
    if not reading.started:
        return "waiting"
    if idle_seconds is None:
        return "running"
    threshold = stall_threshold_seconds(reading, rule)
    if idle_seconds > max(rule.long_after_seconds, (threshold or 0) / 2):
        return "stalled"
    in_last_tenth = reading.tasks_completed / reading.tasks >= _LAST_TENTH
    if threshold is not None and idle_seconds > threshold and not in_last_tenth:
        return "stalled"
    return "running"


def stall_threshold_seconds(reading: Reading, rule: StallRule) -> float | None:
    """How long the job may go without a completion before that is strange; None before
    the first one since its launch."""
    longest = reading.longest_completion_gap_seconds
    return None if longest is None else max(rule.gap_factor * longest, rule.after_seconds)


def _idle_seconds(reading: Reading, now: float) -> float | None:
    launch, last = reading.launch_timestamp, reading.last_completion_timestamp
    since = max((time for time in (launch, last) if time is not None), default=None)
    return None if since is None else max(0.0, now - since)


def _seconds_per_task(reading: Reading) -> float | None:
    """Mean time from completion to completion since the launch. Up to the last one, not
    up to now: in tests on eight kinds of jobs that estimated the end eight times better."""
    completed = reading.tasks_completed_since_launch
    launch, last = reading.launch_timestamp, reading.last_completion_timestamp
    if not completed or launch is None or last is None or last <= launch:
        return None
    return (last - launch) / completed


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows to show; the default shows all. `name` is any part of the job_name, in
    upper or lower case, `prefix` its exact beginning; empty sets exclude nothing."""

    name: str = ""
    prefix: str = ""
    roots: frozenset[str] = frozenset()
    states: frozenset[State] = frozenset()
    hide_complete: bool = False

    def keeps(self, row: Row) -> bool:
        """Whether to show the row."""
        return (
            self.name.casefold() in row.job_name.casefold()
            and row.job_name.startswith(self.prefix)
            and (not self.roots or row.root in self.roots)
            and (not self.states or row.state in self.states)
            and not (self.hide_complete and row.state == "complete")
        )


Sort = Literal["attention", "name", "progress", "idle", "remaining", "pace", "launch", "last"]
SORTS: tuple[Sort, ...] = get_args(Sort)

_KEYS: dict[Sort, Callable[[Row], float | None]] = {
    "progress": lambda row: row.completion_ratio,
    "idle": lambda row: row.idle_seconds,
    "remaining": lambda row: row.remaining_seconds,
    "pace": lambda row: row.tasks_per_hour,
    "launch": lambda row: row.launch_timestamp,
    "last": lambda row: row.last_completion_timestamp,
}


def sort_rows(
    rows: Iterable[Row], by: Sort = "attention", *, descending: bool = False
) -> Iterator[Row]:
    """Rows in this order, those alike by root and name. Rows without the value come last
    either way."""
    in_order = sorted(rows, key=lambda row: (row.job_name, row.root))
    if by == "name":
        return iter(in_order[::-1] if descending else in_order)
    if by == "attention":
        in_order.sort(key=_attention)
        return iter(in_order[::-1] if descending else in_order)
    key = _KEYS[by]
    known = [row for row in in_order if key(row) is not None]
    known.sort(key=lambda row: key(row) or 0.0, reverse=descending)
    return iter([*known, *(row for row in in_order if key(row) is None)])


def _attention(row: Row) -> tuple[int, float]:
    """By state; then the longest idle, the first to end, the last to have completed."""
    within = float("inf")
    if row.state == "stalled" and row.idle_seconds is not None:
        within = -row.idle_seconds
    elif row.state == "running" and row.remaining_seconds is not None:
        within = row.remaining_seconds
    elif row.state == "complete" and row.last_completion_timestamp is not None:
        within = -row.last_completion_timestamp
    return STATES.index(row.state), within


def count_states(rows: Iterable[Row]) -> dict[State, int]:
    """How many rows are in each state, every state named."""
    counted = Counter(row.state for row in rows)
    return {state: counted[state] for state in STATES}


def facts(subject: Row | RootRow | Totals) -> dict[str, object]:
    """The values under their names, for JSON: None, text, numbers, booleans, and totals
    as such a dictionary of their own."""
    found: dict[str, object] = {}
    for fact in fields(subject):
        if fact.repr:
            value = getattr(subject, fact.name)
            found[fact.name] = facts(value) if isinstance(value, Totals) else value
    if isinstance(subject, Totals):
        found["jobs_completed_ratio"] = subject.jobs_completed_ratio
        found["tasks_completed_ratio"] = subject.tasks_completed_ratio
    return found
