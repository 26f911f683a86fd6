"""The trouble that is expected: the operator's mistakes, and the world's.

Everything else that is raised is a bug.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of the operator: where (as a path into the file) and what."""

    location: Location
    text: str
    line: int | None = None

    def __str__(self) -> str:
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.location)
        return f"{place.lstrip('.')}: {self.text}" if place else self.text


class ConfigError(Exception):
    """The configuration cannot be used. One line of text per mistake, no secrets.
    `source` is the file, or empty for the command line. `secret_files` are the files that it wants
    secrets from, missing ones included."""

    def __init__(
        self, source: str, mistakes: list[Mistake], secret_files: tuple[str, ...] = ()
    ) -> None:
        super().__init__(source, mistakes)
        self.source = source
        self.secret_files = secret_files
        self.mistakes = sorted(mistakes, key=lambda m: m.line or 0)

    def __str__(self) -> str:
        before = f"{self.source}: " if self.source else ""
        return "\n".join(
            f"{self.source}:{m.line}: {m}" if m.line else f"{before}{m}" for m in self.mistakes
        )


class CommandError(Exception):
    """A command cannot do what it is asked to. One line of text for each reason."""


Reason = Literal[
    "timeout",
    "denied",
    "not_found",
    "throttled",
    "unavailable",
    "partial",
    "invalid",
    "too_large",
    "other",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class StorageError(Exception):
    """The storage, or what lies in it, could not be read.

    `reason` is the class of trouble that metrics count. `detail` is one line for people, of
    our own words, system error texts and error codes only: never of data, options or library
    messages, which may hold secrets.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The end of a sentence on a word that is none of these: the one that it may be meant for."""
    from difflib import get_close_matches

    close = get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]}?" if close else ""
