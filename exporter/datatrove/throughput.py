"""Counts completed tasks by the hour, from the times of their markers. No I/O, no clock.

Hours are numbered since the Unix epoch. Times are in integer nanoseconds as in `ranks`.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

HOUR_SECONDS = 3600
KEPT_HOURS = 15 * 24
"""Fourteen days, and the one that they begin in."""
_HOUR_NS = HOUR_SECONDS * 10**9
_MOST_HOURS = 2 * KEPT_HOURS  # clocks that run ahead make hours to come, but not without end


@dataclass(frozen=True, slots=True)
class Hourly:
    """How many tasks were completed in each hour that had some, in ascending order."""

    hours: "array[int]" = field(default_factory=lambda: array("I"))
    tasks: "array[int]" = field(default_factory=lambda: array("I"))

    def __bool__(self) -> bool:
        return bool(self.hours)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Pairs (hour, tasks)."""
        return zip(self.hours, self.tasks, strict=True)

    @classmethod
    def of_ordered(cls, ordered_ns: Sequence[int], now_ns: int) -> "Hourly":
        """Of the last `KEPT_HOURS`, from all times in ascending order. Work is proportional to
        the hours, not to the tasks."""
        at = bisect_left(ordered_ns, (now_ns // _HOUR_NS - KEPT_HOURS + 1) * _HOUR_NS)
        if at == len(ordered_ns):
            return NOTHING
        hours, tasks = array("I"), array("I")
        while at < len(ordered_ns) and len(hours) < _MOST_HOURS:
            hour = ordered_ns[at] // _HOUR_NS
            end = bisect_left(ordered_ns, (hour + 1) * _HOUR_NS, at)
            hours.append(hour)
            tasks.append(end - at)
            at = end
        return cls(hours, tasks)

    @classmethod
    def of_sample(cls, some_ns: Sequence[int], tasks: int, now_ns: int) -> "Hourly":
        """Of so many tasks, of which some have these times; each stands for as many others."""
        ordered = sorted(some_ns)
        sample = cls.of_ordered(ordered, now_ns)
        of_each = tasks / max(1, len(ordered))
        ends = [round(of_each * upto) for upto in accumulate((0, *sample.tasks))]
        return cls(sample.hours, array("I", (end - begin for begin, end in pairwise(ends))))

    def with_all_of(self, before: "Hourly") -> "Hourly":
        """What was counted before and now, of each hour the most: a marker that went was a task
        completed all the same, and one that is still there is not counted twice."""
        if not before:
            return self
        most = dict(before)
        for hour, tasks in self:
            most[hour] = max(tasks, most.get(hour, 0))
        hours = sorted(most)[-KEPT_HOURS:]
        merged = Hourly(array("I", hours), array("I", map(most.__getitem__, hours)))
        return before if merged == before else merged


NOTHING = Hourly()
"""It is known that nothing was completed in these hours."""
