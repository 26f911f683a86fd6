"""Real datatrove on a real Slurm: launches pipelines, whose ranks do as they are told.

A rank waits for a file of its number in a folder of orders, and does what stands in it.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the process that launches does not know where it is
    from support.slurm.cluster import Slurm

COMPLETE, FAIL, EXIT, FILL_MEMORY = "complete", "fail", "exit", "fill memory"


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


def launch(cluster: "Slurm", stages: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """Launch SlurmPipelineExecutors, by their arguments; each may name one before it, by its
    `job_name`, on which it depends, and has a folder of `orders`. The numbers of their arrays."""
    programs = Path(sys.executable).parent
    path = f"{programs}:{cluster.environment['PATH']}"
    answer = cluster.command(sys.executable, __file__, json.dumps(stages), PATH=path)
    return dict(json.loads(answer.splitlines()[-1]))


def _launch(stages: Sequence[dict[str, object]]) -> None:
    from datatrove.data import Document
    from datatrove.executor import SlurmPipelineExecutor

    launched: dict[object, SlurmPipelineExecutor] = {}
    for stage in stages:
        upstream = launched.get(stage.pop("depends", None))
        step = _obedient(str(stage.pop("orders")))
        launched[stage["job_name"]] = executor = SlurmPipelineExecutor(
            pipeline=[[Document(text="A document.", id="0")], step],
            depends=upstream,
            **{"time": "10", "partition": "cpu", "mem_per_cpu_gb": 1, **stage},
        )
        executor.run()
    numbers = {name: int(executor.job_id) for name, executor in launched.items()}
    sys.stdout.write(f"{json.dumps(numbers)}\n")


def _obedient(orders: str) -> Callable[..., Iterator[object]]:
    def step(data: Iterator[object], rank: int = 0, world_size: int = 1) -> Iterator[object]:
        # It runs in another process, which has none of this module's names.
        import sys
        import time
        from pathlib import Path

        order = Path(orders) / str(rank)
        while not order.exists():
            time.sleep(0.05)
        told = order.read_text()
        if told == "fail":
            raise KeyError(rank)
        if told == "exit":
            sys.exit(3)
        filled = []
        while told == "fill memory" and len(filled) < 64:  # 1 GiB: twice what its job asks for
            filled.append(b"x" * (1 << 24))
        yield from data

    return step


if __name__ == "__main__":
    _launch(json.loads(sys.argv[1]))
