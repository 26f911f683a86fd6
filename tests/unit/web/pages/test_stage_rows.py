"""The table of stages on the page."""

from dataclasses import replace
from urllib.parse import parse_qsl

from support.snapshots.many_jobs import an_estate
from support.snapshots.readings import NOW, a_job, a_root, a_snapshot

from exporter.model.names.grouping import groups_of
from exporter.model.report import report_on
from exporter.model.selection import Filter
from exporter.model.stages.table import report_table
from exporter.web.pages.stage_rows import stage_rows
from exporter.web.query import Query, parse_query

WANTED = Filter(name="CC-MAIN")


def test_each_number_leads_to_the_jobs_that_it_counts() -> None:
    report = report_on(a_snapshot(*an_estate()), NOW)
    table = stage_rows(report_table(report, WANTED), Query(WANTED), is_whole=False)
    assert table is not None
    counted = 0
    for row, _, counts in table["rows"]:
        assert sum(each.jobs for each in counts) == row.jobs
        for each in counts:
            if each.query is not None:
                query = parse_query(parse_qsl(each.query), strict=False)
                assert len(query.select(report.rows)) == each.jobs
                counted += each.jobs
    assert counted == 576


def test_there_is_no_table_without_a_stage_and_a_long_one_ends_with_the_slowest() -> None:
    plain = report_on(a_snapshot(a_root("r", a_job("x"))), NOW)
    assert stage_rows(report_table(plain, Filter()), Query(), is_whole=True) is None
    names = sorted(f"{n}_filter/CC-MAIN-2014-{20 + n}" for n in range(10, 40))
    root = a_root("r", *map(a_job, names), groups=groups_of(names))
    table = report_table(report_on(a_snapshot(root), NOW), Filter())
    first, whole = (stage_rows(table, Query(), is_whole=w) for w in (False, True))
    assert first is not None
    assert whole is not None
    assert (len(first["rows"]), first["more"], first["query"]) == (12, 18, "view=stages")
    assert (len(whole["rows"]), whole["more"]) == (30, 0)
    is_late = [replace(row, is_slowest=at == 20) for at, row in enumerate(table.stages)]
    late = stage_rows(replace(table, stages=tuple(is_late)), Query(), is_whole=False)
    assert late is not None
    assert [row.stage for row, *_ in late["rows"]][12:] == [table.stages[20].stage]
    assert late["more"] == 17
