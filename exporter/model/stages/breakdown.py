"""Rows of a report by what they have in common: a root, a state, a stage or a label. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.model.report import Row, count_states
from exporter.model.state import State, urgency_of

_OF_ROWS: dict[str, Callable[[Row], str | None]] = {
    "root": lambda row: row.root.name,
    "state": lambda row: row.state,
    "stage": lambda row: row.group.stage or None,
    "item": lambda row: row.group.item or None,
}

KINDS_OF_PART = tuple(_OF_ROWS)
"""What every job has beside labels."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows with one `value`, None for those without."""

    value: str | None
    jobs_in_state: dict[State, int]
    tasks: int
    tasks_completed: int

    @property
    def jobs(self) -> int:
        return sum(self.jobs_in_state.values())

    @property
    def worst_state(self) -> State:
        """Of those that its jobs are in, the one that needs attention first."""
        return next(state for state, jobs in self.jobs_in_state.items() if jobs)


def break_down(rows: Iterable[Row], by: str) -> list[Part]:
    """A part for each value of `by`, which is one of the above or a label; the worst states come
    first, and of these the part with the most jobs in that state."""
    by_value = defaultdict[str | None, list[Row]](list)
    for row in rows:
        by_value[value_of(row, by)].append(row)
    return sorted((_part(value, alike) for value, alike in by_value.items()), key=_urgency)


def value_of(row: Row, by: str) -> str | None:
    """What a row has of `by`."""
    of_row = _OF_ROWS.get(by)
    return dict(row.job.labels or ()).get(by) if of_row is None else of_row(row)


def _part(value: str | None, rows: list[Row]) -> Part:
    readings = [row.reading for row in rows if row.reading is not None]
    tasks = sum(reading.tasks for reading in readings)
    completed = sum(reading.tasks_completed for reading in readings)
    return Part(value, count_states(rows), tasks, completed)


def _urgency(part: Part) -> tuple[int, int, bool, str]:
    state = part.worst_state
    of_state = -part.jobs_in_state[state]
    return urgency_of(state), of_state, part.value is None, part.value or ""
