"""Measures how a job moves, by the times of its markers.

This module does no I/O. Times are in integer nanoseconds (``_ns``) as in `ranks`; a history
is in seconds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from operator import sub

_HISTORY_POINTS = 64


@dataclass(frozen=True, slots=True)
class History:
    """When a job's markers came: up to 64 of their times, evenly chosen by count, first
    and last included, in seconds since the Unix epoch."""

    count: int
    sampled: "array[float]"

    @classmethod
    def of_ordered(cls, ordered_ns: list[int]) -> "History":
        """From all times in ascending order; at least one."""
        last = len(ordered_ns) - 1
        points = min(_HISTORY_POINTS, len(ordered_ns))
        steps = max(1, points - 1)
        chosen = (last * point // steps for point in range(points))
        return cls(len(ordered_ns), array("d", (ordered_ns[i] / 1e9 for i in chosen)))

    def points(self) -> list[tuple[float, int]]:
        """(time, markers up to then), in ascending order."""
        steps = max(1, len(self.sampled) - 1)
        return [
            (time, (self.count - 1) * point // steps + 1) for point, time in enumerate(self.sampled)
        ]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a job moves since its launch. `start_ns` is when that left its queue, which was before
    its first completion."""

    completed_since_launch: int
    longest_gap_ns: int | None
    start_ns: int | None
    history: History | None


def pace_of(modified_ns: Iterable[int], launch_ns: int, start_ns: int | None) -> Pace:
    """Pace from all marker times, in any order, the time of the launch, and the time when it left
    its queue; None if that is not known.

    The gap counts from the start to the first completion, then between successive ones. What is
    not known of it is left out: a time in a queue is no pace. A marker older than the launch
    was inherited and says nothing about it.
    """
    ordered = sorted(modified_ns)
    since_launch = ordered[bisect_left(ordered, launch_ns) :]
    gaps: Iterable[int] = map(sub, since_launch[1:], since_launch)
    if start_ns is not None and since_launch:
        start_ns = min(start_ns, since_launch[0])
        gaps = chain(gaps, [since_launch[0] - start_ns])
    return Pace(
        completed_since_launch=len(since_launch),
        longest_gap_ns=max(gaps, default=None),
        start_ns=start_ns,
        history=History.of_ordered(ordered) if ordered else None,
    )
