"""Columns of text as lines on a terminal, in colours and as wide as it is.

Names of folders are given to rich as text, never as its markup: they are whatever a folder may be
called. Each line of the table is one of the terminal's, and one more for a reason.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from exporter.commands.status.tables.layout import GAP, Column, fits, place

_INDENT = "    "


def drawn(columns: Sequence[Column], room: int) -> Iterator[Text]:
    """A heading and each line, with the columns that fit into so many places."""
    reason = None
    if columns[-1].kind == "reason" and not fits(columns, room):
        *columns, reason = columns
    placed = place(columns, room)
    yield _line([(each.head, "bold") for each in placed])
    for line in range(len(columns[0].cells)):
        cells = ((each.cell(line), each.column.styles) for each in placed)
        yield _line([(text, styles[line] if styles else "") for text, styles in cells])
        if reason is not None and reason.cells[line]:
            yield from _folded(reason.cells[line], room)


def _line(cells: Sequence[tuple[str, str]]) -> Text:
    line = Text(GAP, no_wrap=True, overflow="crop", end="\n").join(Text(*cell) for cell in cells)
    line.rstrip()
    return line


def _folded(text: str, room: int) -> Iterator[Text]:
    console = Console(width=max(1, room - len(_INDENT)))
    for line in Text(text).wrap(console, console.width):
        yield Text(_INDENT).append(line)
