"""Stage and item of jobs from their names alone, for people: what labels say comes first. Pure.

A part of a name that names a pipeline step belongs to the stage; everything else is the item. If
no part names a step, then dumps, dates, languages and hashes are the item, and the part beside
them is the stage. What no word tells follows what is known of the same items. The order of the
names does not matter; one more name may move others.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from exporter.config.labels import STAGE, Labels, stage_of
from exporter.model.names.following import follow_known_steps
from exporter.model.names.job_name import UNKNOWN, Group, JobName
from exporter.model.names.name_part import (
    OF_ITEMS,
    OF_STEPS,
    Parts,
    has_word_and_number,
    is_numbered_step,
    names_a_step,
    ways_to_cut,
    without_number,
)

__all__ = ["UNKNOWN", "Group", "group_of_labels", "groups_of"]

_ENOUGH = 3  # of shape values below a last part, of names that share a pattern, of numbers


def groups_of(names: Sequence[str]) -> tuple[Group, ...]:
    """Stage and item of each of the jobs of one root, in their order."""
    looked = [JobName(name) for name in names]
    for name in looked:
        name.choose_step_beside_item()
    _choose_last_parts(looked)
    _cut(looked)
    _take_numbers(looked)
    follow_known_steps(looked)
    _replace_shared([name for name in looked if name.kinds == {"plain"} and not name.has_stage])
    return tuple(name.group for name in looked)


def group_of_labels(labels: Labels) -> Group:
    """The stage among labels, and all others as the item."""
    return Group(stage_of(labels), "/".join(value for name, value in labels if name != STAGE))


def _choose_last_parts(names: Iterable[JobName]) -> None:
    """A plain last part is a step where enough dumps, dates or the like have one of that name, and
    what was taken for one instead is none. Beside a step, a word with a number is none."""
    items_by_stage = defaultdict[str, set[Parts]](set)
    by_stage = defaultdict[str, list[JobName]](list)
    for name in names:
        may_be_step = not (name.kinds & OF_STEPS and has_word_and_number(name.texts[-1]))
        if name.kinds & OF_ITEMS and name.looked[-1].kind == "plain" and may_be_step:
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


def _cut(names: Iterable[JobName]) -> None:
    """Of names made of steps alone, what varies within a part is the item, ``tokenize_*_merged``:
    the same value is found elsewhere, or another one here. Of any name a whole part is the item
    where most parts that others have in its place name no step."""
    plain_words = _plain_words(names)
    places = {
        name: list(_places(name))
        for name in names
        if name.kinds and (name.kinds <= OF_STEPS or (plain_words and "plain" not in name.kinds))
    }
    values_of, stages_of = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for place in (place for found in places.values() for place in found):
        values_of[place.stage].add(place.value)
        stages_of[place.value].add(place.stage)
    found_elsewhere = {
        stage: any(len(stages_of[value]) > 1 for value in values)
        for stage, values in values_of.items()
    }

    def holds(name: JobName, place: _Place) -> bool:
        if place.pattern == "*":
            plain = len(plain_words[place.stage])
            one_is_enough = name.kinds <= OF_STEPS and names_a_step(place.stage)
            return plain > (0 if one_is_enough else len(values_of[place.stage]))
        is_at_end = place.pattern.startswith("*")
        return found_elsewhere[place.stage] or (not is_at_end and len(values_of[place.stage]) > 1)

    for name, found in places.items():
        for place in found:
            if holds(name, place):
                name.take(place.at, place.pattern, place.value)
                break


def _plain_words(names: Iterable[JobName]) -> dict[str, set[str]]:
    """By stage, the parts that name no step and are none."""
    words = defaultdict[str, set[str]](set)
    for name in names:
        if name.has_stage:
            for text, part, (pattern, _) in zip(name.texts, name.looked, name.taken, strict=True):
                if part.kind == "plain" and pattern == "*":
                    words[name.stage].add(text)
    return words


def _places(name: JobName) -> Iterator[_Place]:
    for index, (text, part) in enumerate(zip(name.texts, name.looked, strict=True)):
        if part.kind != "step" or is_numbered_step(text):
            continue
        ways = ways_to_cut(text) if name.kinds <= OF_STEPS else ()
        for pattern, value in (("*", text), *ways):
            yield _Place(index, pattern, value, name.stage_with(index, pattern))


def _take_numbers(names: Iterable[JobName]) -> None:
    """Steps that differ in a number alone, as ``sample_10BT`` and ``sample_100BT``, are items
    where other steps vary beside them."""
    texts = defaultdict[tuple[int, str], set[str]](set)
    steps = defaultdict[tuple[int, str], set[str]](set)
    alike = defaultdict[tuple[int, str], list[JobName]](list)
    for name in names:
        places = name.places_of_steps
        for at in places if len(places) > 1 else ():
            text = name.texts[at]
            key = at, without_number(text)
            if key[1] != text and not is_numbered_step(text):
                texts[key].add(text)
                steps[key].update(name.texts[place] for place in places if place != at)
                alike[key].append(name)
    for key, members in alike.items():
        if len(texts[key]) >= _ENOUGH and len(steps[key]) > 1:
            for name in members:
                name.take(key[0], "*", name.texts[key[0]])


def _replace_shared(names: Sequence[JobName]) -> None:
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
