"""Rows of a report as one pipeline."""

import random
from collections.abc import Sequence

import pytest
from support.snapshots.readings import DAY, HOUR, NOW, a_job, an_unreadable_job, report_of
from support.snapshots.stages import daily, finished, rows_of, rows_of_states, worked

from exporter.model.job import Reading
from exporter.model.names.grouping import Group, groups_of
from exporter.model.report import Row
from exporter.model.selection import Filter
from exporter.model.snapshot import DepartedJob
from exporter.model.stages.table import StageRow, StageTable, report_table, stage_table
from exporter.model.stages.throughput import DoneAbout


def table_of(rows: Sequence[Row]) -> StageTable:
    return stage_table(rows, NOW)


def stages_of(rows: Sequence[Row]) -> list[str | None]:
    return [row.stage for row in table_of(rows).stages]


def row_of(table: StageTable, stage: str | None) -> StageRow:
    return next(row for row in table.stages if row.stage == stage)


PIPELINE = rows_of(
    a_job("filter/CC-MAIN-2020-05", reading=daily(*[50] * 10, of=600)),
    a_job("filter/CC-MAIN-2020-10", reading=finished(200, ago=12 * HOUR)),
    a_job("tokenize/CC-MAIN-2020-05", reading=daily(*[10] * 10, of=600)),
    a_job("tokenize/CC-MAIN-2020-10", reading=worked(launched=HOUR, tasks=100)),
    a_job("experiment", reading=worked(9 * DAY, tasks=70)),
    an_unreadable_job("broken"),
)


def test_each_stage_has_its_sums_and_the_jobs_without_one_come_last() -> None:
    table = table_of(PIPELINE)
    assert [(r.stage, r.jobs, r.tasks_completed, r.tasks, r.tasks_left) for r in table.stages] == [
        ("filter/*", 2, 700, 800, 100),
        ("tokenize/*", 2, 100, 700, 600),
        (None, 2, 1, 70, 0),
    ]  # those of an abandoned job are not left
    whole = table.whole
    assert (whole.stage, whole.jobs, whole.tasks_completed, whole.tasks, whole.tasks_left) == (
        None, 6, 801, 1570, 700,
    )  # fmt: skip
    assert row_of(table, "filter/*").completion_ratio == 7 / 8
    assert whole.jobs_in_state["unreadable"] == 1


def test_what_is_left_out_is_named() -> None:
    open_jobs = {"a": "stalled", "b": "failed", "c": "abandoned", "d": "waiting", "e": "waiting"}
    rows = rows_of_states(**open_jobs, f="complete")
    assert table_of(rows).whole.jobs_left_out == {
        "stalled": 1, "failed": 1, "abandoned": 1, "waiting": 2,
    }  # fmt: skip
    assert table_of(rows_of_states(a="running", b="unreadable")).whole.jobs_left_out == {}


def all_ends(rows: tuple[Row, ...]) -> list[DoneAbout]:
    """When all is done, and when each stage of which that is known."""
    table = table_of(rows)
    return [row.done_about for row in (table.whole, *table.stages) if row.done_about]


def test_the_stage_that_ends_last_is_the_slowest() -> None:
    known = tuple(row for row in PIPELINE if row.state != "complete")
    table = table_of(known)
    ends = {row.stage: row.done_about for row in table.stages}
    assert ends[None] is None
    assert ends["filter/*"].timestamp == pytest.approx(NOW + 2 * DAY)
    assert ends["tokenize/*"].timestamp == pytest.approx(NOW + 60 * DAY)
    assert [row.stage for row in table.stages if row.is_slowest] == ["tokenize/*"]
    assert not table.whole.is_slowest


