"""Jobs by what they have in common, ``--by``: as columns of text, or for JSON."""

from collections.abc import Sequence

from exporter.commands.status.tables.jobs import percent
from exporter.commands.status.tables.layout import Column
from exporter.model import formatting
from exporter.model.stages.breakdown import Part
from exporter.model.state import urgency_of

_SHORT = {
    "unreadable": "UNREAD",
    "failed": "FAIL",
    "stalled": "STALL",
    "running": "RUN",
    "waiting": "WAIT",
    "abandoned": "ABAND",
    "complete": "DONE",
}
_GIVE_WAY = {"complete": 8, "abandoned": 7, "waiting": 6, "running": 5}
# The jobs that need nobody are what is left of all jobs.


def part_columns(parts: Sequence[Part], by: str) -> list[Column]:
    """A column for each state that any job is in, between the names and the sums."""

    def of_state(state: str) -> Column:
        counts = [str(part.jobs_in_state.get(state) or "-") for part in parts]
        give_way = _GIVE_WAY.get(state, 0)
        return Column(state.upper(), counts, "number", give_way, _SHORT.get(state, ""))

    names = ["-" if part.value is None else formatting.readable(part.value) for part in parts]
    any_in = {state for part in parts for state, jobs in part.jobs_in_state.items() if jobs}
    states = sorted(any_in, key=lambda state: (urgency_of(state), state))
    tasks = [f"{part.tasks_completed}/{part.tasks}" for part in parts]
    return [
        Column(by.upper(), names, "name"),
        *map(of_state, states),
        Column("JOBS", [str(part.jobs) for part in parts], "number"),
        Column("TASKS", tasks, "number", give_way=4),
        Column("%", [_share(part) for part in parts], "number", give_way=9),
    ]


def _share(part: Part) -> str:
    return percent(part.tasks_completed / part.tasks) if part.tasks else "-"


def part_json(part: Part) -> dict[str, object]:
    """One part, for JSON."""
    return {
        "value": part.value,
        "state": part.worst_state,
        "jobs": part.jobs,
        "jobs_in_state": part.jobs_in_state,
        "tasks": part.tasks,
        "tasks_completed": part.tasks_completed,
    }
