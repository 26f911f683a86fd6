"""Which rows are shown."""

from dataclasses import replace

import pytest
from support.snapshots.readings import (
    UNDER_WAY,
    a_job,
    nothing_completed,
    report_of,
)

from exporter.model.names.grouping import groups_of
from exporter.model.selection import Filter


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
