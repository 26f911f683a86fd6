"""Rows of the report as lines of text: which columns there are, and what they say.

For pipes and files: aligned by spaces, one line for each job, as wide as it takes.
``terminal_table`` lays the same cells out on a terminal.
"""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from exporter.config.addresses import without_query
from exporter.config.settings import RootConfig
from exporter.datatrove.layout import INNER_FOLDERS
from exporter.model import formatting
from exporter.model.fact import Format
from exporter.model.facts import columns_of
from exporter.model.report import Report, Row, count_states
from exporter.model.state import BY_NAME, NEED_ATTENTION

_UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One column as text. `cell` says it for a row at the time of the report. Where there
    is not enough room, those with the highest `give_way` go first; 0 never goes."""

    heading: str
    cell: Callable[[Row, float], str]
    is_number: bool = False
    give_way: int = 0
    may_be_empty: bool = False


def _note(row: Row, now: float) -> str:
    notes = [] if row.as_of is None else [f"as of {formatting.ago(max(0.0, now - row.as_of))}"]
    if row.error is not None:
        notes.append(formatting.REASONS[row.error])
    if row.reading is not None and (stray := row.reading.stray_markers):
        notes.append(f"{stray} stray marker{'' if stray == 1 else 's'}")
    return "; ".join(notes)


def _done(row: Row, _: float) -> str:
    reading = row.reading
    return _UNKNOWN if reading is None else f"{reading.tasks_completed}/{reading.tasks}"


def _last_completion(row: Row, now: float) -> str:
    if row.reading is None or not row.reading.tasks_completed:
        return _UNKNOWN
    last = row.reading.last_completion_timestamp
    return "not known" if last is None else formatting.ago(max(0.0, now - last))


def _time_left(row: Row, _: float) -> str:
    if row.overdue_seconds is not None:
        return f"overdue by {formatting.duration(row.overdue_seconds)}"
    left = row.remaining_seconds
    return _UNKNOWN if left is None else formatting.duration(left)


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
    "state": lambda state: f"{BY_NAME[state].symbol} {state}",
    "count": formatting.count,
    "percent": formatting.percent,
    "duration": formatting.duration,
    "rate": formatting.rate,
}
_TIMES: frozenset[Format] = frozenset({"ago", "launch"})
_NUMBERS: frozenset[Format] = frozenset({"count", "done", "percent", "rate"})


def _cell(of: Callable[[Row], Any], cell_format: Format, row: Row, now: float) -> str:
    if (of_row := _OF_ROW.get(cell_format)) is not None:
        return formatting.readable(of_row(row, now))
    value = of(row)
    if value is None:
        return _UNKNOWN
    if cell_format in _TIMES:
        return formatting.ago(max(0.0, now - value))
    return formatting.readable(_TEXTS[cell_format](value))


_COLUMNS = {
    column.title.upper(): TextColumn(
        column.title.upper(),
        partial(_cell, fact.of, column.format),
        is_number=column.format in _NUMBERS,
        give_way=column.give_way,
        may_be_empty=column.may_be_empty,
    )
    for fact, column in columns_of("terminal")
}
ROOT, JOB, STATE, DONE, NOTE = (
    _COLUMNS[heading] for heading in ("ROOT", "JOB", "STATE", "DONE", "NOTE")
)


def columns_for(report: Report, rows: Sequence[Row]) -> list[TextColumn]:
    """The columns that these rows need: the root where there are several, and what may be
    empty where it is not."""

    def is_needed(column: TextColumn) -> bool:
        if column is ROOT:
            return len(report.roots) > 1
        cells = (column.cell(row, report.time) for row in rows)
        return not column.may_be_empty or any(cell not in ("", _UNKNOWN) for cell in cells)

    return list(filter(is_needed, _COLUMNS.values()))


def lines(rows: Sequence[Row], columns: Sequence[TextColumn], now: float) -> Iterator[str]:
    """A heading and one line for each row."""
    grid = [[column.heading for column in columns]]
    grid += ([column.cell(row, now) for column in columns] for row in rows)
    return in_columns(grid, {at for at, column in enumerate(columns) if column.is_number})


def in_columns(grid: Sequence[Sequence[str]], numbers: Collection[int]) -> Iterator[str]:
    """Lines whose cells stand below one another, those in the columns of `numbers` at the right."""
    widths = [max(map(width, cells)) for cells in zip(*grid, strict=True)]
    for cells in grid:
        padded = []
        for at, (cell, room) in enumerate(zip(cells, widths, strict=True)):
            space = " " * (room - width(cell))
            padded.append(space + cell if at in numbers else cell + space)
        yield "  ".join(padded).rstrip()


def width(text: str) -> int:
    """How many places the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def summary(report: Report) -> str:
    """The line below a table, beginning as that of datatrove's ``jobs_status``."""
    totals = report.totals
    jobs = formatting.percent(totals.jobs_completed_ratio or 0.0)
    tasks = formatting.percent(totals.tasks_completed_ratio or 0.0)
    counted = count_states(report.rows)
    parts = [
        f"Summary: {totals.jobs_completed}/{totals.jobs} ({jobs}) jobs completed",
        f"{totals.tasks_completed}/{totals.tasks} ({tasks}) tasks completed",
        *(f"{jobs} {state}" for state, jobs in counted.items() if jobs and state in NEED_ATTENTION),
        *filter(None, [report.left_out]),
    ]
    return ", ".join(parts) + "."


def problems(configs: Iterable[RootConfig], report: Report) -> Iterator[str]:
    """A line for each root that could not be read or has no jobs, and for whatever jobs may be
    missed by."""
    for config, row in zip(configs, report.roots, strict=True):
        root = row.root
        if root.error is not None:
            yield f"{root.name} cannot be read: {root.error}"
        elif root.totals is not None and root.totals.jobs == 0:
            yield f"{root.name}: no jobs found{_named(config)}{_hint_for(config)}"
        yield from (f"{root.name}: {sentence}" for sentence in root.missed)


def _named(config: RootConfig) -> str:
    if not config.prefix:
        return ""
    also = config.asked_prefix and f" (as configured) and with {config.asked_prefix} (--prefix)"
    return f" whose name starts with {config.prefix}{also}"


def _hint_for(config: RootConfig) -> str:
    """Why a folder may hold no jobs, as far as its name tells."""
    depth = f", up to {config.max_depth} folders deep (--max-depth)"
    place = without_query(config.url).partition("://")
    _, slash, name = (place[2] or place[0]).rstrip("/").rpartition("/")
    if slash and name in INNER_FOLDERS:  # and no bucket
        return f"{depth}; {name}/ may lie inside a job, one folder up"
    return depth
