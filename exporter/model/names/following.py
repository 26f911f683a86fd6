"""Steps that no word tells, from those of the same items that words do tell. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from exporter.model.names.job_name import JobName
from exporter.model.names.name_part import (
    OF_STEPS,
    Parts,
    has_word_and_number,
    names_a_step,
    ways_to_follow,
)

_REPEATED = 2  # items known from other stages


class _Way(NamedTuple):
    """How a name may be taken: one part as this pattern, in which ``*`` stands for these values.
    `taken` has the others; without it, all of them are items."""

    texts: Parts
    at: int
    pattern: str
    values: Parts
    taken: Sequence[tuple[str, Parts]] | None = None

    @property
    def stage(self) -> str:
        if self.taken is not None:
            return "/".join(pattern for pattern, _ in self.in_full())
        return f"{'*/' * self.at}{self.pattern}{'/*' * (len(self.texts) - self.at - 1)}"

    @property
    def items(self) -> Parts:
        if self.taken is not None:
            return tuple(value for _, values in self.in_full() for value in values)
        return (*self.texts[: self.at], *self.values, *self.texts[self.at + 1 :])

    def in_full(self) -> list[tuple[str, Parts]]:
        """For each part its pattern and what the ``*`` in that stand for."""
        parts = list(self.taken or (("*", (text,)) for text in self.texts))
        parts[self.at] = self.pattern, self.values
        return parts


def follow_known_steps(names: Sequence[JobName]) -> None:
    """Take for a step what no word tells to be one, where the rest of its names are items that
    known steps have as well: at least two of them, and half of all."""
    unsure = [name for name in names if "plain" in name.kinds or not name.kinds & OF_STEPS]
    if not unsure:
        return
    known = {name.items for name in names if name.kinds & OF_STEPS and name.has_stage}
    of_steps = _endings_in_steps(names)
    ways = _ways_among(known, unsure, of_steps)
    items_of = defaultdict[str, set[Parts]](set)
    for way in (way for of_name in ways.values() for way in of_name):
        items_of[way.stage].add(way.items)
    common = {stage: len(items & known) for stage, items in items_of.items()}

    def holds(way: _Way) -> bool:
        shared = common[way.stage]
        return shared >= _REPEATED and 2 * shared >= len(items_of[way.stage])

    for name in unsure:
        if _is_among_steps(name, of_steps):
            name.take(-1, name.texts[-1])
    for name, of_name in ways.items():
        if fitting := list(filter(holds, of_name)):
            name.taken = max(fitting, key=lambda way: common[way.stage]).in_full()


def _ways_among(
    known: Collection[Parts], names: Sequence[JobName], of_steps: Collection[str]
) -> dict[JobName, list[_Way]]:
    """The ways to take each name that make a stage with any of the `known` items. (There are many
    ways, and of most names none does.)"""
    stages = {
        way.stage
        for name in names
        if known
        for way in _ways_to_follow(name, of_steps)
        if way.items in known
    }
    return {
        name: [way for way in _ways_to_follow(name, of_steps) if way.stage in stages]
        for name in names
        if stages
    }


def _endings_in_steps(names: Iterable[JobName]) -> set[str]:
    """Stages with ``*`` for their last part, where some have a step there."""
    return {
        name.stage_with(-1, "*")
        for name in names
        if name.kinds & OF_STEPS and name.looked[-1].kind == "step" and name.taken[-1][0] != "*"
    }


def _is_among_steps(name: JobName, of_steps: Collection[str]) -> bool:
    """It ends beside steps in a folder of logs of whatever step, ``logs/langid``."""
    if not name.kinds & OF_STEPS or name.looked[-1].kind != "plain":
        return False
    ending = name.stage_with(-1, "*")
    is_one_of_many = names_a_step(ending) or has_word_and_number(name.texts[-1])
    return ending in of_steps and not is_one_of_many


def _ways_to_follow(name: JobName, of_steps: Collection[str]) -> Iterator[_Way]:
    """Without a step in it each part may be one, else the last."""
    if not name.kinds & OF_STEPS:
        for at, (text, part) in enumerate(zip(name.texts, name.looked, strict=True)):
            for pattern, values in ways_to_follow(text):
                if part.kind == "plain" or pattern != text:
                    yield _Way(name.texts, at, pattern, values)
    elif name.looked[-1].kind == "plain" and not has_word_and_number(name.texts[-1]):
        at, last = len(name.texts) - 1, name.texts[-1]
        yield _Way(name.texts, at, last, ())
        if name.stage_with(-1, "*") in of_steps:
            yield _Way(name.texts, at, last, (), tuple(name.taken))
