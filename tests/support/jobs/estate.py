"""Six hundred jobs: a pipeline of 96 dumps and six stages, and experiments beside it."""

import os
from collections import Counter
from pathlib import Path

from support.jobs.folders import FAILED_LOG, write_job

HOUR, DAY = 3600.0, 86_400.0
STAGES = ("base_processing", "signatures", "buckets", "clusters", "filter", "tokenize")
DUMPS = [f"CC-MAIN-{2014 + number // 8}-{5 + 6 * (number % 8):02d}" for number in range(96)]
LABELS = ["minhash/{dump}/{stage}", "{stage}/{dump}"]
TASKS = 10
EXPERIMENTS = {"abandoned": 20, "complete": 3, "running": 1}
STALLED, FAILED = ("base_processing", 94), ("signatures", 84)
_RUNNING = 4
_DONE = {"complete": TASKS, "running": 4, "stalled": 5, "failed": 9, "abandoned": 2, "waiting": 0}


def name_of(stage: str, number: int) -> str:
    """The job of a stage and a dump."""
    dump = DUMPS[number]
    return (
        f"{stage}/{dump}" if stage in ("base_processing", "tokenize") else f"minhash/{dump}/{stage}"
    )


def state_of(stage: str, number: int) -> str:
    """Each stage has ten complete dumps less than the one before, and four that run."""
    if (stage, number) in (STALLED, FAILED):
        return "stalled" if (stage, number) == STALLED else "failed"
    complete = 90 - 10 * STAGES.index(stage)
    if number < complete:
        return "complete"
    return "running" if number < complete + _RUNNING else "waiting"


def completed_of(stage: str, number: int) -> int:
    """Tasks of it that are completed."""
    return _DONE[state_of(stage, number)]


def states() -> Counter[str]:
    """How many jobs of the pipeline are in each state."""
    return Counter(state_of(stage, number) for stage in STAGES for number in range(len(DUMPS)))


def write_estate(folder: Path, now: float) -> None:
    """Below `folder`: the pipeline in ``fineweb``, the experiments in ``scratch``."""
    for stage in STAGES:
        for number in range(len(DUMPS)):
            _write(folder / "fineweb" / name_of(stage, number), state_of(stage, number), now)
    for state, count in EXPERIMENTS.items():
        for number in range(count):
            _write(folder / "scratch" / f"{state}-{number}", state, now)


def _write(job: Path, state: str, now: float) -> None:
    ago = {"complete": 3 * DAY, "abandoned": 30 * DAY, "stalled": 20 * HOUR}.get(state, 2400.0)
    executor = {"partition": "cpu"} if state == "waiting" else {}
    done = range(_DONE[state])
    times = {"launch": now - ago, "seconds_between": 500 if state == "running" else 60}
    write_job(job, tasks=TASKS, completed=done, **times, **executor)
    if state == "failed":
        (job / "logs").mkdir()
        log = job / "logs" / f"task_{_DONE[state]:05d}.log"
        log.write_text(FAILED_LOG)
        os.utime(log, (now - 100, now - 100))
