"""Real datatrove on a real Slurm: launches pipelines, whose ranks do as they are told.

A rank waits for a file of its number in a folder of orders, and does what stands in it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the process that launches does not know where it is
    from support.real_slurm import Slurm

COMPLETE, FAIL, FILL_MEMORY = "complete", "fail", "fill memory"
FAILURE = "this rank was told to fail"


class Orders:
    """What the ranks of the jobs below `root` are to do; without an order, they wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def give(self, job: str, rank: int, order: str) -> None:
        file = self.folder(job) / str(rank)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(order)
        unfinished.rename(file)

    def folder(self, job: str) -> Path:
        return self._folder / job


def launch(cluster: "Slurm", stages: list[dict[str, object]]) -> None:
    """Launch SlurmPipelineExecutors, by their arguments; each may name one before it, by its
    `job_name`, on which it depends, and a folder of `orders`."""
    programs = Path(sys.executable).parent
    path = f"{programs}:{cluster.environment['PATH']}"
    cluster.command(sys.executable, __file__, json.dumps(stages), PATH=path)


def _launch(stages: list[dict[str, object]]) -> None:
    from datatrove.data import Document
    from datatrove.executor import SlurmPipelineExecutor

    launched: dict[object, SlurmPipelineExecutor] = {}
    for stage in stages:
        upstream = launched.get(stage.pop("depends", None))
        step = _obedient(str(stage.pop("orders")))
        launched[stage["job_name"]] = executor = SlurmPipelineExecutor(
            pipeline=[[Document(text="A document.", id="0")], step],
            partition="cpu",
            depends=upstream,
            **{"time": "10", "mem_per_cpu_gb": 1, **stage},
        )
        executor.run()


def _obedient(orders: str):  # type: ignore[no-untyped-def]
    failure = FAILURE

    def step(data: Iterator[object], rank: int = 0, world_size: int = 1) -> Iterator[object]:
        # It runs in another process, which has none of this module's names.
        import time
        from pathlib import Path

        order = Path(orders) / str(rank)
        while not order.exists():
            time.sleep(0.05)
        if order.read_text() == "fail":
            raise RuntimeError(failure)
        filled = []
        while order.read_text() == "fill memory" and len(filled) < 64:  # 1 GiB: of its limit twice
            filled.append(b"x" * (1 << 24))
        yield from data

    return step


if __name__ == "__main__":
    _launch(json.loads(sys.argv[1]))
