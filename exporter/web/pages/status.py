"""What the status page shows, from a report and a query."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from exporter.model import facts
from exporter.model.problems import first_of, problems_of
from exporter.model.report import Report, count_states
from exporter.model.selection import Filter
from exporter.model.state import BY_NAME, NEED_ATTENTION, STATES, State
from exporter.web.pages.environment import Drawn, drawn, freshness, icon
from exporter.web.query import Query

_PROBLEMS = 12


def status(report: Report, query: Query, cells: list[Drawn]) -> dict[str, Any]:
    """The values of the template."""
    states = count_states(report.rows)
    fresh = freshness(report.roots)
    selected = query.select(report.rows)
    pages = query.pages(len(selected))
    query = replace(query, page=min(query.page, pages))
    ends = (row.eta_timestamp for row in report.rows if row.eta_timestamp is not None)
    return {
        "title": _title(report, states, fresh["failing"]),
        "icon": "bad" if fresh["failing"] else icon([row.state for row in report.rows]),
        "now": report.time,
        "freshness": fresh,
        "report": report,
        "problems": _problems(report, query),
        "abandoned": states["abandoned"],
        "abandoned_query": _only({"abandoned"}, query),
        "query": query,
        "tiles": [_tile(state, jobs, query) for state, jobs in states.items()],
        "last_end": max(ends, default=None),
        "overdue": sum(row.overdue_seconds is not None for row in report.rows),
        "root_choices": [("", "All"), *((row.root.name, row.root.name) for row in report.roots)],
        "state_choices": [("", "All"), *((state, state.capitalize()) for state in STATES)],
        "sort_choices": [(sort.name, sort.label) for sort, _ in facts.SORTS.values()],
        "columns": [(fact, column) for _, fact, column in cells],
        "rows": [(row, drawn(cells, row)) for row in query.cut(selected)],
        "first": (query.page - 1) * query.per_page + 1,
        "total": len(selected),
        "pages": pages,
        "previous_page": _page(query, query.page - 1, pages),
        "next_page": _page(query, query.page + 1, pages),
    }


def _title(report: Report, states: dict[State, int], failing: int) -> str:
    """The bad news first, as far as there is any."""
    parts = []
    if failing:
        parts.append(f"{failing} root{'s' if failing > 1 else ''} failing")
    parts += [
        f"{jobs} {state}" for state, jobs in states.items() if jobs and state in NEED_ATTENTION
    ]
    if not parts and report.rows:
        done = states["complete"] == len(report.rows)
        parts.append("all complete" if done else f"{states['running']} running")
    return f"{', '.join(parts) or 'no jobs'} – datatrove jobs"


def _tile(state: State, jobs: int, query: Query) -> dict[str, object]:
    """The number of jobs in a state; its `query` leads to them, and from them back to all."""
    is_chosen = query.filter.states == {state}
    states: frozenset[State] = frozenset() if is_chosen else frozenset({state})
    to = replace(query, filter=replace(query.filter, states=states), page=1)
    return {"of": BY_NAME[state], "jobs": jobs, "query": to.encode(), "is_chosen": is_chosen}


def _only(states: Collection[State], query: Query) -> str:
    """The same query for jobs in these states."""
    wanted = replace(query.filter, states=frozenset(states), hide_complete=False)
    return replace(query, filter=wanted, page=1).encode()


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
        "pages": pages,
        "previous": _page(query, query.page - 1, pages),
        "next": _page(query, query.page + 1, pages),
        "page": query.page,
    }


def _page(query: Query, page: int, pages: int) -> str | None:
    """The query of a neighbouring page, if there is such a page."""
    return replace(query, page=page).encode() if 1 <= page <= pages else None