def test_all_is_not_done_before_the_last_stage_is() -> None:
    whole, *stages = all_ends(rows_of(
        a_job("filter/CC-MAIN-2020-05", reading=daily(*[20] * 10, of=300)),
        a_job("filter/CC-MAIN-2020-10", reading=daily(*[20] * 10, of=300)),
        a_job("tokenize/CC-MAIN-2020-05", reading=daily(*[5, 15] * 5, of=300)),
    ))  # fmt: skip
    assert [end.timestamp for end in stages] == pytest.approx(
        [NOW + 5 * DAY, NOW + 23.3 * DAY], 1e-3
    )
    assert whole == stages[1]


def test_all_is_done_by_the_pace_of_all_where_no_stage_ends_later() -> None:
    whole, only = all_ends(rows_of(
        a_job("filter/CC-MAIN-2020-05", reading=daily(*[20] * 10, of=300)),
        a_job("tokenize/CC-MAIN-2020-05", reading=worked(launched=HOUR, tasks=900)),
    ))  # fmt: skip
    assert only.timestamp == pytest.approx(NOW + 5 * DAY)
    assert whole.timestamp == pytest.approx(NOW + 50 * DAY)


def test_the_latest_end_is_unknown_if_that_of_a_stage_is() -> None:
    whole, *stages = all_ends(rows_of(
        a_job("filter/CC-MAIN-2020-05", reading=daily(*[20] * 10, of=300)),
        a_job("tokenize/CC-MAIN-2020-05", reading=daily(*[0, 9] * 5, of=300)),
    ))  # fmt: skip
    assert [end.latest is None for end in stages] == [False, True]
    assert whole.latest is None


def test_no_end_of_all_lies_before_that_of_a_stage() -> None:
    chance = random.Random(2)
    for _ in range(200):
        rows = rows_of(*(
            a_job(f"{stage}/CC-MAIN-2020-{dump}",
                  reading=daily(*(chance.choice((0, 0, 3, 20)) for _ in range(9)), of=400))
            for stage in ("filter", "minhash", "tokenize") for dump in ("05", "10")
        ))  # fmt: skip
        ends = all_ends(rows)
        for end in ends[1:]:
            assert end.timestamp <= ends[0].timestamp
            assert end.earliest <= ends[0].earliest
            assert ends[0].latest is None or (end.latest or 0) <= ends[0].latest


def test_one_stage_alone_is_not_the_slowest() -> None:
    rows = rows_of(a_job("filter/CC-MAIN-2020-05", reading=daily(*[50] * 10)))
    (row,) = table_of(rows).stages
    assert row.done_about is not None
    assert not row.is_slowest


def test_what_was_done_in_the_last_day_is_told() -> None:
    row = row_of(table_of(PIPELINE), "filter/*")
    assert (row.tasks_last_day, row.jobs_finished_last_day) == (50, 1)
    assert row.pace is None  # less than a day is known: the other was complete when first seen
    slow = row_of(table_of(PIPELINE), "tokenize/*")
    assert (slow.tasks_last_day, slow.jobs_finished_last_day) == (10, 0)
    assert slow.pace.mean == pytest.approx(10)


def test_stages_come_as_the_items_go_through_them() -> None:
    rows = rows_of(
        a_job("minhash/CC-MAIN-2020-05/filter", reading=worked(launched=5)),
        a_job("minhash/CC-MAIN-2020-05/clusters", reading=worked(60, 90)),
        a_job("minhash/CC-MAIN-2020-05/buckets", reading=finished(ago=HOUR)),
        a_job("minhash/CC-MAIN-2020-05/signatures", reading=finished(ago=2 * HOUR)),
        a_job("minhash/CC-MAIN-2020-10/buckets", reading=worked(launched=4)),
        a_job("minhash/CC-MAIN-2020-10/signatures", reading=worked(launched=5)),  # queued first
    )
    expected = [f"minhash/*/{step}" for step in ("signatures", "buckets", "clusters", "filter")]
    assert stages_of(rows) == expected
    assert stages_of(rows[::-1]) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (worked(60, tasks=2), worked(90, tasks=5)),  # further, though not the first of late
        (finished(ago=DAY), finished(ago=HOUR)),
        (worked(launched=9), worked(launched=8)),
    ],
)
def test_of_two_stages_of_an_item_the_first_is_further_or_was_earlier(
    first: Reading, second: Reading
) -> None:
    for names in (("filter", "tokenize"), ("tokenize", "filter")):
        jobs = [
            a_job(f"{n}/CC-MAIN-2020-05", reading=r)
            for n, r in zip(names, (first, second), strict=True)
        ]
        assert stages_of(rows_of(*jobs)) == [f"{name}/*" for name in names]


