"""When a root is due, by numbers alone."""

import pytest

from exporter.scanning.schedule import Timetable


def waits(interval: float, failures: int) -> float:
    """Seconds from one scan to the next after that many failures in a row."""
    timetable = Timetable(interval, 0.0)
    for _ in range(failures):
        now = timetable.due
        timetable.began(now)
        timetable.ended(failing=True)
    return timetable.due - now


def test_the_first_scan_is_due_at_once_and_then_one_per_interval() -> None:
    timetable = Timetable(60, 1000.0)
    assert timetable.due == 1000
    for _ in range(100):
        due = timetable.due
        timetable.began(due + 0.5)  # late by a little: the schedule does not drift
        assert due + 57 <= timetable.due <= due + 63
        timetable.ended(failing=False)


def test_missed_intervals_are_not_made_up_for() -> None:
    timetable = Timetable(1, 0.0)
    timetable.began(3600.0)
    assert timetable.due > 3600


def test_roots_do_not_stay_in_step() -> None:
    timetables = [Timetable(60, 0.0) for _ in range(20)]
    for timetable in timetables:
        timetable.began(0.0)
    assert len({timetable.due for timetable in timetables}) > 10


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
    timetable = Timetable(10, 0.0)
    for _ in range(5):
        timetable.ended(failing=True)
    assert timetable.backoff_seconds == 70
    timetable.ended(failing=False)
    assert timetable.backoff_seconds == 0
