"""The page of one job: how it moves, which ranks are missing, and how to look further."""

from collections.abc import Iterator
from itertools import islice

from exporter.model.formatting import REASONS, count, duration, percent, ranges
from exporter.model.report import Filter, Report, RootRow, Row
from exporter.model.snapshot import Reading, Root
from exporter.web.chart import completion_chart
from exporter.web.layout import (
    banner,
    document,
    freshness,
    header,
    job_progress,
    live,
    name,
    state_badge,
    time_ago,
    time_at,
    time_left,
)
from exporter.web.markup import Content, Html, element, join
from exporter.web.query import Query
from exporter.web.urls import job_path, shell_path

_RUNS_SHOWN = 200


def render(report: Report, root: Root, row: Row, up: str) -> bytes:
    """The page of one row of the report, a job of `root`, as UTF-8. `up` leads from its
    address to the exporter's own."""
    now = report.time
    root_row = next(r for r in report.roots if r.root == root.name)
    main = element(
        "main",
        live("banners", banner(root_row, now) or "", _error(row)),
        live("job", _overview(row, now)),
        live("missing", _missing(row.reading)),
        _commands(root, row, up),
        id="content",
    )
    return document(
        _title(row),
        {"unreadable": "bad", "stalled": "bad", "complete": "ok"}.get(row.state, "busy"),
        up,
        header(_heading(row, report, root_row, up), freshness([root_row], now), "content"),
        main,
    )


def render_missing(up: str) -> bytes:
    """The page in place of a job that is not known. It does not repeat what was asked."""
    home = element("a", "All jobs", href=up or "./")
    return document(
        "No such job – datatrove jobs",
        "bad",
        up,
        element("header", element("h1", "No such job")),
        element(
            "main",
            element("p", "There is no job of this name, or not any more. ", home, class_="card"),
        ),
    )


def _title(row: Row) -> str:
    ratio = "" if row.completion_ratio is None else f", {percent(row.completion_ratio)}"
    return f"{row.state}{ratio} – {row.job_name} – datatrove jobs"


def _heading(row: Row, report: Report, root: RootRow, up: str) -> Html:
    siblings = Query(Filter(roots=frozenset({root.root}))).encode()
    trail = [element("a", "All jobs", href=up or "./")]
    if len(report.roots) > 1:
        trail += [Html(" / "), element("a", name(root.root), href=f"{up}?{siblings}")]
    return element(
        "div",
        element("nav", *trail, aria_label="Where this job is"),
        element("h1", name(row.job_name)),
        class_="heading",
    )


def _error(row: Row) -> Html | str:
    if row.error is None:
        return ""
    known = " What follows is its last good reading." if row.tasks is not None else ""
    why = element("strong", "This job cannot be read")
    text = element("p", why, f": {REASONS[row.error]}.{known}")
    return element("div", text, class_="banner")


def _overview(row: Row, now: float) -> Html:
    reading = row.reading
    facts = [
        join(element("dt", label), " ", element("dd", *content), " ")
        for label, content in _facts(row, now)
    ]
    about = element(
        "section",
        element("h2", "Now"),
        element("p", state_badge(row.state), " ", _explanation(row)),
        element("div", job_progress(row), class_="progress"),
        element("dl", *facts, class_="facts") if facts else "",
        class_="card",
    )
    drawn: Content = element("p", "No completion has been seen yet.", class_="quiet")
    if reading is not None and reading.is_complete and reading.history is None:
        drawn = element("p", "It was complete when it was first seen; when each task ended was "
                             "not looked up.", class_="quiet")  # fmt: skip
    elif reading is not None and reading.history is not None:
        drawn = completion_chart(row, reading.history, now)
    course = element("section", element("h2", "Completion over time"), drawn, class_="card")
    return element("div", about, course, class_="columns")


def _explanation(row: Row) -> str:
    """Why the job is in its state, where that is not plain."""
    if row.state == "stalled" and row.idle_seconds is not None:
        usual = ""
        if row.longest_completion_gap_seconds is not None:
            usual = f"; it never waited longer than {duration(row.longest_completion_gap_seconds)}"
        return f"No task was completed for {duration(row.idle_seconds)}{usual} since its launch."
    if row.state == "waiting":
        return "Launched; no log and no completed task yet."
    return ""


