"""Tells from the output of one element of a Slurm array which rank it ran, and how it ended.

This module does no I/O. A task's own log stops where the task was killed; what Slurm writes
to the element's ``.out`` tells by what. Read on real clusters (Slurm 22.05, with and without
srun): the order of the last lines varies, so any of them decides, and the last one alone does
not: one that waits to be started again still ends as if it had been killed.
"""

import re
from dataclasses import dataclass
from typing import Literal

from exporter.datatrove.executor_file import SlurmArray
from exporter.datatrove.failure import Cause, FailureReason
from exporter.datatrove.log_text import plain_lines

_LAST_LINES = 30

ElementKey = tuple[int, int]
"""An element: the number of its array, and its index in it."""
_OUTPUT_NAME = re.compile(r"([1-9]\d{0,17})_(0|[1-9]\d{0,8})\.out", re.ASCII)


def element_of(name: str) -> ElementKey | None:
    """The element whose output has this name, as datatrove has Slurm name them."""
    match = _OUTPUT_NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def output_name(element: ElementKey) -> str:
    """The name of an element's output in ``slurm_logs/``."""
    return "{}_{}.out".format(*element)


@dataclass(frozen=True, slots=True)
class ElementEnd:
    """How an element ended; `cause` is why, if it `failed`."""

    ended: Literal["failed", "requeued", "open"]
    cause: Cause | None = None


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
    r"srun: error: \S{1,256}: tasks? \S{1,256}: ."  # its exit code, or any signal's name
    r"|srun: (?:error: Unable to create step for job |unrecognized option |fatal: )"
)
# Bash says this of warnings, too. It goes on after those: then it traces the next command.
_STOPPED_SCRIPT = re.compile(
    r"\S{0,4096}slurm_script: line \d{1,9}:(?: +\d{1,9})? (?!warning: ).{0,4096}"
)
_TRACE = "+ "


def end_of_element(data: bytes, *, may_requeue: bool = True) -> ElementEnd:
    """How an element ended of whose output `data` are the last bytes. Without `may_requeue`
    (``no-requeue`` among the arguments of sbatch) one that lost its node is not started again."""
    lines = [line[t.end() :] if (t := _TASK.match(line)) else line for line in plain_lines(data)]
    begun = max((i for i, line in enumerate(lines) if line.startswith(_ATTEMPT)), default=0)
    attempt = lines[begun:]
    last = [line for line in attempt if line][-_LAST_LINES:]
    if lost := next(filter(None, map(_REQUEUED.match, last)), None):
        if may_requeue:
            return ElementEnd("requeued")
        has_node = "node failure" not in lost[0].lower()
        return ElementEnd("failed", Cause("cancelled" if has_node else "node_failure"))
    for reason, pattern in _FAILED:
        if any(map(pattern.match, last)):
            return ElementEnd("failed", Cause(reason))
    traced = max((i for i, line in enumerate(last) if line.startswith(_TRACE)), default=0)
    if any(map(_STOPPED.match, last)) or any(map(_STOPPED_SCRIPT.match, last[traced:])):
        has_begun = any(_PIPELINE in line for line in attempt)
        return ElementEnd("failed", Cause("stopped" if has_begun else "launcher"))
    return ElementEnd("open")


_RANK = re.compile(r"add_task_logger:\d{1,9} - " + _PIPELINE + r"(\d{1,18})(?!\d)")


def rank_of_element(data: bytes) -> int | None:
    """The first rank that an element names, of whose output `data` are the first bytes."""
    found = (_RANK.search(line) for line in plain_lines(data))
    return next((int(match[1]) for match in found if match), None)


def is_merge_of_stats(data: bytes) -> bool:
    """The output is that of the job which sums up the tasks' statistics, not of an element."""
    return any(line.startswith("+ merge_stats ") for line in plain_lines(data))


def ranks_to_run(data: bytes) -> tuple[int, ...]:
    """The ranks of a launch in the order of its elements, from the first bytes of
    ``ranks_to_run.json``; as many as these tell."""
    text = data.decode("utf-8", "replace").strip()
    if not text.startswith("["):
        return ()
    complete = text[1:-1] if text.endswith("]") else text[1:].rpartition(",")[0]
    numbers = complete.split(",") if complete.strip() else []
    if not all(number.strip().isdecimal() and number.strip().isascii() for number in numbers):
        return ()
    return tuple(map(int, numbers))


@dataclass(frozen=True, slots=True)
class ArrayMap:
    """Which ranks the elements of one array have: `ranks` are those of the launch in order,
    `offset` is the position of the array's first element among all elements."""

    ranks: tuple[int, ...]
    tasks_per_job: int
    offset: int

    @classmethod
    def of_element(
        cls, index: int, first_rank: int, ranks: tuple[int, ...], array: SlurmArray
    ) -> "ArrayMap | None":
        """The map of an array whose element `index` names its first rank. None if the two do
        not fit this launch, as where the array is one of an earlier one."""
        if first_rank not in ranks:
            return None
        element, remainder = divmod(ranks.index(first_rank), array.tasks_per_job)
        offset = element - index
        is_begin = offset % array.max_size == 0 if array.max_size else offset == 0
        fits = remainder == 0 and offset >= 0 and is_begin
        return cls(ranks, array.tasks_per_job, offset) if fits else None

    def ranks_of(self, index: int) -> tuple[int, ...]:
        """The ranks of an element; none if the launch has none for it."""
        first = (self.offset + index) * self.tasks_per_job
        return self.ranks[first : first + self.tasks_per_job]


def ranks_from(first_rank: int, ranks: tuple[int, ...], array: SlurmArray) -> tuple[int, ...]:
    """The ranks of an element that names its first one."""
    if array.tasks_per_job == 1 or first_rank not in ranks:
        return (first_rank,)
    position = ranks.index(first_rank)
    return ranks[position : position + array.tasks_per_job]
