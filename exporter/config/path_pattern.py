"""Patterns of paths whose parts may have names: ``minhash/{dump}/{stage}``. Pure; no I/O.

``{x}`` and ``*`` are one or more characters within a part, ``**`` and ``{x**}`` are whole
parts. There is no regular expression: one with five groups takes seconds for a name of 255
dashes. A part is cut at its literals, each at the first place where it stands, and so is a
path at what lies between ``**``. Nothing is ever taken back, so the time is linear in the
length of the path.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WILDCARD = re.compile(r"(\{[^{}]*\}|\*+)")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_MOST_IN_A_PART = 2


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a pattern: literals, and between them wildcards by their `names`, which are
    empty for those without one. A *deep* part stands for several."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    is_deep: bool = False

    def values(self, text: str) -> list[str] | None:
        """What the wildcards stand for in a part of a path; None where they do not fit."""
        first, *between = self.literals
        if not between:
            return [] if text == first else None
        *between, last = between
        if not (text.startswith(first) and text.endswith(last)):
            return None
        values, begin, end = [], len(first), len(text) - len(last)
        for literal in between:
            found = text.find(literal, begin + 1, end)
            if found < 0:
                return None
            values.append(text[begin:found])
            begin = found + len(literal)
        return [*values, text[begin:end]] if begin < end else None


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern of whole paths. Made by `parse`."""

    text: str
    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its named wildcards, in their order."""
        return tuple(name for part in self.parts for name in part.names if name)

    @property
    def shape(self) -> str:
        """The pattern with ``*`` for each of its wildcards."""
        return "/".join("*".join(part.literals) for part in self.parts)

    def match(self, path: Sequence[str], *, least_deep: int = 1) -> dict[str, str] | None:
        """What the named wildcards stand for, in their order, if the pattern fits this whole
        path. A deep part stands for `least_deep` parts or more."""
        values = self._values(path, least_deep)
        if values is None:
            return None
        names = (name for part in self.parts for name in part.names)
        return {name: value for name, value in zip(names, values, strict=True) if name}

    def _values(self, path: Sequence[str], least_deep: int) -> list[str] | None:
        first, *between = self._runs()
        if not between:
            return _in_turn(first, path)
        *between, last = between
        begin, end = len(first), len(path) - len(last)
        if end - begin < least_deep:
            return None
        values = _in_turn(first, path[:begin])
        for run in between:
            starts = range(begin + least_deep, end - len(run) + 1)
            tried = ((start, _in_turn(run, path[start : start + len(run)])) for start in starts)
            start, found = next((each for each in tried if each[1] is not None), (end, None))
            if values is None or found is None:
                return None
            values += ["/".join(path[begin:start]), *found]
            begin = start + len(run)
        tail = _in_turn(last, path[end:])
        if values is None or tail is None or end - begin < least_deep:
            return None
        return [*values, "/".join(path[begin:end]), *tail]

    def leads_to(self, path: Sequence[str]) -> bool:
        """The pattern may fit this path, or a longer one that begins with it."""
        first, *others = self._runs()
        if len(path) > len(first) and not others:
            return False
        known = min(len(path), len(first))
        return _in_turn(first[:known], path[:known]) is not None

    def part_at(self, depth: int) -> Part | None:
        """The part that comes next on a path of so many names to which the pattern leads; None at
        the end."""
        first, *others = self._runs()
        deep = next((part for part in self.parts if part.is_deep), None)
        return first[depth] if depth < len(first) else deep if others else None

    def _runs(self) -> list[tuple[Part, ...]]:
        """The parts before, between and after the deep ones."""
        deep = [index for index, part in enumerate(self.parts) if part.is_deep]
        starts, ends = [0, *(index + 1 for index in deep)], [*deep, len(self.parts)]
        return [self.parts[start:end] for start, end in zip(starts, ends, strict=True)]

    def __str__(self) -> str:
        return self.text


def _in_turn(parts: Sequence[Part], path: Sequence[str]) -> list[str] | None:
    """What the wildcards of parts that are not deep stand for in as many parts of a path."""
    if len(parts) != len(path):
        return None
    values: list[str] = []
    for part, text in zip(parts, path, strict=True):
        if (found := part.values(text)) is None:
            return None
        values += found
    return values


def parse(text: str) -> PathPattern:
    """The pattern that is written so; ValueError says why it is none, without a word of it."""
    pattern = PathPattern(text, tuple(map(_part, text.split("/"))))
    if len(set(pattern.names)) < len(pattern.names):
        raise ValueError("uses the name of one label twice")
    if sum(part.is_deep and any(part.names) for part in pattern.parts) > 1:
        raise ValueError("has more than one {name**}")
    return pattern


def _part(text: str) -> Part:
    if text in (".", ".."):
        raise ValueError("has a part . or .., which is never part of a name")
    if not text:
        raise ValueError("has an empty part: no / at its ends, and no two side by side")
    literals, names = _cut(text)
    if any(bracket in literal for literal in literals for bracket in "{}"):
        raise ValueError("has a brace without its other half")
    if "" in literals[1:-1]:
        raise ValueError("has two wildcards side by side: where one ends cannot be told")
    is_deep = any(name.endswith("*") for name in names)
    if is_deep and literals != ("", ""):
        raise ValueError("** and {name**} stand for whole parts, with a / at either side")
    if len(names) > _MOST_IN_A_PART:
        raise ValueError(f"has more than {_MOST_IN_A_PART} wildcards in one part")
    return Part(literals, tuple(name.rstrip("*") for name in names), is_deep)


def _cut(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The literals of a part, and the names of its wildcards; those of deep ones end in ``*``."""
    pieces = _WILDCARD.split(text)
    return tuple(pieces[::2]), tuple(map(_name, pieces[1::2]))


def _name(wildcard: str) -> str:
    if wildcard == "*":
        return ""
    if wildcard == "**":
        return "*"
    name, deep = wildcard[1:-1].removesuffix("**"), "*" * wildcard.endswith("**}")
    if not wildcard.startswith("{"):
        raise ValueError("has more than two * side by side")
    if not _NAME.fullmatch(name):
        raise ValueError("a name in braces is made of a-z, 0-9 and _, and does not begin with 0-9")
    return name + deep
