"""What jobs completed lately, and when the rest will be done."""

import pytest
from support.snapshots.readings import DAY, HOUR, NOW, a_job, a_reading, report_of
from support.snapshots.stages import daily, finished, worked

from exporter.datatrove.throughput import HOUR_SECONDS
from exporter.model.job import Reading
from exporter.model.report import Row
from exporter.model.stages.throughput import Pace, Throughput


def rows_of(*readings: Reading | None) -> tuple[Row, ...]:
    return report_of(*(a_job(str(at), reading=r) for at, r in enumerate(readings))).rows


def throughput_of(*readings: Reading | None) -> Throughput:
    found = Throughput(NOW)
    for row in rows_of(*readings):
        found.add(row)
    return found


def test_days_end_now_and_hours_are_those_of_the_clock() -> None:
    found = throughput_of(daily(3, 0, 5), worked(1, HOUR, HOUR + 1, 13.5 * DAY))
    assert found.by_day() == (1, *[0] * 10, 5, 0, 6)
    assert len(found.by_day()) == 14
    assert len(found.by_hour()) == 48
    assert sum(found.by_hour()) == 6
    assert sum(found.by_hour()[-2:]) == 3


def test_of_the_hour_that_a_day_begins_in_a_part_counts() -> None:
    into_the_hour = NOW % HOUR_SECONDS
    begin = DAY + into_the_hour  # of that hour
    found = throughput_of(worked(*(begin - 36 * minute for minute in range(100))))
    assert found.since(NOW - DAY) == pytest.approx(100 * (1 - into_the_hour / HOUR_SECONDS), abs=1)
    assert found.since(NOW - 3 * DAY) == 100
    assert found.since(NOW) == 0


def test_the_pace_is_the_mean_of_seven_days_with_the_best_and_the_worst() -> None:
    found = throughput_of(daily(10, 20, 30, 20, 10, 25, 25, 1000))
    assert found.pace() == Pace(7, 20.0, 30.0, 10.0)
    done = found.done_about(120)
    assert done is not None
    assert (done.timestamp, done.earliest, done.latest) == pytest.approx(
        (NOW + 6 * DAY, NOW + 4 * DAY, NOW + 12 * DAY)
    )


def test_a_day_on_which_nothing_was_completed_has_no_end() -> None:
    done = throughput_of(daily(10, 0, 4)).done_about(10)
    assert done is not None
    assert done.latest is None
    assert done.timestamp == pytest.approx(NOW + 5 * DAY)
    assert done.earliest == pytest.approx(NOW + DAY)


def test_only_whole_days_since_the_work_began_count() -> None:
    begun = daily(10, 8, launched=2.9 * DAY)
    assert throughput_of(begun).pace() == Pace(2, 9.0, 10.0, 8.0)
    assert throughput_of(daily(10, launched=0.9 * DAY)).pace() is None
    old = a_reading(launch_timestamp=NOW - 40 * DAY, last_completion_timestamp=NOW - 39 * DAY)
    assert throughput_of(begun, old).pace() == Pace(2, 9.0, 10.0, 8.0)


def test_a_new_launch_does_not_make_work_begin_anew() -> None:
    found = throughput_of(daily(10, 20, 30, 20, 10, 25, 25, 9, launched=HOUR))
    assert found.pace() == Pace(7, 20.0, 30.0, 10.0)


def test_nothing_is_known_before_the_end_of_a_job_that_was_finished() -> None:
    found = throughput_of(daily(10, 10, 10, 10), finished(ago=2.5 * DAY))
    assert found.known_since == NOW - 2.5 * DAY
    assert found.pace() == Pace(2, 10.0, 10.0, 10.0)
    assert throughput_of(daily(10, 10), finished(ago=HOUR)).pace() is None
    assert throughput_of(daily(10, 10)).known_since < NOW - 14 * DAY


def test_without_tasks_left_or_completions_of_late_there_is_no_end() -> None:
    assert throughput_of(daily(10, 10)).done_about(0) is None
    assert throughput_of(worked(launched=3 * DAY)).done_about(5) is None
    assert throughput_of(None).done_about(5) is None


def test_jobs_count_as_finished_when_their_last_task_was() -> None:
    found = throughput_of(finished(ago=HOUR), finished(ago=2 * DAY), worked(60))
    assert found.jobs_since(NOW - DAY) == 1


def test_two_together_are_as_if_counted_at_once() -> None:
    first, second = daily(1, 2, 3), finished(ago=2.5 * DAY)
    together = throughput_of(first)
    together.add_all(throughput_of(second))
    assert together == throughput_of(first, second)


def test_what_was_completed_before_the_last_two_weeks_is_nothing_now() -> None:
    found = Throughput(NOW + 14.6 * DAY)
    for row in rows_of(daily(1, 2, 3)):
        found.add(row)
    assert found.by_day() == (0,) * 14
    assert found.since(NOW) == 0
