"""When a root is due, by numbers alone."""

import pytest

from exporter.scanning.schedule import Schedule


def waits(interval: float, failures: int) -> float:
    """Seconds from one scan to the next after that many failures in a row."""
    schedule = Schedule(interval, 0.0)
    for _ in range(failures):
        now = schedule.due
        schedule.began(now)
        schedule.ended(failing=True)
    return schedule.due - now


def test_the_first_scan_is_due_at_once_and_then_one_per_interval() -> None:
    schedule = Schedule(60, 1000.0)
    assert schedule.due == 1000
    for _ in range(100):
        due = schedule.due
        schedule.began(due + 0.5)  # late by a little: the schedule does not drift
        assert due + 57 <= schedule.due <= due + 63
        schedule.ended(failing=False)


def test_missed_intervals_are_not_made_up_for() -> None:
    schedule = Schedule(1, 0.0)
    schedule.began(3600.0)
    assert schedule.due > 3600


def test_roots_do_not_stay_in_step() -> None:
    schedules = [Schedule(60, 0.0) for _ in range(20)]
    for schedule in schedules:
        schedule.began(0.0)
    assert len({schedule.due for schedule in schedules}) > 10


@pytest.mark.parametrize(
    ("failures", "intervals"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (100, 8)]
)
def test_a_root_that_keeps_failing_is_left_alone_for_longer(failures: int, intervals: int) -> None:
    for _ in range(20):
        wait = waits(10, failures)
        assert 10 * intervals * 0.75 - 0.5 <= wait <= 10 * intervals * 1.25 + 0.5


def test_a_root_is_never_left_alone_for_more_than_ten_minutes_or_its_interval() -> None:
    assert max(waits(300, 50) for _ in range(50)) <= 600 * 1.25
    assert max(waits(7200, 50) for _ in range(50)) <= 7200 * 1.05


def test_success_ends_the_waiting() -> None:
    schedule = Schedule(10, 0.0)
    for _ in range(5):
        schedule.ended(failing=True)
    assert schedule.backoff_seconds == 70
    schedule.ended(failing=False)
    assert schedule.backoff_seconds == 0
