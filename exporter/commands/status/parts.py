"""Jobs by what they have in common, ``--by``: as lines of text, or for JSON."""

from collections.abc import Iterator, Sequence

from exporter.commands.status.table import in_columns
from exporter.model import formatting
from exporter.model.stages.breakdown import Part
from exporter.model.state import STATES


def part_lines(parts: Sequence[Part], by: str) -> Iterator[str]:
    """A heading and one line for each part, with the states that any job is in."""
    states = [state for state in STATES if any(part.jobs_in_state[state] for part in parts)]
    grid = [[by.upper(), *map(str.upper, states), "JOBS", "TASKS", "%"]]
    for part in parts:
        counts = [str(part.jobs_in_state[state] or "-") for state in states]
        ratio = part.tasks_completed / part.tasks if part.tasks else None
        grid.append(
            [
                "-" if part.value is None else formatting.readable(part.value),
                *counts,
                str(part.jobs),
                f"{part.tasks_completed}/{part.tasks}",
                "-" if ratio is None else formatting.percent(ratio),
            ]
        )
    return in_columns(grid, {*range(1, len(grid[0]))})


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
