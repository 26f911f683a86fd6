"""The pages for people, from a report and nothing else.

Jinja2 renders them; markup and words are in ``templates``. A page is one document that
needs nothing from elsewhere: its style and its script are in it, and the
Content-Security-Policy allows those two texts and no others.

Every value is text to the templates: it is escaped and becomes no element or attribute.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.runtime import Macro
from markupsafe import Markup

from exporter import __version__
from exporter.metrics.render import escape
from exporter.model import facts, formatting
from exporter.model.advice import advice, unknowable
from exporter.model.fact import Column, Fact, Place, Value
from exporter.model.open_tasks import WORDS, failures, in_words, ranks_in_states, runs_of
from exporter.model.problems import first_of, problems_of
from exporter.model.report import Report, RootRow, Row, count_states
from exporter.model.selection import Filter
from exporter.model.snapshot import Job
from exporter.model.stall import last_sign_of_life
from exporter.model.state import BY_NAME, NEED_ATTENTION, STATES, State
from exporter.web.chart import HEIGHT, WIDTH, chart_of
from exporter.web.query import Query
from exporter.web.urls import Addresses, shell_path

_RUNS_SHOWN = 200
_RUNS_OF_A_GROUP = 30
_PROBLEMS = 12
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# What HTML forbids in a document, and carriage returns, which it would change.


def _static(name: str) -> str:
    return files("exporter.web").joinpath("static", name).read_text("utf-8")


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


_STYLE, _SCRIPT = _static("page.css"), _static("page.js")

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; "
    f"script-src 'sha256-{_hash(_SCRIPT)}'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's own style and script, its refreshing, its icon and its form; nothing else."""


def new_environment() -> Environment:
    """Jinja2 with the templates, and what they may use beside the values of a page."""
    environment = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = ("ago", "clock", "count", "duration", "moment", "percent")
    environment.filters |= {name: getattr(formatting, name) for name in filters}
    environment.globals |= {
        "HEIGHT": HEIGHT,
        "SORTS": facts.SORTS,
        "WIDTH": WIDTH,
        "failures": lambda row: (
            [] if row.logs is None else failures(row.logs, row.root.show_errors)
        ),
        "formatting": formatting,
        "in_words": in_words,
        "jobs_of": lambda root: Query(Filter(roots=frozenset({root}))).encode(),
        # The only markup that is no template: two files of this package, never data.
        "script": Markup(_SCRIPT),  # noqa: S704
        "style": Markup(_STYLE),  # noqa: S704
        "states": BY_NAME,
        "version": __version__,
    }
    return environment


_Drawn = tuple[Macro, Fact[Job, Row], Column]
"""A column or an entry, with the macro that draws its values."""


