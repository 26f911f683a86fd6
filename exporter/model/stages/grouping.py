"""Stage and item of jobs from their names alone, for people: what labels say comes first. Pure.

A part of a name that names a pipeline step belongs to the stage; everything else is the item. If
no part names a step, then dumps, dates, languages and hashes are the item, and the part beside
them is the stage. The order of the names does not matter; one more name may move others.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from exporter.config.labels import STAGE, Labels, stage_of

Parts = tuple[str, ...]
_Kind = Literal["step", "item", "both", "plain"]
_ENOUGH = 3  # of shape values below a last part, or of names that share a pattern

_STEP_WORDS = frozenset(
    """sig sigs mh tok toks ocr pii copy split pack merge merged index stat stats final output log
    logs job jobs""".split()  # noqa: SIM905
)
_STEP_BEGINNINGS = re.compile(
    "signatur|bucket|cluster|filter|dedup|minhash|token|merg|comput|extract|download|upload|process"
    "|classif|infer|generat|monitor|datacard|decontam|contain|embed|scor|shuffl|sampl|convert|ingest"
    "|clean|normali|format|annotat|translat|crawl|summar|count|quality|rehydrat|repack"
)
_NUMBERED = re.compile(r"\d{1,2}[_.-][A-Za-z].*|(?:logs?|stage|step|phase|pass)[_.-]?\d{1,2}")
_SHAPE = re.compile(
    r"CC-[A-Z]+-\d{4}(?:-\d{2})?(?!\d)"  # a crawl
    r"|(?<!\d)\d{4}-\d{2}-\d{2}(?:[_T]\d{2}[-:]\d{2}[-:]\d{2}(?:_[a-z]{5})?)?(?!\d)"  # a time
    r"|(?<![A-Za-z])[a-z]{2,3}_[A-Z][a-z]{3}(?![a-z])"  # a language and its script
    r"|(?<![0-9a-zA-Z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-zA-Z])"
    r"|(?<!\d)\d{8,}(?:\.\d+)?(?!\d)"
    r"|(?<![0-9a-zA-Z])(?=[a-f]*\d)[0-9a-f]{8,}(?![0-9a-zA-Z])"
)
_WHOLE_SHAPE = re.compile(r"[a-z]{2}(?:-[A-Z]{2})?|\d+\.\d+|\d{3,}")
_WORD_AND_NUMBER = re.compile(r"(?=.*\d).*[A-Za-z]")
_WORD = re.compile("[a-z]+")
_SEPARATOR = re.compile("([_.-]+)")


class Group(NamedTuple):
    """What a job works on and which step of a pipeline it is; empty where that is not known."""

    stage: str
    item: str


_OF_STEPS: frozenset[_Kind] = frozenset({"step", "both"})
_OF_ITEMS: frozenset[_Kind] = frozenset({"item", "both"})
UNKNOWN = Group("", "")


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a name: its `kind`, its `pattern` as a part of a stage, and what the ``*`` in
    that stand for."""

    kind: _Kind
    pattern: str
    values: Parts = ()


@lru_cache(maxsize=50_000)
def _look_at(text: str) -> _Part:
    is_step = _is_step(text)
    pattern = _SHAPE.sub("*", text)
    if pattern != text:
        values = tuple(match[0] for match in _SHAPE.finditer(text))
        return _Part("both", pattern, values) if is_step else _Part("item", "*", (text,))
    if is_step:
        return _Part("step", text)
    kind: _Kind = "item" if _WHOLE_SHAPE.fullmatch(text) else "plain"
    return _Part(kind, "*", (text,))


@lru_cache(maxsize=50_000)
def _is_step(text: str) -> bool:
    """Whether a part of a name names a step of a pipeline."""
    return _NUMBERED.fullmatch(text) is not None or any(
        map(_is_step_word, _WORD.findall(text.lower()))
    )


def _is_step_word(word: str) -> bool:
    return word in _STEP_WORDS or _STEP_BEGINNINGS.match(word) is not None


def groups_of(names: Sequence[str]) -> tuple[Group, ...]:
    """Stage and item of each of the jobs of one root, in their order."""
    looked = [_Name(name) for name in names]
    for name in looked:
        name.choose_step_beside_item()
    _choose_last_parts(looked)
    plain_items = {name.stage for name in looked if "plain" in name.kinds and name.has_stage}
    _cut([name for name in looked if name.kinds and name.kinds <= _OF_STEPS], plain_items)
    _replace_shared([name for name in looked if name.kinds == {"plain"}])
    return tuple(name.group for name in looked)


def group_of_labels(labels: Labels) -> Group:
    """The stage among labels, and all others as the item."""
    return Group(stage_of(labels), "/".join(value for name, value in labels if name != STAGE))


