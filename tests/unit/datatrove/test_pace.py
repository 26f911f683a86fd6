"""At what pace a job moves: pure values, no files."""

import random
from array import array
from itertools import pairwise

import pytest

from exporter.datatrove.pace import History, pace_of, without_future


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 10_000])
def test_a_history_has_few_points_and_both_ends(count: int) -> None:
    points = History.of_ordered([n * 10**9 for n in range(count)]).points()
    assert points[0] == (0.0, 1)
    assert points[-1] == (count - 1.0, count)
    assert len(points) == min(64, count)
    assert all(done == time + 1 for time, done in points)


HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS


@pytest.mark.parametrize(
    ("times", "launch", "told"),
    [
        ([], 0, []),
        ([1, DAY_NS + HOUR_NS], 0, [1, DAY_NS + HOUR_NS]),
        ([1, 2, DAY_NS + HOUR_NS + 1, 9 * DAY_NS], 0, [1, 2, 2, 2]),
        ([1, 9 * DAY_NS], 5, [1, 5]),
        ([1, 9 * DAY_NS], None, [1, 1]),
        ([1, 9 * DAY_NS], 8 * DAY_NS, [1, 1]),
        ([9 * DAY_NS], 0, [9 * DAY_NS]),
    ],
)
def test_what_a_clock_wrote_that_is_far_ahead_counts_as_the_newest_that_can_be(
    times: list[int], launch: int | None, told: list[int]
) -> None:
    assert without_future(times, launch, DAY_NS) == told


def brute_force_pace(times: list[int], launch: int, start: int | None) -> tuple[int, int | None]:
    after = sorted(time for time in times if time >= launch)
    began = after if start is None else [start, *after]
    waits = [b - a for a, b in pairwise(began)]
    return len(after), max(waits, default=None)


def test_pace_equals_a_brute_force_count() -> None:
    generator = random.Random(7)
    for _ in range(500):
        times = [generator.randrange(50) for _ in range(generator.randrange(12))]
        first = min((time for time in times if time >= 20), default=50)
        start = generator.choice([None, 20, generator.randint(20, first)])
        pace = pace_of(array("q", times), 20, start)
        expected = brute_force_pace(times, 20, start)
        assert (pace.completed_since_launch, pace.longest_gap_ns) == expected


def test_time_in_a_queue_is_no_gap() -> None:
    """Launched at 0, in the queue for 48 hours, then a task every two minutes."""
    minute = 60 * 10**9
    start = 48 * 60 * minute
    times = [start + n * 2 * minute for n in range(1, 31)]
    assert pace_of(times, 0, start).longest_gap_ns == 2 * minute
    assert pace_of(times, 0, None).longest_gap_ns == 2 * minute
    assert pace_of(times[:1], 0, None).longest_gap_ns is None


def test_a_marker_as_old_as_the_launch_counts_as_since_the_launch() -> None:
    assert pace_of([10], 10, 10).completed_since_launch == 1


def test_a_start_is_not_after_the_first_completion() -> None:
    """Clocks may differ, and a file may be written between two looks."""
    pace = pace_of([30, 40], 10, 35)
    assert (pace.start_ns, pace.longest_gap_ns) == (30, 10)


def test_the_longest_waits_are_kept_with_their_times() -> None:
    minute = 60 * 10**9
    waits = pace_of([n * minute for n in (10, 11, 20, 24, 29)], 0, 2 * minute).waits
    assert waits is not None
    assert list(waits.stretches()) == [(120.0, 600.0), (660.0, 1200.0), (1440.0, 1740.0)]
    assert waits.others_seconds == 300
    assert pace_of([minute, 2 * minute], 0, 0).waits is None


def test_no_more_than_sixteen_waits_are_kept() -> None:
    """Each is a second longer than the one before; the first four are left out."""
    times = [0]
    for n in range(20):
        times.append(times[-1] + (400 + n) * 10**9)
    waits = pace_of(times, 0, None).waits
    assert waits is not None
    lengths = [end - begin for begin, end in waits.stretches()]
    assert lengths == [400 + n for n in range(4, 20)]
    assert waits.others_seconds == 404
