"""Finds the stretches in which the whole cluster paused, by the waits of a root's jobs. Pure.

A job's longest wait is the measure of its pace. A cluster that was preempted for half a day
would raise that for all of its jobs and for good, and a job that dies later be found days late.
So a stretch in which most jobs waited is no one's pace.

That most jobs completed nothing for an hour is no sign by itself, since tasks of six hours end
in waves. So a wait counts only where it was longer than the job's own pace explained when it
began, which is when the job was stalled. And a job counts only from its start to its newest
completion: one that is dead pauses for ever, and says nothing of the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from exporter.config.settings import StallRule
from exporter.datatrove.pace import Waits
from exporter.model.job import Reading

Stretch = tuple[float, float]
"""Begin and end, in seconds since the Unix epoch."""

_JOBS = 5
# Fewer than these under way are no cluster.
_ROUNDS = 20
# A pause that was found makes the next one stand out; 16 waits are kept of each job.


@dataclass(frozen=True, slots=True)
class _Life:
    """A job from its start to its newest completion, and its longest waits within."""

    begin: float
    end: float
    waits: Waits | None


def pauses_of(readings: Iterable[Reading], rule: StallRule) -> tuple[Stretch, ...]:
    """The stretches in which at least five jobs were under way and more than half of them waited
    for longer than their pace explained; apart from each other, in ascending order."""
    lives = [life for reading in readings if (life := _life_of(reading)) is not None]
    waiting = [life for life in lives if life.waits is not None]
    pauses: tuple[Stretch, ...] = ()
    for _ in range(_ROUNDS):
        waits = [wait for life in waiting for wait in _unexplained(life, rule, pauses)]
        if 2 * len(waits) <= _JOBS:
            break
        found = _shared(lives, waits)
        if found == pauses:
            break
        pauses = found
    return pauses


def seconds_without(stretch: Stretch, pauses: Sequence[Stretch]) -> float:
    """How long a stretch is, without the parts of it that are pauses."""
    begin, end = stretch
    paused = sum(max(0.0, min(end, last) - max(begin, first)) for first, last in pauses)
    return end - begin - paused


def longest_wait_seconds(reading: Reading, pauses: Sequence[Stretch]) -> float | None:
    """The longest wait of the job without the pauses; None where it has none that is known."""
    longest, waits = reading.longest_completion_gap_seconds, reading.waits
    if longest is None or waits is None or not pauses:
        return longest
    lengths = [seconds_without(wait, pauses) for wait in waits.stretches()]
    return min(longest, max(waits.others_seconds, *lengths))


def _life_of(reading: Reading) -> _Life | None:
    begin, end = reading.start_timestamp, reading.last_completion_timestamp
    if begin is None or end is None or not reading.tasks_completed_since_launch or end <= begin:
        return None
    return _Life(begin, end, reading.waits)


def _unexplained(life: _Life, rule: StallRule, pauses: Sequence[Stretch]) -> Iterable[Stretch]:
    """The job's waits that were longer than those before it explained. Nothing explains the first
    one after its start."""
    if life.waits is None:
        return
    longest = life.waits.others_seconds
    for wait in life.waits.stretches():
        threshold = max(rule.gap_factor * longest, rule.after_seconds)
        if wait[0] > life.begin and wait[1] - wait[0] > threshold:
            yield wait
        longest = max(longest, seconds_without(wait, pauses))


def _shared(lives: Iterable[_Life], waits: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Where more than half of the jobs under way, of at least five, are within such a wait."""
    first, last = min(begin for begin, _ in waits), max(end for _, end in waits)
    changes: dict[float, list[int]] = {}
    for at, (begin, end) in (
        *((0, (life.begin, life.end)) for life in lives if life.begin < last and life.end > first),
        *((1, wait) for wait in waits),
    ):
        changes.setdefault(begin, [0, 0])[at] += 1
        changes.setdefault(end, [0, 0])[at] -= 1
    found: list[Stretch] = []
    under_way = paused = 0
    for begin, end in pairwise(sorted(changes)):
        under_way += changes[begin][0]
        paused += changes[begin][1]
        if under_way >= _JOBS and 2 * paused > under_way:
            goes_on = bool(found) and found[-1][1] == begin
            found.append((found.pop()[0] if goes_on else begin, end))
    return tuple(found)
