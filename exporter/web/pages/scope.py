"""What of a report is asked for, how that is said, and what a form hands on."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exporter.model.report import Report
from exporter.model.selection import Filter
from exporter.model.snapshot import Totals
from exporter.model.state import STATES, State
from exporter.web.query import PER_PAGE, Query


def scope_of(report: Report, wanted: Filter) -> Report:
    """The report with the jobs and roots that are wanted alone, and the sums over these."""
    if wanted == Filter():
        return report
    rows = wanted.select(report.rows)
    roots = tuple(
        root for root in report.roots if not wanted.roots or root.root.name in wanted.roots
    )
    return replace(report, roots=roots, rows=rows, totals=Totals.of_jobs(row.job for row in rows))


@dataclass(frozen=True, slots=True)
class Chosen:
    """One thing that is asked for, in words: its `kind` and `value`. `without` is the query that
    does not ask for it."""

    kind: str
    value: str
    without: str


def chosen(query: Query) -> list[Chosen]:
    """What is asked for, each thing apart."""
    wanted = query.filter
    told = [
        Chosen(kind, value, replace(query, filter=rest, page=1).encode())
        for kind, value, rest in _parts(wanted)
    ]
    if wanted.states:
        told += [
            Chosen("state", state, with_states(query, wanted.states - {state}).encode())
            for state in STATES
            if state in wanted.states
        ]
    return told


def _parts(wanted: Filter) -> Iterator[tuple[str, str, Filter]]:
    if wanted.name:
        yield "name contains", wanted.name, replace(wanted, name="")
    for root in sorted(wanted.roots):
        yield "root", root, replace(wanted, roots=wanted.roots - {root})
    for stage in sorted(wanted.stages):
        yield "stage", stage, replace(wanted, stages=wanted.stages - {stage})
    for item in sorted(wanted.items):
        yield "item", item, replace(wanted, items=wanted.items - {item})
    for label in sorted(wanted.labels):
        yield label[0], label[1], replace(wanted, labels=wanted.labels - {label})
    if wanted.has_strays:
        yield "with", "stray markers", replace(wanted, has_strays=False)
    if wanted.hide_complete:
        yield "without", "complete jobs", replace(wanted, hide_complete=False)


def hidden_fields(query: Query, shown: Collection[str]) -> Sequence[tuple[str, str]]:
    """What the form hands on of a query beside the fields that it shows."""
    return [(name, value) for name, value in query.pairs() if name not in {*shown, "page"}]


def with_states(query: Query, states: Collection[State]) -> Query:
    """The same query for jobs in these states, or in any if there are none."""
    wanted = replace(query.filter, states=frozenset(states))
    if states:
        wanted = replace(wanted, hide_complete=False)
    return replace(query, filter=wanted, page=1)


def page_sizes(query: Query) -> list[tuple[int, str]]:
    """Numbers of jobs a page, each with the query for it."""
    sizes = sorted({50, PER_PAGE, 1000, query.per_page})
    return [(size, replace(query, per_page=size, page=1).encode()) for size in sizes]


def paging(query: Query, pages: int) -> dict[str, Any]:
    """Which of so many pages the query is for, and the queries of its neighbours, if there are
    any: values of the template."""

    def to(page: int) -> str | None:
        return replace(query, page=page).encode() if 1 <= page <= pages else None

    before, after = to(query.page - 1), to(query.page + 1)
    return {"page": query.page, "pages": pages, "previous": before, "next": after}
