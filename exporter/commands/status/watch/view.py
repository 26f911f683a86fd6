"""What somebody looks at, and what each key makes of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from exporter.model.facts import SORTS
from exporter.model.upstream import JobKey

Line = JobKey | str | None
"""What a line is about: a job, or a value of what jobs are put together by."""

T = TypeVar("T")
GROUPS: tuple[str | None, ...] = (None, "stage", "item", "root", "state")
KEYS = "/ filter  s sort  g group  ↑↓ Enter look  Esc back  q quit"


@dataclass(frozen=True, slots=True)
class View:
    """Which jobs (`match` is in their names; `within` a value of a group), in which order or put
    together by what; the line that is marked; the job that is looked at. While `is_typing`, keys
    are text of the filter."""

    sort: str
    match: str = ""
    is_typing: bool = False
    group: str | None = None
    within: tuple[str, str | None] | None = None
    marked: int = 0
    job: JobKey | None = None
    is_over: bool = False

    def after(self, key: str, lines: list[Line], page: int) -> "View":
        """The view after a key, of `lines` that are there, so many on a page."""
        if self.is_typing:
            return self._after_text(key)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -page, "page down": page,
                 "home": -len(lines), "end": len(lines)}  # fmt: skip
        if key in steps:
            if self.job is not None:
                return self
            return replace(self, marked=max(0, min(len(lines) - 1, self.marked + steps[key])))
        return self._look(lines) if key == "enter" else self._choose(key)

    def _choose(self, key: str) -> "View":
        """Other jobs, another order, another group; or the end."""
        if key == "q":
            return replace(self, is_over=True)
        if key == "escape":
            return self._back()
        if key == "/":
            return replace(self, is_typing=True, job=None)
        if key == "s":
            return replace(self, sort=_next([*SORTS], self.sort), group=None, job=None)
        if key == "g":
            return replace(self, group=_next(GROUPS, self.group), within=None, marked=0, job=None)
        return self

    def _after_text(self, key: str) -> "View":
        if key == "enter":
            return replace(self, is_typing=False)
        if key == "escape":
            return replace(self, is_typing=False, match="", marked=0)
        if key == "delete":
            return replace(self, match=self.match[:-1], marked=0)
        if len(key) == 1 and key.isprintable():
            return replace(self, match=self.match + key, marked=0)
        return self

    def _back(self) -> "View":
        """One step: from a job, from the jobs of a group, from a filter."""
        if self.job is not None:
            return replace(self, job=None)
        if self.within is not None:
            return replace(self, within=None, group=self.within[0], marked=0)
        return replace(self, match="", group=None, marked=0)

    def _look(self, lines: list[Line]) -> "View":
        """At the marked line: a job, or the jobs of a group."""
        if self.job is not None:
            return replace(self, job=None)
        if not lines:
            return self
        line = lines[min(self.marked, len(lines) - 1)]
        if isinstance(line, tuple):
            return replace(self, job=line)
        return replace(self, within=(self.group or "", line), group=None, marked=0)


def _next(choices: Sequence[T], now: T) -> T:
    """The one after this; the first after one that is none of them, such as a label."""
    return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]
