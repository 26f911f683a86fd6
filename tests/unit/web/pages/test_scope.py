"""What is asked for, in words and in numbers."""

from dataclasses import replace
from urllib.parse import parse_qsl

from support.snapshots.readings import HOUR, NOW, a_job, a_root, a_snapshot, completed

from exporter.model.report import report_on
from exporter.model.selection import Filter
from exporter.web.pages.scope import chosen, hidden_fields, scope_of, with_states
from exporter.web.query import Query, parse_query

EVERYTHING = Filter(
    name="x",
    roots=frozenset({"a", "b"}),
    states=frozenset({"stalled", "failed"}),
    hide_complete=True,
    stages=frozenset({"s"}),
    items=frozenset({"i"}),
    labels=frozenset({("dump", "d")}),
    has_strays=True,
)


def parsed(query: str) -> Query:
    return parse_query(parse_qsl(query), strict=False)


def test_each_thing_that_is_asked_for_can_be_left_out_alone() -> None:
    query = Query(EVERYTHING, view="list", page=3)
    told = chosen(query)
    assert [(each.kind, each.value) for each in told] == [
        ("name contains", "x"), ("root", "a"), ("root", "b"), ("stage", "s"), ("item", "i"),
        ("dump", "d"), ("with", "stray markers"), ("without", "complete jobs"),
        ("state", "failed"), ("state", "stalled"),
    ]  # fmt: skip
    assert parsed(told[0].without) == replace(query, filter=replace(EVERYTHING, name=""), page=1)
    left = [len(chosen(parsed(each.without))) for each in told]
    assert left == [9] * 8 + [8] * 2  # complete jobs are named again by whoever asks for states
    assert chosen(Query()) == []


def test_a_form_hands_on_what_it_does_not_show() -> None:
    query = Query(EVERYTHING, sort="name", order="desc", page=3, per_page=50, view="list")
    fields = hidden_fields(query, {"name", "hide_complete", "sort"})
    again = parse_query([("name", "x"), ("hide_complete", "true"), ("sort", "name"), *fields],
                        strict=False)  # fmt: skip
    assert again == replace(query, page=1)


def test_a_state_that_is_asked_for_is_never_hidden() -> None:
    query = with_states(Query(Filter(hide_complete=True), page=2), {"complete"})
    assert query == Query(Filter(states=frozenset({"complete"})))


def test_sums_are_over_what_is_asked_for_and_so_is_what_they_lack() -> None:
    here = a_root("here", *(a_job(f"j{n}", reading=completed(10 * n, ago=HOUR, gap=600))
                            for n in range(1, 4)))  # fmt: skip
    lost = a_root("lost", totals=None, up=False, jobs_lost=5)
    report = report_on(a_snapshot(here, lost), NOW)
    assert scope_of(report, Filter()) is report
    one = scope_of(report, Filter(name="J2"))
    assert (one.totals.jobs, one.totals.tasks_completed) == (1, 20)
    assert "lost" in one.left_out
    assert scope_of(report, Filter(roots=frozenset({"here"}))).left_out == ""
