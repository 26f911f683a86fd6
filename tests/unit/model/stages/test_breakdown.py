"""Rows by what they have in common."""

from support.snapshots.readings import a_job, a_reading, an_unreadable_job, report_of

from exporter.model.names.grouping import UNKNOWN, Group
from exporter.model.stages.breakdown import break_down

GROUPS = (Group("base/*", "d"), Group("base/*", "e"), Group("tok/*", "d"), UNKNOWN)
JOBS = (
    a_job("base/d", labels=(("dump", "d"),)),
    a_job("base/e", reading=a_reading(tasks=7, tasks_completed=7), labels=(("dump", "e"),)),
    an_unreadable_job("tok/d", labels=(("dump", "d"),)),
    a_job("x", reading=a_reading(tasks=3, tasks_completed=3)),
)
ROWS = report_of(*JOBS, groups=GROUPS).rows


def found(by: str) -> list[tuple[str | None, int, int, int]]:
    return [(p.value, p.jobs, p.tasks_completed, p.tasks) for p in break_down(ROWS, by)]


def test_parts_come_by_their_worst_state_and_have_the_sums_of_their_jobs() -> None:
    assert found("stage") == [("tok/*", 1, 0, 0), ("base/*", 2, 47, 107), (None, 1, 3, 3)]
    assert found("item") == [("d", 2, 40, 100), ("e", 1, 7, 7), (None, 1, 3, 3)]
    assert found("dump") == found("item")
    assert found("root") == [("r", 4, 50, 110)]


def test_each_state_is_a_part_and_what_nobody_has_is_one() -> None:
    assert [part.value for part in break_down(ROWS, "state")] == [
        "unreadable", "running", "complete",
    ]  # fmt: skip
    assert found("nothing") == [(None, 4, 50, 110)]
    assert break_down((), "stage") == []
    (part,) = break_down(ROWS, "nothing")
    assert part.worst_state == "unreadable"
    assert part.jobs_in_state["complete"] == 2
