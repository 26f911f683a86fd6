"""Rows of the report as lines of text: which columns there are, and what they say.

For pipes and files: aligned by spaces, one line for each job, as wide as it takes.
``richtable`` lays the same cells out on a terminal.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exporter.model import formatting
from exporter.model.report import Report, Row, count_states
from exporter.model.snapshot import Totals

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `cell` says it for a row at the time of the report. Where there is not
    enough room, those with the highest `give_way` go first; 0 never goes."""

    heading: str
    cell: Callable[[Row, float], str]
    is_number: bool = False
    give_way: int = 0


def _duration(value: Callable[[Row], float | None]) -> Callable[[Row, float], str]:
    def cell(row: Row, _: float) -> str:
        seconds = value(row)
        return UNKNOWN if seconds is None else formatting.duration(seconds)

    return cell


def _ago(value: Callable[[Row], float | None]) -> Callable[[Row, float], str]:
    def cell(row: Row, now: float) -> str:
        timestamp = value(row)
        return UNKNOWN if timestamp is None else formatting.ago(max(0.0, now - timestamp))

    return cell


def _done(row: Row, _: float) -> str:
    return UNKNOWN if row.tasks is None else f"{row.tasks_completed}/{row.tasks}"


def _percent(row: Row, _: float) -> str:
    return UNKNOWN if row.completion_ratio is None else formatting.percent(row.completion_ratio)


def _pace(row: Row, _: float) -> str:
    if row.tasks_per_hour is None:
        return UNKNOWN
    return f"{row.tasks_per_hour:.3g}" if row.tasks_per_hour < 1000 else f"{row.tasks_per_hour:.0f}"


def _note(row: Row, _: float) -> str:
    notes = []
    if row.error is not None:
        notes.append(formatting.REASONS[row.error])
    if row.stray_markers:
        plural = "" if row.stray_markers == 1 else "s"
        notes.append(f"{row.stray_markers} stray marker{plural}")
    return "; ".join(notes)


ROOT = Column("ROOT", lambda row, _: row.root)
JOB = Column("JOB", lambda row, _: row.job_name)
STATE = Column("STATE", lambda row, _: f"{formatting.SYMBOLS[row.state]} {row.state}")
DONE = Column("DONE", _done, is_number=True)
NOTE = Column("NOTE", _note)
_COLUMNS = (
    JOB,
    STATE,
    DONE,
    Column("%", _percent, is_number=True, give_way=1),
    Column("LAST COMPLETION", _ago(lambda row: row.last_completion_timestamp), give_way=3),
    Column(
        "LONGEST WAIT",
        _duration(lambda row: row.longest_completion_gap_seconds),
        give_way=5,
    ),
    Column("TASKS/H", _pace, is_number=True, give_way=4),
    Column("TIME LEFT", _duration(lambda row: row.remaining_seconds), give_way=2),
    Column("LAUNCHED", _ago(lambda row: row.launch_timestamp), give_way=6),
    Column("EXECUTOR", lambda row, _: row.executor or UNKNOWN, give_way=7),
    NOTE,
)


def columns_for(report: Report, rows: Iterable[Row]) -> list[Column]:
    """The columns that these rows need: the root where there are several, notes where
    there are any."""
    has_notes = any(_note(row, report.time) for row in rows)
    columns = [column for column in _COLUMNS if has_notes or column is not NOTE]
    return [ROOT, *columns] if len(report.roots) > 1 else columns


def lines(rows: Sequence[Row], columns: Sequence[Column], now: float) -> Iterable[str]:
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
