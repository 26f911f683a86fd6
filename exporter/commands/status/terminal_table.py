"""Rows of the report as a table on a terminal, in colours and as wide as it is.

Names of folders are given to rich as text, never as its markup: they are whatever a
folder may be called.
"""

from collections.abc import Mapping, Sequence

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from exporter.commands.status.table import DONE, JOB, NOTE, ROOT, STATE, TextColumn, width
from exporter.model.report import Row
from exporter.model.state import BY_NAME, Tone

_STYLES: Mapping[Tone, str] = {
    "bad": "bold red",
    "warn": "bold yellow",
    "run": "cyan",
    "wait": "dim",
    "quiet": "dim",
    "ok": "green",
}
_TEXTS = (NOTE, JOB, ROOT)
_TEXT_AT_LEAST = 20  # names and notes are folded or cut to fit beside the rest, not to less
_GAP = 2
_BAR = ""
_BAR_WIDTH = 16


def table_of(
    rows: Sequence[Row],
    columns: Sequence[TextColumn],
    now: float,
    room: int,
    changes: Mapping[tuple[str, str], int] | None = None,
) -> Table:
    """A table of at most `room` places in width: columns give way, then names are folded.

    With `changes`, tasks completed since some moment by root and job_name, it has one line
    for each row: of long names the end is shown.
    """
    is_live = changes is not None
    shown = _with_progress(columns, changes)
    cells = {column: [column.cell(row, now) for row in rows] for column in shown}
    fitting = _fitting(cells, room)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, places in fitting.items():
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            width=places,
            no_wrap=is_live or column not in _TEXTS,
            overflow="ellipsis" if is_live else "fold",
        )
        if is_live and column in (JOB, ROOT):
            cells[column] = [_end_of(text, places) for text in cells[column]]
    for number, row in enumerate(rows):
        line: list[Text | ProgressBar] = []
        for column in fitting:
            if column.heading == _BAR and row.reading is not None:
                line.append(bar(row.reading.tasks_completed, row.reading.tasks))
            else:
                style = _STYLES[BY_NAME[row.state].tone] if column is STATE else ""
                line.append(Text(cells[column][number], style))
        table.add_row(*line)
    return table


def _with_progress(
    columns: Sequence[TextColumn], changes: Mapping[tuple[str, str], int] | None
) -> list[TextColumn]:
    """The columns with bars, and if there may be changes with those, after the numbers."""

    def space(row: Row, _: float) -> str:
        return "" if row.reading is None else " " * _BAR_WIDTH

    more = [TextColumn(_BAR, space, give_way=9 if changes is None else 4)]
    if changes is not None:
        of = changes.get
        new = TextColumn("NEW", lambda row, _: change(of(row.key, 0)).plain, is_number=True)
        more = [new, *more]
    position = columns.index(DONE) + 1
    return [*columns[:position], *more, *columns[position:]]


def change(number: int) -> Text:
    """``+3``, ``-1``, or nothing."""
    return Text(f"{number:+}" if number else "", style="green" if number > 0 else "yellow")


def bar(completed: int, total: int) -> ProgressBar:
    """A bar that is full only when all is completed."""
    return ProgressBar(total=total, completed=completed, width=_BAR_WIDTH)


def _fitting(cells: Mapping[TextColumn, list[str]], room: int) -> dict[TextColumn, int]:
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
    for column in _TEXTS:
        if column in least:
            least[column] += max(0, min(left(), natural[column] - least[column]))
    return least


def _end_of(text: str, places: int) -> str:
    if width(text) <= places:
        return text
    while width(text) > places - 1:
        text = text[1:]
    return f"…{text}"
