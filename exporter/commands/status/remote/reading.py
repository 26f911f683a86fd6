"""What the API of an exporter says -> a report, as if it were our own. Pure.

States and numbers are taken as they are. Fields are checked by the schemas that describe them to
clients, so that what follows may rely on them; those that are not known here pass by. What may be
null may be missing: an exporter of before did not know it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any

from exporter.commands.status.logs.failed import Failed, FailedTask
from exporter.commands.status.logs.missing import Missing, Runs
from exporter.commands.status.source import Document
from exporter.commands.status.tables.steps import JobSteps
from exporter.datatrove.failure import FAILURE_REASONS, Cause
from exporter.datatrove.stats import JobStats, Step
from exporter.datatrove.task_state import TaskState
from exporter.errors import REASONS
from exporter.model.facts import JOB_FACTS, ROOT_FACTS, SUMS
from exporter.model.facts.fact import Fact
from exporter.model.facts.schemas import (
    COUNT,
    COUNT_OR_NULL,
    FLAG,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
)
from exporter.model.job import Job, Reading
from exporter.model.names.grouping import UNKNOWN, Group
from exporter.model.report import Report, RootRow, Row, attention
from exporter.model.snapshot import Root, Totals
from exporter.model.state import STATES
from exporter.model.steps import coverage_of
from exporter.model.upstream import JobKey, Upstream

Schema = Mapping[str, Any]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_LARGEST = 1e18
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_OF_READING = frozenset(field.name for field in fields(Reading))
_OF_TOTALS = frozenset(field.name for field in fields(Totals))
_LISTED: Schema = {"type": "array", "items": {"type": "object"}}
_PROBLEM: Mapping[str, Schema] = {
    "kinds": TEXTS,
    "root": TEXT,
    "job_name": TEXT_OR_NULL,
    "state": TEXT_OR_NULL,
    "last_sign_of_life_timestamp": NUMBER_OR_NULL,
    "why": TEXT,
}
_RUN = {"type": "object", "required": ["first", "last"],
        "properties": {"first": COUNT, "last": COUNT}}  # fmt: skip
_RUNS: Schema = {"type": ["array", "null"], "items": _RUN}
_RUNS_IN_STATE: Schema = {
    "type": ["object", "null"],
    "additionalProperties": {"type": "array", "items": _RUN},
}
_STEPS_UNKNOWN = (
    "What its steps did is not known: the exporter reads no stats of it (read_stats); "
    "status --steps of the folder, not the URL, does."
)


class NotUnderstoodError(Exception):
    """An answer lacks a field, or has one of another kind; the text is its name."""


def report_of(roots: Document, jobs: Collection[Document]) -> Report:
    """The report that these answers are; this and what is below raise NotUnderstoodError."""
    root_rows = {row.root.name: row for row in map(_root_row, listed(roots, "roots"))}
    tasks = {key_of(job): _checked(job, "tasks", COUNT_OR_NULL) for job in jobs}
    rows = sorted((_row(job, root_rows, tasks) for job in jobs), key=attention)
    totals = _totals(_checked(roots, "totals", {"type": "object"}))
    return Report(_checked(roots, "time", NUMBER), tuple(root_rows.values()), tuple(rows), totals)


def listed(document: Document, name: str) -> list[Document]:
    """The documents in a field."""
    found: list[Document] = _checked(document, name, _LISTED)
    return found


def key_of(job: Document) -> JobKey:
    """Its root and name."""
    return _checked(job, "root", TEXT), _checked(job, "job_name", TEXT)


def count_in(document: Document, name: str) -> int:
    """The number in a field."""
    found: int = _checked(document, name, COUNT)
    return found


def problems_of(document: Document) -> list[Document]:
    """The problems of an answer."""
    return [_fields(problem, _PROBLEM) for problem in listed(document, "problems")]


def missing_of(document: Document) -> Missing:
    """The missing ranks in the answer about one job."""
    missing = _runs(_checked(document, "missing_runs", _RUNS) or ())
    are_cut = _checked(document, "missing_runs_truncated", FLAG)
    in_state: Mapping[TaskState, Any] = _checked(document, "ranks_in_state", _RUNS_IN_STATE) or {}
    by_state = {state: _runs(runs) for state, runs in in_state.items()}
    return Missing(missing, are_cut=are_cut, in_state=by_state)


def _runs(found: Iterable[Mapping[str, int]]) -> Runs:
    return tuple((run["first"], run["last"]) for run in found)


def failed_of(document: Document) -> Failed:
    """What a job says of its tasks that are not done. When a task failed is known where it is the
    only one of its kind."""
    known = _known(document, JOB_FACTS)
    tasks: list[FailedTask] = []
    groups = known["failures"] or ()
    for group in groups:
        cause = Cause(group["reason"], group["type"] or "", group["where"] or "")
        at = group["last_timestamp"] if group["tasks"] == 1 else None
        tasks += (FailedTask(rank, None, cause, at) for rank in group["ranks"])
    others = sum(group["tasks"] for group in groups) - len(tasks)
    tasks.sort(key=lambda task: task.rank)
    advice = () if known["advice"] is None else (known["advice"],)
    return Failed(tuple(tasks), None, others, known["tasks_in_state"] or {}, advice)


def steps_of(document: Document) -> JobSteps:
    """What a job says of the steps of its pipeline."""
    known = _known(document, JOB_FACTS)
    tasks, left_out = known["stats_tasks"], known["stats_left_out"]
    if tasks is None or left_out is None:
        return JobSteps(_STEPS_UNKNOWN)
    stats = JobStats(
        tasks,
        of_another_pipeline=left_out["another_pipeline"],
        unusable=left_out["unusable"],
        to_read=left_out["not_read_yet"],
    )
    steps = [
        Step(
            step["step"],
            step["documents_in"],
            step["documents_out"],
            step["documents_dropped"],
            step["seconds"],
        )
        for step in known["steps"] or ()
    ]
    return JobSteps(coverage_of(stats, known["tasks_completed"] or 0), steps)


def _root_row(document: Document) -> RootRow:
    known = _known(document, ROOT_FACTS)
    totals = document.get("totals")
    root = Root(
        name=known["root"],
        scan_interval_seconds=known["scan_interval_seconds"],
        url=known["url"],
        up=known["up"],
        attempted=known["attempted"],
        error=known["error"],
        totals=None if totals is None else _totals(totals),
        jobs_lost=known["jobs_lost"],
        last_successful_scan_timestamp=known["last_successful_scan_timestamp"],
        missed=tuple(known["missed"]),
        folders_unread=known["folders_unread"],
    )
    return RootRow(root, known["age_seconds"], known["is_fresh"])


def _row(
    document: Document, roots: Mapping[str, RootRow], tasks: Mapping[JobKey, int | None]
) -> Row:
    known = _known(document, JOB_FACTS)
    if known["root"] not in roots:
        raise NotUnderstoodError("root")
    error, stage, item = known["error"], known["stage"], known["item"]
    job = Job(
        known["job_name"],
        _reading(known),
        error if error is None or error in REASONS else "other",
        hidden=known["hidden"],
        as_of=known["as_of_timestamp"],
        state=known["state"],
        labels=tuple(known["labels"].items()),
        stall_threshold_seconds=known["stall_threshold_seconds"],
        upstream=_upstream(known, tasks),
    )
    return Row(
        roots[known["root"]].root,
        job,
        idle_seconds=known["idle_seconds"],
        tasks_per_hour=known["tasks_per_hour"],
        remaining_seconds=known["remaining_seconds"],
        overdue_seconds=known["overdue_seconds"],
        eta_timestamp=known["eta_timestamp"],
        group=UNKNOWN if stage is None and item is None else Group(stage or "", item or ""),
    )


def _upstream(known: Mapping[str, Any], tasks: Mapping[JobKey, int | None]) -> Upstream | None:
    if (found := known["upstream"]) is None:
        return None
    key, left = (found["root"], found["job_name"]), known["upstream_tasks_remaining"]
    of = tasks.get(key) if left is not None else None
    completed = None if of is None else of - left
    return Upstream(*key, found["via"], of, completed, known["upstream_tasks_late"])


def _reading(known: Mapping[str, Any]) -> Reading | None:
    tasks, completed = known["tasks"], known["tasks_completed"]
    if tasks is None:
        return None
    if tasks < 1 or completed is None:
        raise NotUnderstoodError("tasks")
    is_open = known["state"] not in ("complete", "unreadable")
    return Reading(
        **{name: value for name, value in known.items() if name in _OF_READING},
        started=known["start_timestamp"] is not None or completed > 0,
        # With a marker for each task it is open only where the launch repeats them.
        repeats_completed=is_open and completed == tasks,
    )


def _totals(document: Document) -> Totals:
    known = _known(document, SUMS)
    in_state, failed = known["jobs_in_state"], known["tasks_failed"]
    return Totals(
        **{name: value for name, value in known.items() if name in _OF_TOTALS},
        jobs_by_state=tuple(in_state.get(state, 0) for state in STATES),
        failed_by_reason=tuple(failed.get(reason, 0) for reason in FAILURE_REASONS),
    )


def _known(document: Document, facts: Iterable[Fact[Any, Any]]) -> dict[str, Any]:
    return _fields(document, {fact.name: fact.schema for fact in facts if fact.schema is not None})


def _fields(document: Document, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    return {name: _checked(document, name, schema) for name, schema in schemas.items()}


def _checked(document: Document, name: str, schema: Schema) -> Any:
    """The field, if it is as described; without what a terminal would obey in any text."""
    value = document.get(name) if isinstance(document, dict) else None
    if not _is_of(value, schema):
        raise NotUnderstoodError(name)
    return _plain(value)


def _is_of(value: Any, schema: Schema) -> bool:
    kinds = schema.get("type", "string")  # what is described elsewhere, and an enum, are names
    names = [kinds] if isinstance(kinds, str) else kinds
    if type(value) not in {kind for name in names for kind in _TYPES[name]}:
        return False
    if isinstance(value, dict):
        others = schema.get("additionalProperties") or {}
        described = schema.get("properties", {})
        return set(schema.get("required", ())) <= value.keys() and all(
            _is_of(item, of) for name, item in value.items() if (of := described.get(name, others))
        )
    if isinstance(value, list):
        return all(_is_of(item, schema["items"]) for item in value)
    is_number = isinstance(value, int | float)
    return not is_number or schema.get("minimum", -_LARGEST) <= value < _LARGEST


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    return value
