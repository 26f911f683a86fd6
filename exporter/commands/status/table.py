"""Rows of the report as lines of text: which columns there are, and what they say.

For pipes and files: aligned by spaces, one line for each job, as wide as it takes.
``terminal_table`` lays the same cells out on a terminal.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from exporter.model import formatting
from exporter.model.fact import Format
from exporter.model.facts import columns_of
from exporter.model.report import Report, Row, count_states
from exporter.model.snapshot import Totals

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One column as text. `cell` says it for a row at the time of the report. Where there
    is not enough room, those with the highest `give_way` go first; 0 never goes."""

    heading: str
    cell: Callable[[Row, float], str]
    is_number: bool = False
    give_way: int = 0
    may_be_empty: bool = False


def _done(_: object, row: Row) -> str:
    return UNKNOWN if row.reading is None else f"{row.reading.tasks_completed}/{row.reading.tasks}"


def _rate(tasks_per_hour: float) -> str:
    return f"{tasks_per_hour:.3g}" if tasks_per_hour < 1000 else f"{tasks_per_hour:.0f}"


def _note(_: object, row: Row) -> str:
    notes = []
    if row.error is not None:
        notes.append(formatting.REASONS[row.error])
    if row.reading is not None and (stray := row.reading.stray_markers):
        notes.append(f"{stray} stray marker{'' if stray == 1 else 's'}")
    return "; ".join(notes)


_OF_ROW: Mapping[Format, Callable[[Any, Row], str]] = {
    "state": lambda state, _: f"{formatting.SYMBOLS[state]} {state}",
    "done": _done,
    "note": _note,
}
"""Cells that are never unknown, or that take more than the value."""

_OF_VALUE: Mapping[Format, Callable[[Any], str]] = {
    "text": str,
    "job": str,
    "executor": str,
    "count": formatting.count,
    "percent": formatting.percent,
    "duration": formatting.duration,
    "time_left": formatting.duration,
    "rate": _rate,
}
_TIMES: frozenset[Format] = frozenset({"ago", "launch", "last_completion"})
_NUMBERS: frozenset[Format] = frozenset({"count", "done", "percent", "rate"})


def _cell(of: Callable[[Row], Any], cell_format: Format, row: Row, now: float) -> str:
    value = of(row)
    if cell_format in _OF_ROW:
        return _OF_ROW[cell_format](value, row)
    if value is None:
        return UNKNOWN
    if cell_format in _TIMES:
        return formatting.ago(max(0.0, now - value))
    return _OF_VALUE[cell_format](value)


def _text_columns() -> Iterable[TextColumn]:
    for fact, column in columns_of("terminal"):
        yield TextColumn(
            column.title.upper(),
            partial(_cell, fact.of, column.format),
            is_number=column.format in _NUMBERS,
            give_way=column.give_way,
            may_be_empty=column.may_be_empty,
        )


_COLUMNS = {column.heading: column for column in _text_columns()}
ROOT, JOB, STATE, DONE, NOTE = (
    _COLUMNS[heading] for heading in ("ROOT", "JOB", "STATE", "DONE", "NOTE")
)


def columns_for(report: Report, rows: Sequence[Row]) -> list[TextColumn]:
    """The columns that these rows need: the root where there are several, and what may be
    empty where it is not."""
    columns = [
        column
        for column in _COLUMNS.values()
        if not column.may_be_empty
        or any(column.cell(row, report.time) not in ("", UNKNOWN) for row in rows)
    ]
    return columns if len(report.roots) > 1 else [c for c in columns if c is not ROOT]


def lines(rows: Sequence[Row], columns: Sequence[TextColumn], now: float) -> Iterable[str]:
    """A heading and one line for each row."""
    grid = [[column.heading for column in columns]]
    grid += ([column.cell(row, now) for column in columns] for row in rows)
    widths = [max(map(width, cells)) for cells in zip(*grid, strict=True)]
    for cells in grid:
        padded = (
            " " * (room - width(cell)) + cell
            if column.is_number
            else cell + " " * (room - width(cell))
            for cell, room, column in zip(cells, widths, columns, strict=True)
        )
        yield "  ".join(padded).rstrip()


def width(text: str) -> int:
    """How many places the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def summary(totals: Totals, rows: Iterable[Row]) -> str:
    """The line below a table, beginning as that of datatrove's ``jobs_status``."""
    jobs = formatting.percent(totals.jobs_completed_ratio or 0.0)
    tasks = formatting.percent(totals.tasks_completed_ratio or 0.0)
    parts = [
        f"Summary: {totals.jobs_completed}/{totals.jobs} ({jobs}) jobs completed",
        f"{totals.tasks_completed}/{totals.tasks} ({tasks}) tasks completed",
    ]
    counted = count_states(rows)
    parts += [f"{counted[state]} {state}" for state in ("unreadable", "stalled") if counted[state]]
    return ", ".join(parts) + "."