def test_a_stage_that_shares_no_item_comes_by_how_far_it_is() -> None:
    rows = rows_of(
        a_job("filter/CC-MAIN-2020-05", reading=worked(60, tasks=2)),
        a_job("tokenize/CC-MAIN-2020-05", reading=worked(60, tasks=5)),
        a_job("cluster", reading=worked()),
    )
    assert stages_of(rows) == ["filter/*", "tokenize/*", "cluster"]


def test_the_configuration_says_the_order_of_some_or_all() -> None:
    jobs = [row.job for row in PIPELINE]
    said = ("tokenize/*", "nothing", "filter/*")
    assert stages_of(rows_of(*jobs, stage_order=said)) == ["tokenize/*", "filter/*", None]
    assert stages_of(rows_of(*jobs, stage_order=said[:1])) == ["tokenize/*", "filter/*", None]
    assert stages_of(rows_of(*jobs, stage_order=said[1:])) == ["filter/*", "tokenize/*", None]


def test_no_rows_are_no_stages() -> None:
    table = table_of(())
    assert table.stages == ()
    assert table.whole.jobs == 0
    assert table.whole.completion_ratio is None
    assert table.whole.done_about is None


def test_complete_jobs_tell_the_pace_where_a_filter_leaves_them_out() -> None:
    done = daily(*[100] * 10, of=1000)
    jobs = (
        a_job("filter/CC-MAIN-2020-05", reading=daily(*[10] * 10, of=320)),
        a_job("filter/CC-MAIN-2020-10", reading=done),
        a_job("merge/CC-MAIN-2020-10", reading=done),
    )
    report = report_of(*jobs, groups=groups_of([job.name for job in jobs]))
    whole = report_table(report, Filter(hide_complete=True)).whole
    assert (whole.jobs, whole.tasks_left, whole.tasks_last_day) == (1, 220, 210)
    assert whole.pace.mean == pytest.approx(210)
    (row,) = report_table(report, Filter(states=frozenset({"stalled"}))).stages
    assert row.done_about.timestamp == pytest.approx(NOW + 2 * DAY)
    by_name = report_table(report, Filter(name="merge")).whole
    assert (by_name.jobs, by_name.tasks_last_day) == (1, 100)


def test_what_departed_jobs_completed_counts_where_the_filter_would_keep_them() -> None:
    reading = daily(*[10] * 10, of=320)
    labels = (("dump", "x"),)
    gone = DepartedJob("filter/x", Group("filter/*", "x"), reading.by_hour, labels)
    job = a_job("filter/CC-MAIN-2020-05", reading=reading)
    report = report_of(job, groups=groups_of([job.name]), departed=(gone,))
    table = report_table(report, Filter())
    assert (table.whole.jobs, table.whole.tasks_last_day) == (1, 20)
    assert table.stages[0].tasks_last_day == 20
    assert table.stages[0].throughput.by_day() == (0, 0, 0, 0, *[20] * 10)
    assert report_table(report, Filter(name="CC")).whole.tasks_last_day == 10
    assert report_table(report, Filter(roots=frozenset({"other"}))).whole.tasks_last_day == 0
    assert report_table(report, Filter(labels=frozenset(labels))).whole.tasks_last_day == 10
    assert report_table(report, Filter(has_strays=True)).whole.tasks_last_day == 20
