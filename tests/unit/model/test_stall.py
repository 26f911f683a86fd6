"""When a job is stalled, and which other states there are."""

from dataclasses import replace

import pytest
from support.readings import DAY, HOUR, UNDER_WAY, completed, nothing_completed, row_of

from exporter.config.settings import StallRule
from exporter.model.snapshot import Reading


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (replace(UNDER_WAY, tasks_completed=100), "complete"),
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
                UNDER_WAY,
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


def test_the_thresholds_are_those_of_the_root() -> None:
    reading = completed(40, ago=2 * HOUR, gap=HOUR)
    assert row_of(reading).state == "running"
    assert row_of(reading).stall_threshold_seconds == 3 * HOUR
    assert row_of(reading, stall=StallRule(HOUR, 1.5, DAY)).state == "stalled"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).state == "running"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).stall_threshold_seconds == 5 * HOUR
    assert row_of(reading, stall=StallRule(60.0, 3.0, 90 * 60.0)).state == "stalled"
