"""The status page: is the information fresh, is anything wrong, how far is each job, and
when is it done; in this order.

It is rendered from a report and a query and nothing else. Everything that comes from
outside the program is text to ``markup`` and cannot become an element or attribute.
"""

from dataclasses import replace

from exporter.model.formatting import SYMBOLS, count, duration, percent
from exporter.model.report import STATES, Report, State, count_states
from exporter.web.job_table import SORTS, job_table
from exporter.web.layout import (
    banner,
    document,
    freshness,
    header,
    is_up_to_date,
    live,
    progress_bar,
    time_at,
)
from exporter.web.markup import Content, Html, element
from exporter.web.query import Query
from exporter.web.root_table import root_table


def render(report: Report, query: Query) -> bytes:
    """The page for one report, as UTF-8."""
    states = count_states(report.rows)
    rows = query.select(report.rows)
    query = replace(query, page=min(query.page, query.pages(len(rows))))
    return document(
        _title(report, states),
        _icon(report, states),
        "",
        header(element("h1", "datatrove jobs"), freshness(report.roots, report.time), "jobs"),
        element(
            "main",
            live("banners", *(banner(root, report.time) or "" for root in report.roots)),
            live("summary", _summary(report, states, query)),
            _form(report, query),
            live("jobs", job_table(report, rows, query)),
            live("roots", root_table(report)),
        ),
    )


def _bad_roots(report: Report) -> int:
    return sum(root.attempted and not is_up_to_date(root) for root in report.roots)


def _title(report: Report, states: dict[State, int]) -> str:
    """The bad news first, as far as there is any."""
    parts = []
    if bad := _bad_roots(report):
        parts.append(f"{bad} root{'s' if bad > 1 else ''} failing")
    parts += [f"{states[state]} {state}" for state in ("unreadable", "stalled") if states[state]]
    if not parts and report.rows:
        done = states["complete"] == len(report.rows)
        parts.append("all complete" if done else f"{states['running']} running")
    return f"{', '.join(parts) or 'no jobs'} – datatrove jobs"


def _icon(report: Report, states: dict[State, int]) -> str:
    if _bad_roots(report) or states["unreadable"] or states["stalled"]:
        return "bad"
    return "ok" if states["complete"] == len(report.rows) else "busy"


def _summary(report: Report, states: dict[State, int], query: Query) -> Html:
    totals = report.totals
    ratio = totals.tasks_completed_ratio
    overall: Content = element("p", "No tasks are known yet.", class_="quiet")
    if ratio is not None:
        said = (
            f"{count(totals.tasks_completed)} of {count(totals.tasks)} tasks completed, "
            f"{count(totals.jobs_completed)} of {count(totals.jobs)} jobs complete"
        )
        overall = element(
            "div",
            element("div", percent(ratio), class_="ratio"),
            element("div", said),
            element("div", *_end(report), class_="end"),
            progress_bar("all jobs", totals.tasks_completed, totals.tasks),
            class_="overall",
        )
    tiles = (element("li", _tile(state, states[state], query)) for state in STATES)
    return element(
        "section",
        element("h2", "Summary", class_="unseen"),
        overall,
        element("ul", *tiles, class_="tiles"),
        class_="card",
    )


def _end(report: Report) -> tuple[Content, ...]:
    """When the last of the running jobs ends."""
    ends = [row.eta_timestamp for row in report.rows if row.eta_timestamp is not None]
    if not ends:
        return ()
    last = max(ends)
    left = duration(last - report.time)
    return (f"Running jobs end in about {left}, ", time_at(last, report.time))


def _tile(state: State, number: int, query: Query) -> Html:
    """The number of jobs in a state; leads to them, and from them back to all."""
    chosen = query.filter.states == {state}
    states: frozenset[State] = frozenset() if chosen else frozenset({state})
    to = replace(query, filter=replace(query.filter, states=states), page=1)
    return element(
        "a",
        element("span", SYMBOLS[state], class_="symbol", aria_hidden="true"),
        element("b", count(number)),
        " ",
        state,
        href=f"?{to.encode()}",
        class_=f"tile {state if number else 'none'}",
        aria_current="true" if chosen else None,
    )


def _form(report: Report, query: Query) -> Html:
    chosen = query.filter
    roots = [(root.root, root.root) for root in report.roots]
    fields = [
        _field("name", "Job name contains",
               element("input", id="name", name="name", type="search", value=chosen.name,
                       maxlength=1024, autocomplete="off"), class_="field name"),
        _select("root", "Root", [("", "All"), *roots], chosen.roots),
        _select("state", "State", [("", "All"), *((s, s.capitalize()) for s in STATES)],
                chosen.states),
        _select("sort", "Sort by", list(SORTS.items()),
                {query.sort}),
    ]  # fmt: skip
    if len(report.roots) < 2:
        del fields[1]
    box = element(
        "input",
        id="hide_complete",
        name="hide_complete",
        type="checkbox",
        value="true",
        checked=chosen.hide_complete,
    )
    check = element(
        "div", box, element("label", "Hide complete", for_="hide_complete"), class_="check"
    )
    return element(
        "form",
        element("h2", "Filter", class_="unseen"),
        *fields,
        check,
        element("button", "Show"),
        method="get",
        role="search",
        aria_label="Jobs",
        class_="filter",
    )


def _field(id_: str, label: str, control: Html, class_: str = "field") -> Html:
    return element("div", element("label", label, for_=id_), control, class_=class_)


def _select(
    id_: str, label: str, options: list[tuple[str, str]], chosen: frozenset[str] | set[str]
) -> Html:
    choices = (
        element("option", text, value=value, selected=value in chosen) for value, text in options
    )
    return _field(id_, label, element("select", *choices, id=id_, name=id_))
