"""The status page's table of jobs: columns to sort by, and pages when there are many.

Which jobs, and in what order, is the query's business; what else is on the page, the
page's.
"""

from dataclasses import replace

from exporter.model.formatting import REASONS, count, duration
from exporter.model.report import Report, Row, Sort
from exporter.web.layout import job_progress, name, state_badge, time_ago, time_left
from exporter.web.markup import Content, Html, element, join
from exporter.web.query import Query
from exporter.web.urls import job_path

SORTS: dict[Sort, str] = {
    "attention": "Attention first",
    "name": "Name",
    "progress": "Progress, least first",
    "last": "Last completion, newest first",
    "idle": "Idle, longest first",
    "remaining": "Time left, shortest first",
    "pace": "Pace, slowest first",
    "launch": "Launch, newest first",
}
"""The orders there are, in words."""

_COLUMNS: tuple[tuple[str, Sort], ...] = (
    ("Job", "name"),
    ("State", "attention"),
    ("Progress", "progress"),
    ("Last completion", "last"),
    ("Time left", "remaining"),
    ("Launched", "launch"),
)


def job_table(report: Report, rows: list[Row], query: Query) -> Html:
    """The page of `rows` that the query asks for, or why there are none."""
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
    order = SORTS[query.sort].lower() + ("" if query.is_natural else ", reversed")
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
