"""Every link and form of the pages, for every filter in every view: what was asked for is kept."""

import html
import json
import re
from dataclasses import replace
from typing import get_args
from urllib.parse import parse_qsl

import pytest
from support.snapshots.many_jobs import an_estate
from support.snapshots.pages import READING, asked, shown, views_of
from support.snapshots.readings import a_job, a_root

from exporter.model.names.grouping import group_of_labels
from exporter.model.selection import Filter
from exporter.web.answer import Request
from exporter.web.pages.scope import chosen
from exporter.web.query import Query, View, parse_query
from exporter.web.views import Views

DUMP = "CC-MAIN-2013-05"
FILTERS = {
    "name": Filter(name="CC"),
    "root": Filter(roots=frozenset({"fineweb"})),
    "roots": Filter(roots=frozenset({"fineweb", "labelled"})),
    "state": Filter(states=frozenset({"waiting", "complete"})),
    "stage": Filter(stages=frozenset({"tokenize/*"})),
    "item": Filter(items=frozenset({DUMP})),
    "label": Filter(labels=frozenset({("dump", "a&b=c")})),
    "no complete ones": Filter(hide_complete=True),
    "strays": Filter(has_strays=True),
    "all of them": Filter(
        name="x", roots=frozenset({"labelled"}), stages=frozenset({"s"}),
        items=frozenset({"a&b=c"}), labels=frozenset({("dump", "a&b=c")}),
        hide_complete=True, has_strays=True,
    ),
}  # fmt: skip
SORTED = {"sort": "name", "order": "desc", "per_page": 50}


def the_views() -> Views:
    """Of a pipeline, of experiments, and of jobs with labels and stray markers."""
    labels = (("stage", "s"), ("dump", "a&b=c"))
    labelled = [a_job(f"x{n:03}", reading=READING, labels=labels) for n in range(60)]
    groups = [group_of_labels(labels)] * len(labelled)
    lost = a_root("lost", totals=None, up=False, jobs_lost=5, error="denied: No")
    return views_of(
        *an_estate(dumps=24, experiments=300), a_root("labelled", *labelled, groups=groups), lost
    )


VIEWS = the_views()


def links_of(page: str) -> list[tuple[str, str]]:
    """(where it leads, the landmark or class that it is in or has) for each link that stays."""
    found = []
    for match in re.finditer(r"<a ([^>]*)>", page):
        (href,) = re.findall(r'href="([^"]*)"', match[1])
        before = page[: match.start()]
        is_of_filter = (
            before.count('class="chosen"')
            and "</div>" not in before.rpartition('class="chosen"')[2]
        )
        found.append((html.unescape(href), "chosen" if is_of_filter else ""))
    return found


def query_of(href: str) -> Query:
    return parse_query(
        parse_qsl(href.removeprefix("?"), strict_parsing=len(href) > 1), strict=False
    )


def keeps(of: Filter, asked_for: Filter) -> bool:
    """Whether it asks for all of that, or for less jobs. A link may choose among states, and then
    among complete ones too; and one root or stage instead."""
    return (
        of.name == asked_for.name
        and (of.roots == asked_for.roots or len(of.roots) == 1)
        and (of.stages == asked_for.stages or len(of.stages) == 1)
        and of.items == asked_for.items
        and of.labels == asked_for.labels
        and of.has_strays >= asked_for.has_strays
        and (of.hide_complete == asked_for.hide_complete or bool(of.states))
    )


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("view", get_args(View))
def test_every_link_keeps_what_is_asked_for_or_says_that_it_does_not(kind: str, view: View) -> None:
    query = Query(FILTERS[kind], view=view, **SORTED)
    page = shown(VIEWS.index(asked(*query.pairs())))
    may_leave_out = {each.without for each in chosen(query)}
    everything = replace(query, filter=Filter(), page=1).encode()
    seen = []
    for href, place in links_of(page):
        if href.startswith("?"):
            to = query_of(href)
            seen.append(to)
            assert to.per_page == 50 or to.sort == "name", href
            if place == "chosen":
                assert href[1:] in {*may_leave_out, everything}, href
            elif href[1:] != everything:  # jobs elsewhere, and where none matches
                assert keeps(to.filter, query.filter), href
        elif href.startswith("jobs/"):
            assert parse_qsl(href.partition("#")[0].partition("?")[2])[-1] == (
                "from",
                query.encode(),
            )
        elif "format=csv" in href:
            of_file = query_of(href.partition("format=csv")[2].removeprefix("&"))
            assert of_file == Query(query.filter, "name", "desc")
    assert {to.view for to in seen} >= {"stages", "grid", "list"}


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("view", get_args(View))
def test_the_form_as_it_stands_asks_for_the_same(kind: str, view: View) -> None:
    query = Query(FILTERS[kind], view=view, **SORTED)
    page = shown(VIEWS.index(asked(*query.pairs())))
    assert parse_query(fields_of(page), strict=False) == query