class _Name:
    """A name under way. `taken` has for each part its pattern in the stage, and what the ``*`` in
    that stand for in the item."""

    __slots__ = ("kinds", "looked", "taken", "texts")

    def __init__(self, text: str) -> None:
        self.texts: Parts = () if text == "." else tuple(text.split("/"))
        self.looked = [_look_at(part) for part in self.texts]
        self.kinds: set[_Kind] = {part.kind for part in self.looked}
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
        of_items = (part.values for part in self.looked if part.kind in _OF_ITEMS)
        return tuple(value for values in of_items for value in values)

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
        if "item" not in kinds or self.kinds & _OF_STEPS:
            return
        first = kinds.index("item")
        plain = [index for index, kind in enumerate(kinds) if kind == "plain"]
        before = [index for index in plain if index < first]
        if plain:
            chosen = before[-1] if before else plain[0]
            self.take(chosen, self.texts[chosen])


def _choose_last_parts(names: Iterable[_Name]) -> None:
    """A plain last part is a step once enough dumps, dates or the like have one of that name; what
    was taken for one instead is none then. Beside a step, a word with a number is none."""
    items_by_stage = defaultdict[str, set[Parts]](set)
    by_stage = defaultdict[str, list[_Name]](list)
    for name in names:
        may_be_step = not (name.kinds & _OF_STEPS and _WORD_AND_NUMBER.match(name.texts[-1]))
        if name.kinds & _OF_ITEMS and name.looked[-1].kind == "plain" and may_be_step:
            patterns = [part.pattern for part in name.looked[:-1]]
            stage = "/".join((*patterns, name.texts[-1]))
            by_stage[stage].append(name)
            items_by_stage[stage].add(name.shapes)
    for stage, alike in by_stage.items():
        if len(items_by_stage[stage]) >= _ENOUGH:
            for name in alike:
                for index, part in enumerate(name.looked):
                    name.take(index, part.pattern, *part.values)
                name.take(-1, name.texts[-1])


class _Place(NamedTuple):
    """Where a name made of steps alone may be cut: at which part, what is left of that, what is
    cut out, and the stage that it makes."""

    at: int
    pattern: str
    value: str
    stage: str


def _cut(names: Iterable[_Name], plain_items: set[str]) -> None:
    """Names made of steps alone: what varies within a part is the item, ``tokenize_*_merged``, if
    the same value is found elsewhere or another value here."""
    places = {name: list(_places(name)) for name in names}
    values_of, stages_of = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for place in (place for found in places.values() for place in found):
        values_of[place.stage].add(place.value)
        stages_of[place.value].add(place.stage)
    found_elsewhere = {
        stage: any(len(stages_of[value]) > 1 for value in values)
        for stage, values in values_of.items()
    }

    def holds(place: _Place) -> bool:
        if place.pattern == "*":
            return place.stage in plain_items
        is_at_end = place.pattern.startswith("*")
        return found_elsewhere[place.stage] or (not is_at_end and len(values_of[place.stage]) > 1)

    for name, found in places.items():
        for place in filter(holds, found):
            name.take(place.at, place.pattern, place.value)
            break


def _places(name: _Name) -> Iterator[_Place]:
    for index, (text, part) in enumerate(zip(name.texts, name.looked, strict=True)):
        if part.kind != "step" or _NUMBERED.fullmatch(text):
            continue
        for pattern, value in (("*", text), *_ways_to_cut(text)):
            yield _Place(index, pattern, value, name.stage_with(index, pattern))


def _ways_to_cut(text: str) -> Iterator[tuple[str, str]]:
    """What can be left of a part, with a step's word at either end or at both, and what is cut."""
    pieces = _SEPARATOR.split(text)
    words = pieces[::2]
    first, last = _is_step(words[0]), _is_step(words[-1])
    ways = []
    if first and last and len(words) > 2:
        ways.append(("".join((*pieces[:2], "*", *pieces[-2:])), "".join(pieces[2:-2])))
    if first and len(words) > 1:
        ways.append(("".join((*pieces[:2], "*")), "".join(pieces[2:])))
    if last and len(words) > 1:
        ways.append(("".join(("*", *pieces[-2:])), "".join(pieces[:-2])))
    for pattern, value in ways:
        if not all(map(_is_step, _SEPARATOR.split(value)[::2])):
            yield pattern, value


def _replace_shared(names: Sequence[_Name]) -> None:
    """Names in which nothing tells a step: the item is the part in which most of them differ, and
    of two in which many do the one that lies higher."""
    patterns = {
        name: [name.stage_of_all_but(index) for index in range(len(name.texts))] for name in names
    }
    shared = Counter(pattern for of_name in patterns.values() for pattern in of_name)
    for name, of_name in patterns.items():
        counts = [shared[p] if p.strip("*/") else 0 for p in of_name]
        most, *rest = sorted(counts, reverse=True)
        many = [index for index, count in enumerate(counts) if count >= _ENOUGH]
        if many:
            is_clear = not rest or most >= 2 * rest[0]
            item = counts.index(most) if is_clear else many[0]
            for index, text in enumerate(name.texts):
                if index != item:
                    name.take(index, text)
