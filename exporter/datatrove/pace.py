"""Measures how a job moves, by the times of its markers.

This module does no I/O. Times are in integer nanoseconds (``_ns``) as in `ranks`; a history
is in seconds.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from operator import sub

_HISTORY_POINTS = 64
_WAITS = 16
_MOST_AHEAD_NS = 3600 * 10**9
SHORT_WAIT_SECONDS = 300.0
"""Waits that are shorter are not kept one by one."""


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
class Waits:
    """The longest waits of a launch, 16 at most and none of less than five minutes: begin and
    end of each in seconds since the Unix epoch, one after the other, in ascending order. No
    wait that is not among them was longer than `others_seconds`."""

    times: "array[float]"
    others_seconds: float

    @classmethod
    def of(cls, begins_ns: Sequence[int], gaps_ns: Sequence[int]) -> "Waits | None":
        """From when each wait began, in ascending order, and how long it was; None if all were
        short."""
        is_long = [at for at, gap in enumerate(gaps_ns) if gap >= SHORT_WAIT_SECONDS * 1e9]
        if not is_long:
            return None
        kept = sorted(nlargest(_WAITS, is_long, key=gaps_ns.__getitem__))
        others = min(gaps_ns[at] for at in kept) / 1e9
        times = array("d")
        for at in kept:
            times.extend((begins_ns[at] / 1e9, (begins_ns[at] + gaps_ns[at]) / 1e9))
        return cls(times, others if len(kept) < len(is_long) else SHORT_WAIT_SECONDS)

    def stretches(self) -> Iterable[tuple[float, float]]:
        """Begin and end of each."""
        return zip(self.times[::2], self.times[1::2], strict=True)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a job moves since its launch. `start_ns` is when that left its queue, which was before
    its first completion. `waits` is None where all were short."""

    completed_since_launch: int
    longest_gap_ns: int | None
    start_ns: int | None
    history: History | None
    waits: Waits | None = None


def without_future(ordered_ns: list[int], launch_ns: int | None, now_ns: int) -> list[int]:
    """Times of markers, in ascending order, in which those that a clock wrote which is more than an
    hour ahead count as the newest of the others, or as the launch if that is newer: one node whose
    clock is a year ahead would have the job go on for a year. Where all are ahead, nobody knows
    whose clock is wrong, and they stay."""
    latest_ns = now_ns + _MOST_AHEAD_NS
    told = bisect_right(ordered_ns, latest_ns)
    if told in (0, len(ordered_ns)):
        return ordered_ns
    newest = ordered_ns[told - 1]
    if launch_ns is not None and launch_ns <= latest_ns:
        newest = max(newest, launch_ns)
    return [*ordered_ns[:told], *[newest] * (len(ordered_ns) - told)]


def pace_of(modified_ns: Iterable[int], launch_ns: int, start_ns: int | None) -> Pace:
    """Pace from all marker times, in any order, the time of the launch, and the time when it left
    its queue; None if that is not known.

    The gap counts from the start to the first completion, then between successive ones. What is
    not known of it is left out: a time in a queue is no pace. A marker older than the launch
    was inherited and says nothing about it.
    """
    ordered = sorted(modified_ns)
    since_launch = ordered[bisect_left(ordered, launch_ns) :]
    begins, ends = since_launch, since_launch[1:]
    if start_ns is not None and since_launch:
        start_ns = min(start_ns, since_launch[0])
        begins, ends = [start_ns, *since_launch], since_launch
    gaps = list(map(sub, ends, begins))
    return Pace(
        completed_since_launch=len(since_launch),
        longest_gap_ns=max(gaps, default=None),
        start_ns=start_ns,
        history=History.of_ordered(ordered) if ordered else None,
        waits=Waits.of(begins, gaps),
    )
