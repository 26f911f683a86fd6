"""In which order rows are shown."""

import itertools

import pytest
from support.snapshots.readings import (
    MANY,
    NOW,
    a_job,
    a_root,
    a_snapshot,
    report_of,
)

from exporter.model.facts import SORTS, job_json, sort_rows
from exporter.model.report import report_on


@pytest.mark.parametrize("by", SORTS)
def test_every_order_holds_every_row_and_rows_without_the_value_come_last(by: str) -> None:
    rows = report_of(*MANY).rows
    upwards = list(sort_rows(rows, by, descending=False))
    downwards = list(sort_rows(rows, by, descending=True))
    assert sorted(upwards, key=id) == sorted(downwards, key=id) == sorted(rows, key=id)
    names = {
        "progress": "completion_ratio",
        "idle": "idle_seconds",
        "remaining": "remaining_seconds",
        "pace": "tasks_per_hour",
        "launch": "launch_timestamp",
        "last": "last_completion_timestamp",
        "name": "job_name",
    }
    if by == "attention":
        assert upwards == list(rows) == downwards[::-1]
        return
    for in_order, is_right in ((upwards, lambda a, b: a <= b), (downwards, lambda a, b: a >= b)):
        found = [job_json(row)[names[by]] for row in in_order]
        known = [value for value in found if value is not None]
        assert found == known + [None] * (len(found) - len(known))
        assert all(itertools.starmap(is_right, itertools.pairwise(known)))


@pytest.mark.parametrize("by", SORTS)
def test_an_order_is_turned_as_its_label_says_unless_told_otherwise(by: str) -> None:
    rows = report_of(*MANY).rows
    sort, _ = SORTS[by]
    is_downwards = sort.label.endswith((", newest first", ", longest first"))
    assert sort.descending == is_downwards
    assert sort_rows(rows, by) == sort_rows(rows, by, descending=is_downwards)


@pytest.mark.parametrize("by", SORTS)
def test_jobs_alike_come_by_name_and_then_by_root(by: str) -> None:
    """Only the orders that tell them apart by themselves turn that around."""
    roots = (a_root(name, *map(a_job, "ab")) for name in "sr")
    rows = report_on(a_snapshot(*roots), NOW).rows
    names = [("a", "r"), ("a", "s"), ("b", "r"), ("b", "s")]
    for descending in (False, True):
        in_order = sort_rows(reversed(rows), by, descending=descending)
        expected = names[::-1] if descending and by in ("attention", "name") else names
        assert [(row.job_name, row.root.name) for row in in_order] == expected
