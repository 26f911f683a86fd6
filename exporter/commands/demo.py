"""The command ``demo``: a small tree of job folders that makes progress while you watch.

It writes what datatrove writes, in the same order: ``executor.json`` at launch, then for
each task a log, its stats, and last the empty completion marker. Nothing here is read by
the exporter other than through the files.
"""

import json
import random
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click

from exporter.config.addresses import split_listen_address
from exporter.config.settings import DEFAULT_PORT, Config, RootConfig, StallRule
from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, marker_name
from exporter.errors import CommandError

_TICK_SECONDS = 0.5
_STALL = StallRule(after_seconds=25.0)
"""Tasks take about a second here, and nobody watches a demo for an hour."""

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
    with tempfile.TemporaryDirectory(prefix="datatrove-demo-") as temporary:
        folder = Path(directory or temporary).resolve()
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


def _serve(folder: Path, listen_address: str) -> None:
    from exporter.commands.serve import Exporter

    root = RootConfig("demo", str(folder), scan_interval_seconds=2.0, stall=_STALL)
    exporter = Exporter(Config((root,), listen_address=listen_address))
    address = f"http://{_host_to_open(listen_address)}:{exporter.port}"
    click.echo(f"The jobs are in {folder}.")
    click.echo(f"Open {address}/ – metrics: {address}/metrics – Ctrl-C to stop.")
    exporter.run()


def _host_to_open(listen_address: str) -> str:
    """The host as a browser on this machine finds it, within a URL."""
    host, _ = split_listen_address(listen_address)
    if host in (None, "0.0.0.0"):  # noqa: S104
        return "localhost"
    return f"[{host}]" if ":" in host else host


@dataclass
class _DemoJob:
    """One job: its folder, its tasks, and how many complete per second."""

    folder: Path
    tasks: int
    tasks_per_second: float
    stops_at: int | None = None
    fails: bool = False
    is_slurm: bool = False
    after: "_DemoJob | None" = None
    completed: int = 0
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

    def complete(self, rank: int) -> None:
        """Leave what a successful task leaves, the marker last."""
        for name in (LOGS, "stats", COMPLETIONS):
            (self.folder / name).mkdir(exist_ok=True)
        self._log(rank, ("INFO", "executor.base:_run_for_rank:96", f"Processing done for {rank=}"))
        (self.folder / "stats" / f"{rank:05d}.json").write_text("[]")
        (self.folder / COMPLETIONS / marker_name(rank)).touch()

    def fail(self, rank: int) -> None:
        """Leave what a failed task leaves: the executor's error at the end of its log, where
        loguru also prints variables."""
        text = f"An error has been caught in function '_run_for_rank', {rank=}:"
        self._log(rank, ("ERROR", "executor.local:_run_for_rank:89", text), _TRACEBACK)

    def _log(self, rank: int, last: tuple[str, str, str], more: str = "") -> None:
        first = ("INFO", "utils.logging:add_task_logger:58", f"Launching pipeline for {rank=}")
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        lines = [
            _HEADER.format(time=now, level=level, place=place, text=text)
            for level, place, text in (first, last)
        ]
        (self.folder / LOGS).mkdir(exist_ok=True)
        (self.folder / LOGS / f"task_{rank:05d}.log").write_text("".join(lines) + more)

    def advance(self, seconds: float) -> None:
        """Complete the tasks that fall into the next `seconds`."""
        if self.after is not None and self.after.completed < self.after.tasks:
            return
        limit = self.tasks if self.stops_at is None else self.stops_at
        self._owed += seconds * self.tasks_per_second * random.uniform(0.5, 1.5)  # noqa: S311
        while self._owed >= 1 and self.completed < limit:
            self.complete(self.completed)
            self.completed += 1
            self._owed -= 1
            if self.fails and self.completed == limit:
                self.fail(limit)


class DemoTree:
    """Job folders below `folder`: a pipeline of four stages, a job that stalls, one of which a
    task fails, a corrupt one, and one that was relaunched with fewer tasks."""

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self._folder = folder
        self._speed = speed
        minhash = folder / "minhash"
        signatures = _DemoJob(minhash / "signatures", 60, 2.0, is_slurm=True)
        buckets = _DemoJob(minhash / "buckets", 14, 0.7, after=signatures, is_slurm=True)
        clusters = _DemoJob(minhash / "clusters", 1, 0.2, after=buckets, is_slurm=True)
        filtering = _DemoJob(minhash / "filter", 60, 2.0, after=clusters, is_slurm=True)
        tokenize = _DemoJob(folder / "tokenize", 200, 1.0)
        stalls = _DemoJob(folder / "extract-stalls", 32, 1.5, stops_at=23)
        fails = _DemoJob(folder / "extract-fails", 24, 1.5, stops_at=9, fails=True)
        self._jobs = (signatures, buckets, clusters, filtering, tokenize, stalls, fails)

    def write(self) -> None:
        """Write the tree as it is before any progress."""
        for job in self._jobs:
            job.launch()
        corrupt = self._folder / "corrupt"
        corrupt.mkdir(parents=True, exist_ok=True)
        (corrupt / EXECUTOR_FILE).write_text('{\n    "pipeline": [\n        {"adapter": ')
        fewer = _DemoJob(self._folder / "relaunched-with-fewer-tasks", 10, 0)
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
