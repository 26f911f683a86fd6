"""What a part of a job's name is: a step of a pipeline, an item, both, or neither. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Parts = tuple[str, ...]
Kind = Literal["step", "item", "both", "plain"]
OF_STEPS: frozenset[Kind] = frozenset({"step", "both"})
OF_ITEMS: frozenset[Kind] = frozenset({"item", "both"})

_STEP_WORDS = frozenset(
    """sig sigs mh tok toks ocr pii copy split pack merge merged index stat stats final output log
    logs job jobs""".split()  # noqa: SIM905
)
_OF_ANY_STEP = frozenset("output log logs job jobs".split())  # noqa: SIM905
_STEP_BEGINNINGS = re.compile(
    "signatur|bucket|cluster|filter|dedup|minhash|token|merg|comput|extract|download|upload|process"
    "|classif|infer|generat|monitor|datacard|decontam|contain|embed|scor|shuffl|sampl|convert|ingest"
    "|clean|normali|format|annotat|translat|crawl|summar|count|quality|rehydrat|repack"
)
_NUMBERED = re.compile(r"\d{1,2}[_.-][A-Za-z].*|(?:logs?|stage|step|phase|pass)[_.-]?\d{1,2}")
_KEY_AND_VALUE = re.compile(r"\w+=(.*)", re.DOTALL)
_SHAPE = re.compile(
    r"(?:CC-[A-Z]+-\d{4}(?:-\d{2})?(?!\d)"  # a crawl
    r"|(?<!\d)\d{4}-\d{2}-\d{2}(?:[_T]\d{2}[-:]\d{2}[-:]\d{2}(?:_[a-z]{5})?)?(?!\d)"  # a time
    r"|(?<![0-9A-Za-z])(?:19|20)\d{2}[-_](?:W?\d{2}|Q[1-4])(?![0-9A-Za-z])"  # a week or a month
    r"|(?<![A-Za-z])[a-z]{2,3}_[A-Z][a-z]{3}(?![a-z])"  # a language and its script
    r"|(?<![0-9a-zA-Z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-zA-Z])"
    r"|(?<!\d)\d{8,}(?:\.\d+)?(?!\d)"
    r"|(?<![0-9a-zA-Z])(?=[a-f]*\d)[0-9a-f]{8,}(?![0-9a-zA-Z]))"
    r"(?:[_.-](?:v\d+|fix|fixed|retry|rerun|redo)(?![0-9A-Za-z]))?"  # run again
)
_WHOLE_SHAPE = re.compile(r"[a-z]{2}(?:-[A-Z]{2})?|\d+\.\d+|\d{3,}")
_NUMBER = re.compile(r"\d+")
_WORD = re.compile("[a-z]+")
_SEPARATOR = re.compile("([_.-]+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a name: its `kind`, its `pattern` as a part of a stage, and what the ``*`` in
    that stand for."""

    kind: Kind
    pattern: str
    values: Parts = ()


@lru_cache(maxsize=50_000)
def look_at(text: str) -> Part:
    """What one part of a name is by itself."""
    is_step = _is_step(text)
    pattern = _SHAPE.sub("*", text)
    if pattern != text:
        values = tuple(match[0] for match in _SHAPE.finditer(text))
        return Part("both", pattern, values) if is_step else Part("item", "*", (text,))
    if is_step:
        return Part("step", text)
    kind: Kind = "item" if _WHOLE_SHAPE.fullmatch(text) else "plain"
    return Part(kind, "*", (text,))


@lru_cache(maxsize=50_000)
def _is_step(text: str) -> bool:
    """Whether a part of a name names a step of a pipeline. Of ``key=value`` the value does."""
    if pair := _KEY_AND_VALUE.fullmatch(text):
        text = pair[1]
    return _NUMBERED.fullmatch(text) is not None or any(
        map(_is_step_word, _WORD.findall(text.lower()))
    )


def names_a_step(text: str) -> bool:
    """It tells which step that is, and not only that here are logs or jobs."""
    words = set(_WORD.findall(text.lower())) - _OF_ANY_STEP
    return any(map(_is_step_word, words)) or any(map(is_numbered_step, text.split("/")))


def is_called_something(stage: str) -> bool:
    """The stage has another name than that here are logs or jobs."""
    return not _OF_ANY_STEP.issuperset(_WORD.findall(stage.lower()))


def _is_step_word(word: str) -> bool:
    return word in _STEP_WORDS or _STEP_BEGINNINGS.match(word) is not None


def ways_to_cut(text: str) -> Iterator[tuple[str, str]]:
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


def is_numbered_step(text: str) -> bool:
    """It is called a step by its number: ``02_filter``, ``step_3``."""
    return _NUMBERED.fullmatch(text) is not None


def without_number(text: str) -> str:
    """The text with ``#`` for each number."""
    return _NUMBER.sub("#", text)


def has_word_and_number(text: str) -> bool:
    """As ``exp1`` and ``v2``: rather one of many than a step."""
    return without_number(text) != text and re.search("[A-Za-z]", text) is not None


def ways_to_follow(text: str) -> Iterator[tuple[str, Parts]]:
    """What can be left of a part that no word tells to be a step, and what is cut out of it: all
    of it, what stands beside a shape, or what stands before or after a separator."""
    yield text, ()
    pattern = _SHAPE.sub("*", text)
    if pattern != text:
        if pattern.strip("*") != "":
            yield pattern, tuple(match[0] for match in _SHAPE.finditer(text))
        return
    pieces = _SEPARATOR.split(text)
    for at in sorted({1, len(pieces) - 2}) if len(pieces) > 2 else ():
        before, after = "".join(pieces[:at]), "".join(pieces[at + 1 :])
        if before and after:
            yield f"{before}{pieces[at]}*", (after,)
            yield f"*{pieces[at]}{after}", (before,)
