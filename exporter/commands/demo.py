"""The command ``demo``: a small tree of job folders that makes progress while you watch.

It writes what datatrove writes, in the same order: ``executor.json`` at launch, then for
each task a log, its stats, and last the empty completion marker. Nothing here is read by
the exporter other than through the files.
"""

import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import DEFAULT_PORT, Config, RootConfig, StallRule
from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, marker_name
from exporter.errors import CommandError

_TICK_SECONDS = 0.5
_STALL = StallRule(after_seconds=25.0)
"""Tasks take about a second here, and nobody watches a demo for an hour."""
_STAGES = (
    ("extract", 32, 1.5),
    ("signatures", 32, 1.0),
    ("buckets", 14, 0.3),
    ("filter", 48, 0.5),
)
"""Each with its tasks, and how many of them complete in a second."""
LABELS = ("minhash/{dump}/{stage}", "{stage}/{dump}")
DAY = 86_400.0

_HEADER = "{time}.000 | {level:<8} | datatrove.{place} - {text}\n"
_TRACEBACK = """\
Traceback (most recent call last):

  File "/opt/datatrove/executor/base.py", line 89, in _run_for_rank
    pipelined_data = pipeline_step(pipelined_data, rank, self.world_size)

  File "/home/demo/extract.py", line 88, in run
    text = paragraphs[0]

IndexError: list index out of range
"""


def run(directory: str | None, speed: float, address: str | None, *, write_only: bool) -> None:
    """Write the tree to `directory`, or to a temporary one, let it make progress, and serve
    its metrics at `address`, or not if `write_only`, until a signal. Raises CommandError."""
    with _folder_to_write_to(directory) as folder:
        tree = DemoTree(folder, speed)
        try:
            tree.write()
        except OSError as error:
            raise CommandError(f"cannot write the demo to {folder}: {error.strerror}") from None
        stopping = threading.Event()
        if write_only:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            click.echo(f"The jobs are in {folder}.")
            tree.progress(stopping)
        else:
            threading.Thread(target=tree.progress, args=(stopping,), daemon=True).start()
            _serve(folder, address or f"127.0.0.1:{DEFAULT_PORT}")
        stopping.set()


@contextmanager
def _folder_to_write_to(directory: str | None) -> Iterator[Path]:
    """`directory`, or a temporary one. An image may have no place for those."""
    if directory is not None:
        yield Path(directory).resolve()
        return
    try:
        temporary = tempfile.TemporaryDirectory(prefix="datatrove-demo-")
    except OSError:
        raise CommandError("there is no place for a temporary directory: use --directory") from None
    with temporary as folder:
        yield Path(folder).resolve()


def root_of(folder: Path) -> RootConfig:
    """How the demo watches its own tree."""
    return RootConfig(
        "demo",
        str(folder),
        scan_interval_seconds=2.0,
        stall=_STALL,
        labels=tuple(map(parse_label_pattern, LABELS)),
        stage_order=tuple(name for name, *_ in _STAGES),
    )


def _serve(folder: Path, listen_address: str) -> None:
    from exporter.commands.serve import Exporter

    root = root_of(folder)
    exporter = Exporter(Config((root,), listen_address=listen_address))
    click.echo(f"The jobs are in {folder}.")
    exporter.announce()
    exporter.run()


