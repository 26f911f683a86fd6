"""Reads what the steps of a pipeline counted: a task's ``stats/<rank>.json``, or ``stats.json``.

Such a file is a list with a ``{name, time_stats, stats}`` for each step. A count is a number, or
an object that has it as ``total``. Of the keys only those in `COUNTS` are read: the others are
made up by users, and there may be thousands of them. Names of steps come out as ASCII letters and
digits. A file that says something else than finite numbers is not used at all.

This module does no I/O. Facts about the format were read in, and tried with, datatrove 0.10.1.
"""

import json
import re
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

STATS_LIMIT_BYTES = 256 * 1024
"""A task with 7 steps gave 6 KB, one that counts 6,000 things apart 0.9 MB."""

MOST_STEPS_SHOWN = 32
_MOST_STEPS = 256
_MOST_CHARACTERS = 52
# Of the name of a step with its position.

Count = Literal["documents", "total", "forwarded", "dropped", "tokens"]
COUNTS: tuple[Count, ...] = get_args(Count)
_SECONDS = len(COUNTS)
_WIDTH = len(COUNTS) + 1
_NONE = -1.0
_LARGEST = 2.0**63

_WRITER = "\N{MINIDISC}"
# datatrove begins the names of its writers with it.


class StatsFileError(ValueError):
    """The file cannot be used. The text holds nothing of what is in it. It `may_be_half`: no JSON
    now, and perhaps once all of it is written."""

    def __init__(self, message: str, *, may_be_half: bool = False) -> None:
        super().__init__(message)
        self.may_be_half = may_be_half


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps that count: their names, and the last of them that writes documents. `key` tells
    pipelines apart by the full names of all steps, which are not kept."""

    key: bytes
    steps: tuple[str, ...]
    writer: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: documents that came `in`, that went `out`, and that it dropped; None for what it
    does not count. `seconds` were spent in it."""

    name: str
    documents_in: int | None
    documents_out: int | None
    dropped: int | None
    seconds: float

    @property
    def dropped_ratio(self) -> float | None:
        """Of those that came in, 0 to 1."""
        if self.dropped is None or not self.documents_in:
            return None
        return self.dropped / self.documents_in

    def outcomes(self) -> Iterator[tuple[str, int]]:
        """What is counted of it, by a word."""
        for word, documents in (
            ("in", self.documents_in),
            ("out", self.documents_out),
            ("dropped", self.dropped),
        ):
            if documents is not None:
                yield word, documents


@dataclass(frozen=True, slots=True)
class Stats:
    """What the steps of a pipeline counted in one task or in many: `values` has `_WIDTH` numbers
    for each step, below 0 for those that were not counted."""

    pipeline: Pipeline
    values: "array[float]"

    def plus(self, other: "Stats") -> "Stats":
        """The sum of two of the same pipeline."""
        pairs = zip(self.values, other.values, strict=True)
        added = array(
            "d", (max(a, 0.0) + max(b, 0.0) if max(a, b) >= 0 else _NONE for a, b in pairs)
        )
        return Stats(self.pipeline, added)

    @property
    def documents_read(self) -> int | None:
        """Those of the first step that says how many it read."""
        return next(self._counted("documents"), None)

    @property
    def documents_written(self) -> int | None:
        """Those of the last step that writes; None if no step does."""
        if self.pipeline.writer is None:
            return None
        return self._count(self.pipeline.writer, "total") or 0

    @property
    def tokens(self) -> int | None:
        """Those of the last step that counts them."""
        counted = list(self._counted("tokens"))
        return counted[-1] if counted else None

    def steps(self) -> list[Step]:
        """The first steps, as many as are shown."""
        return [self._step(at) for at in range(min(len(self.pipeline.steps), MOST_STEPS_SHOWN))]

    def _step(self, at: int) -> Step:
        documents, total, forwarded, dropped = (
            self._count(at, name) for name in ("documents", "total", "forwarded", "dropped")
        )
        if forwarded is not None or dropped is not None:
            # A key comes with the first document, and one of the two says that both are counted.
            forwarded, dropped = forwarded or 0, dropped or 0
        if at == self.pipeline.writer:
            total = total or 0  # its key comes with the first document
        return Step(
            self.pipeline.steps[at],
            documents if documents is not None else total,
            forwarded,
            dropped,
            max(0.0, self.values[at * _WIDTH + _SECONDS]),
        )

    def _counted(self, name: Count) -> Iterator[int]:
        counts = (self._count(at, name) for at in range(len(self.pipeline.steps)))
        return (count for count in counts if count is not None)

    def _count(self, at: int, name: Count) -> int | None:
        value = self.values[at * _WIDTH + COUNTS.index(name)]
        return round(value) if value >= 0 else None