class Pages:
    """Renders the pages, as UTF-8. `up` leads from a page's address to the exporter's own."""

    def __init__(self) -> None:
        self._environment = new_environment()
        self._addresses = Addresses(())
        self._environment.globals["link"] = lambda row: self._addresses.link(row.key)
        for name in self._environment.list_templates():
            self._environment.get_template(name)  # compiled now, not for the first request
        self._cells = self._macros("_cells.html", "page")
        self._entries = self._macros("_entries.html", "job")

    def jobs(self, report: Report, query: Query, addresses: Addresses) -> bytes:
        """The status page; `addresses` are those of the report's jobs."""
        self._addresses = addresses
        states = count_states(report.rows)
        fresh = _freshness(report.roots)
        selected = query.select(report.rows)
        pages = query.pages(len(selected))
        query = replace(query, page=min(query.page, pages))
        ends = (row.eta_timestamp for row in report.rows if row.eta_timestamp is not None)
        return self._render(
            "jobs.html",
            title=_title(report, states, fresh["failing"]),
            icon="bad" if fresh["failing"] else _icon([row.state for row in report.rows]),
            up="",
            now=report.time,
            freshness=fresh,
            report=report,
            problems=_problems(report, query),
            abandoned=states["abandoned"],
            abandoned_query=_only({"abandoned"}, query),
            query=query,
            tiles=[_tile(state, jobs, query) for state, jobs in states.items()],
            last_end=max(ends, default=None),
            overdue=sum(row.overdue_seconds is not None for row in report.rows),
            root_choices=[("", "All"), *((row.root.name, row.root.name) for row in report.roots)],
            state_choices=[("", "All"), *((state, state.capitalize()) for state in STATES)],
            sort_choices=[(sort.name, sort.label) for sort, _ in facts.SORTS.values()],
            columns=[(fact, column) for _, fact, column in self._cells],
            rows=[(row, _values(self._cells, row)) for row in query.cut(selected)],
            first=(query.page - 1) * query.per_page + 1,
            total=len(selected),
            pages=pages,
            previous_page=_page(query, query.page - 1, pages),
            next_page=_page(query, query.page + 1, pages),
        )

    def job(self, report: Report, row: Row, up: str, addresses: Addresses) -> bytes:
        """The page of one row of the report."""
        self._addresses = addresses
        now, reading = report.time, row.reading
        root_row = next(each for each in report.roots if each.root is row.root)
        chart = None
        if reading is not None and reading.history is not None:
            chart = chart_of(row, reading, reading.history, now)
        ratio = "" if reading is None else f", {formatting.percent(reading.completion_ratio)}"
        selector = f'root="{escape(row.root.name)}",job_name="{escape(row.job_name)}"'
        return self._render(
            "job.html",
            title=f"{row.state}{ratio} – {row.job_name} – datatrove jobs",
            icon=_icon([row.state]),
            up=up,
            now=now,
            freshness=_freshness([root_row]),
            report=report,
            row=row,
            root_row=root_row,
            entries=_values(self._entries, row),
            chart=chart,
            last_sign=None if reading is None else last_sign_of_life(reading),
            missing=_missing(row),
            states=_states(row),
            ranks=lambda ranks: _some(runs_of(ranks)),
            advice=advice(row.job),
            unknowable=unknowable(row.job, row.root.url),
            path=shell_path(row.root.url, row.job_name),
            promql=f"datatrove_job_completion_ratio{{{selector}}}",
        )

    def missing(self, up: str) -> bytes:
        """The page in place of a job that is not known."""
        return self._render("missing.html", title="No such job – datatrove jobs", icon="bad", up=up)

    def _macros(self, template: str, place: Place) -> list[_Drawn]:
        module = self._environment.get_template(template).module
        plain = getattr(module, "plain")  # noqa: B009 - a macro, which no type knows
        return [
            (getattr(module, column.format, plain), fact, column)
            for fact, column in facts.columns_of(place)
        ]

    def _render(self, template: str, **values: Any) -> bytes:
        document = self._environment.get_template(template).render(values)
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", document).encode()


def _freshness(roots: Sequence[RootRow]) -> dict[str, Any]:
    """How recent the information on some roots is. `failing` were scanned and not lately
    or not to the end, `pending` never; `age_seconds` is that of the oldest data."""
    ages = (row.age_seconds for row in roots if row.age_seconds is not None)
    return {
        "roots": len(roots),
        "failing": sum(row.root.attempted and not row.is_up_to_date for row in roots),
        "pending": sum(not row.root.attempted for row in roots),
        "age_seconds": max(ages, default=None),
    }


def _values(drawn: list[_Drawn], row: Row) -> list[tuple[Macro, Value, Column]]:
    return [(macro, fact.of(row), column) for macro, fact, column in drawn]


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


def _icon(states: Collection[State]) -> str:
    if any(state in NEED_ATTENTION for state in states):
        return "bad"
    return "ok" if all(state == "complete" for state in states) else "busy"


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


def _missing(row: Row) -> dict[str, object] | None:
    """How many `ranks` have no marker; the first `shown` of them as `ranges`."""
    reading = row.reading
    if reading is None or reading.tasks_completed == reading.tasks:
        return None
    runs = list(islice(row.missing, _RUNS_SHOWN))
    return {
        "ranks": reading.tasks - reading.tasks_completed,
        "shown": sum(last - first + 1 for first, last in runs),
        "ranges": formatting.ranges(runs).split(","),
    }


def _states(row: Row) -> list[tuple[str, str]]:
    """States of tasks that are not done, in words, each with the ranks in it."""
    told = {} if row.reading is None else ranks_in_states(row.reading)
    return [(WORDS[state], _some(runs)) for state, runs in told.items()]


def _some(runs: Iterable[tuple[int, int]]) -> str:
    """Some runs of ranks, from the first on: ``3, 17–20``, and ``…`` if there are more."""
    some = list(islice(runs, _RUNS_OF_A_GROUP + 1))
    words = [str(a) if a == b else f"{a}\N{EN DASH}{b}" for a, b in some[:_RUNS_OF_A_GROUP]]
    return ", ".join([*words, "…"] if len(some) > _RUNS_OF_A_GROUP else words)
