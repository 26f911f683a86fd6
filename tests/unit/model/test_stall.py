"""When a job is stalled, and which other states there are."""

from dataclasses import replace

import pytest
from support.readings import (
    DAY,
    HOUR,
    NOW,
    UNDER_WAY,
    a_job,
    completed,
    nothing_completed,
    row_of,
)

from exporter.config.settings import RootConfig, StallRule
from exporter.model.snapshot import Reading, Totals
from exporter.model.stall import with_state


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (replace(UNDER_WAY, tasks_completed=100), "complete"),
        (nothing_completed(launched=60, started=False), "waiting"),
        (nothing_completed(launched=6 * DAY, started=False), "waiting"),
        # Launched again an hour ago, and nothing but the launch was seen since.
        (nothing_completed(launched=HOUR, started=False, inherited=40), "waiting"),
        # Its logs are older than its launch.
        (replace(nothing_completed(launched=HOUR, started=False), started=True), "waiting"),
        # Two days in a queue are no stall.
        (nothing_completed(launched=2 * DAY, started=False, inherited=40), "waiting"),
        (replace(completed(40, ago=60, launched=2 * DAY, gap=30), start_timestamp=None), "running"),
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
        # No sign of life for a week: no completion, no start, no launch.
        (completed(40, ago=7 * DAY, launched=9 * DAY, gap=30), "abandoned"),
        (completed(40, ago=7 * DAY - 1, launched=9 * DAY, gap=30), "stalled"),
        (completed(100, ago=70 * DAY, launched=90 * DAY, gap=30), "complete"),
        (nothing_completed(launched=7 * DAY, started=False), "abandoned"),
        (nothing_completed(launched=6 * DAY, started=False, inherited=40), "waiting"),
        (
            replace(nothing_completed(launched=9 * DAY, started=True), start_timestamp=NOW),
            "running",
        ),
        # Markers written ahead of our clock.
        (completed(40, ago=-2 * DAY, gap=30), "running"),
        # Storage that tells no times.
        (
            replace(
                UNDER_WAY,
                tasks_completed_since_launch=None,
                launch_timestamp=None,
                start_timestamp=None,
                last_completion_timestamp=None,
                longest_completion_gap_seconds=None,
            ),
            "running",
        ),
    ],
)
def test_a_job_has_the_state_that_its_facts_mean(reading: Reading, state: str) -> None:
    assert row_of(reading).state == state


@pytest.mark.parametrize("reading", [None, UNDER_WAY, replace(UNDER_WAY, tasks_completed=100)])
def test_a_job_that_cannot_be_read_is_unreadable_whatever_it_was(reading: Reading | None) -> None:
    row = row_of(reading, "denied")
    assert (row.state, row.error, row.idle_seconds, row.remaining_seconds) == (
        "unreadable",
        "denied",
        None,
        None,
    )
    assert row.reading == reading


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (nothing_completed(launched=HOUR, started=False), "waiting"),
        (nothing_completed(launched=HOUR + 1, started=False), "running"),
        (nothing_completed(launched=DAY + 1, started=False), "stalled"),
        # Markers from before are no sign of life of this launch.
        (nothing_completed(launched=60, started=False, inherited=40), "waiting"),
        (nothing_completed(launched=HOUR + 1, started=False, inherited=40), "running"),
        (nothing_completed(launched=DAY + 1, started=False, inherited=40), "stalled"),
    ],
)
def test_a_local_executor_waits_in_no_queue(reading: Reading, state: str) -> None:
    """Its start is its launch."""
    local = replace(reading, executor="local", start_timestamp=reading.launch_timestamp)
    assert row_of(local).state == state


@pytest.mark.parametrize(
    ("since_launch", "state", "left"),
    [(100, "complete", 0), (99, "running", 1), (0, "waiting", 100), (None, "complete", 0)],
)
def test_a_launch_that_repeats_completed_tasks_is_complete_when_it_has_done_them_all(
    since_launch: int | None, state: str, left: int
) -> None:
    """Where no times are known, markers are all there is to go by."""
    reading = replace(
        UNDER_WAY,
        tasks_completed=100,
        tasks_completed_since_launch=since_launch,
        repeats_completed=True,
        start_timestamp=UNDER_WAY.start_timestamp if since_launch else None,
    )
    row = row_of(reading)
    assert (row.state, reading.tasks_left) == (state, left)
    assert row.is_complete == (state == "complete")
    assert Totals.of_jobs([row.job]).jobs_completed == row.is_complete
    assert row_of(replace(reading, repeats_completed=False)).state == "complete"


def test_a_dead_launch_that_repeats_completed_tasks_is_stalled() -> None:
    reading = replace(
        completed(40, ago=2 * HOUR, gap=30), tasks_completed=100, repeats_completed=True
    )
    row = row_of(reading)
    assert row.state == "stalled"
    running = row_of(replace(reading, last_completion_timestamp=NOW - 60))
    assert running.remaining_seconds == pytest.approx(60 * (10 * HOUR - 60) / 40 - 60)


def test_a_job_is_the_very_same_object_while_its_state_does_not_change() -> None:
    config = RootConfig("r", "/r", abandoned_after_seconds=DAY)
    job = a_job(reading=completed(40, ago=60, gap=30))
    assert with_state(job, config, NOW) is job
    assert with_state(job, config, NOW + HOUR / 2) is job
    stalled = with_state(job, config, NOW + 2 * HOUR)
    assert stalled == replace(job, state="stalled")
    assert with_state(stalled, config, NOW + 3 * HOUR) is stalled
    assert with_state(stalled, config, NOW + DAY).state == "abandoned"


def test_the_thresholds_are_those_of_the_root() -> None:
    reading = completed(40, ago=2 * HOUR, gap=HOUR)
    assert row_of(reading).state == "running"
    assert row_of(reading).stall_threshold_seconds == 3 * HOUR
    assert row_of(reading, stall=StallRule(HOUR, 1.5, DAY)).state == "stalled"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).state == "running"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).stall_threshold_seconds == 5 * HOUR
    assert row_of(reading, stall=StallRule(60.0, 3.0, 90 * 60.0)).state == "stalled"


def test_a_job_of_which_nobody_knows_when_it_completed_a_task_is_neither_idle_nor_abandoned() -> (
    None
):
    """Some of its markers have no time, so any of them may be new."""
    known = nothing_completed(launched=8 * DAY, started=True, inherited=40)
    assert row_of(known).state == "abandoned"
    unknown = replace(known, last_completion_timestamp=None, tasks_completed_since_launch=None)
    assert row_of(unknown).state == "running"
    assert row_of(unknown).idle_seconds is None
