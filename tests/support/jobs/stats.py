"""Writes the stats of tasks, as datatrove 0.10.1 does, and scans a job that has some."""

import json
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from exporter.config.settings import RootConfig
from exporter.datatrove.stats import JobStats
from exporter.model.job import Reading
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.probes.mixed import MixedWatch
from exporter.scanning.probes.stats import StatsWatch
from exporter.scanning.probing import with_mixed, with_stats
from exporter.storage.base import Storage
from exporter.storage.local.storage import LocalStorage
from support.costs import asked
from support.jobs.folders import write_marker

READER = "📖 - READER: 🐿 Jsonl"
FILTER = "🔻 - FILTER: 👤 Lambda"
COUNTER = "🔢 - TOKENIZER: 📊 Counter"
WRITER = "💽 - WRITER: 🐿 Jsonl"


def a_step(name: str, seconds: object = 0, **counts: object) -> dict[str, object]:
    """One step of a file of stats."""
    return {"name": name, "time_stats": seconds, "stats": counts}


def a_pipeline(read: int = 10, kept: int = 6, tokens: int = 600) -> list[dict[str, object]]:
    """What a task counts that reads, filters, counts tokens and writes."""
    return [
        a_step(READER, documents={"total": read, "n": 1, "mean": read, "unit": "input_file"}),
        a_step(
            FILTER,
            {"total": 0.5, "n": read, "mean": 0.05, "total_human": "0 seconds"},
            total=read,
            dropped=read - kept,
            dropped_short=read - kept,
            forwarded=kept,
            doc_len={"total": 590, "n": kept, "mean": float("nan")},
        ),
        a_step(COUNTER, {"total": 0.25}, tokens={"total": tokens, "n": kept, "mean": 100}),
        a_step(WRITER, {"total": 0.125}, total=kept, **{"en/XXXXX.jsonl.gz": kept}),
    ]


def as_bytes(steps: object) -> bytes:
    """As datatrove writes it."""
    return json.dumps(steps, indent=4).encode()


def write_stats(job: Path, rank: int, steps: object | bytes = None) -> None:
    """The stats of one task."""
    file = job / "stats" / f"{rank:05d}.json"
    file.parent.mkdir(exist_ok=True)
    content = a_pipeline() if steps is None else steps
    file.write_bytes(content if isinstance(content, bytes) else as_bytes(content))


def complete(job: Path, rank: int, when: float, steps: object | bytes = None) -> None:
    """A task is done: its stats, then its marker."""
    write_stats(job, rank, steps)
    write_marker(job, f"{rank:05d}", when)


def uncomplete(job: Path, ranks: Iterable[int], when: float) -> None:
    """Somebody deletes markers."""
    for rank in ranks:
        (job / "completions" / f"{rank:05d}").unlink()
    os.utime(job / "completions", (when, when))


class Scanned:
    """A job that is scanned again and again, with its stats."""

    def __init__(self, storage: Storage, name: str, **options: object) -> None:
        config = RootConfig("root", "/unused", **{"read_stats": "totals", **options})
        self.storage, self.path = storage, (name,)
        self.stats, self.mixed = StatsWatch(config), MixedWatch(config)
        self.mixed.is_followed = True
        self.memory: Memory | None = None
        self.result: JobScan | None = None

    @classmethod
    def on_disk(cls, job: Path, **options: object) -> "Scanned":
        return cls(LocalStorage(str(job.parent)), job.name, **options)

    def scan(self, *, thorough: bool = False, begins: bool = True) -> Reading:
        """What the next scan finds; or the one under way, if this does not begin one."""
        if begins:
            self.stats.begin()
            self.mixed.begin()
        folder = self.storage.list_folder(self.path, with_subfolders=False)
        self.result = scan_job(
            self.storage,
            self.path,
            folder,
            self.memory,
            (partial(with_stats, self.stats), partial(with_mixed, self.mixed)),
            thorough=thorough,
        )
        self.memory = self.result.memory
        assert self.result.reading is not None, self.result.error
        return self.result.reading

    def sums(self) -> JobStats:
        """What the next scan finds of documents."""
        stats = self.scan().stats
        assert stats is not None
        return stats

    def requests(self) -> dict[str, int]:
        """What the next scan asks of the storage."""
        return asked(self.storage.requests, self.scan)