@dataclass
class _DemoJob:
    """One job: its folder, its tasks, and how many complete per second. One that `fails` has a
    task that fails, and completes all others."""

    folder: Path
    tasks: int
    tasks_per_second: float = 0.0
    stops_at: int | None = None
    fails: int | None = None
    is_slurm: bool = False
    after: "_DemoJob | None" = None
    ended: int = 0
    _owed: float = 0.0

    def launch(self) -> None:
        """Write ``executor.json`` the way a LocalPipelineExecutor does, or one for Slurm, which
        writes those of all stages at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        local = {"start_method": "forkserver", "local_tasks": self.tasks, "local_rank_offset": 0}
        executor = {
            "pipeline": ["demo"],
            "logging_dir": f"DataFolder(path='{self.folder}')",
            "skip_completed": True,
            "randomize_start_duration": 0,
            "tasks": self.tasks,
            "workers": 4,
            **({"partition": "demo", "job_name": "minhash"} if self.is_slurm else local),
            "depends": None,
            "_launched": True,
            "world_size": self.tasks,
        }
        (self.folder / EXECUTOR_FILE).write_text(json.dumps(executor, indent=4))

    def complete_long_ago(self, days: float, hours: float) -> None:
        """Launch it so many days ago, and have its tasks take that long together."""
        self.launch()
        begin = time.time() - days * DAY
        os.utime(self.folder / EXECUTOR_FILE, (begin, begin))
        for rank in range(self.tasks):
            self.complete(rank, begin + hours * 3600 * (rank + 1) / self.tasks)
        self.ended = self.tasks

    def complete(self, rank: int, at: float | None = None) -> None:
        """Leave what a successful task leaves, the marker last; at this time if it was earlier.
        One that an earlier demo completed is skipped."""
        marker = self.folder / COMPLETIONS / marker_name(rank)
        if marker.exists():
            return
        for name in (LOGS, "stats", COMPLETIONS):
            (self.folder / name).mkdir(exist_ok=True)
        last = ("INFO", "executor.base:_run_for_rank:96", f"Processing done for {rank=}")
        self._log(rank, last, at=at)
        (self.folder / "stats" / f"{rank:05d}.json").write_text("[]")
        marker.touch()
        if at is not None:
            os.utime(marker, (at, at))

    def fail(self, rank: int) -> None:
        """Leave what a failed task leaves: the executor's error at the end of its log, where
        loguru also prints variables."""
        text = f"An error has been caught in function '_run_for_rank', {rank=}:"
        self._log(rank, ("ERROR", "executor.local:_run_for_rank:89", text), _TRACEBACK)

    def _log(
        self, rank: int, last: tuple[str, str, str], more: str = "", at: float | None = None
    ) -> None:
        first = ("INFO", "utils.logging:add_task_logger:58", f"Launching pipeline for {rank=}")
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
        lines = [
            _HEADER.format(time=now, level=level, place=place, text=text)
            for level, place, text in (first, last)
        ]
        (self.folder / LOGS).mkdir(exist_ok=True)
        log = self.folder / LOGS / f"task_{rank:05d}.log"
        log.write_text("".join(lines) + more)
        if at is not None:
            os.utime(log, (at, at))

    def is_complete(self) -> bool:
        """Whether what depends on it may begin."""
        return self.ended == self.tasks and self.fails is None

    def advance(self, seconds: float) -> None:
        """End the tasks that fall into the next `seconds`."""
        if self.after is not None and not self.after.is_complete():
            return
        limit = self.tasks if self.stops_at is None else self.stops_at
        self._owed += seconds * self.tasks_per_second * random.uniform(0.5, 1.5)  # noqa: S311
        while self._owed >= 1 and self.ended < limit:
            if self.ended == self.fails:
                self.fail(self.ended)
            else:
                self.complete(self.ended)
            self.ended += 1
            self._owed -= 1


class DemoTree:
    """Job folders below `folder`: a pipeline of six dumps and four stages, of which one job stalls
    and another has a task that fails; a corrupt job, and one that was relaunched with fewer
    tasks. All tasks together are about a thousand, and complete within ten minutes."""

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self._folder = folder
        self._speed = speed
        self._jobs: list[_DemoJob] = []
        self._long_complete: list[_DemoJob] = []
        self._dump("2023-40", long_complete=4)
        self._dump("2023-50", long_complete=3)
        self._dump("2024-10", long_complete=1)
        self._dump("2024-18", extract={"stops_at": 23})
        self._dump("2024-22", long_complete=1, signatures={"fails": 9})
        self._dump("2024-26", extract={"tasks": 280, "tasks_per_second": 0.5})

    def _dump(self, dump: str, long_complete: int = 0, **others: dict[str, Any]) -> None:
        """The stages of one dump, the first so many of them complete since days."""
        before = None
        for number, (stage, tasks, pace) in enumerate(_STAGES):
            place = f"{stage}/{dump}" if stage == "extract" else f"minhash/{dump}/{stage}"
            usual = {"tasks": tasks, "tasks_per_second": pace, "is_slurm": stage != "extract"}
            own = usual | others.get(stage, {})
            before = _DemoJob(self._folder / place, after=before, **own)
            (self._long_complete if number < long_complete else self._jobs).append(before)

    def write(self) -> None:
        """Write the tree as it is before any progress."""
        for number, job in enumerate(self._long_complete):
            job.complete_long_ago(days=6.5 - 0.6 * number, hours=12)
        for job in self._jobs:
            job.launch()
        corrupt = self._folder / "corrupt"
        corrupt.mkdir(parents=True, exist_ok=True)
        (corrupt / EXECUTOR_FILE).write_text('{\n    "pipeline": [\n        {"adapter": ')
        fewer = _DemoJob(self._folder / "relaunched-with-fewer-tasks", 10)
        fewer.launch()
        for rank in range(fewer.tasks):
            fewer.complete(rank)
        fewer.tasks = 4
        fewer.launch()

    def progress(self, stopping: threading.Event) -> None:
        """Complete tasks until `stopping`."""
        while not stopping.wait(_TICK_SECONDS):
            self.advance(_TICK_SECONDS)

    def advance(self, seconds: float) -> None:
        """Do at once what `progress` does in `seconds`."""
        for job in self._jobs:
            job.advance(seconds * self._speed)
