"""Real datatrove at work: launches pipelines in a process of their own.

datatrove logs to wherever it likes and starts processes; apart from the tests, it can do
both. The process takes one launch per line of JSON and answers each with a line.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_TICK_SECONDS = 0.02
# File times come from a clock that moves in steps of up to 10 ms; what happens one after
# the other must not fall into the same step.


@dataclass(frozen=True)
class Launch:
    """How a launch went, and between which moments (Unix seconds)."""

    succeeded: bool
    before: float
    after: float


class Datatrove:
    """Launches pipelines, one after another."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def launch(
        self, folder: Path | str, *, tasks: int, failing: Iterable[int] = (), **options: object
    ) -> Launch:
        """Run a LocalPipelineExecutor until it ends; `failing` ranks raise an exception, and
        `hanging` ones sleep for an hour.

        Ranks run one after another, so the first failure is the end of the launch.
        `options` go to `_run` or, if it does not take them, to the executor.
        """
        time.sleep(_TICK_SECONDS)
        before = time.time() - _TICK_SECONDS
        order = {"folder": str(folder), "tasks": tasks, "failing": list(failing), **options}
        self._requests.write(json.dumps(order) + "\n")
        self._requests.flush()
        problem = json.loads(self._answers.readline())
        assert problem in ("", _FAILURE), problem
        return Launch(not problem, before, time.time())


@contextmanager
def datatrove_process(
    log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Datatrove]:
    """A process that launches real pipelines, its log, and what to add to its environment."""
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **(environment or {})},
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Datatrove(process.stdin, process.stdout)
        finally:
            process.kill()


LINE = re.compile(r"(?:✅|❌) (?P<name>.*?):\s+(?P<completed>\d+)/(?P<tasks>\d+) \(\d+%\)")
SUMMARY = re.compile(r"Summary: (\d+)/(\d+) \(\d+%\) jobs completed, (\d+)/(\d+) \(\d+%\) tasks")


def jobs_status(
    root: Path, *arguments: str
) -> tuple[dict[str, tuple[bool, int, int]], tuple[int, ...]]:
    """What the command prints: (is complete, completed, tasks) of each job, and the four
    numbers of its summary."""
    run = subprocess.run(
        [sys.executable, "-m", "datatrove.tools.jobs_status", str(root), *arguments],
        env={**os.environ, "COLUMNS": "400", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    jobs = {
        match["name"]: ("✅" in match[0], int(match["completed"]), int(match["tasks"]))
        for match in LINE.finditer(run.stdout)
    }
    summary = SUMMARY.search(run.stdout)
    assert summary is not None, run.stdout
    return jobs, tuple(map(int, summary.groups()))


_FAILURE = "this rank was told to fail"


def _run(
    *,
    folder: str,
    failing: list[int],
    documents: int = 2,
    text: str = "A document.",
    workers: int = 1,
    hanging: Sequence[int] = (),
    **options: object,
) -> None:
    """One launch of a pipeline over documents in memory."""
    from datatrove.data import Document
    from datatrove.executor import LocalPipelineExecutor

    def step(data: Iterable[object], rank: int = 0, world_size: int = 1) -> Iterator[object]:
        if rank in failing:
            raise RuntimeError(_FAILURE)
        if rank in hanging:
            time.sleep(3600)
        yield from data

    source = [Document(text=text, id=str(number)) for number in range(documents)]
    LocalPipelineExecutor(
        pipeline=[source, step],
        logging_dir=folder,
        workers=workers,
        start_method="fork",
        **options,
    ).run()


def _serve() -> None:
    for line in sys.stdin:
        try:
            _run(**json.loads(line))
            problem = ""
        except Exception as error:
            problem = str(error)
        sys.stdout.write(json.dumps(problem) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
