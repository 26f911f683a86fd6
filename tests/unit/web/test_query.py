"""Filters, order and paging from a URL."""

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.facts import SORTS
from exporter.model.report import Row
from exporter.model.selection import Filter
from exporter.model.state import STATES
from exporter.web.query import (
    MAX_PER_PAGE,
    Query,
    QueryError,
    came_from_query,
    natural_order,
    parse_query,
)

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_QUERIES = st.builds(
    Query,
    filter=st.builds(
        Filter,
        name=_TEXTS,
        roots=st.frozensets(_TEXTS.filter(bool), max_size=3),
        states=st.frozensets(st.sampled_from(STATES)),
        hide_complete=st.booleans(),
        stages=st.frozensets(_TEXTS.filter(bool), max_size=3),
        items=st.frozensets(_TEXTS.filter(bool), max_size=3),
        labels=st.frozensets(st.tuples(st.just("dump"), _TEXTS.filter(bool)), max_size=3),
        has_strays=st.booleans(),
    ),
    sort=st.sampled_from(list(SORTS)),
    order=st.sampled_from(["asc", "desc"]),
    page=st.integers(1, 1_000_000),
    per_page=st.integers(1, MAX_PER_PAGE),
)


@pytest.mark.parametrize("strict", [True, False])
@given(query=_QUERIES)
def test_a_query_reads_back_as_what_it_was(query: Query, *, strict: bool) -> None:
    assert parse_query(parse_qsl(query.encode()), strict=strict) == query


@given(query=_QUERIES, sort=st.sampled_from(list(SORTS)))
def test_sorting_twice_by_the_same_reverses(query: Query, sort: str) -> None:
    once = query.sorted_by(sort)
    assert (once.sort, once.page) == (sort, 1)
    assert once.sorted_by(sort).order != once.order
    assert once.sorted_by(sort).sorted_by(sort) == once


def test_the_default_query_is_empty() -> None:
    assert Query().encode() == ""
    assert parse_query([], strict=True) == Query()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("state", "gone")], f"state: expected one of {', '.join(STATES)}"),
        ([("sort", "size")], f"sort: expected one of {', '.join(SORTS)}"),
        ([("label", "dump")], "label: expected name:value"),
        ([("label", "dump:")], "label: expected name:value"),
        ([("strays", "1")], "strays: expected one of true, false"),
        ([("order", "up")], "order: expected one of asc, desc"),
        ([("hide_complete", "yes")], "hide_complete: expected one of true, false"),
        ([("page", "0")], "page: must be between 1 and 1000000"),
        ([("page", "٣")], "page: expected a number"),
        ([("page", "-1")], "page: expected a number"),
        ([("per_page", "1001")], "per_page: must be between 1 and 1000"),
        ([("per_page", "9" * 5000)], "a value is too long"),
        ([("sort", "name"), ("sort", "idle")], "sort: more than once"),
        ([("name", "x" * 1025)], "a value is too long"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strict", [True, False])
def test_what_has_no_meaning_is_refused_and_not_quoted(
    pairs: list[tuple[str, str]], message: str, *, strict: bool
) -> None:
    with pytest.raises(QueryError) as refused:
        parse_query(pairs, strict=strict)
    assert str(refused.value) == message


def test_only_a_form_may_send_empty_and_unknown_parameters() -> None:
    form = [("name", ""), ("root", ""), ("state", ""), ("utm_source", "chat")]
    assert parse_query(form, strict=False) == Query()
    said = "unknown parameter; there are hide_complete, item, label, name, .*, strays$"
    with pytest.raises(QueryError, match=said):
        parse_query([("utm_source", "chat")], strict=True)
    with pytest.raises(QueryError, match="state: expected one of"):
        parse_query([("state", "")], strict=True)


def test_a_view_is_for_the_page_alone() -> None:
    assert parse_query([("view", "list")], strict=False) == Query(view="list")
    assert Query(view="list").encode() == "view=list"
    with pytest.raises(QueryError, match="unknown parameter"):
        parse_query([("view", "list")], strict=True)
    with pytest.raises(QueryError, match="view: expected one of"):
        parse_query([("view", "tree")], strict=False)


def test_where_a_job_was_reached_from_is_a_query_or_nothing() -> None:
    back = Query(Filter(name="a&b"), view="grid", page=2)
    assert came_from_query([("from", back.encode())]) == back
    assert came_from_query([("from", "state=none")]) == Query()
    assert came_from_query([("from", "name=" + "x" * 2000)]) == Query()
    assert came_from_query([("name", "x")]) == Query()


def test_the_api_is_asked_for_all_pages_and_no_view() -> None:
    query = Query(Filter(name="x"), view="grid", page=2, per_page=50, sort="name")
    assert query.encode_for_api() == "name=x&sort=name"


def test_pages_divide_the_rows_and_the_last_may_be_short() -> None:
    query = Query(per_page=3)
    assert [query.pages(total) for total in (0, 1, 3, 4)] == [1, 1, 1, 2]
    rows: list[Row] = list("abcdefgh")  # type: ignore[arg-type]
    cuts = ["".join(replace(query, page=page).cut(rows)) for page in (1, 2, 3, 4)]
    assert cuts == ["abc", "def", "gh", ""]


def test_each_sort_begins_with_what_one_wants_to_see() -> None:
    assert {sort for sort in SORTS if natural_order(sort) == "desc"} == {"idle", "launch", "last"}
