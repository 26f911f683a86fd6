"""Which waits were pauses of the whole cluster."""

from dataclasses import replace

import pytest
from support.snapshots.readings import HOUR, a_reading

from exporter.config.settings import StallRule
from exporter.datatrove.pace import pace_of
from exporter.model.job import Reading
from exporter.model.pause import longest_wait_seconds, pauses_of, seconds_without

MINUTE = 60.0


def job(*completions: float, launch: float = 0.0) -> Reading:
    """A job that completed tasks at these times."""
    nanoseconds = [round(time * 1e9) for time in completions]
    pace = pace_of(nanoseconds, round(launch * 1e9), round(launch * 1e9))
    longest = pace.longest_gap_ns
    return a_reading(
        tasks=1000,
        tasks_completed=len(completions),
        launch_timestamp=launch,
        last_completion_timestamp=max(completions, default=None),
        longest_completion_gap_seconds=None if longest is None else longest / 1e9,
        waits=pace.waits,
    )


def every(seconds: float, begin: float, end: float) -> list[float]:
    times = [begin + seconds]
    while times[-1] < end:
        times.append(times[-1] + seconds)
    return times


def paused(*pauses: tuple[float, float], hours: float = 40, shift: float = 0) -> Reading:
    """A job with a completion every ten minutes, but for these pauses."""
    times = [
        time
        for time in every(10 * MINUTE, shift, hours * HOUR)
        if not any(begin < time < end for begin, end in pauses)
    ]
    return job(*times)


TWELVE_HOURS = (10 * HOUR, 22 * HOUR)
RULE = StallRule()


def test_where_most_jobs_waited_the_cluster_paused() -> None:
    jobs = [paused(TWELVE_HOURS, shift=n * MINUTE) for n in range(20)]
    ((begin, end),) = pauses_of(jobs, RULE)
    assert begin == pytest.approx(10 * HOUR, abs=10 * MINUTE)
    assert end == pytest.approx(22 * HOUR, abs=10 * MINUTE)
    for reading in jobs:
        assert (reading.longest_completion_gap_seconds or 0) >= 12 * HOUR
        assert (longest_wait_seconds(reading, [(begin, end)]) or 0) <= 30 * MINUTE


def test_after_one_pause_another_one_of_the_same_length_is_found() -> None:
    """By its raw waits nothing stands out in a job that paused once."""
    twice = (TWELVE_HOURS, (25 * HOUR, 36 * HOUR))
    pauses = pauses_of([paused(*twice, shift=n * MINUTE) for n in range(5)], RULE)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("pausing", "others", "found"), [(5, 0, 1), (4, 0, 0), (3, 2, 1), (3, 3, 0), (0, 9, 0)]
)
def test_five_jobs_have_to_be_under_way_and_more_than_half_of_them_to_wait(
    pausing: int, others: int, found: int
) -> None:
    jobs = [paused(TWELVE_HOURS)] * pausing + [paused()] * others
    assert len(pauses_of(jobs, RULE)) == found


def test_jobs_of_long_tasks_that_end_in_waves_do_not_pause() -> None:
    """At any time most of them completed nothing for an hour."""
    jobs = [job(*every(6 * HOUR, n * HOUR, 60 * HOUR), launch=n * HOUR) for n in range(12)]
    assert pauses_of(jobs, RULE) == ()


def test_the_wait_for_the_first_completion_is_no_pause_but_may_lie_in_one() -> None:
    new = [job(*every(10 * MINUTE, 22 * HOUR, 30 * HOUR), launch=5 * HOUR) for _ in range(9)]
    assert pauses_of(new, RULE) == ()
    pauses = pauses_of([*[paused(TWELVE_HOURS)] * 20, *new], RULE)
    left = longest_wait_seconds(new[0], pauses) or 0
    assert left == pytest.approx(5 * HOUR, abs=20 * MINUTE)


def test_dead_jobs_are_no_pause_of_those_that_live() -> None:
    """Nor do they hide one."""
    dead = [paused(hours=9)] * 50
    slow = [job(*every(6 * HOUR, 0, 60 * HOUR))] * 6
    assert pauses_of([*dead, *slow], RULE) == ()
    assert len(pauses_of([*dead, *[paused(TWELVE_HOURS)] * 5], RULE)) == 1


def test_jobs_without_times_are_left_out() -> None:
    unknown = replace(
        paused(TWELVE_HOURS), last_completion_timestamp=None, tasks_completed_since_launch=None
    )
    assert pauses_of([unknown] * 9, RULE) == ()
    assert longest_wait_seconds(a_reading(longest_completion_gap_seconds=None), []) is None


def test_a_stretch_without_pauses_is_shorter_by_what_they_share() -> None:
    assert seconds_without((10, 20), []) == 10
    assert seconds_without((10, 20), [(0, 12), (14, 15), (19, 30), (40, 50)]) == 6


def test_waits_that_were_not_kept_count_as_long_as_they_may_have_been() -> None:
    """Of more than sixteen pauses the shortest kept one stands for those that were not."""
    reading = job(*every(HOUR, 0, 30 * HOUR))
    assert longest_wait_seconds(reading, [(0, 30 * HOUR)]) == HOUR
    few = job(*every(HOUR, 0, 5 * HOUR))
    assert longest_wait_seconds(few, [(0, 30 * HOUR)]) == 300