@dataclass(frozen=True, slots=True)
class JobStats:
    """The sums over so many `tasks` of a job; `stats` is None while there is none. Not in them are
    completed tasks `of_another_pipeline`, those whose file is missing, too large or broken
    (`unusable`), and those not read yet (`to_read`)."""

    tasks: int
    stats: Stats | None = None
    of_another_pipeline: int = 0
    unusable: int = 0
    to_read: int = 0

    @property
    def left_out(self) -> int:
        """Tasks that were looked at and are not in the sums."""
        return self.of_another_pipeline + self.unusable


def parse_stats(data: bytes) -> Stats:
    """The content of a task's file, or of the one that merges all. Raises StatsFileError."""
    try:
        listed = json.loads(data)
    except (ValueError, RecursionError):
        raise StatsFileError("not JSON", may_be_half=True) from None
    if not isinstance(listed, list) or len(listed) > _MOST_STEPS:
        raise StatsFileError("no list of steps")
    names: list[str] = []
    values = array("d")
    for step in listed:
        if not (isinstance(step, dict) and isinstance(name := step.get("name"), str)):
            raise StatsFileError("a step without a name")
        counts = step.get("stats", {})
        if not isinstance(counts, dict):
            raise StatsFileError("a step without counts")
        names.append(name)
        values.extend(_number(counts.get(key)) for key in COUNTS)
        values.append(_number(step.get("time_stats", 0)))
    return Stats(_pipeline(names), values)


def tasks_merged(data: bytes) -> int | None:
    """How many tasks datatrove added up in this file, which `parse_stats` could read: the time of
    all of them by that of each, which it writes for more than one. None if no time tells."""
    times = [step.get("time_stats") for step in json.loads(data)]
    for time in times:
        total, each = _of_time(time, "total"), _of_time(time, "global_mean")
        if each > 0 and 0 < total / each < _LARGEST:
            return round(total / each)
    is_one = any(_of_time(time, "total") > 0 and "total_human" in time for time in times)
    return 1 if is_one else None


def _of_time(time: object, key: str) -> float:
    value = time.get(key) if isinstance(time, Mapping) else None
    return value if isinstance(value, int | float) else 0


def _number(value: object) -> float:
    """A count, `_NONE` where there is none."""
    if isinstance(value, Mapping):
        value = value.get("total")
    if value is None:
        return _NONE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LARGEST:
        raise StatsFileError("a count that is no number")
    return float(value)


def _pipeline(names: Sequence[str]) -> Pipeline:
    whole = json.dumps(names).encode()
    writers = (at for at, name in enumerate(names) if name.startswith(_WRITER))
    return Pipeline(
        blake2b(whole, digest_size=16).digest(),
        tuple(sys.intern(step_name(at, name)) for at, name in enumerate(names)),  # many jobs' own
        max(writers, default=None),
    )


_WORD = re.compile(r"[A-Za-z0-9]+")


def step_name(at: int, name: str) -> str:
    """How the step at this position is called in metrics: ``02_filter_lambda``."""
    words = (word.lower() for word in _WORD.findall(name))
    return "_".join([f"{at:02d}", *words])[:_MOST_CHARACTERS].rstrip("_")
