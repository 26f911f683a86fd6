"""What needs somebody, ``--problems``, as columns of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.commands.status.tables.jobs import STYLES, percent
from exporter.commands.status.tables.layout import Column
from exporter.model import formatting
from exporter.model.report import Report, Row
from exporter.model.state import looks_of

_UNKNOWN = "-"
_ROOT = "✗ root"


def problem_columns(
    report: Report, problems: Sequence[Mapping[str, Any]], rows: Sequence[Row]
) -> list[Column]:
    """A line for each: which root and job, how far, how long without a sign of life, and why. The
    `rows` are those of the jobs."""
    by_key = {row.key: row for row in rows}
    found = [by_key.get((problem["root"], problem["job_name"])) for problem in problems]
    has_root = len(report.roots) > 1 or any(problem["job_name"] is None for problem in problems)
    signs = [problem["last_sign_of_life_timestamp"] for problem in problems]
    whys = [formatting.readable(problem["why"]) for problem in problems]
    columns = [
        _names("ROOT", [problem["root"] for problem in problems]),
        _names("JOB", [problem["job_name"] for problem in problems]),
        _states([problem["state"] for problem in problems]),
        Column("%", [*map(_done, found)], "number", give_way=2),
        Column("SILENT", [_age(since, report.time) for since in signs], give_way=1),
        Column("WHY", whys, "reason"),
    ]
    return columns if has_root else columns[1:]


def _names(heading: str, names: Sequence[str | None]) -> Column:
    shown = [_UNKNOWN if name is None else formatting.readable(name) for name in names]
    return Column(heading, shown, "name")


def _states(states: Sequence[str | None]) -> Column:
    cells = [_ROOT if state is None else f"{looks_of(state).symbol} {state}" for state in states]
    tones = ["bad" if state is None else looks_of(state).tone for state in states]
    return Column("STATE", cells, styles=[STYLES[tone] for tone in tones])


def _done(row: Row | None) -> str:
    if row is None or row.reading is None:
        return _UNKNOWN
    return percent(row.reading.completion_ratio)


def _age(since: float | None, now: float) -> str:
    return _UNKNOWN if since is None else formatting.token(max(0.0, now - since))
