"""Rows of the report as text: which columns there are, and what they say; each value is one
word, but for names and notes. ``layout`` gives the columns their places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from exporter.commands.status.tables.layout import Column, Kind
from exporter.model import formatting
from exporter.model.facts import columns_of
from exporter.model.facts.fact import Format
from exporter.model.report import Report, Row, count_states
from exporter.model.snapshot import Totals
from exporter.model.stages.neighbours import in_words
from exporter.model.state import NEED_ATTENTION, Tone, looks_of
from exporter.model.upstream import JobKey

_UNKNOWN = "-"
_BAR_PLACES = 16
STYLES: Mapping[Tone, str] = {
    "bad": "bold red",
    "warn": "bold yellow",
    "run": "cyan",
    "wait": "dim",
    "quiet": "dim",
    "ok": "green",
}
"""How cells of each tone look, as rich knows it."""


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One column as text. `cell` says it for a row at the time of the report. Where there
    is not enough room, those with the highest `give_way` go first; 0 never goes."""

    heading: str
    cell: Callable[[Row, float], str]
    kind: Kind = "value"
    give_way: int = 0
    may_be_empty: bool = False


def _note(row: Row, now: float) -> str:
    notes = [] if row.as_of is None else [f"as of {formatting.ago(max(0.0, now - row.as_of))}"]
    if row.error is not None:
        notes.append(formatting.TROUBLES[row.error].words)
    notes += filter(None, [in_words(row.job)])
    if row.reading is not None and (stray := row.reading.stray_markers):
        notes.append(formatting.counted(stray, "stray marker"))
    return "; ".join(notes)


def _done(row: Row, _: float) -> str:
    reading = row.reading
    return _UNKNOWN if reading is None else f"{reading.tasks_completed}/{reading.tasks}"


def _last_completion(row: Row, now: float) -> str:
    if row.reading is None or not row.reading.tasks_completed:
        return _UNKNOWN
    last = row.reading.last_completion_timestamp
    return "unknown" if last is None else formatting.token(max(0.0, now - last))


def _time_left(row: Row, _: float) -> str:
    if row.overdue_seconds is not None:
        return f"overdue:{formatting.token(row.overdue_seconds)}"
    left = row.remaining_seconds
    return _UNKNOWN if left is None else formatting.left(left)


def percent(ratio: float) -> str:
    """A share as one word: ``61%``."""
    return formatting.percent(ratio).replace(" ", "")


_OF_ROW: Mapping[Format, Callable[[Row, float], str]] = {
    "note": _note,
    "done": _done,
    "last_completion": _last_completion,
    "time_left": _time_left,
}
"""Formats for what one value alone does not say."""

_TEXTS: Mapping[Format, Callable[[Any], str]] = {
    "text": str,
    "job": str,
    "executor": str,
    "state": lambda state: f"{looks_of(state).symbol} {state}",
    "count": formatting.count,
    "percent": percent,
    "duration": formatting.token,
    "rate": formatting.rate,
}
_TIMES: frozenset[Format] = frozenset({"ago", "launch"})
_KINDS: Mapping[Format, Kind] = {
    "text": "name",
    "job": "name",
    "note": "note",
    **dict.fromkeys(("count", "done", "percent", "rate"), "number"),
}


def _cell(of: Callable[[Row], Any], cell_format: Format, row: Row, now: float) -> str:
    if (of_row := _OF_ROW.get(cell_format)) is not None:
        return formatting.readable(of_row(row, now))
    value = of(row)
    if value is None:
        return _UNKNOWN
    if cell_format in _TIMES:
        return formatting.token(max(0.0, now - value))
    return formatting.readable(_TEXTS[cell_format](value))


_COLUMNS = {
    column.title.upper(): TextColumn(
        column.title.upper(),
        partial(_cell, fact.of, column.format),
        _KINDS.get(column.format, "value"),
        give_way=column.give_way,
        may_be_empty=column.may_be_empty,
    )
    for fact, column in columns_of("terminal")
}
_ROOT, _STATE, _DONE = (_COLUMNS[heading] for heading in ("ROOT", "STATE", "DONE"))


def columns_for(report: Report, rows: Sequence[Row]) -> list[TextColumn]:
    """The columns that these rows need: the root where there are several, and what may be
    empty where it is not."""

    def is_needed(column: TextColumn) -> bool:
        if column is _ROOT:
            return len(report.roots) > 1
        cells = (column.cell(row, report.time) for row in rows)
        return not column.may_be_empty or any(cell not in ("", _UNKNOWN) for cell in cells)

    return list(filter(is_needed, _COLUMNS.values()))


def job_columns(
    report: Report,
    rows: Sequence[Row],
    *,
    with_bars: bool = False,
    new: Mapping[JobKey, int] | None = None,
) -> list[Column]:
    """The columns of a table of these rows. `new` are tasks completed since some moment, by root
    and job_name."""
    columns = columns_for(report, rows)
    position = columns.index(_DONE) + 1
    if with_bars:
        columns.insert(position, TextColumn("", _bar_of, give_way=9 if new is None else 4))
    if new is not None:
        of = new.get
        changes = TextColumn("NEW", lambda row, _: change(of(row.key, 0)), "number")
        columns.insert(position, changes)
    return [_filled(column, rows, report.time) for column in columns]


def _filled(column: TextColumn, rows: Sequence[Row], now: float) -> Column:
    cells = [column.cell(row, now) for row in rows]
    styles: Sequence[str] = ()
    if column is _STATE:
        styles = [STYLES[looks_of(row.state).tone] for row in rows]
    elif not column.heading:
        styles = ["cyan"] * len(rows)
    return Column(column.heading, cells, column.kind, column.give_way, styles=styles)


def change(number: int) -> str:
    """``+3``, ``-1``, or nothing."""
    return f"{number:+}" if number else ""


def bar(completed: int, total: int) -> str:
    """A bar that is full only when all is completed."""
    full = _BAR_PLACES * min(completed, total) // total if total else 0
    return "━" * full + "┄" * (_BAR_PLACES - full)


def _bar_of(row: Row, _: float) -> str:
    return "" if row.reading is None else bar(row.reading.tasks_completed, row.reading.tasks)


def summary(report: Report, rows: Sequence[Row] | None = None) -> str:
    """The line below a table, beginning as that of datatrove's ``jobs_status``; of these rows
    only, if that is what was asked for."""
    totals = report.totals if rows is None else Totals.of_jobs(row.job for row in rows)
    jobs = formatting.percent(totals.jobs_completed_ratio or 0.0)
    tasks = formatting.percent(totals.tasks_completed_ratio or 0.0)
    counted = count_states(report.rows if rows is None else rows)
    parts = [
        f"Summary: {totals.jobs_completed}/{totals.jobs} ({jobs}) jobs completed",
        f"{totals.tasks_completed}/{totals.tasks} ({tasks}) tasks completed",
        *(f"{jobs} {state}" for state, jobs in counted.items() if jobs and state in NEED_ATTENTION),
        *([] if rows is None else [f"of {formatting.count(len(report.rows))} jobs in all"]),
        *filter(None, [report.left_out]),
    ]
    return ", ".join(parts) + "."
