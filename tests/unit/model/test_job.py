"""What follows from a reading alone."""

from typing import Any

import pytest
from support.snapshots.readings import a_reading


@pytest.mark.parametrize(
    ("since_launch", "repeats", "left"),
    [(5, False, 60), (5, True, 95), (0, True, 100), (None, True, 60)],
)
def test_only_a_launch_that_repeats_tasks_has_those_done_before_it_left(
    since_launch: int | None, repeats: bool, left: int
) -> None:
    """Where the storage tells no times, every marker counts."""
    reading = a_reading(
        tasks_completed=40, tasks_completed_since_launch=since_launch, repeats_completed=repeats
    )
    assert reading.tasks_left == left
    assert not reading.is_complete


@pytest.mark.parametrize(
    ("completed", "since_launch", "more", "may_be"),
    [
        (40, 10, {}, True),
        (40, 40, {}, False),
        (40, 0, {}, False),
        (40, None, {}, True),
        (0, None, {}, False),
        (40, 10, {"mixed_pipelines": False}, False),
        (40, 10, {"mixed_pipelines": True}, False),
        (40, None, {"launch_timestamp": None}, False),
    ],
)
def test_tasks_of_two_launches_may_be_of_different_pipelines_until_somebody_compared_them(
    completed: int, since_launch: int | None, more: dict[str, Any], may_be: bool
) -> None:
    """Where nobody can ever tell, there is nothing to ask."""
    reading = a_reading(
        tasks_completed=completed, tasks_completed_since_launch=since_launch, **more
    )
    assert reading.may_be_mixed == may_be