def fields_of(page: str) -> list[tuple[str, str]]:
    """What a browser sends for the form if nothing in it is changed."""
    form = page.partition("<form")[2].partition("</form>")[0]
    fields = []
    for tag in re.findall(r"<input ([^>]*)>", form):
        given = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if given.get("type") != "checkbox" or " checked" in tag:
            fields.append((given["name"], html.unescape(given["value"])))
    for name, options in re.findall(r'<select [^>]*name="(\w+)">(.*?)</select>', form, re.DOTALL):
        fields += [
            (name, html.unescape(v)) for v in re.findall(r'value="([^"]*)" selected', options)
        ]
    return fields


@pytest.mark.parametrize("kind", FILTERS)
def test_every_number_of_the_page_is_about_the_jobs_asked_for(kind: str) -> None:
    """Sums, what a day completed, and what needs somebody, against the API."""
    query = Query(FILTERS[kind], view="stages")
    pairs = [pair for pair in query.pairs() if pair[0] != "view"]
    whole = json.loads(shown(VIEWS.api_stages(asked(*pairs))))["whole"]
    jobs = json.loads(shown(VIEWS.api_jobs(asked(*pairs, ("per_page", "1000")))))["jobs"]
    assert whole["jobs"] == len(jobs)
    page = shown(VIEWS.index(asked(*query.pairs())))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.partition("<main>")[2]))
    assert f"{len(jobs):,} of {24 * 6 + 300 + 60} jobs All that follows" in text
    complete = sum(job["state"] == "complete" for job in jobs)
    done = sum(job["tasks_completed"] or 0 for job in jobs)
    tasks = sum(job["tasks"] or 0 for job in jobs)
    if tasks:
        assert f"{done:,} of {tasks:,} tasks completed" in text
        assert f"{complete} of {len(jobs)} jobs complete" in text
        assert f"last 24 h: {whole['tasks_last_day']:,} task" in text
    problems = json.loads(shown(VIEWS.api_problems(asked(*pairs))))["problems"]
    said = f"Needs you ({len(problems)})" if problems else "Nothing needs you"
    assert said in text


def test_a_job_s_page_leads_to_others_of_its_kind_and_back() -> None:
    query = Query(FILTERS["all of them"], view="list", **SORTED)
    (href, *_) = [
        href
        for href, _ in links_of(shown(VIEWS.index(asked(*query.pairs()))))
        if "jobs/lab" in href
    ]
    path, _, back = href.removeprefix("jobs/").partition("?")
    page = shown(VIEWS.job(Request(below=path, query=tuple(parse_qsl(back)))))
    to = [query_of("?" + href.partition("?")[2]) for href, _ in links_of(page) if "../?" in href]
    assert to[0] == query
    assert [one.filter for one in to[1:]] == [
        Filter(roots=frozenset({"labelled"})),
        Filter(stages=frozenset({"s"})),
        Filter(items=frozenset({"a&b=c"})),
        Filter(labels=frozenset({("dump", "a&b=c")})),
        Filter(has_strays=True),
    ]
