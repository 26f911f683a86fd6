"""What the page of one job shows, from its row of a report."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from exporter.config.labels import STAGE
from exporter.metrics.render import escape
from exporter.model import formatting
from exporter.model.advice import advice, unknowable
from exporter.model.open_tasks import WORDS, ranks_in_states, runs_of
from exporter.model.report import Report, Row
from exporter.model.selection import Filter
from exporter.model.stages.neighbours import blocked_by, in_words
from exporter.model.stall import is_idle, last_sign_of_life
from exporter.model.steps import coverage, steps_of
from exporter.web.pages.chart import HEIGHT, WIDTH, chart_of
from exporter.web.pages.environment import Drawn, drawn, freshness, icon
from exporter.web.pages.pipeline import pipeline
from exporter.web.query import Query
from exporter.web.urls import shell_path

_RUNS_SHOWN = 200
_RUNS_OF_A_GROUP = 30


def job(report: Report, row: Row, entries: list[Drawn]) -> dict[str, Any]:
    """The values of the template."""
    now, reading = report.time, row.reading
    root_row = next(each for each in report.roots if each.root is row.root)
    chart = None
    if reading is not None and reading.history is not None:
        chart = chart_of(row, reading, reading.history, now)
    ratio = "" if reading is None else f", {formatting.percent(reading.completion_ratio)}"
    selector = f'root="{escape(row.root.name)}",job_name="{escape(row.job_name)}"'
    steps = steps_of(reading)
    return {
        "title": f"{row.state}{ratio} – {row.job_name} – datatrove jobs",
        "icon": icon([row.state]),
        "HEIGHT": HEIGHT,
        "WIDTH": WIDTH,
        "now": now,
        "freshness": freshness([root_row]),
        "report": report,
        "row": row,
        **pipeline(report, row),
        "blocked": in_words(row.job) if blocked_by(row.job) else "",
        "alike": _alike(row),
        "root_row": root_row,
        "entries": drawn(entries, row),
        "chart": chart,
        "stalled": _why_stalled(row, now),
        "last_sign": None if reading is None else last_sign_of_life(reading),
        "missing": _missing(row),
        "states": _states(row),
        "steps": steps,
        "steps_of": coverage(reading),
        "most_seconds": max((step.seconds for step in steps), default=0.0),
        "ranks": lambda ranks: _some(runs_of(ranks)),
        "advice": advice(row.job),
        "unknowable": unknowable(row.job, row.root.url),
        "path": shell_path(row.root.url, row.job_name),
        "promql": f"datatrove_job_completion_ratio{{{selector}}}",
    }


def _alike(row: Row) -> list[tuple[str, str, str]]:
    """What the job has in common with others, and the query for these: kind, value, query."""
    group = row.group
    told = [
        ("stage", group.stage, Filter(stages=frozenset({group.stage}))),
        ("item", group.item, Filter(items=frozenset({group.item}))),
        *((name, value, Filter(labels=frozenset({(name, value)})))
          for name, value in row.job.labels or () if name != STAGE),
    ]  # fmt: skip
    return [(kind, value, Query(wanted).encode()) for kind, value, wanted in told if value]


def _why_stalled(row: Row, now: float) -> str:
    """By what a job is stalled: how long it is idle or, where its pace explains that, silent."""
    reading, idle, logs = row.reading, row.idle_seconds, row.logs
    if reading is None:
        return ""
    if (
        not is_idle(idle, row.stall_threshold_seconds)
        and logs is not None
        and logs.last_open_write is not None
    ):
        silent = formatting.duration(now - logs.last_open_write)
        said = f"No task that runs has written a log for {silent}"
        if logs.longest_gap_seconds is None:
            return f"{said}."
        before = formatting.duration(logs.longest_gap_seconds)
        return f"{said}; none was silent for longer than {before} before."
    said = f"No task was completed for {'too long' if idle is None else formatting.duration(idle)}"
    longest = reading.longest_completion_gap_seconds
    if longest is None:
        return f"{said} since its launch."
    if idle is not None and longest >= idle:
        return f"{said}; but for pauses of the whole cluster, it never waited so long."
    return f"{said}; it never waited longer than {formatting.duration(longest)} since its launch."


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
