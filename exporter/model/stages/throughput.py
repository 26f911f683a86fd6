"""How many tasks jobs completed lately, and when the rest will be done at that rate. Pure.

Marker times tell what was completed before anybody looked. Where they are unknown (on disks, of a
job that was complete when it was first seen), nothing is known up to its last completion.
A *day* is 24 hours up to the time of the report, so that it is the same in every time zone.
Completions are known by the hour; of an hour that a day begins in, a part counts.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from operator import add

from exporter.datatrove.throughput import HOUR_SECONDS, KEPT_HOURS, Hourly
from exporter.model.report import Row

DAY_SECONDS = 86_400
HOURS_SHOWN = 48
DAYS_SHOWN = 14
_DAYS_OF_PACE = 7


@dataclass(frozen=True, slots=True)
class Pace:
    """Tasks a day: the mean of the last days, seven at most, the best and the worst of them."""

    days: int
    mean: float
    best: float
    worst: float


@dataclass(frozen=True, slots=True)
class DoneAbout:
    """When all is done, in Unix seconds: at the mean pace, at that of the best day, and at that of
    the worst; None if nothing was completed on that."""

    timestamp: float
    earliest: float
    latest: float | None


def last_of(ends: Collection[DoneAbout]) -> DoneAbout:
    """The last of one or several ends, and of what they range over."""
    latest = [end.latest for end in ends]
    return DoneAbout(
        max(end.timestamp for end in ends),
        max(end.earliest for end in ends),
        None if None in latest else max(filter(None, latest)),
    )


@dataclass(slots=True)
class Throughput:
    """What some jobs completed up to the time `now`. `known_since` is from when on all of it is
    known, `began` when the work did that the last days saw, None where they saw none."""

    now: float
    known_since: float = 0.0
    began: float | None = None
    jobs_finished: list[float] = field(default_factory=list)
    _first: int = field(init=False)
    _tasks: list[int] = field(default_factory=lambda: [0] * KEPT_HOURS)
    """Tasks completed in each hour from the `_first` on; the last is under way."""

    def __post_init__(self) -> None:
        self._first = int(self.now // HOUR_SECONDS) - KEPT_HOURS + 1
        self.known_since = max(self.known_since, float(self._first * HOUR_SECONDS))

    def add(self, row: Row) -> None:
        """Count one job more."""
        reading = row.job.reading
        if reading is None:
            return
        last, by_hour = reading.last_completion_timestamp, reading.by_hour
        if row.job.state == "complete" and last is not None and last <= self.now:
            self.jobs_finished.append(last)
        if by_hour is None:
            if last is not None:
                self.known_since = max(self.known_since, min(last, self.now))
        elif by_hour:
            self.add_hours(by_hour)
        week_ago = self._first + KEPT_HOURS - 1 - 24 * _DAYS_OF_PACE
        worked_lately = by_hour and by_hour.hours[-1] > week_ago
        if worked_lately or row.job.state == "running":
            if reading.launch_timestamp is not None:
                self._begins(reading.launch_timestamp)
            if by_hour and worked_lately:
                self._begins(by_hour.hours[0] * HOUR_SECONDS)

    def add_hours(self, by_hour: Hourly) -> None:
        """Count what a job completed, of which nothing else is known any more."""
        first, tasks = self._first, self._tasks
        for hour, completed in by_hour:
            if 0 <= hour - first < KEPT_HOURS:
                tasks[hour - first] += completed

    def add_all(self, other: "Throughput") -> None:
        """Count other jobs, too."""
        self._tasks = list(map(add, self._tasks, other._tasks))  # noqa: SLF001
        self.jobs_finished += other.jobs_finished
        self.known_since = max(self.known_since, other.known_since)
        if other.began is not None:
            self._begins(other.began)

    def _begins(self, timestamp: float) -> None:
        self.began = timestamp if self.began is None else min(self.began, timestamp)

    def by_hour(self) -> tuple[int, ...]:
        """Tasks completed in each of the last 48 hours by the clock, the one under way last."""
        return tuple(self._tasks[-HOURS_SHOWN:])

    def by_day(self) -> tuple[int, ...]:
        """Tasks completed in each of the last 14 days, the one that ends now last."""
        return tuple(map(round, self._days(DAYS_SHOWN)))

    def since(self, timestamp: float) -> int:
        """Tasks completed since then, at most two weeks ago."""
        before, now = self._up_to((timestamp, self.now))
        return round(now - before)

    def jobs_since(self, timestamp: float) -> int:
        """Jobs that are complete, and became so since then."""
        return sum(last >= timestamp for last in self.jobs_finished)

    def pace(self) -> Pace | None:
        """None with less than a day of knowledge, and where nothing was completed of late."""
        if self.began is None:
            return None
        known = self.now - max(self.known_since, self.began)
        days = min(_DAYS_OF_PACE, int(known // DAY_SECONDS))
        tasks = self._days(days)
        total = sum(tasks)
        return Pace(days, total / days, max(tasks), min(tasks)) if total > 0 else None

    def done_about(self, tasks_left: int) -> DoneAbout | None:
        """When so many tasks more are done; None if there are none, or no pace."""
        pace = self.pace() if tasks_left > 0 else None
        if pace is None:
            return None

        def end(tasks_per_day: float) -> float:
            return self.now + tasks_left / tasks_per_day * DAY_SECONDS

        return DoneAbout(
            end(pace.mean), end(pace.best), end(pace.worst) if pace.worst > 0 else None
        )

    def _days(self, days: int) -> list[float]:
        """Tasks of so many last days, the oldest first."""
        moments = [self.now - DAY_SECONDS * ago for ago in range(days, -1, -1)]
        return [end - begin for begin, end in pairwise(self._up_to(moments))]

    def _up_to(self, moments: Iterable[float]) -> Iterator[float]:
        """Tasks completed before each of these moments, none of which lies ahead."""
        totals = [0, *accumulate(self._tasks)]
        for moment in moments:
            hour, passed = divmod(moment, HOUR_SECONDS)
            at = int(hour) - self._first
            if at < 0:
                yield 0.0
                continue
            length = self.now % HOUR_SECONDS if at == KEPT_HOURS - 1 else HOUR_SECONDS
            part = passed / length if length else 1.0
            yield totals[at] + self._tasks[at] * part
