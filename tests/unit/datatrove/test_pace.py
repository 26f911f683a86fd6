"""At what pace a job moves: pure values, no files."""

import random
from array import array

import pytest

from exporter.datatrove.pace import History, pace_of


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 10_000])
def test_a_history_has_few_points_and_both_ends(count: int) -> None:
    points = History.of_ordered([n * 10**9 for n in range(count)]).points()
    assert points[0] == (0.0, 1)
    assert points[-1] == (count - 1.0, count)
    assert len(points) == min(64, count)
    assert all(done == time + 1 for time, done in points)


def brute_force_pace(times: list[int], launch: int) -> tuple[int, int | None]:
    after = sorted(time for time in times if time >= launch)
    waits = [b - a for a, b in zip([launch, *after], after, strict=False)]
    return len(after), max(waits, default=None)


def test_pace_equals_a_brute_force_count() -> None:
    generator = random.Random(7)
    for _ in range(500):
        times = [generator.randrange(50) for _ in range(generator.randrange(12))]
        pace = pace_of(array("q", times), 20)
        assert (pace.completed_since_launch, pace.longest_gap_ns) == brute_force_pace(times, 20)


def test_a_marker_as_old_as_the_launch_counts_as_since_the_launch() -> None:
    assert pace_of([10], 10).completed_since_launch == 1
