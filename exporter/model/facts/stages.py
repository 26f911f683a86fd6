"""The fields of a stage, and of all stages together, in the JSON API."""

from collections.abc import Callable
from typing import Any

from exporter.model.facts.fact import Fact, of_row
from exporter.model.facts.schemas import (
    COUNT,
    FLAG,
    NUMBER,
    NUMBER_OR_NULL,
    RATIO_OR_NULL,
    TEXT_OR_NULL,
)
from exporter.model.stages.table import LEFT_OUT, StageRow
from exporter.model.stages.throughput import DAYS_SHOWN, HOURS_SHOWN, DoneAbout

_BY_STATE = {"type": "object", "additionalProperties": COUNT}


def _counts(length: int) -> dict[str, Any]:
    return {"type": "array", "items": COUNT, "minItems": length, "maxItems": length}


def _ends(of: Callable[[DoneAbout], float | None]) -> Callable[[StageRow], float | None]:
    return lambda row: None if row.done_about is None else of(row.done_about)


STAGE_FACTS: tuple[Fact[Any, StageRow], ...] = (
    of_row("stage", lambda row: row.stage, "The stage; null for the jobs without one, and for all "
        "together.", schema=TEXT_OR_NULL),
    of_row("jobs", lambda row: row.jobs, "Its jobs.", schema=COUNT),
    of_row("jobs_in_state", lambda row: row.jobs_in_state, "The same by their state.",
        schema=_BY_STATE),
    of_row("tasks", lambda row: row.tasks, "Sum of their tasks.", schema=COUNT),
    of_row("tasks_completed", lambda row: row.tasks_completed, "Sum of the completed tasks.",
        schema=COUNT),
    of_row("completion_ratio", lambda row: row.completion_ratio,
        "Completed tasks divided by tasks, 0 to 1; null without tasks.", schema=RATIO_OR_NULL),
    of_row("tasks_left", lambda row: row.tasks_left,
        "Tasks that are not done, but those of abandoned jobs.", schema=COUNT),
    of_row("jobs_left_out", lambda row: row.jobs_left_out,
        "Jobs whose tasks get done only if somebody acts, or once others are done, by their state, "
        f"as far as there are any: {', '.join(LEFT_OUT)}.", schema=_BY_STATE),
    of_row("tasks_last_day", lambda row: row.tasks_last_day,
        "Tasks completed in the last 24 hours.", schema=COUNT),
    of_row("jobs_finished_last_day", lambda row: row.jobs_finished_last_day,
        "Complete jobs whose last task was completed in the last 24 hours.", schema=COUNT),
    of_row("tasks_per_day", lambda row: None if row.pace is None else row.pace.mean,
        "Mean of the last seven days, or of as many as the work is known for; null with less than "
        "one, and where nothing was completed.", schema=NUMBER_OR_NULL),
    of_row("tasks_per_day_best", lambda row: None if row.pace is None else row.pace.best,
        "Tasks of the best of these days.", schema=NUMBER_OR_NULL),
    of_row("tasks_per_day_worst", lambda row: None if row.pace is None else row.pace.worst,
        "Tasks of the worst of these days.", schema=NUMBER_OR_NULL),
    of_row("done_about_timestamp", _ends(lambda done: done.timestamp),
        "Unix time when the tasks left are done at that mean, if the jobs left out go on; null "
        "where none are left or there is no mean.", schema=NUMBER_OR_NULL),
    of_row("done_about_earliest_timestamp",
        _ends(lambda done: done.earliest),
        "The same if every day were like the best.", schema=NUMBER_OR_NULL),
    of_row("done_about_latest_timestamp", _ends(lambda done: done.latest),
        "The same if every day were like the worst; null also where nothing was completed on that.",
        schema=NUMBER_OR_NULL),
    of_row("is_slowest", lambda row: row.is_slowest,
        "Whether it is, of several stages, the one that will be done last.", schema=FLAG),
    of_row("known_since_timestamp", lambda row: row.throughput.known_since,
        "Unix time from when on all completions are known. Before it are those of jobs that were "
        "complete when they were first seen and whose markers were not asked for their times.",
        schema=NUMBER),
    of_row("tasks_by_day", lambda row: row.throughput.by_day(),
        f"Tasks completed in each of the last {DAYS_SHOWN} times 24 hours, the one that ends now "
        "last.", schema=_counts(DAYS_SHOWN)),
    of_row("tasks_by_hour", lambda row: row.throughput.by_hour(),
        f"Tasks completed in each of the last {HOURS_SHOWN} hours by the clock, the one under way "
        "last.", schema=_counts(HOURS_SHOWN)),
)  # fmt: skip


def stage_json(row: StageRow) -> dict[str, object]:
    """The fields of one stage."""
    return {fact.name: fact.of(row) for fact in STAGE_FACTS}
