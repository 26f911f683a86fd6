"""Rows of the report as a table on a terminal, in colours and as wide as it is.

Names of folders are given to rich as text, never as its markup: they are whatever a
folder may be called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from exporter.commands.status.table import DONE, JOB, NOTE, ROOT, STATE, TextColumn, width
from exporter.model.report import Row
from exporter.model.stall import State

STYLES: Mapping[State, str] = {
    "unreadable": "bold red",
    "stalled": "bold yellow",
    "running": "cyan",
    "waiting": "dim",
    "complete": "green",
}
_TEXTS = (ROOT, JOB, NOTE)
_TEXT_AT_LEAST = 20
# Names and notes are folded or cut to fit beside the rest, but not to less than this.
_GAP = 2
_BAR_WIDTH = 16
_BAR = TextColumn("", lambda row, _: "" if row.reading is None else " " * _BAR_WIDTH, give_way=9)


def table_of(rows: Sequence[Row], columns: Iterable[TextColumn], now: float, room: int) -> Table:
    """A table of at most `room` places in width, as long as it takes: columns give way,
    then names are folded."""
    cells = _cells(rows, _inserted(columns, _BAR), now)
    return _drawn(rows, cells, _fitting(cells, room), overflow="fold")


def live_table_of(
    rows: Sequence[Row],
    columns: Iterable[TextColumn],
    now: float,
    room: int,
    changes: Mapping[tuple[str, str], int],
) -> Table:
    """The same with one line for each row: of long names the end is shown. `changes` are
    tasks completed since some moment, by root and job_name."""

    def new(row: Row, _: float) -> str:
        return change(changes.get(row.key, 0)).plain

    bar_stays_longer = replace(_BAR, give_way=4)
    with_new = _inserted(columns, TextColumn("NEW", new, is_number=True), bar_stays_longer)
    cells = _cells(rows, with_new, now)
    fitting = _fitting(cells, room)
    for column, places in fitting.items():
        if column in (ROOT, JOB):
            cells[column] = [_end_of(text, places) for text in cells[column]]
    return _drawn(rows, cells, fitting, overflow="ellipsis")


def change(number: int) -> Text:
    """``+3``, ``-1``, or nothing."""
    return Text(f"{number:+}" if number else "", style="green" if number > 0 else "yellow")


def bar(completed: int, total: int) -> ProgressBar:
    """A bar that is full only when all is completed."""
    return ProgressBar(total=total, completed=completed, width=_BAR_WIDTH)


_Cells = dict[TextColumn, list[str]]


def _inserted(columns: Iterable[TextColumn], *more: TextColumn) -> list[TextColumn]:
    """The columns with some more after the numbers they tell of."""
    found = list(columns)
    position = found.index(DONE) + 1
    return [*found[:position], *more, *found[position:]]


def _cells(rows: Sequence[Row], columns: Iterable[TextColumn], now: float) -> _Cells:
    return {column: [column.cell(row, now) for row in rows] for column in columns}


def _fitting(cells: _Cells, room: int) -> dict[TextColumn, int]:
    """The columns there is room for, and how much of it each gets."""
    natural = {
        column: max([width(column.heading), *map(width, texts)]) for column, texts in cells.items()
    }
    least = {
        column: min(places, _TEXT_AT_LEAST) if column in _TEXTS else places
        for column, places in natural.items()
    }

    def left() -> int:
        return room + _GAP - sum(places + _GAP for places in least.values())

    while left() < 0 and any(column.give_way for column in least):
        del least[max(least, key=lambda column: column.give_way)]
    for column in (NOTE, JOB, ROOT):
        if column in least:
            least[column] += max(0, min(left(), natural[column] - least[column]))
    return least


def _end_of(text: str, places: int) -> str:
    if width(text) <= places:
        return text
    while width(text) > places - 1:
        text = text[1:]
    return f"…{text}"


def _drawn(
    rows: Iterable[Row],
    cells: _Cells,
    fitting: Mapping[TextColumn, int],
    overflow: Literal["fold", "ellipsis"],
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, places in fitting.items():
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            width=places,
            no_wrap=column not in _TEXTS or overflow == "ellipsis",
            overflow=overflow,
        )
    for number, row in enumerate(rows):
        table.add_row(*(_cell(column, cells[column][number], row) for column in fitting))
    return table


def _cell(column: TextColumn, text: str, row: Row) -> Text | ProgressBar:
    if column.heading == _BAR.heading and row.reading is not None:
        return bar(row.reading.tasks_completed, row.reading.tasks)
    return Text(text, style=STYLES[row.state] if column is STATE else "")
