"""Tells from the output of one element of a Slurm array which rank it ran, and how it ended.

This module does no I/O. A task's own log stops where the task was killed; what Slurm writes
to the element's ``.out`` tells by what. Read on real clusters (Slurm 22.05, with and without
srun): the order of the last lines varies, so any of them decides, and the last one alone does
not: one that waits to be started again still ends as if it had been killed.
"""

import re
from dataclasses import dataclass
from typing import Literal

from exporter.datatrove.failure import FailureReason
from exporter.datatrove.log_text import plain_lines

_LAST_LINES = 30

OUTPUT_NAME = re.compile(r"(\d{1,18})_(\d{1,9})\.out", re.ASCII)
"""``<array>_<index>.out``, as datatrove has Slurm name them."""


@dataclass(frozen=True, slots=True)
class ElementEnd:
    """How an element ended; `reason` is why, if it `failed`."""

    ended: Literal["failed", "requeued", "open"]
    reason: FailureReason | None = None


_ATTEMPT = "Starting data processing job "  # the script's first line; attempts are appended
_PIPELINE = "Launching pipeline for rank="
_TASK = re.compile(r"\d{1,9}: ")  # srun -l

_CANCELLED = r"slurmstepd\S{0,256}: error: \*\*\* (?:JOB|STEP) .{0,256} CANCELLED AT \S{1,64} "
_REQUEUED = re.compile(
    _CANCELLED + r"DUE TO (?:PREEMPTION|JOB REQUEUE|NODE FAILURE)|srun: error: Node failure on "
)
_FAILED: tuple[tuple[FailureReason, re.Pattern[str]], ...] = (
    ("time_limit", re.compile(_CANCELLED + r"DUE TO TIME LIMIT \*\*\*")),
    (
        "out_of_memory",
        re.compile(
            r".{0,256}error: Detected \d{1,9} oom-kill event"
            r"|srun: error: \S{1,256}: tasks? \S{1,256}: Out Of Memory"
        ),
    ),
    ("cancelled", re.compile(_CANCELLED + r"(?:DUE TO .{1,64} )?\*\*\*")),
)
_STOPPED = re.compile(
    r"srun: error: \S{1,256}: tasks? \S{1,256}: (?:Exited with exit code|Killed|Terminated"
    r"|Segmentation fault|Aborted|Bus error|Floating point exception|Illegal instruction)"
    r"|\S{0,4096}slurm_script: line \d{1,9}:(?: +\d{1,9})? .{0,4096}"
)


def end_of_element(data: bytes, *, may_requeue: bool = True) -> ElementEnd:
    """How an element ended of whose output `data` are the last bytes. Without `may_requeue`
    (``no-requeue`` among the arguments of sbatch) one that lost its node is not started again."""
    lines = [line[t.end() :] if (t := _TASK.match(line)) else line for line in plain_lines(data)]
    begun = max((i for i, line in enumerate(lines) if line.startswith(_ATTEMPT)), default=0)
    attempt = lines[begun:]
    last = [line for line in attempt if line][-_LAST_LINES:]
    if any(map(_REQUEUED.match, last)):
        return ElementEnd("requeued") if may_requeue else ElementEnd("failed", "cancelled")
    for reason, pattern in _FAILED:
        if any(map(pattern.match, last)):
            return ElementEnd("failed", reason)
    if any(map(_STOPPED.match, last)):
        has_begun = any(_PIPELINE in line for line in attempt)
        return ElementEnd("failed", "stopped" if has_begun else "launcher")
    return ElementEnd("open")


_RANK = re.compile(r"add_task_logger:\d{1,9} - " + _PIPELINE + r"(\d{1,18})(?!\d)")


def rank_of_element(data: bytes) -> int | None:
    """The first rank that an element names, of whose output `data` are the first bytes."""
    found = (_RANK.search(line) for line in plain_lines(data))
    return next((int(match[1]) for match in found if match), None)


def is_merge_of_stats(data: bytes) -> bool:
    """The output is that of the job which sums up the tasks' statistics, not of an element."""
    return any(line.startswith("+ merge_stats ") for line in plain_lines(data))
