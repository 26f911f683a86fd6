"""Builds datatrove job folders for tests, with times under control."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

LAUNCH = 1_700_000_000
"""When jobs built here are launched, unless told otherwise (Unix seconds)."""
FAILED_LOG = """\
2026-01-01 00:00:00.000 | ERROR    | datatrove.executor.base:_run_for_rank:102 - division by zero
Traceback (most recent call last):
  File "/src/step.py", line 3, in run
    1 / 0
ZeroDivisionError: division by zero
"""
"""The log of a task that failed, as datatrove writes it."""


def write_job(
    folder: Path,
    *,
    tasks: object = 4,
    completed: Iterable[int] = (),
    stray: Iterable[str] = (),
    logs: Iterable[int] = (),
    launch: float = LAUNCH,
    seconds_between: float = 60,
    **executor: object,
) -> Path:
    """Write one job folder as a LocalPipelineExecutor leaves it.

    The n-th rank of `completed` gets its marker n × `seconds_between` after the launch.
    `executor` are further keys of executor.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_executor(folder, launch=launch, tasks=tasks, **executor)
    for position, rank in enumerate(completed, start=1):
        write_marker(folder, f"{rank:05d}", launch + position * seconds_between)
    for name in stray:
        write_marker(folder, name, launch + 1)
    for rank in logs:
        (folder / "logs").mkdir(exist_ok=True)
        (folder / "logs" / f"task_{rank:05d}.log").write_text("log\n")
    return folder


def write_executor(
    folder: Path, *, tasks: object = 4, launch: float = LAUNCH, **keys: object
) -> None:
    """(Re)write ``executor.json``: a launch, by Slurm if there is a key ``partition``."""
    content = {
        "pipeline": [],
        "skip_completed": True,
        **({} if "partition" in keys else {"start_method": "forkserver"}),
        **keys,
        "world_size": tasks,
    }
    file = folder / "executor.json"
    file.write_text(json.dumps(content, indent=4))
    os.utime(file, (launch, launch))


def write_marker(folder: Path, name: str, time: float) -> None:
    """Put an empty file into ``completions/`` with this modification time."""
    completions = folder / "completions"
    completions.mkdir(exist_ok=True)
    marker = completions / name
    marker.touch()
    os.utime(marker, (time, time))
    os.utime(completions, (time, time))
