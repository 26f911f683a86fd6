"""What is shown of a job's tasks that are not done: their states in words, which ranks are in
each, and why some failed, as far as the root's ``show_errors`` allows. Pure.

A message is text of a log, and may be secret. Whoever shows one gets it from here, masked.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, groupby

from exporter.config.settings import ShowErrors
from exporter.datatrove.failure import Cause, FailureReason
from exporter.datatrove.layout import display_name
from exporter.datatrove.task_state import FailureGroup, OpenTasks, TaskState
from exporter.log import without_secrets
from exporter.model.formatting import count, readable
from exporter.model.job import Logs, Reading

_GROUPS = 20
_MESSAGE_CHARACTERS = 200
MOST_RUNS = 1000
"""Of ranks, that are told of one job."""

Runs = Iterator[tuple[int, int]]
"""Ranks in ascending order, as runs (first, last)."""

WORDS: Mapping[TaskState, str] = {
    "failed": "failed",
    "requeued": "queued again",
    "silent": "silent",
    "running": "running",
    "waiting": "not started",
    "unseen": "running or not started",
}
"""States of tasks in words for people."""


def in_words(tasks: OpenTasks) -> str:
    """``2 failed · 18 running · 343 not started``."""
    return counts_in_words(tasks.in_states())


def counts_in_words(in_state: Mapping[TaskState, int]) -> str:
    """The same of the number of tasks in each state."""
    counted = in_state.items()
    return " · ".join(
        f"{count(number)} {WORDS.get(state, state)}" for state, number in counted if number
    )


def ranks_in_states(reading: Reading) -> dict[TaskState, Runs]:
    """The ranks in each state that a task that is not done is in. Those of which no log tells
    are left out where the launch repeats completed tasks: which of them it did is not known."""
    if reading.logs is None:
        return {}
    tasks = reading.logs.tasks
    by_state: dict[TaskState, Iterable[int]] = {
        state: sorted(rank for rank, is_in in tasks.states.items() if is_in == state)
        for state in tasks.in_states()
    }
    runs = {state: runs_of(ranks) for state, ranks in by_state.items() if ranks}
    if tasks.others and not reading.repeats_completed:
        untold = _without(reading.ranks.missing_runs(reading.tasks), sorted(tasks.states))
        told = runs.get(tasks.others_are, iter(()))
        runs[tasks.others_are] = chain(told, untold)
    return {state: runs[state] for state in tasks.in_states() if state in runs}


def runs_json(runs: Iterable[tuple[int, int]]) -> list[dict[str, int]]:
    """The runs as the API and ``status --json`` have them."""
    return [{"first": first, "last": last} for first, last in runs]


def runs_of(ranks: Iterable[int]) -> Runs:
    """The runs of ranks that are in ascending order."""
    for _, run in groupby(enumerate(ranks), lambda numbered: numbered[1] - numbered[0]):
        each = [rank for _, rank in run]
        yield each[0], each[-1]


def _without(runs: Iterable[tuple[int, int]], ranks: Iterable[int]) -> Runs:
    """The runs but for these ranks, which are in ascending order."""
    left_out = iter(ranks)
    rank = next(left_out, None)
    for first, last in runs:
        begin = first
        while rank is not None and rank <= last:
            if begin < rank:
                yield begin, rank - 1
            begin = max(begin, rank + 1)
            rank = next(left_out, None)
        if begin <= last:
            yield begin, last


@dataclass(frozen=True, slots=True)
class ShownFailure:
    """Tasks that failed alike, as far as may be shown. `type`, `where` and `message` are empty
    where they are not known or not shown. `ranks` are those that are known, `tasks` is how many
    there are. `last_timestamp` is when the newest of their logs was written."""

    reason: FailureReason
    tasks: int
    ranks: tuple[int, ...]
    last_timestamp: float | None
    type: str = ""
    where: str = ""
    message: str = ""

    @property
    def cause(self) -> str:
        """As `cause_in_words` has it."""
        return cause_in_words(self)


def cause_in_words(of: Cause | ShownFailure) -> str:
    """``IndexError at extract.py:run:88``; the reason where no class is known or shown."""
    place = f" at {of.where}" if of.where else ""
    return f"{of.type or of.reason.replace('_', ' ')}{place}"


def failures(logs: Logs, show: ShowErrors) -> list[ShownFailure]:
    """Why tasks failed, the cause of most tasks first: so many causes, and the rest together as
    ``other``."""
    groups = [_allowed(group, show) for group in logs.tasks.groups()]
    if show == "none":
        groups = _joined(groups)
    if logs.tasks.others_are == "failed" and logs.tasks.others:
        groups.append(ShownFailure("stopped", logs.tasks.others, (), None))
        groups.sort(key=lambda group: -group.tasks)
    if len(groups) > _GROUPS:
        rest = [replace(group, reason="other", type="", where="", message="")
                for group in groups[_GROUPS:]]  # fmt: skip
        groups[_GROUPS:] = _joined(rest)
    return groups


def _allowed(group: FailureGroup, show: ShowErrors) -> ShownFailure:
    """The group as it may be shown."""
    cause = group.cause if show != "none" else Cause(group.cause.reason)
    message = cause.message if show == "text" else ""
    is_cut = len(message) >= _MESSAGE_CHARACTERS
    return ShownFailure(
        cause.reason,
        len(group.ranks),
        group.ranks,
        None if group.time_ns is None else group.time_ns / 1e9,
        _clean(cause.type),
        _clean(cause.where),
        _clean(message, is_cut=is_cut)[:_MESSAGE_CHARACTERS],
    )


def _clean(text: str, *, is_cut: bool = False) -> str:
    """Text of a log: secrets masked, and no character that a terminal would obey."""
    return readable(display_name(without_secrets(text, is_cut=is_cut)))


def _joined(groups: Iterable[ShownFailure]) -> list[ShownFailure]:
    """Those that are alike but for tasks and times, as one each."""
    alike: dict[tuple[str, ...], list[ShownFailure]] = {}
    for group in groups:
        alike.setdefault((group.reason, group.type, group.where, group.message), []).append(group)
    joined = [
        replace(
            each[0],
            tasks=sum(group.tasks for group in each),
            ranks=tuple(sorted(rank for group in each for rank in group.ranks)),
            last_timestamp=max((g.last_timestamp for g in each if g.last_timestamp), default=None),
        )
        for each in alike.values()
    ]
    return sorted(joined, key=lambda group: -group.tasks)
