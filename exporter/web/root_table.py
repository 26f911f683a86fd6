"""The status page's table of roots: how old and how complete what is known of each is."""

from exporter.model.formatting import count, duration, percent
from exporter.model.report import Filter, Report, RootRow
from exporter.web.layout import name, progress_bar, symbol_and_word, time_ago
from exporter.web.markup import Content, Html, element, join
from exporter.web.query import Query


def root_table(report: Report) -> Html:
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
