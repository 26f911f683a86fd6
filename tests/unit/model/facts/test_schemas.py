"""The JSON Schemas of the API: each is one, says all of its fields, and holds of what is told."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.jobs.stats import a_pipeline, as_bytes
from support.snapshots.readings import (
    MANY,
    NOW,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    some_logs,
)

from exporter.datatrove.failure import Cause
from exporter.datatrove.stats import JobStats, parse_stats
from exporter.datatrove.task_state import Failure
from exporter.model.facts import JOB_FACTS, job_json, schemas
from exporter.model.job import Job
from exporter.model.report import report_on
from exporter.model.upstream import Upstream

ALL = {name: value for name, value in vars(schemas).items() if isinstance(value, dict)}
del ALL["__builtins__"]
FIELDS = {fact.name: fact.schema for fact in JOB_FACTS if fact.schema is not None}
UNEXPLAINED, RAISED = Cause("other"), Cause("program", "KeyError", "steps.py:run:7", "'text'")


def objects_in(schema: object) -> Iterator[Mapping[str, Any]]:
    """The schema and those in it that describe an object with named fields."""
    if isinstance(schema, Mapping):
        if "properties" in schema:
            yield schema
        for part in schema.values():
            yield from objects_in(part)


@pytest.mark.parametrize("name", ALL)
def test_each_is_a_schema_whose_objects_always_have_every_field(name: str) -> None:
    """So a client may rely on each field, and none is told that is not described."""
    Draft202012Validator.check_schema(ALL[name])
    for described in objects_in(ALL[name]):
        assert described["required"] == list(described["properties"])
        assert described["additionalProperties"] is False


def is_valid(field: str, value: object) -> bool:
    schema = FIELDS[field]
    return Draft202012Validator(schema).is_valid(json.loads(json.dumps(value)))


def job_with_everything() -> Job:
    failures = {1: Failure(RAISED, 10**18), 2: Failure(UNEXPLAINED)}
    logs = some_logs(failures, others=58)
    stats = JobStats(30, parse_stats(as_bytes(a_pipeline())), 2, 3, 4)
    upstream = Upstream("r", "other", "depends", tasks=10, completed=9, late=1)
    return a_job("all", reading=a_reading(logs=logs, stats=stats), upstream=upstream,
                 labels=(("dump", "d"),), shows_steps=True)  # fmt: skip


def told_of(*jobs: Job) -> list[Mapping[str, Any]]:
    root = a_root("r", *jobs, show_errors="text")
    return [job_json(row) for row in report_on(a_snapshot(root), NOW).rows]


def test_they_hold_of_every_job_whatever_is_known_of_it() -> None:
    jobs = (job_with_everything(), *MANY, an_unreadable_job())
    for told in told_of(*(replace(job, name=f"{at}") for at, job in enumerate(jobs))):
        wrong = [name for name in FIELDS if name != "state" and not is_valid(name, told[name])]
        assert wrong == []


def test_what_is_told_with_fields_of_its_own_is_described_field_by_field() -> None:
    (told,) = told_of(job_with_everything())
    for field in ("failures", "upstream", "steps", "stats_left_out"):
        value = told[field]
        assert value, field
        one = value[0] if isinstance(value, tuple | list) else value
        for key in one:
            without = {other: one[other] for other in one if other != key}
            more = {**one, "more": 1}
            for broken in (without, more):
                whole = [broken] if one is not value else broken
                assert not is_valid(field, whole), f"{field} without {key}"


def test_no_more_ranks_are_told_of_a_failure_than_its_schema_allows() -> None:
    ranks = range(schemas.MOST_RANKS + 5)
    logs = some_logs(dict.fromkeys(ranks, Failure(RAISED)))
    reading = a_reading(tasks=len(ranks), tasks_completed=0, logs=logs)
    (told,) = told_of(a_job(reading=reading))
    (failure,) = told["failures"]
    assert (failure["tasks"], len(failure["ranks"])) == (len(ranks), schemas.MOST_RANKS)
    assert is_valid("failures", told["failures"])
    assert not is_valid("failures", [{**failure, "ranks": list(ranks)}])
