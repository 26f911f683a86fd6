"""Rows for people: idleness, pace, time left, and what comes first; no clock."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.snapshots.readings import (
    DAY,
    HOUR,
    MANY,
    NOW,
    UNDER_WAY,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
    completed,
    nothing_completed,
    report_of,
    root_of,
    row_of,
)

from exporter.datatrove.ranks import Ranks
from exporter.model.facts import SORTS, job_json, sort_rows
from exporter.model.job import Reading
from exporter.model.report import count_states, report_on
from exporter.model.snapshot import Root
from exporter.model.state import STATES


@pytest.mark.parametrize(
    ("age", "interval", "is_fresh"),
    [(600, 60, True), (601, 60, False), (900, 300, True), (901, 300, False), (None, 60, False)],
)
def test_old_data_says_nothing_about_idleness(
    age: float | None, interval: float, is_fresh: bool
) -> None:
    report = report_of(
        a_job("stalled", reading=completed(40, ago=2 * HOUR, gap=30)),
        a_job("done", reading=replace(UNDER_WAY, tasks_completed=100)),
        a_job("queued", reading=nothing_completed(launched=DAY, started=False)),
        age=age,
        scan_interval_seconds=interval,
    )
    (root,) = report.roots
    assert (root.is_fresh, root.age_seconds) == (is_fresh, age)
    states = {row.job_name: row.state for row in report.rows}
    assert states == {"stalled": "stalled", "done": "complete", "queued": "waiting"}
    idle = {row.job_name: row.idle_seconds for row in report.rows}
    assert idle["stalled"] == (2 * HOUR if is_fresh else None)


def test_a_job_of_a_root_that_cannot_be_scanned_stays_in_the_state_it_had() -> None:
    """However old that is, and whatever state it would be in by now."""
    at = NOW - HOUR
    stalled = a_job("s", reading=completed(10, ago=3 * HOUR, gap=600), as_of=at)
    running = a_job("r", reading=completed(10, ago=1.5 * HOUR, gap=600), as_of=at)
    unreadable = a_job("u", error="denied", as_of=at)
    report = report_of(stalled, running, unreadable, age=HOUR, up=False, error="timeout: late")
    assert {row.job_name: row.state for row in report.rows} == {
        "s": "stalled",
        "r": "running",
        "u": "unreadable",
    }
    assert {row.idle_seconds for row in report.rows} == {2 * HOUR, HOUR / 2, None}
    assert {row.remaining_seconds for row in report.rows} == {None}, "old data says nothing of now"


@pytest.mark.parametrize(
    ("roots", "words"),
    [
        ([a_root("a"), an_unscanned_root("b")], ""),
        ([an_unscanned_root("b", attempted=True)], "without root b (never read)"),
        (
            [
                a_root("scr", totals=None, jobs_lost=1583),
                a_root("b", totals=None, jobs_lost=1, last_successful_scan_timestamp=NOW - DAY),
            ],
            "without roots scr (1,583 jobs as of 22:13 UTC) and b (1 job as of 13 Nov 22:13 UTC)",
        ),
        (
            [an_unscanned_root(name, attempted=True) for name in "abcde"],
            "without roots a (never read), b (never read), c (never read) and 2 more",
        ),
    ],
)
def test_sums_say_which_roots_are_not_in_them(roots: list[Root], words: str) -> None:
    report = report_on(a_snapshot(*roots), NOW)
    assert report.left_out == words
    unknown = tuple(root.name for root in roots if root.totals is None)
    assert report.roots_missing == unknown


def test_idleness_counts_from_the_start_if_that_is_later() -> None:
    assert row_of(completed(40, ago=600, gap=30)).idle_seconds == 600
    relaunched = nothing_completed(launched=HOUR, started=True, inherited=40)
    assert row_of(relaunched).idle_seconds == HOUR
    assert row_of(completed(40, ago=-50, gap=30)).idle_seconds == 0
    assert row_of(replace(UNDER_WAY, tasks_completed=100)).idle_seconds is None
    queued = replace(relaunched, start_timestamp=None)
    assert row_of(queued).idle_seconds is None


def test_pace_and_time_left_follow_from_the_launch_and_the_last_completion() -> None:
    """40 tasks in 9 h 50 min, and the 60 others at that pace from the last one on."""
    row = row_of(UNDER_WAY)
    each = (10 * HOUR - 600) / 40
    assert row.tasks_per_hour == pytest.approx(HOUR / each)
    assert row.remaining_seconds == pytest.approx(60 * each - 600)
    assert row.eta_timestamp == pytest.approx(NOW + 60 * each - 600)


def test_tasks_completed_before_the_launch_say_nothing_about_the_pace() -> None:
    relaunched = a_reading(
        tasks_completed=80, tasks_completed_since_launch=4, launch_timestamp=NOW - 1000
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
        replace(UNDER_WAY, last_completion_timestamp=UNDER_WAY.launch_timestamp),
        replace(UNDER_WAY, tasks_completed_since_launch=None),
        # From the launch it may have waited in a queue for days.
        replace(UNDER_WAY, start_timestamp=None),
    ],
)
def test_without_a_pace_there_is_no_time_left(reading: Reading) -> None:
    row = row_of(reading)
    assert (row.tasks_per_hour, row.remaining_seconds, row.eta_timestamp) == (None, None, None)


def test_once_its_estimate_has_passed_a_job_is_overdue_and_no_time_is_left() -> None:
    """99 tasks in 7 h: the last one was due 4 min 15 s after them."""
    late = row_of(completed(99, ago=3 * HOUR, gap=600))
    assert (late.state, late.remaining_seconds, late.eta_timestamp) == ("running", None, None)
    assert late.overdue_seconds == pytest.approx(3 * HOUR - 7 * HOUR / 99)
    on_time = row_of(completed(99, ago=60, gap=600))
    assert (on_time.remaining_seconds, on_time.overdue_seconds) == (
        pytest.approx(301.8, 0.01),
        None,
    )


def test_what_is_overdue_comes_before_what_has_time_left() -> None:
    report = report_of(
        a_job("a on time", reading=completed(90, ago=60, gap=600)),
        a_job("b late", reading=completed(99, ago=3 * HOUR, gap=600)),
        a_job("c later", reading=completed(99, ago=4 * HOUR, gap=600)),
        a_job("d unknown", reading=nothing_completed(launched=60, started=True)),
    )
    order = ["c later", "b late", "a on time", "d unknown"]
    assert [row.job_name for row in sort_rows(report.rows, "remaining")] == order
    assert [row.job_name for row in report.rows] == order


def test_only_a_running_job_has_time_left_or_is_overdue() -> None:
    for reading in (
        completed(40, ago=3 * HOUR, gap=600),
        completed(40, ago=8 * DAY, launched=9 * DAY, gap=600),
        completed(100, ago=3 * HOUR, gap=600),
    ):
        row = row_of(reading)
        assert row.state in ("stalled", "abandoned", "complete")
        assert (row.remaining_seconds, row.overdue_seconds, row.eta_timestamp) == (None, None, None)
        assert row.tasks_per_hour is not None


def test_missing_ranks_are_told_as_runs() -> None:
    """A marker beyond the last task, of a launch with more of them, fills no gap."""
    row = row_of(replace(UNDER_WAY, tasks=10, tasks_completed=5, ranks=Ranks([0, 1, 4, 5, 8, 30])))
    assert list(row.missing) == [(2, 3), (6, 7), (9, 9)]
    assert list(row_of(None, "invalid").missing) == []


# --- The whole


def test_hidden_jobs_are_in_the_report_and_totals_are_those_of_the_metrics() -> None:
    jobs = (
        a_job("a", reading=UNDER_WAY),
        a_job("b", reading=replace(UNDER_WAY, tasks_completed=100), hidden=True),
        an_unreadable_job("c", error="invalid"),
    )
    unknown = root_of(name="unreachable", age=None, up=False, error="denied: no")
    snapshot = a_snapshot(root_of(*jobs), unknown)
    report = report_on(snapshot, NOW)
    assert [(row.job_name, row.job.hidden) for row in report.rows] == [
        ("c", False),
        ("a", False),
        ("b", True),
    ]
    assert report.totals == snapshot.totals
    assert (report.totals.jobs, report.totals.tasks, report.totals.tasks_completed) == (3, 200, 140)
    assert [root.root.name for root in report.roots] == ["r", "unreachable"]
    assert (report.roots[1].root.totals, report.roots[1].root.error) == (None, "denied: no")
    assert count_states(report.rows) == {
        "unreadable": 1,
        "failed": 0,
        "stalled": 0,
        "running": 1,
        "waiting": 0,
        "abandoned": 0,
        "complete": 1,
    }


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


TIMES = st.none() | st.floats(0, 2 * NOW).map(lambda seconds: round(seconds, 9))
"""As clocks and file systems tell them: no finer than a nanosecond."""
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


@given(st.lists(READINGS, max_size=5), TIMES, st.sampled_from(list(SORTS)))
def test_any_facts_make_a_report(readings: list[Reading], last: float | None, by: str) -> None:
    jobs = tuple(a_job(f"job-{n}", reading=reading) for n, reading in enumerate(readings))
    root = replace(root_of(*jobs), last_successful_scan_timestamp=last)
    rows = list(sort_rows(report_on(a_snapshot(root), NOW).rows, by))
    assert len(rows) == len(readings)
    for row in rows:
        assert row.state in STATES
        assert (row.state == "complete") == row.is_complete
        assert row.remaining_seconds is None or row.remaining_seconds > 0
        assert row.remaining_seconds is None or row.overdue_seconds is None
        for seconds in (row.idle_seconds, row.overdue_seconds, row.tasks_per_hour):
            assert seconds is None or seconds >= 0
        json.dumps(job_json(row), allow_nan=False)
