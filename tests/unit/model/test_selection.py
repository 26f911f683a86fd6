"""Which rows are shown, and in which order."""

import itertools
from dataclasses import replace

import pytest
from support.readings import (
    MANY,
    NOW,
    UNDER_WAY,
    a_job,
    a_root,
    a_snapshot,
    nothing_completed,
    report_of,
)

from exporter.model.facts import SORTS, job_json
from exporter.model.report import report_on
from exporter.model.selection import Filter, sort_rows
from exporter.model.stages.grouping import groups_of


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


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (Filter(), {"a/x", "a/y", "B/x", "c"}),
        (Filter(name="/X"), {"a/x", "B/x"}),
        (Filter(name="b"), {"B/x"}),
        (Filter(prefix="a"), {"a/x", "a/y"}),
        (Filter(prefix="b"), set()),
        (Filter(roots=frozenset({"r"})), {"a/x", "a/y", "B/x", "c"}),
        (Filter(roots=frozenset({"other"})), set()),
        (Filter(hide_complete=True), {"a/x", "B/x", "c"}),
        (Filter(states=frozenset({"waiting", "complete"})), {"a/y", "B/x"}),
        (Filter(states=frozenset({"waiting", "complete"}), hide_complete=True), {"B/x"}),
        (Filter(name="x", prefix="a", states=frozenset({"running"})), {"a/x"}),
    ],
)
def test_filters_keep_what_they_say(chosen: Filter, names: set[str]) -> None:
    report = report_of(
        a_job("a/x", reading=UNDER_WAY),
        a_job("a/y", reading=replace(UNDER_WAY, tasks_completed=100)),
        a_job("B/x", reading=nothing_completed(launched=60, started=False)),
        # Complete when it was last read; it cannot be hidden now that it cannot be.
        a_job("c", reading=replace(UNDER_WAY, tasks_completed=100), error="denied"),
    )
    assert {row.job_name for row in report.rows if chosen.keeps(row)} == names


def test_stage_item_labels_and_stray_markers_choose_jobs() -> None:
    names = ("minhash/CC-MAIN-2014-23/sigs", "minhash/CC-MAIN-2015-11/sigs", "tokens/books")
    jobs = [
        a_job(
            name,
            reading=replace(UNDER_WAY, stray_markers=at),
            labels=(("dump", str(at)), ("u", "v")),
        )
        for at, name in enumerate(names)
    ]
    rows = report_of(*jobs, groups=groups_of(names)).rows

    def found(**wanted: object) -> list[int]:
        return [names.index(row.job_name) for row in rows if Filter(**wanted).keeps(row)]  # type: ignore[arg-type]

    assert found(stages=frozenset({"minhash/*/sigs"})) == [0, 1]
    assert found(items=frozenset({"CC-MAIN-2015-11"})) == [1]
    assert found(labels=frozenset({("u", "v")})) == [0, 1, 2]
    assert found(labels=frozenset({("u", "v"), ("dump", "2")})) == [2]
    assert found(labels=frozenset({("u", "w")})) == []
    assert found(has_strays=True) == [1, 2]
