"""The status page: is the information fresh, is anything wrong, how far is each job, and
when is it done; in this order.

It is rendered from a report and a query and nothing else. Everything that comes from
outside the program is text to ``markup`` and cannot become an element or attribute.
"""

from dataclasses import replace

from exporter.frame import (
    banner,
    document,
    freshness,
    header,
    is_up_to_date,
    job_progress,
    live,
    name,
    progress_bar,
    state_badge,
    symbol_and_word,
    time_ago,
    time_at,
    time_left,
)
from exporter.link import job_path
from exporter.markup import Content, Html, element, join
from exporter.query import Query
from exporter.report import STATES, Filter, Report, RootRow, Row, Sort, State, count_states
from exporter.wording import REASONS, SYMBOLS, count, duration, percent

_SORTS: dict[Sort, str] = {
    "attention": "Attention first",
    "name": "Name",
    "progress": "Progress, least first",
    "last": "Last completion, newest first",
    "idle": "Idle, longest first",
    "remaining": "Time left, shortest first",
    "pace": "Pace, slowest first",
    "launch": "Launch, newest first",
}
_COLUMNS: tuple[tuple[str, Sort], ...] = (
    ("Job", "name"),
    ("State", "attention"),
    ("Progress", "progress"),
    ("Last completion", "last"),
    ("Time left", "remaining"),
    ("Launched", "launch"),
)


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
            live("jobs", _jobs(report, rows, query)),
            live("roots", _roots(report)),
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
        _select("sort", "Sort by", list(_SORTS.items()),
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


def _jobs(report: Report, rows: list[Row], query: Query) -> Html:
    heading = element("h2", "Jobs", class_="unseen")
    if not rows:
        return join(heading, element("div", *_nothing(report), class_="card empty"))
    shown = query.cut(rows)
    first = (query.page - 1) * query.per_page + 1
    number = f"{count(len(rows))} job{'s' if len(rows) > 1 else ''}"
    if len(rows) < len(report.rows):
        number += f" of {count(len(report.rows))}"
    if len(shown) < len(rows):
        number += f", {count(first)} to {count(first + len(shown) - 1)} shown"
    order = _SORTS[query.sort].lower() + ("" if query.is_natural else ", reversed")
    table = element(
        "table",
        element("caption", f"{number}, {order}", class_="unseen"),
        element("thead", element("tr", *(_column(*column, query) for column in _COLUMNS))),
        element("tbody", *(_row(row, report) for row in shown)),
    )
    bar = element(
        "div", element("p", number, class_="quiet"), _pages(len(rows), query), class_="pages"
    )
    below = _pages(len(rows), query, " (below)") if len(shown) > 20 else ""
    return join(
        heading, bar, element("div", table, class_="jobs"), element("div", below, class_="pages")
    )


def _nothing(report: Report) -> tuple[Content, ...]:
    if report.rows:
        return ("No job matches. ", element("a", "Show all jobs", href="?"))
    if not all(root.attempted for root in report.roots):
        return ("The first scan is under way; jobs appear here when it ends.",)
    return (
        "No jobs below the configured roots. A job is a folder with an ",
        element("code", "executor.json"),
        ", the logging_dir of a datatrove pipeline.",
    )


def _column(label: str, sort: Sort, query: Query) -> Html:
    class_ = f"column-{sort}"
    if sort != query.sort:
        link = element("a", label, href=f"?{query.sorted_by(sort).encode()}")
        return element("th", link, scope="col", class_=class_)
    ascending = query.order == "asc"
    arrow = element("span", " ↑" if ascending else " ↓", aria_hidden="true")
    link = element("a", label, arrow, href=f"?{query.sorted_by(sort).encode()}")
    direction = "ascending" if ascending else "descending"
    return element("th", link, scope="col", class_=class_, aria_sort=direction)


def _row(row: Row, report: Report) -> Html:
    now = report.time
    job = element("a", name(row.job_name), href=f"jobs/{job_path(row.root, row.job_name)}")
    root = element("small", name(row.root)) if len(report.roots) > 1 else ""
    why = element("small", REASONS[row.error]) if row.error else ""
    launched = element("span", "–", class_="quiet")
    if row.launch_timestamp is not None:
        launched = time_ago(row.launch_timestamp, now)
    left = "when none" if row.remaining_seconds is None else "when"
    return element(
        "tr",
        element("th", job, root, scope="row"),
        element("td", state_badge(row.state), why, class_="state-cell"),
        element("td", job_progress(row), class_="progress"),
        element("td", *_last(row, now), class_="when", data_label="Last completion"),
        element("td", time_left(row, now), class_=left, data_label="Time left"),
        element("td", launched, class_="when column-launch"),
    )


def _last(row: Row, now: float) -> tuple[Content, ...]:
    """The last completion, and whether to wait so long is usual."""
    if row.last_completion_timestamp is None:
        return (element("span", "none yet" if row.tasks else "–", class_="quiet"),)
    last = time_ago(row.last_completion_timestamp, now)
    if row.state == "stalled":
        last = element("span", last, class_="bad")
    if row.is_complete or row.longest_completion_gap_seconds is None:
        return (last,)
    return (last, element("small", f"longest wait {duration(row.longest_completion_gap_seconds)}"))


def _pages(total: int, query: Query, which: str = "") -> Html | str:
    """Links to the neighbouring pages, if there is more than one."""
    pages = query.pages(total)
    if pages == 1:
        return ""

    def link(label: str, page: int) -> Html:
        if not 1 <= page <= pages:
            return element("span", label, class_="quiet")
        return element("a", label, href=f"?{replace(query, page=page).encode()}")

    return element(
        "nav",
        link("← Previous", query.page - 1),
        f" Page {query.page} of {pages} ",
        link("Next →", query.page + 1),
        aria_label=f"Pages of jobs{which}",
    )


def _roots(report: Report) -> Html:
    """How old and how complete the information on each root is."""
    columns = ("Root", "State", "Tasks completed", "Jobs complete", "Last full scan")
    table = element(
        "table",
        element("caption", "Roots and their scans", class_="unseen"),
        element(
            "thead", element("tr", *(element("th", column, scope="col") for column in columns))
        ),
        element("tbody", *(_root(root, report.time) for root in report.roots)),
    )
    return element("section", element("h2", "Roots"), element("div", table, class_="jobs roots"))


def _root(root: RootRow, now: float) -> Html:
    totals = root.totals
    jobs: Content = element("span", "unknown", class_="quiet")
    tasks: Content = jobs
    if totals is not None:
        jobs = f"{count(totals.jobs_completed)} of {count(totals.jobs)}"
        if totals.tasks:
            tasks = join(
                progress_bar(f"root {root.root}", totals.tasks_completed, totals.tasks),
                element(
                    "div",
                    element("span", percent(totals.tasks_completed / totals.tasks)),
                    element(
                        "span",
                        f"{count(totals.tasks_completed)} / {count(totals.tasks)}",
                        class_="quiet",
                    ),
                    class_="line",
                ),
            )
    scanned: tuple[Content, ...] = (element("span", "never", class_="quiet"),)
    if root.last_successful_scan_timestamp is not None:
        scanned = (
            time_ago(root.last_successful_scan_timestamp, now),
            element("small", _rhythm(root)),
        )
    link = element(
        "a", name(root.root), href=f"?{Query(Filter(roots=frozenset({root.root}))).encode()}"
    )
    return element(
        "tr",
        element("th", link, scope="row"),
        element("td", _root_state(root), class_="state-cell"),
        element("td", tasks, class_="progress"),
        element("td", jobs, class_="when", data_label="Jobs complete"),
        element("td", *scanned, class_="when", data_label="Last full scan"),
    )


def _root_state(root: RootRow) -> Html:
    if not root.attempted:
        return symbol_and_word("…", "first scan", "state waiting")
    if not root.up:
        return symbol_and_word("✗", "failing", "state unreadable")
    if not root.is_fresh:
        return symbol_and_word("!", "old", "state stalled")
    return symbol_and_word("✓", "up to date", "state complete")


def _rhythm(root: RootRow) -> str:
    """How long a scan takes, and how often there is one."""
    every = f"every {duration(root.scan_interval_seconds)}"
    if root.last_scan_duration_seconds is None:
        return every
    return f"{every}, takes {duration(root.last_scan_duration_seconds)}"
