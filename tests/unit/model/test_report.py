"""Rows for people: states, idleness, pace, time left, order and filters; no clock."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import (
    HOUR,
    NOW,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
)

from exporter.config.settings import StallRule
from exporter.datatrove.ranks import Ranks
from exporter.model.report import (
    SORTS,
    STATES,
    Filter,
    Report,
    Row,
    count_states,
    facts,
    report_on,
    sort_rows,
)
from exporter.model.snapshot import Job, Reading, Root, Totals

DAY = 24 * HOUR
READING = a_reading(
    tasks=100,
    tasks_completed=40,
    tasks_completed_since_launch=40,
    stray_markers=0,
    launch_timestamp=NOW - 10 * HOUR,
    last_completion_timestamp=NOW - 600,
    longest_completion_gap_seconds=1200.0,
    started=True,
    executor="slurm",
    slurm_job_name="tokenize",
)


def completed(count: int, *, ago: float, launched: float = 10 * HOUR, gap: float) -> Reading:
    """So many of 100 tasks completed since the launch, the last of them so long `ago`."""
    return replace(
        READING,
        tasks_completed=count,
        tasks_completed_since_launch=count,
        launch_timestamp=NOW - launched,
        last_completion_timestamp=NOW - ago,
        longest_completion_gap_seconds=gap,
    )


def nothing_completed(*, launched: float, started: bool, inherited: int = 0) -> Reading:
    """Nothing since the launch; before it, so many tasks."""
    return replace(
        READING,
        tasks_completed=inherited,
        tasks_completed_since_launch=0,
        launch_timestamp=NOW - launched,
        last_completion_timestamp=NOW - launched - 5 * DAY if inherited else None,
        longest_completion_gap_seconds=None,
        started=started or inherited > 0,
    )


def root_of(*jobs: Job, name: str = "r", age: float | None = 5.0, **changes: object) -> Root:
    """A root scanned so many seconds ago; with None, one whose first scan did not succeed yet."""
    if age is None:
        return an_unscanned_root(name, **{"up": True, "attempted": True, "jobs": jobs, **changes})
    return a_root(name, *jobs, last_successful_scan_timestamp=NOW - age, **changes)


def report_of(*jobs: Job, **root: object) -> Report:
    return report_on(a_snapshot(root_of(*jobs, **root)), NOW)


def row_of(reading: Reading | None, error: str | None = None, **root: object) -> Row:
    (row,) = report_of(a_job(reading=reading, error=error), **root).rows
    return row


# --- States


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (replace(READING, tasks_completed=100), "complete"),
        (nothing_completed(launched=60, started=False), "waiting"),
        (nothing_completed(launched=40 * DAY, started=False), "waiting"),
        (nothing_completed(launched=60, started=True), "running"),
        (nothing_completed(launched=DAY - 1, started=True), "running"),
        (nothing_completed(launched=DAY + 1, started=True), "stalled"),
        # Launched again an hour ago; what was completed days before says nothing.
        (nothing_completed(launched=HOUR, started=True, inherited=40), "running"),
        (nothing_completed(launched=DAY + 1, started=True, inherited=95), "stalled"),
        # Short waits so far: an hour all the same.
        (completed(40, ago=HOUR - 1, gap=30), "running"),
        (completed(40, ago=HOUR + 1, gap=30), "stalled"),
        # Long waits so far: three times the longest.
        (completed(40, ago=6 * HOUR - 1, gap=2 * HOUR), "running"),
        (completed(40, ago=6 * HOUR + 1, gap=2 * HOUR), "stalled"),
        # The last tenth has stragglers.
        (completed(89, ago=2 * HOUR, gap=30), "stalled"),
        (completed(90, ago=2 * HOUR, gap=30), "running"),
        (completed(99, ago=DAY - 1, launched=2 * DAY, gap=30), "running"),
        (completed(99, ago=DAY + 1, launched=2 * DAY, gap=30), "stalled"),
        # Waits of 20 hours are this job's way: a day is not long, 30 hours are.
        (completed(99, ago=DAY + 1, launched=9 * DAY, gap=20 * HOUR), "running"),
        (completed(99, ago=30 * HOUR + 1, launched=9 * DAY, gap=20 * HOUR), "stalled"),
        # Markers written ahead of our clock.
        (completed(40, ago=-2 * DAY, gap=30), "running"),
        # Storage that tells no times.
        (
            replace(
                READING,
                tasks_completed_since_launch=None,
                launch_timestamp=None,
                last_completion_timestamp=None,
                longest_completion_gap_seconds=None,
            ),
            "running",
        ),
    ],
)
def test_a_job_has_the_state_that_its_facts_mean(reading: Reading, state: str) -> None:
    assert row_of(reading).state == state


@pytest.mark.parametrize("reading", [None, READING, replace(READING, tasks_completed=100)])
def test_a_job_that_cannot_be_read_is_unreadable_whatever_it_was(reading: Reading | None) -> None:
    row = row_of(reading, "denied")
    assert (row.state, row.error, row.idle_seconds, row.remaining_seconds) == (
        "unreadable",
        "denied",
        None,
        None,
    )
    assert row.tasks == (reading.tasks if reading else None)


def test_the_thresholds_are_those_of_the_root() -> None:
    reading = completed(40, ago=2 * HOUR, gap=HOUR)
    assert row_of(reading).state == "running"
    assert row_of(reading).stall_threshold_seconds == 3 * HOUR
    assert row_of(reading, stall=StallRule(HOUR, 1.5, DAY)).state == "stalled"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).state == "running"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).stall_threshold_seconds == 5 * HOUR
    assert row_of(reading, stall=StallRule(60.0, 3.0, 90 * 60.0)).state == "stalled"


@pytest.mark.parametrize(
    ("age", "interval", "is_fresh"),
    [(599, 60, True), (600, 60, False), (899, 300, True), (900, 300, False), (None, 60, False)],
)
def test_old_data_says_nothing_about_idleness(
    age: float | None, interval: float, is_fresh: bool
) -> None:
    report = report_of(
        a_job("stalled", reading=completed(40, ago=2 * HOUR, gap=30)),
        a_job("done", reading=replace(READING, tasks_completed=100)),
        a_job("queued", reading=nothing_completed(launched=DAY, started=False)),
        age=age,
        scan_interval_seconds=interval,
    )
    (root,) = report.roots
    assert (root.is_fresh, root.age_seconds) == (is_fresh, age)
    states = {row.job_name: row.state for row in report.rows}
    stalled = "stalled" if is_fresh else "running"
    assert states == {"stalled": stalled, "done": "complete", "queued": "waiting"}
    idle = {row.job_name: row.idle_seconds for row in report.rows}
    assert idle["stalled"] == (2 * HOUR if is_fresh else None)


# --- Idleness, pace and time left


def test_idleness_counts_from_the_launch_if_that_is_later() -> None:
    assert row_of(completed(40, ago=600, gap=30)).idle_seconds == 600
    relaunched = nothing_completed(launched=HOUR, started=True, inherited=40)
    assert row_of(relaunched).idle_seconds == HOUR
    assert row_of(completed(40, ago=-50, gap=30)).idle_seconds == 0
    assert row_of(replace(READING, tasks_completed=100)).idle_seconds is None


def test_pace_and_time_left_follow_from_the_launch_and_the_last_completion() -> None:
    """40 tasks in 9 h 50 min, and the 60 others at that pace from the last one on."""
    row = row_of(READING)
    each = (10 * HOUR - 600) / 40
    assert row.tasks_per_hour == pytest.approx(HOUR / each)
    assert row.remaining_seconds == pytest.approx(60 * each - 600)
    assert row.eta_timestamp == pytest.approx(NOW + 60 * each - 600)


def test_tasks_completed_before_the_launch_say_nothing_about_the_pace() -> None:
    relaunched = replace(
        READING, tasks_completed=80, tasks_completed_since_launch=4, launch_timestamp=NOW - 1000
    )
    row = row_of(relaunched)
    assert row.tasks_per_hour == pytest.approx(36)
    assert row.remaining_seconds == pytest.approx(20 * 100 - 600)


@pytest.mark.parametrize(
    "reading",
    [
        nothing_completed(launched=HOUR, started=True),
        nothing_completed(launched=HOUR, started=False),
        nothing_completed(launched=HOUR, started=True, inherited=40),
        replace(READING, last_completion_timestamp=READING.launch_timestamp),
        replace(READING, tasks_completed_since_launch=None),
        replace(READING, launch_timestamp=None),
    ],
)
def test_without_a_pace_there_is_no_time_left(reading: Reading) -> None:
    row = row_of(reading)
    assert (row.tasks_per_hour, row.remaining_seconds, row.eta_timestamp) == (None, None, None)


def test_the_time_left_is_never_negative_and_a_stalled_job_has_none() -> None:
    late = completed(99, ago=3 * HOUR, gap=600)
    assert (row_of(late).state, row_of(late).remaining_seconds) == ("running", 0.0)
    stalled = row_of(completed(40, ago=3 * HOUR, gap=600))
    assert (stalled.state, stalled.remaining_seconds) == ("stalled", None)
    assert stalled.tasks_per_hour is not None


def test_missing_ranks_are_told_as_runs() -> None:
    """A marker beyond the last task, of a launch with more of them, fills no gap."""
    row = row_of(replace(READING, tasks=10, tasks_completed=5, ranks=Ranks([0, 1, 4, 5, 8, 30])))
    assert list(row.missing) == [(2, 3), (6, 7), (9, 9)]
    assert list(row_of(None, "invalid").missing) == []


# --- The whole


def test_hidden_jobs_are_in_the_report_and_totals_are_those_of_the_metrics() -> None:
    jobs = (
        a_job("a", reading=READING),
        a_job("b", reading=replace(READING, tasks_completed=100), hidden=True),
        an_unreadable_job("c", error="invalid"),
    )
    unknown = root_of(name="unreachable", age=None, up=False, error="denied: no")
    snapshot = a_snapshot(root_of(*jobs), unknown)
    report = report_on(snapshot, NOW)
    assert [(row.job_name, row.hidden) for row in report.rows] == [
        ("c", False),
        ("a", False),
        ("b", True),
    ]
    assert report.totals == snapshot.totals
    assert (report.totals.jobs, report.totals.tasks, report.totals.tasks_completed) == (3, 200, 140)
    assert [root.root for root in report.roots] == ["r", "unreachable"]
    assert (report.roots[1].totals, report.roots[1].error) == (None, "denied: no")
    assert count_states(report.rows) == {
        "unreadable": 1,
        "stalled": 0,
        "running": 1,
        "waiting": 0,
        "complete": 1,
    }


def made(job_name: str, reading: Reading | None, error: str | None = None) -> Job:
    return a_job(job_name, reading=reading, error=error)


MANY = (
    made("ends later", completed(10, ago=60, gap=600)),
    made("ended", replace(completed(100, ago=900, gap=600))),
    made("ended just now", completed(100, ago=60, gap=600)),
    made("end unknown", nothing_completed(launched=60, started=True)),
    made("ends soon", completed(90, ago=60, gap=600)),
    made("queued", nothing_completed(launched=60, started=False)),
    made("broken", None, "invalid"),
    made("stalled for long", completed(10, ago=8 * HOUR, gap=600)),
    made("stalled", completed(10, ago=2 * HOUR, gap=600)),
    made("also broken", READING, "denied"),
)


def test_what_needs_attention_comes_first() -> None:
    names = [row.job_name for row in report_of(*MANY).rows]
    assert names == [
        "also broken",
        "broken",
        "stalled for long",
        "stalled",
        "ends soon",
        "ends later",
        "end unknown",
        "queued",
        "ended just now",
        "ended",
    ]


@pytest.mark.parametrize("by", SORTS)
def test_every_order_holds_every_row_and_rows_without_the_value_come_last(by: str) -> None:
    rows = report_of(*MANY).rows
    upwards = list(sort_rows(rows, by))
    downwards = list(sort_rows(rows, by, descending=True))
    assert sorted(upwards, key=id) == sorted(downwards, key=id) == sorted(rows, key=id)
    values = {
        "progress": "completion_ratio",
        "idle": "idle_seconds",
        "remaining": "remaining_seconds",
        "pace": "tasks_per_hour",
        "launch": "launch_timestamp",
        "last": "last_completion_timestamp",
        "name": "job_name",
    }
    if by == "attention":
        assert upwards == list(rows) == downwards[::-1]
        return
    for in_order, is_right in ((upwards, lambda a, b: a <= b), (downwards, lambda a, b: a >= b)):
        found = [getattr(row, values[by]) for row in in_order]
        known = [value for value in found if value is not None]
        assert found == known + [None] * (len(found) - len(known))
        assert all(itertools.starmap(is_right, itertools.pairwise(known)))


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (Filter(), {"a/x", "a/y", "B/x", "c"}),
        (Filter(name="/X"), {"a/x", "B/x"}),
        (Filter(name="b"), {"B/x"}),
        (Filter(prefix="a"), {"a/x", "a/y"}),
        (Filter(prefix="b"), set()),
        (Filter(roots=frozenset({"r"})), {"a/x", "a/y", "B/x", "c"}),
        (Filter(roots=frozenset({"other"})), set()),
        (Filter(hide_complete=True), {"a/x", "B/x", "c"}),
        (Filter(states=frozenset({"waiting", "complete"})), {"a/y", "B/x"}),
        (Filter(states=frozenset({"waiting", "complete"}), hide_complete=True), {"B/x"}),
        (Filter(name="x", prefix="a", states=frozenset({"running"})), {"a/x"}),
    ],
)
def test_filters_keep_what_they_say(chosen: Filter, names: set[str]) -> None:
    report = report_of(
        a_job("a/x", reading=READING),
        a_job("a/y", reading=replace(READING, tasks_completed=100)),
        a_job("B/x", reading=nothing_completed(launched=60, started=False)),
        # Complete when it was last read; it cannot be hidden now that it cannot be.
        a_job("c", reading=replace(READING, tasks_completed=100), error="denied"),
    )
    assert {row.job_name for row in report.rows if chosen.keeps(row)} == names


def test_everything_can_be_json() -> None:
    report = report_of(*MANY)
    for subject in (*report.rows, *report.roots, report.totals):
        assert json.loads(json.dumps(facts(subject), allow_nan=False)) == facts(subject)
    assert len({tuple(facts(row)) for row in report.rows}) == 1
    assert "reading" not in facts(report.rows[0])
    (root,) = report.roots
    assert facts(root)["totals"]["jobs"] == len(MANY)
    assert facts(Totals())["jobs_completed_ratio"] is None


TIMES = st.none() | st.floats(0, 2 * NOW)
READINGS = st.builds(
    lambda tasks, share, since, launch, last, gap, started: a_reading(
        tasks=tasks,
        tasks_completed=int(tasks * share),
        tasks_completed_since_launch=since and int(tasks * share * since),
        stray_markers=0,
        launch_timestamp=launch,
        last_completion_timestamp=last,
        longest_completion_gap_seconds=gap,
        started=started,
        executor="local",
        slurm_job_name="",
    ),
    st.integers(1, 2**53),
    st.floats(0, 1),
    st.none() | st.floats(0, 1),
    TIMES,
    TIMES,
    st.none() | st.floats(0, NOW),
    st.booleans(),
)


@given(st.lists(READINGS, max_size=5), TIMES, st.sampled_from(SORTS))
def test_any_facts_make_a_report(readings: list[Reading], last: float | None, by: str) -> None:
    jobs = tuple(a_job(f"job-{n}", reading=reading) for n, reading in enumerate(readings))
    root = replace(root_of(*jobs), last_successful_scan_timestamp=last)
    rows = list(sort_rows(report_on(a_snapshot(root), NOW).rows, by))
    assert len(rows) == len(readings)
    for row in rows:
        assert row.state in STATES
        assert (row.state == "complete") == row.is_complete
        for seconds in (row.idle_seconds, row.remaining_seconds, row.tasks_per_hour):
            assert seconds is None or seconds >= 0
        json.dumps(facts(row), allow_nan=False)
