"""What the status page shows, from a report and a query."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.model import facts, formatting
from exporter.model.problems import first_of, problems_of
from exporter.model.report import Report, Row, count_states
from exporter.model.selection import Filter
from exporter.model.stages.table import report_table
from exporter.model.state import NEED_ATTENTION, State
from exporter.web.pages.environment import Drawn, drawn, freshness, icon
from exporter.web.pages.grid import view_of
from exporter.web.pages.overview import overview
from exporter.web.pages.scope import (
    chosen,
    hidden_fields,
    page_sizes,
    paging,
    scope_of,
    with_states,
)
from exporter.web.pages.stage_rows import stage_rows
from exporter.web.query import Query

_PROBLEMS = 12


def status(report: Report, query: Query, cells: list[Drawn]) -> dict[str, Any]:
    """The values of the template."""
    scope = scope_of(report, query.filter)
    states = count_states(scope.rows)
    fresh = freshness(report.roots)
    view, grid = view_of(scope, query)
    table = report_table(report, query.filter)
    listed = query if view == "list" else replace(query, view="list", page=1)
    return {
        "title": _title(scope, states, fresh["failing"]),
        "icon": "bad" if fresh["failing"] else icon([row.state for row in scope.rows]),
        "now": report.time,
        "freshness": fresh,
        "report": report,
        "scope": scope,
        "query": query,
        "view": view,
        "problems": _problems(report, query),
        "abandoned": states["abandoned"],
        "abandoned_query": with_states(replace(query, view="list"), {"abandoned"}).encode(),
        "views": [
            (each, replace(query, view=each, page=1).encode())
            for each in ("stages", "grid", "list")
        ],
        "stages": stage_rows(table, query, is_whole=view == "stages"),
        "grid": grid,
        "jobs": None if view in ("stages", "problems") else _jobs(scope, listed, cells, grid),
        "csv_query": listed.encode_for_api(),
        "slowest": next((row.stage for row in table.stages if row.is_slowest), None),
        **overview(report, scope, table.whole, query),
        **_form(report, query, view),
    }


def _form(report: Report, query: Query, view: str) -> dict[str, Any]:
    """What is asked for, and the form to ask for something else."""
    shown = {"name", "hide_complete", *({"sort"} if view == "list" else ())}
    if len(query.filter.roots) < 2:
        shown.add("root")
    roots = [("", "All"), *((row.root.name, row.root.name) for row in report.roots)]
    return {
        "chosen": chosen(query),
        "of_root": lambda root: _of_root(query, root),
        "without_filter": replace(query, filter=Filter(), page=1).encode(),
        "hidden_fields": hidden_fields(query, shown),
        "root_choices": roots if "root" in shown and len(report.roots) > 1 else [],
        "sort_choices": (
            [(sort.name, sort.label) for sort, _ in facts.SORTS.values()] if "sort" in shown else []
        ),
    }


def _of_root(query: Query, root: str) -> str:
    wanted = replace(query.filter, roots=frozenset({root}))
    return replace(query, filter=wanted, page=1).encode()


def _jobs(
    scope: Report, query: Query, cells: list[Drawn], grid: dict[str, Any] | None
) -> dict[str, Any]:
    """The table of jobs: a page of all, or the first of those that are in no grid."""
    selected: Sequence[Row] = query.select(scope.rows) if grid is None else grid["apart"]
    total = len(selected) if grid is None else grid["number_apart"]
    pages = query.pages(total) if grid is None else 1
    query = replace(query, page=min(query.page, pages))
    return {
        "query": query,
        "columns": [(fact, column) for _, fact, column in cells],
        "rows": [(row, drawn(cells, row)) for row in query.cut(selected)],
        "first": (query.page - 1) * query.per_page + 1,
        "total": total,
        "sizes": page_sizes(query),
        **paging(query, pages),
    }


def _title(scope: Report, states: dict[State, int], failing: int) -> str:
    """The bad news first, as far as there is any."""
    parts = []
    if failing:
        parts.append(f"{formatting.counted(failing, 'root')} failing")
    parts += [
        f"{jobs} {state}" for state, jobs in states.items() if jobs and state in NEED_ATTENTION
    ]
    if not parts and scope.rows:
        done = states["complete"] == len(scope.rows)
        parts.append("all complete" if done else f"{states['running']} running")
    return f"{', '.join(parts) or 'no jobs'} – datatrove jobs"


def _problems(report: Report, query: Query) -> dict[str, Any]:
    """What needs somebody among the jobs asked for: some lines, and where the others are."""
    problems = problems_of(report, query.filter)
    everything = problems if query.filter == Filter() else problems_of(report)
    is_alone = query.view == "problems"
    pages = query.pages(len(problems)) if is_alone else 1
    query = replace(query, page=min(query.page, pages))
    lines = query.cut(problems) if is_alone else first_of(problems, _PROBLEMS)
    return {
        "lines": lines,
        "number": len(problems),
        "elsewhere": len(everything) - len(problems),
        "folded": 0 if is_alone else len(problems) - len(lines),
        "query": replace(query, view="problems", page=1).encode(),
        **paging(query, pages),
    }
