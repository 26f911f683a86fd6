"""What the steps of the demo's pipelines count, in the form of datatrove's ``stats/<rank>.json``.

A task reads some documents, each filter lets a part of them pass, and the last step writes or
counts what is left. The same task counts the same, whenever it is run.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOKENS = 640  # of a document


@dataclass(frozen=True, slots=True)
class Step:
    """A step by datatrove's name of it; the share of documents that it keeps, and seconds for a
    thousand. What it `counts` beside them: documents read from a file, or their tokens."""

    name: str
    keeps: float | None = None
    seconds: float = 0.1
    counts: str | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Some steps, and about how many documents go into a task."""

    documents: int
    steps: tuple[Step, ...]


_JSONL_READER = Step("📖 - READER: 🐿 Jsonl", seconds=0.3, counts="documents")
_JSONL_WRITER = Step("💽 - WRITER: 🐿 Jsonl", seconds=0.4)

PIPELINES = {
    "extract": Pipeline(
        24_000,
        (
            Step("📖 - READER: 🕷 Warc", seconds=0.9, counts="documents"),
            Step("🔻 - FILTER: 😈 Url-filter", 0.97, 0.2),
            Step("🛢 - EXTRAC: ⛏ Trafilatura", 0.91, 21.0),
            Step("🔻 - FILTER: 🌍 Language ID", 0.42, 1.1),
            Step("🔻 - FILTER: 👯 Gopher Repetition", 0.71, 6.4),
            Step("🔻 - FILTER: 🥇 Gopher Quality", 0.82, 1.9),
            Step("🔻 - FILTER: 🍷 FineWeb Quality", 0.86, 1.2),
            _JSONL_WRITER,
        ),
    ),
    "signatures": Pipeline(
        4_500, (_JSONL_READER, Step("🫂 - DEDUP: 🎯 MinHash stage 1", seconds=8.2))
    ),
    "buckets": Pipeline(10_000, (Step("🫂 - DEDUP: 🎯 MinHash stage 2", seconds=2.5),)),
    "filter": Pipeline(
        3_000,
        (
            _JSONL_READER,
            Step("🔢 - TOKENIZER: 📊 Counter", seconds=3.8, counts="tokens"),
            Step("🫂 - DEDUP: 🎯 MinHash stage 4", 0.73, 0.2),
            Step("✂️ - FORMAT: 📞 PII", seconds=0.7),
            _JSONL_WRITER,
        ),
    ),
}  # fmt: skip
"""The steps of each stage, which begin with those of FineWeb."""


def stats_of(pipeline: Pipeline, task: str) -> list[dict[str, object]]:
    """The stats of a task, which is told from others by its name."""
    chance = random.Random(task)  # noqa: S311
    documents = round(pipeline.documents * chance.uniform(0.7, 1.3))
    stats: list[dict[str, object]] = []
    for step in pipeline.steps:
        seconds = documents / 1000 * step.seconds * chance.uniform(0.8, 1.2)
        counted: dict[str, object] = {}
        if step.counts == "documents":
            counted = {"input_files": 1, "documents": _sum(documents, 1, "input_file")}
        elif step.counts == "tokens":
            tokens = round(documents * _TOKENS * chance.uniform(0.9, 1.1))
            counted = {"tokens": _sum(tokens, documents)}
        elif step.keeps is None:
            counted = {"total": documents}
        else:
            kept = round(documents * min(1.0, step.keeps * chance.uniform(0.97, 1.03)))
            counted = {"total": documents, "forwarded": kept, "dropped": documents - kept}
            documents = kept
        stats.append({"name": step.name, "time_stats": _sum(seconds, documents), "stats": counted})
    return stats


def merged(tasks: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, object]]:
    """The stats of all tasks together, as they are merged when a job is complete."""
    return [
        {
            "name": of_step[0]["name"],
            "time_stats": _added([step["time_stats"] for step in of_step]),
            "stats": {
                key: _added([step["stats"][key] for step in of_step]) for key in of_step[0]["stats"]
            },
        }
        for of_step in zip(*tasks, strict=True)
    ]


def _added(counts: Sequence[Any]) -> object:
    if not isinstance(counts[0], dict):
        return sum(counts)
    total, parts = (sum(count[key] for count in counts) for key in ("total", "n"))
    return _sum(total, parts, counts[0].get("unit"))


def _sum(total: float, parts: int, unit: str | None = None) -> dict[str, object]:
    """A total with its mean, as datatrove writes it."""
    found: dict[str, object] = {"total": total, "n": parts, "mean": total / max(1, parts)}
    return found if unit is None else {**found, "unit": unit}
