"""Patterns for ``labels`` that say of jobs what their names tell. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from exporter.config.labels import labels_of, parse_label_pattern, stage_of
from exporter.config.path_pattern import PathPattern
from exporter.model.names.grouping import groups_of

_Parts = tuple[str, ...]
_Fold = tuple[int, _Parts]
"""Stages that differ in one whole part: its place, and the others."""
_MOST_ITEMS = 7  # labels beside the stage


def suggest(names: Sequence[str]) -> list[str]:
    """Patterns under which the jobs have the stages that their names tell; one for each stage, or
    for several that differ in one part. Jobs of unknown stages, and of stages that no pattern can
    tell, are left out."""
    stages = {name: group.stage for name, group in zip(names, groups_of(names), strict=True)}
    told = {stage for stage in stages.values() if stage}
    folds = _folds(told)
    while True:
        patterns = _patterns(told, folds)
        wrong = _wrong_stages(stages, patterns)
        bad = [fold for fold, members in folds.items() if wrong & members]
        if not bad:
            return [pattern.text for pattern in patterns]
        del folds[min(bad, key=lambda fold: (len(folds[fold]), fold))]


def _folds(stages: Iterable[str]) -> dict[_Fold, set[str]]:
    """Each stage in one fold at most, the largest folds first."""
    found = defaultdict[_Fold, set[str]](set)
    for stage in sorted(stages):
        parts = tuple(stage.split("/"))
        for place, part in enumerate(parts):
            if "*" not in part and len(parts) > 1:
                found[place, (*parts[:place], "", *parts[place + 1 :])].add(stage)
    chosen: dict[_Fold, set[str]] = {}
    taken: set[str] = set()
    for fold in sorted(found, key=lambda fold: (-len(found[fold]), fold)):
        if len(members := found[fold] - taken) > 1:
            chosen[fold] = members
            taken |= members
    return chosen


def _patterns(stages: set[str], folds: Mapping[_Fold, set[str]]) -> list[PathPattern]:
    """Those that are the most literal first."""
    folded = {stage for members in folds.values() for stage in members}
    texts = [_text(stage.split("/")) for stage in stages - folded]
    texts += [_text([part or "{stage}" for part in parts]) for _, parts in folds]
    return sorted(_usable(texts), key=lambda pattern: (_wildcards(pattern), pattern.text))


def _wildcards(pattern: PathPattern) -> tuple[int, int]:
    literals = [literal for part in pattern.parts for literal in part.literals]
    return sum(len(part.names) for part in pattern.parts), -sum(map(len, literals))


def _text(parts: Sequence[str]) -> str:
    """A stage as a pattern, with a label for each ``*``; for very many at the beginning one."""
    text = "/".join(parts)
    if text.count("*") > _MOST_ITEMS:
        leading = next((at for at, part in enumerate(parts) if part != "*"), len(parts))
        text = "/".join(("{item**}", *parts[leading:]))
    numbers = count(2 if "{item**}" in text else 1)
    pieces = text.replace("{item**}", "\0").split("*")
    labels = ["{item}" if n == 1 else f"{{item{n}}}" for n, _ in zip(numbers, pieces, strict=False)]
    joined = "".join(piece + label for piece, label in zip(pieces, labels, strict=False))
    return joined.removesuffix(labels[-1]).replace("\0", "{item**}")


def _usable(texts: Iterable[str]) -> Iterator[PathPattern]:
    for text in texts:
        try:
            yield parse_label_pattern(text)
        except ValueError:  # braces or too many wildcards in a part of a name
            continue


def _wrong_stages(stages: Mapping[str, str], patterns: Sequence[PathPattern]) -> set[str]:
    """Stages whose jobs these patterns put together with those of another, or apart."""
    ours_of, theirs_of = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for name, stage in stages.items():
        found = stage_of(labels_of(name, patterns))
        if stage and found:
            ours_of[stage].add(found)
            theirs_of[found].add(stage)
    wrong = {stage for stage, ours in ours_of.items() if len(ours) > 1}
    return wrong.union(*(theirs for theirs in theirs_of.values() if len(theirs) > 1))
