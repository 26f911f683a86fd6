"""The jobs of the demo: a pipeline of dumps and stages with what goes wrong in real ones."""

import threading
from pathlib import Path
from typing import Any

from exporter.commands.demo.counts import PIPELINES
from exporter.commands.demo.job import DemoJob
from exporter.datatrove.layout import EXECUTOR_FILE

_TICK_SECONDS = 0.5
STAGES = (
    ("extract", 32, 1.5),
    ("signatures", 32, 1.0),
    ("buckets", 14, 0.3),
    ("filter", 48, 0.5),
)
"""Each with its tasks, and how many of them complete in a second."""

_REDONE = 2  # of those that are complete for long: what the last stage of the first dump reads


class DemoTree:
    """Job folders below `folder`: a pipeline of six dumps and four stages, of which one job stalls,
    another has a task that fails, and one ran before its input was whole; a corrupt job, and one
    that was relaunched with fewer tasks. All tasks together are about a thousand, and complete
    within ten minutes."""

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self._folder = folder
        self._speed = speed
        self._jobs: list[DemoJob] = []
        self._long_complete: list[DemoJob] = []
        self._dump("2023-40", long_complete=4)
        self._dump("2023-50", long_complete=3)
        self._dump("2024-10", long_complete=1)
        self._dump("2024-18", extract={"stops_at": 23})
        self._dump("2024-22", long_complete=1, signatures={"fails": 9})
        self._dump("2024-26", extract={"tasks": 280, "tasks_per_second": 0.5})

    def _dump(self, dump: str, long_complete: int = 0, **others: dict[str, Any]) -> None:
        """The stages of one dump, the first so many of them complete since days."""
        before = None
        for number, (stage, tasks, pace) in enumerate(STAGES):
            place = f"{stage}/{dump}" if stage == "extract" else f"minhash/{dump}/{stage}"
            usual: dict[str, Any] = {"tasks": tasks, "tasks_per_second": pace}
            usual |= {"is_slurm": stage != "extract", "pipeline": PIPELINES[stage]}
            own = usual | others.get(stage, {})
            before = DemoJob(self._folder / place, after=before, **own)
            (self._long_complete if number < long_complete else self._jobs).append(before)

    def write(self) -> None:
        """Write the tree as it is before any progress."""
        for number, job in enumerate(self._long_complete):
            job.complete_long_ago(days=6.5 - 0.6 * number, hours=12)
        self._long_complete[_REDONE].relaunch_one(5, days=1)
        for job in self._jobs:
            job.launch()
        corrupt = self._folder / "corrupt"
        corrupt.mkdir(parents=True, exist_ok=True)
        (corrupt / EXECUTOR_FILE).write_text('{\n    "pipeline": [\n        {"adapter": ')
        fewer = DemoJob(self._folder / "relaunched-with-fewer-tasks", 10, PIPELINES["buckets"])
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
