"""Decides the state of each task that is not done, from its log and, in Slurm, from how its
element of the array ended.

This module does no I/O. Work is proportional to the logs and elements, never to ``world_size``.

Whether a log can be seen while its task runs is *proven, not assumed*: a launch is live once
that was seen. Object stores show a log when it is closed; so do Ray and Jobs, which copy it at
the end. Where a launch is not live, a log without a marker is a task that ended without success.
"""

from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from exporter.datatrove.failure import Cause, FailureReason, LogEnd
from exporter.datatrove.slurm_output import ElementEnd

TaskState = Literal["failed", "requeued", "silent", "running", "waiting", "unseen"]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)
"""States of tasks that are not done; what needs attention first comes first."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What decides how the logs of a launch are read. `is_slice`: several processes run a part
    of the ranks each, and each rewrites ``executor.json``, so a log may be older than that.
    `may_be_live`: its logs would show while their tasks run, so none proves an end by being there.
    `is_over`: nothing of it runs any more. `ends_need_proof`: a log that shows may be that of a
    task which goes on, in the queue or on another node, so that only its content tells."""

    began_ns: int
    kind: str
    is_slice: bool = False
    is_live: bool = False
    may_be_live: bool = False
    is_over: bool = False
    ends_need_proof: bool = False

    def wrote(self, modified_ns: int) -> bool:
        """A log with this time is of this launch."""
        return is_of_launch(modified_ns, self.began_ns, is_slice=self.is_slice)


def is_of_launch(written: float, began: float, *, is_slice: bool) -> bool:
    """Whether a log that was written last then is of a launch that began then; times of one unit.
    Each process of a slice rewrites ``executor.json``, so nothing is too old for it."""
    return is_slice or written >= began


@dataclass(frozen=True, slots=True)
class TaskLog:
    """The log of a task that is not done; `end` is None until it was read."""

    modified_ns: int
    end: LogEnd | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed, and when its log was written last; None if it has none."""

    cause: Cause
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Tasks that failed alike: their `cause`, with the message of the newest; their `ranks` in
    ascending order; the newest time."""

    cause: Cause
    ranks: tuple[int, ...]
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class OpenTasks:
    """The tasks of a launch that are not done. `states` has those that a log or an element
    tells something of; the `others` are all in the state `others_are`. `failures` are of the
    failed ones in `states`. `is_live`: logs can be seen while their tasks run."""

    states: Mapping[int, TaskState]
    failures: Mapping[int, Failure] = field(repr=False)
    others: int
    others_are: TaskState
    needs_relaunch: bool
    is_live: bool = True

    def count(self, state: TaskState) -> int:
        """How many tasks are in a state."""
        others = self.others if state == self.others_are else 0
        return others + sum(is_in == state for is_in in self.states.values())

    def in_states(self) -> dict[TaskState, int]:
        """How many tasks are in each state that the logs can tell. Where they do not show
        while tasks run, nobody can tell a running task from one that waits."""
        counted = Counter(self.states.values())
        counted[self.others_are] += self.others
        told = TASK_STATES[:-1] if self.is_live else _NOT_LIVE
        return {s: counted[s] for s in TASK_STATES if s in told or counted[s]}

    def failed_by_reason(self) -> Counter[FailureReason]:
        """How many tasks failed for each reason."""
        reasons = Counter(failure.cause.reason for failure in self.failures.values())
        if self.others and self.others_are == "failed":
            reasons["stopped"] += self.others
        return reasons

    def groups(self) -> list[FailureGroup]:
        """The failures that are alike but for their messages; those of most tasks first."""
        alike: dict[Cause, list[int]] = {}
        for rank in sorted(self.failures):
            cause = replace(self.failures[rank].cause, message="")
            alike.setdefault(cause, []).append(rank)
        groups = [self._group(ranks) for ranks in alike.values()]
        return sorted(groups, key=lambda group: (-len(group.ranks), group.ranks))

    def _group(self, ranks: Sequence[int]) -> FailureGroup:
        newest = max((self.failures[rank] for rank in ranks), key=lambda f: f.time_ns or 0)
        return FailureGroup(newest.cause, tuple(ranks), newest.time_ns)


_NOT_LIVE: tuple[TaskState, ...] = ("failed", "unseen")
_STOPPED = Cause("stopped")
_POOL_ENDS_WITHIN_NS = 60 * 10**9


def open_tasks(
    launch: Launch,
    to_do: int,
    logs: Mapping[int, TaskLog],
    elements: Mapping[int, ElementEnd],
    silent: Container[int] = (),
) -> OpenTasks:
    """The states of `to_do` tasks, of which these `logs` and `elements` are known; they are of
    no other tasks. `silent` are ranks whose open log was not written for too long."""
    written = {rank: log for rank, log in logs.items() if launch.wrote(log.modified_ns)}
    pool_died = launch.kind == "local" and not launch.is_slice and _pool_died(written.values())
    failures: dict[int, Failure] = {}
    states: dict[int, TaskState] = {}
    for rank in {**written, **elements}:
        log, element = written.get(rank), elements.get(rank)
        if _is_requeued(log, element):
            states[rank] = "requeued"
        elif (cause := _cause(launch, log, element)) is not None:
            states[rank] = "failed"
            failures[rank] = Failure(cause, log.modified_ns if log is not None else None)
        elif log is not None and launch.is_live:
            states[rank] = "silent" if pool_died or rank in silent else "running"
    others = to_do - len(states)
    others_are: TaskState = "waiting" if launch.is_live else "unseen"
    if launch.is_over:
        others_are = "failed"
    failed = len(failures) + (others if launch.is_over else 0)
    needs_relaunch = pool_died or (failed > 0 and failed == to_do)
    return OpenTasks(states, failures, others, others_are, needs_relaunch, launch.is_live)


def _pool_died(logs: Collection[TaskLog]) -> bool:
    """The pool of a local launch ends with its first failure, and the tasks in it with the pool.
    Unless a log is written on: then something runs, whatever it is."""
    failed = [log.modified_ns for log in logs if log.end and log.end.ended == "failed"]
    others = [log.modified_ns for log in logs if not (log.end and log.end.ended == "failed")]
    return bool(failed) and max(others, default=0) <= min(failed) + _POOL_ENDS_WITHIN_NS


def _is_requeued(log: TaskLog | None, element: ElementEnd | None) -> bool:
    if log is not None and log.end is not None and log.end.ended != "open":
        return log.end.ended == "requeued"
    return element is not None and element.ended == "requeued"


def _cause(launch: Launch, log: TaskLog | None, element: ElementEnd | None) -> Cause | None:
    """Why the task failed; None if nothing says that it did."""
    end = log.end if log is not None else None
    if end is not None and end.ended == "failed":
        return end.cause or Cause("other")
    if element is not None and element.ended == "failed":
        return element.cause or Cause("other")
    if launch.is_over:
        return _STOPPED
    if log is None or launch.is_live or launch.may_be_live:
        return None
    if end is None and launch.ends_need_proof:
        return None
    return Cause("other") if end is None else _STOPPED