def _facts(row: Row, now: float) -> Iterator[tuple[str, tuple[Content, ...]]]:
    """What else is known, under its name."""
    yield from _facts_on_pace(row, now)
    if row.launch_timestamp is not None:
        at = time_at(row.launch_timestamp, now)
        yield "Launched", (time_ago(row.launch_timestamp, now), " ", element("small", at))
    since = row.tasks_completed_since_launch
    if since is not None and since != row.tasks_completed:
        yield "Completed since launch", (count(since),)
    if row.stray_markers:
        meaning = "entries in completions/ that are no marker of one of its tasks"
        yield "Stray markers", (count(row.stray_markers), " ", element("small", meaning))
    if row.executor is not None:
        slurm = element("small", name(row.slurm_job_name)) if row.slurm_job_name else ""
        yield "Executor", (row.executor, " ", slurm)
    if row.hidden:
        yield "Metrics", ("only in the sums: its own series are hidden",)


def _facts_on_pace(row: Row, now: float) -> Iterator[tuple[str, tuple[Content, ...]]]:
    if row.remaining_seconds is not None:
        yield "Time left", (time_left(row, now),)
    if row.last_completion_timestamp is not None:
        yield "Last completion", (time_ago(row.last_completion_timestamp, now),)
    if row.longest_completion_gap_seconds is not None:
        yield "Longest wait", (duration(row.longest_completion_gap_seconds),)
    if row.stall_threshold_seconds is not None and not row.is_complete:
        yield "Stalled after", (f"{duration(row.stall_threshold_seconds)} without a completion",)
    if row.tasks_per_hour is not None:
        yield "Pace", (pace(row.tasks_per_hour),)


def pace(tasks_per_hour: float) -> str:
    """How many tasks are completed in a time that is easy to imagine."""
    if tasks_per_hour >= 10:
        return f"{count(round(tasks_per_hour))} tasks an hour"
    if tasks_per_hour >= 1:
        return f"{tasks_per_hour:.1f} tasks an hour"
    return f"a task in {duration(3600 / tasks_per_hour)}"


def _missing(reading: Reading | None) -> Html | str:
    """Ranks without a marker, as ranges that can be copied."""
    if reading is None or reading.is_complete:
        return ""
    runs = list(islice(reading.ranks.missing_runs(reading.tasks), _RUNS_SHOWN))
    missing = reading.tasks - reading.tasks_completed
    shown = sum(last - first + 1 for first, last in runs)
    said = f"{count(missing)} rank{'s have' if missing > 1 else ' has'} no completion marker"
    if shown < missing:
        said += f"; the first {count(shown)} of them:"
    return element(
        "section",
        element("h2", "Missing ranks"),
        element("p", f"{said}{'' if said.endswith(':') else ':'}", class_="quiet"),
        _copyable("ranks", _breakable(ranges(runs)), "missing ranks"),
        class_="card",
    )


def _commands(root: Root, row: Row, up: str) -> Html:
    path = shell_path(root.url, row.job_name)
    selector = f"root={_quoted(row.root)},job_name={_quoted(row.job_name)}"
    api = f"{up}api/v1/jobs/{job_path(row.root, row.job_name)}"
    return element(
        "section",
        element("h2", "Look further"),
        element("p", "Ranks without a marker, and their logs:", class_="quiet"),
        _copyable("status", f"datatrove-exporter status --missing {path}", "status command"),
        element("p", "Logs of failed tasks, with datatrove's own tool:", class_="quiet"),
        _copyable("logs", f"failed_logs {path}", "failed_logs command"),
        element("p", "In Prometheus:", class_="quiet"),
        _copyable("promql", f"datatrove_job_completion_ratio{{{selector}}}", "PromQL query"),
        element("p", element("a", "This job as JSON", href=api)),
        class_="card",
    )


def _quoted(label: str) -> str:
    """A label value in PromQL."""
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _breakable(listed: str) -> Html:
    """A list that may be broken into lines after its commas and is copied as it was."""
    first, *others = listed.split(",")
    return join(first, *(join(",", element("wbr"), other) for other in others))


def _copyable(id_: str, content: Content, what: str) -> Html:
    button = element(
        "button",
        "Copy",
        type="button",
        class_="plain needs-script",
        data_copy=f"copy-{id_}",
        aria_label=f"Copy {what}",
    )
    return element(
        "div", element("pre", content, id=f"copy-{id_}", tabindex=0), button, class_="copyable"
    )
