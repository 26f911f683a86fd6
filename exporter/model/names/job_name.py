"""The name of a job while it is found out what its stage and its item are. Pure."""

from typing import NamedTuple

from exporter.model.names.name_part import OF_ITEMS, OF_STEPS, Kind, Parts, look_at


class Group(NamedTuple):
    """What a job works on and which step of a pipeline it is; empty where that is not known."""

    stage: str
    item: str


UNKNOWN = Group("", "")


class JobName:
    """A name under way. `taken` has for each part its pattern in the stage, and what the ``*`` in
    that stand for in the item."""

    __slots__ = ("kinds", "looked", "taken", "texts")

    def __init__(self, text: str) -> None:
        self.texts: Parts = () if text == "." else tuple(text.split("/"))
        self.looked = [look_at(part) for part in self.texts]
        self.kinds: set[Kind] = {part.kind for part in self.looked}
        self.taken = [(part.pattern, part.values) for part in self.looked]

    @property
    def stage(self) -> str:
        return "/".join(pattern for pattern, _ in self.taken)

    @property
    def items(self) -> Parts:
        return tuple(value for _, values in self.taken for value in values)

    @property
    def shapes(self) -> Parts:
        """Its dumps, dates, languages and the like."""
        of_items = (part.values for part in self.looked if part.kind in OF_ITEMS)
        return tuple(value for values in of_items for value in values)

    @property
    def places_of_steps(self) -> list[int]:
        return [at for at, part in enumerate(self.looked) if part.kind == "step"]

    @property
    def has_stage(self) -> bool:
        """Something is left of it in its stage."""
        return self.stage.strip("*/") != ""

    @property
    def group(self) -> Group:
        if self.has_stage or "item" in self.kinds:
            return Group(self.stage if self.has_stage else "", "/".join(self.items))
        return UNKNOWN

    def stage_with(self, index: int, pattern: str) -> str:
        """The stage if one part had another pattern."""
        patterns = [pattern for pattern, _ in self.taken]
        patterns[index] = pattern
        return "/".join(patterns)

    def stage_of_all_but(self, index: int) -> str:
        """The name with ``*`` for one part."""
        return "/".join((*self.texts[:index], "*", *self.texts[index + 1 :]))

    def take(self, index: int, pattern: str, *values: str) -> None:
        self.taken[index] = (pattern, values)

    def choose_step_beside_item(self) -> None:
        """Without a step, the nearest plain part before the first item is one, else the first
        after it."""
        kinds = [part.kind for part in self.looked]
        if "item" not in kinds or self.kinds & OF_STEPS:
            return
        first = kinds.index("item")
        plain = [index for index, kind in enumerate(kinds) if kind == "plain"]
        before = [index for index in plain if index < first]
        if plain:
            chosen = before[-1] if before else plain[0]
            self.take(chosen, self.texts[chosen])
