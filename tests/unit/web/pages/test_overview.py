"""When all is done, and what of a day is drawn."""

import re
from dataclasses import replace

import pytest
from support.snapshots.many_jobs import an_estate
from support.snapshots.pages import page_of, text_of
from support.snapshots.readings import DAY, NOW, a_job, a_root, a_snapshot, completed
from support.snapshots.stages import daily, finished

from exporter.model.report import report_on
from exporter.model.selection import Filter
from exporter.model.stages.table import report_table
from exporter.web.pages.overview import overview, sparkline
from exporter.web.query import Query


def test_the_highest_bar_is_as_high_as_the_line_and_a_day_with_anything_is_seen() -> None:
    line = sparkline((1, 0, 1000))
    assert line is not None
    assert [bar[3] for bar in line.bars] == [2, 0.5, 30]
    assert (line.bars[2][0] + line.bars[2][2], line.bars[2][1]) == (line.width, 0)
    assert sparkline((0, 0)) is None
    assert sparkline(()) is None


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({}, ""),
        ({"stalled": 1}, "if the 1 stalled is launched again"),
        ({"stalled": 52, "failed": 3, "waiting": 431, "abandoned": 49},
         ("if the 52 stalled and 3 failed are launched again and the 431 waiting begin; "
          "without the 49 abandoned")),
        ({"waiting": 1}, "if the 1 waiting begins"),
        ({"abandoned": 2}, "without the 2 abandoned"),
    ],
)  # fmt: skip
def test_what_an_end_depends_on_is_named(states: dict[str, int], said: str) -> None:
    report = report_on(a_snapshot(a_root("r", a_job("j"))), NOW)
    whole = report_table(report, Filter()).whole
    whole = replace(whole, jobs_in_state={**whole.jobs_in_state, **states})
    assert overview(report, report, whole, Query())["condition"] == said


def test_an_end_comes_with_its_range_and_what_it_leaves_out() -> None:
    days = daily(20, 10, 40, 20, 20, 20, 10, 5, 5, 5, of=1145)
    waiting = daily(of=100, launched=DAY / 2)
    days = replace(days, last_completion_timestamp=NOW - 3600)
    text = text_of(page_of(a_root("r", a_job("j", reading=days), a_job("k", reading=waiting))))
    assert "All done about 8 Jan 2024 (12 Dec – 2 Mar 2024), if the 1 waiting begins" in text


def test_an_end_that_is_years_away_is_no_date() -> None:
    """A pace does not last so long; the API has the number."""
    slow = daily(*[1] * 14, of=5000)
    text = text_of(page_of(a_root("r", a_job("j", reading=slow))))
    assert "All done in more than a year" in text
    assert not re.search(r"\b20(2[5-9]|[3-9]\d)\b", text)


def test_running_jobs_that_end_in_years_have_no_date() -> None:
    slow = completed(2, ago=600, launched=DAY / 3, gap=600)
    slow = replace(slow, tasks=50_000)
    text = text_of(page_of(a_root("r", a_job("j", reading=slow))))
    assert "Running jobs end in more than a year" in text
    assert "about more" not in text
    assert not re.search(r"\b20(2[5-9]|[3-9]\d)\b", text)


def test_why_an_end_is_not_known_is_said() -> None:
    new = completed(10, ago=600, launched=DAY / 3, gap=600)
    assert "When all is done is not known: " in text_of(
        page_of(a_root("r", a_job("j", reading=new)))
    )
    done = a_root("r", a_job("j", reading=completed(100, ago=600, gap=600)))
    assert "All done" in text_of(page_of(done))


def test_from_when_on_days_are_known_is_said_where_the_line_has_more() -> None:
    job = a_job("j", reading=daily(*[10] * 10))
    whole = text_of(page_of(a_root("r", job)))
    part = text_of(page_of(a_root("r", job, a_job("k", reading=finished(ago=3 * DAY)))))
    assert "tasks a day;" in whole
    assert re.search(r"tasks a day, known since \d+ Nov;", part)


def test_both_shares_are_shown_by_tasks_and_by_jobs() -> None:
    done = [a_job(f"d{n}", reading=completed(100, ago=600, gap=600)) for n in range(10)]
    big = replace(completed(0, ago=600, gap=600), tasks=999_000)
    text = text_of(page_of(a_root("r", *done, a_job("big", reading=big))))
    assert "0.1 % of tasks: 1,000 of 1,000,000 tasks completed" in text
    assert "90 % of jobs: 10 of 11 jobs complete" in text


def test_numbers_of_states_are_those_of_the_other_filters_and_lead_to_several() -> None:
    report = report_on(a_snapshot(*an_estate(dumps=12, experiments=28)), NOW)
    query = Query(Filter(name="minhash", states=frozenset({"waiting"})))
    whole = report_table(report, query.filter).whole
    tiles = {tile["of"].name: tile for tile in overview(report, report, whole, query)["tiles"]}  # type: ignore[attr-defined]
    assert sum(tile["jobs"] for tile in tiles.values()) == 48
    assert tiles["waiting"]["is_chosen"]
    assert tiles["waiting"]["query"] == "name=minhash"
    assert tiles["failed"]["query"] == "name=minhash&state=failed&state=waiting"
