"""Sums over jobs and roots, how long they hold, and the cell with the newest snapshot."""

from dataclasses import replace

import pytest
from support.snapshots.readings import (
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
    some_logs,
)

from exporter.datatrove.failure import FAILURE_REASONS, Cause
from exporter.datatrove.task_state import Failure
from exporter.model.job import Job
from exporter.model.snapshot import Latest, Snapshot, Totals
from exporter.model.state import STATES

OUT_OF_MEMORY = Failure(Cause("out_of_memory"))


def jobs() -> tuple[Job, ...]:
    two = some_logs({3: OUT_OF_MEMORY, 4: OUT_OF_MEMORY}, others=58, deferred=7)
    one = some_logs({5: OUT_OF_MEMORY}, others=59)
    return (
        a_job("complete", reading=a_reading(tasks=10, tasks_completed=10)),
        a_job("failing", reading=a_reading(tasks=100, tasks_completed=40, logs=two), hidden=True),
        a_job("failing, too", reading=a_reading(tasks=100, tasks_completed=40, logs=one)),
        an_unreadable_job(),
    )


def test_totals_are_sums_over_all_jobs_hidden_and_unreadable_ones_included() -> None:
    totals = Totals.of_jobs(jobs())
    assert (totals.jobs, totals.jobs_completed, totals.jobs_completed_ratio) == (4, 1, 1 / 4)
    assert (totals.jobs_unreadable, totals.jobs_hidden, totals.logs_deferred) == (1, 1, 7)
    assert (totals.tasks, totals.tasks_completed) == (210, 90)
    assert totals.tasks_completed_ratio == 90 / 210


def test_totals_name_every_state_and_reason() -> None:
    totals = Totals.of_jobs(jobs())
    assert totals.jobs_in_state["complete"] == totals.jobs_in_state["unreadable"] == 1
    assert tuple(totals.jobs_in_state) == STATES
    assert sum(totals.jobs_in_state.values()) == totals.jobs
    assert totals.tasks_failed == dict.fromkeys(FAILURE_REASONS, 0) | {"out_of_memory": 3}


def test_totals_of_parts_are_those_of_all_their_jobs() -> None:
    first, second = jobs(), (a_job(), an_unreadable_job())
    parts = [Totals.of_jobs(first), Totals.of_jobs(second)]
    assert Totals.of_totals(parts) == Totals.of_jobs([*first, *second])


def test_nothing_of_nothing_has_no_ratio() -> None:
    totals = Totals.of_totals([])
    assert totals == Totals() == Totals.of_jobs([])
    assert (totals.jobs_completed_ratio, totals.tasks_completed_ratio) == (None, None)


@pytest.mark.parametrize(
    ("interval", "duration", "seconds"),
    [(60, None, 600), (60, 0.5, 600.5), (200, 1, 601), (1000, 0, 3000), (1000, 4000, 7000)],
)
def test_data_stays_fresh_for_longer_where_scans_are_rare_or_long(
    interval: float, duration: float | None, seconds: float
) -> None:
    root = a_root(scan_interval_seconds=interval, last_scan_duration_seconds=duration)
    assert root.fresh_for_seconds == seconds


def test_sums_over_all_roots_wait_for_a_root_that_could_not_be_read() -> None:
    """A root that nobody tried yet does not hold them up, and none of it is in them."""
    known, untried = a_root("known", *jobs()), an_unscanned_root("untried")
    failed = replace(untried, name="failed", attempted=True)
    assert a_snapshot(known).has_totals
    assert a_snapshot(known, untried).has_totals
    assert a_snapshot(known, untried).totals == known.totals
    assert not a_snapshot(known, failed).has_totals
    assert not a_snapshot(untried).has_totals


def test_a_snapshot_is_ready_when_every_root_had_its_attempt() -> None:
    tried = an_unscanned_root("tried", attempted=True)
    assert a_snapshot(tried).is_ready
    assert not a_snapshot(tried, an_unscanned_root("untried")).is_ready


def test_whoever_waits_for_a_snapshot_is_told_of_each_once() -> None:
    latest = Latest()
    assert latest.read() == Snapshot()
    assert not latest.wait(0)
    published = a_snapshot(a_root())
    latest.publish(published)
    assert latest.wait(0)
    assert latest.read() is published
    assert not latest.wait(0)
