"""Rows as columns of text, each value one word."""

from dataclasses import replace

import pytest
from support.snapshots.readings import (
    HOUR,
    NOW,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    completed,
    nothing_completed,
    report_of,
)

from exporter.commands.status.tables.jobs import bar, change, job_columns, summary
from exporter.model.job import Job
from exporter.model.report import report_on


def cells(*jobs: Job, **options: object) -> dict[str, list[str]]:
    """The cells of each column that these jobs have."""
    report = report_of(*jobs)
    return {
        column.heading: list(column.cells)
        for column in job_columns(report, report.rows, **options)  # type: ignore[arg-type]
    }


def test_time_left_is_overdue_once_it_has_passed_and_unknown_otherwise() -> None:
    times = cells(
        a_job("late", reading=completed(99, ago=2 * HOUR, gap=9 * HOUR)),
        a_job("on time", reading=completed(50, ago=600, gap=600)),
        a_job("slow", reading=replace(completed(50, ago=600, gap=600), tasks=100_000)),
        a_job("waits", reading=nothing_completed(launched=60, started=False)),
    )["TIME LEFT"]
    assert times == ["overdue:1h55m", "9h40m", ">1y", "-"]


def test_of_a_last_completion_is_said_whether_there_is_none_or_nobody_knows() -> None:
    last = cells(
        a_job("a", reading=a_reading(last_completion_timestamp=None)),
        a_job("b", reading=a_reading(tasks_completed=0, last_completion_timestamp=None)),
        a_job("c", reading=a_reading(last_completion_timestamp=NOW - 90)),
        an_unreadable_job("d"),
    )["LAST COMPLETION"]
    assert sorted(last) == ["-", "-", "1m30s", "unknown"]


def test_a_note_says_what_cannot_be_read_what_is_old_and_what_is_stray() -> None:
    strays = [a_reading(stray_markers=number) for number in (1, 2)]
    notes = cells(
        an_unreadable_job("a"),
        a_job("b", reading=strays[0], as_of=NOW - HOUR),
        a_job("c", reading=strays[1]),
    )["NOTE"]
    assert sorted(notes) == ["2 stray markers", "access denied", "as of 1 h ago; 1 stray marker"]
    assert "NOTE" not in cells(a_job("d"))


def test_roots_are_named_where_there_are_several() -> None:
    assert "ROOT" not in cells(a_job("a"))
    report = report_on(a_snapshot(a_root("r", a_job("a")), a_root("s")), NOW)
    assert job_columns(report, report.rows)[0].cells == ["r"]


@pytest.mark.parametrize(
    ("completed", "total", "full"), [(0, 9, 0), (8, 9, 14), (9, 9, 16), (99, 9, 16), (0, 0, 0)]
)
def test_a_bar_is_full_only_when_all_is_completed(completed: int, total: int, full: int) -> None:
    assert bar(completed, total) == "━" * full + "┄" * (16 - full)


def test_changes_are_told_with_their_sign() -> None:
    assert [change(number) for number in (3, 0, -1)] == ["+3", "", "-1"]
    report = report_of(a_job("a"), a_job("b"))
    (key, _) = (row.key for row in report.rows)
    columns = job_columns(report, report.rows, new={key: 3}, with_bars=True)
    assert [column.heading for column in columns[2:6]] == ["DONE", "NEW", "", "%"]
    assert columns[3].cells == ["+3", ""]


def test_the_summary_names_states_that_need_somebody_and_of_what_it_is_a_part() -> None:
    stalled = a_job("s", reading=completed(40, ago=9 * HOUR, gap=600))
    report = report_of(stalled, a_job("r"), an_unreadable_job(), a_job("w"))
    assert summary(report) == (
        "Summary: 0/4 (0 %) jobs completed, 120/300 (40 %) tasks completed, 1 unreadable, "
        "1 stalled."
    )
    some = [row for row in report.rows if row.job_name in "rw"]
    assert summary(report, some) == (
        "Summary: 0/2 (0 %) jobs completed, 80/200 (40 %) tasks completed, of 4 jobs in all."
    )
    lost = replace(report, roots=(replace(report.roots[0], root=a_root("x", totals=None)),))
    assert summary(lost).endswith(", without root x (never read).")
