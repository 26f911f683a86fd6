"""One job of the demo, which leaves what datatrove leaves, in the same order.

``executor.json`` at launch, then for each task a log, its stats, and last the empty completion
marker. Nothing here is read by the exporter other than through the files.
"""

import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from exporter.commands.demo.counts import Pipeline, merged, stats_of
from exporter.datatrove.layout import (
    COMPLETIONS,
    EXECUTOR_FILE,
    LOGS,
    MERGED_STATS,
    STATS,
    log_file,
    marker_name,
    stats_file,
)

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


@dataclass
class DemoJob:
    """One job: its folder, its tasks, what they count, and how many complete per second. One that
    `fails` has a task that fails, and completes all others."""

    folder: Path
    tasks: int
    pipeline: Pipeline
    tasks_per_second: float = 0.0
    stops_at: int | None = None
    fails: int | None = None
    is_slurm: bool = False
    after: "DemoJob | None" = None
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
        self.merge(begin + hours * 3600)
        self.ended = self.tasks

    def complete(self, rank: int, at: float | None = None) -> None:
        """Leave what a successful task leaves, the marker last; at this time if it was earlier.
        One that an earlier demo completed is skipped."""
        marker = self.folder / COMPLETIONS / marker_name(rank)
        if marker.exists():
            return
        for name in (LOGS, STATS, COMPLETIONS):
            (self.folder / name).mkdir(exist_ok=True)
        last = ("INFO", "executor.base:_run_for_rank:96", f"Processing done for {rank=}")
        self._log(rank, last, at=at)
        stats = json.dumps(self._stats(rank), indent=4)
        (self.folder / stats_file(rank)).write_text(stats)
        marker.touch()
        if at is not None:
            os.utime(marker, (at, at))

    def _stats(self, rank: int) -> list[dict[str, object]]:
        return stats_of(self.pipeline, f"{self.folder.parent.name}/{self.folder.name}/{rank}")

    def merge(self, at: float | None = None) -> None:
        """Leave what the last task of a job leaves: the stats of all tasks together."""
        file = self.folder / MERGED_STATS
        file.write_text(json.dumps(merged(list(map(self._stats, range(self.tasks)))), indent=4))
        if at is not None:
            os.utime(file, (at, at))

    def relaunch_one(self, rank: int, days: float) -> None:
        """Launch it again so many days ago, when only this task was left to do."""
        at = time.time() - days * DAY
        (self.folder / COMPLETIONS / marker_name(rank)).unlink()
        self.complete(rank, at)
        for file in (EXECUTOR_FILE, MERGED_STATS):
            os.utime(self.folder / file, (at, at))

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
        log = self.folder / log_file(rank)
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
            if self.is_complete():
                self.merge()
