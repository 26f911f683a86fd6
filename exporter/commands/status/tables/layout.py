"""Columns of text side by side: how wide each is, and what gives way where there is no room.

Whole columns go first, those that say least before the others. Names are shortened last, and in
the middle: a dump stands at one end of them, a stage at the other. A pipe has room for everything.
Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from textwrap import wrap
from typing import Literal

Kind = Literal["value", "number", "name", "note", "reason"]
"""A value is whole or not there; numbers stand at the right; notes are cut at their end. A reason
is the last column, and where a line has no room for it, it has one of its own below."""

GAP = "  "
_NOTE_AT_LEAST = 20
_NAME_AT_LEAST = 5
_CUT = "…"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column with a cell for each line. Where there is no room, headings are replaced by their
    `short` ones; then those columns with the highest `give_way` go first, 0 never. `styles` are
    those of the cells, as rich knows them."""

    heading: str
    cells: Sequence[str]
    kind: Kind = "value"
    give_way: int = 0
    short: str = ""
    styles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A column with the places that it has, and how many it could do with."""

    column: Column
    heading: str
    places: int

    def cell(self, line: int) -> str:
        """The cell of a line, from 0, as wide as the column."""
        text = self.column.cells[line]
        shorter = shortened if self.column.kind == "name" else _cut_off
        return self._padded(shorter(text, self.places))

    @property
    def head(self) -> str:
        """The heading, as wide as the column."""
        return self._padded(_cut_off(self.heading, self.places))

    def _padded(self, text: str) -> str:
        space = " " * (self.places - width(text))
        return space + text if self.column.kind == "number" else text + space


def lines(columns: Sequence[Column], room: int | None = None) -> Iterator[str]:
    """A heading and each line; with all their text, but where there is only so much room."""
    placed = place(columns, room)
    yield GAP.join(each.head for each in placed).rstrip()
    for line in range(len(columns[0].cells)):
        yield GAP.join(each.cell(line) for each in placed).rstrip()


def place(columns: Sequence[Column], room: int | None = None) -> list[Placed]:
    """The columns that fit into a line of so many places; all of them without a limit."""
    placed = [_natural(column, column.heading) for column in columns]
    if room is None or _taken(placed) <= room:
        return placed
    placed = [_natural(column, column.short or column.heading) for column in columns]
    while _least(placed) > room and any(each.column.give_way for each in placed):
        placed.remove(max(placed, key=lambda each: each.column.give_way))
    if _least(placed) > room:
        placed = [each for each in placed if each.column.kind != "note"]
    return _narrowed(placed, room)


def fits(columns: Sequence[Column], room: int) -> bool:
    """Whether all of them fit into a line of so many places, with all their text."""
    return _taken(place(columns)) <= room


def _natural(column: Column, heading: str) -> Placed:
    return Placed(column, heading, max([width(heading), *map(width, column.cells)]))


def _taken(placed: Sequence[Placed]) -> int:
    return sum(each.places + len(GAP) for each in placed) - len(GAP)


def _least(placed: Sequence[Placed]) -> int:
    """What they take once notes are cut, and names are not."""
    notes = (each.places for each in placed if each.column.kind == "note")
    return _taken(placed) - sum(max(0, places - _NOTE_AT_LEAST) for places in notes)


def _narrowed(placed: list[Placed], room: int) -> list[Placed]:
    """The columns in this room: notes give first, then names, the last of them the least."""
    *others, last = [at for at, each in enumerate(placed) if each.column.kind == "name"]
    notes = [at for at, each in enumerate(placed) if each.column.kind == "note"]
    least = {**dict.fromkeys(notes, 0), **dict.fromkeys(others, room // 4), last: _NAME_AT_LEAST}
    for at, places in least.items():
        too_much = max(0, _taken(placed) - room)
        given = min(too_much, max(0, placed[at].places - places))
        placed[at] = replace(placed[at], places=placed[at].places - given)
    return placed


def folded(text: str, room: int | None) -> list[str]:
    """The text in lines of so many places at most, broken between words; a longer word, such as a
    path, stays whole."""
    if room is None or width(text) <= room:
        return [text]
    indent = text[: len(text) - len(text.lstrip())]
    return wrap(
        text, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def width(text: str) -> int:
    """How many places the text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shortened(text: str, places: int) -> str:
    """The text with its middle left out, ``CC-MAIN-…/filter``, if it takes more places."""
    if width(text) <= places:
        return text
    at_end = (places - 1) // 2
    beginning = _beginning(text, places - 1 - at_end)
    end = _beginning(text[::-1], at_end)[::-1]
    while end and not width(end[0]):  # what belongs to a character that was left out
        end = end[1:]
    return f"{beginning}{_CUT}{end}"


def _cut_off(text: str, places: int) -> str:
    return text if width(text) <= places else f"{_beginning(text, places - 1)}{_CUT}"


def _beginning(text: str, places: int) -> str:
    """As much of the text as fits into so many places."""
    taken = 0

    def fits(character: str) -> bool:
        nonlocal taken
        taken += width(character)
        return taken <= places

    return "".join(takewhile(fits, text))
