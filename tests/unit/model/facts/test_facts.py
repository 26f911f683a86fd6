"""The table of facts: what it names is published everywhere it says, and nothing else is."""

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from support.snapshots.readings import NOW, a_job, a_reading, a_root, a_snapshot, an_unreadable_job

from exporter.commands.status.tables.jobs import columns_for
from exporter.model import facts
from exporter.model.facts import (
    JOB_FACTS,
    ROOT_FACTS,
    SORTS,
    SUMS,
    columns_of,
    job_json,
    root_json,
    totals_json,
)
from exporter.model.facts.fact import Column, Fact, Place, Sort, of_reading
from exporter.model.facts.schemas import NUMBER_OR_NULL
from exporter.model.job import Job
from exporter.model.report import Report, Row, report_on
from exporter.model.upstream import Upstream

FIELDS = [
    "root", "job_name", "state", "error", "as_of_timestamp", "tasks", "tasks_completed",
    "completion_ratio", "tasks_completed_since_launch", "stray_markers", "launch_timestamp",
    "last_completion_timestamp", "longest_completion_gap_seconds", "start_timestamp",
    "tasks_in_state", "failures", "advice", "needs_relaunch", "last_log_write_timestamp",
    "longest_log_gap_seconds", "upstream", "upstream_tasks_remaining", "upstream_tasks_late",
    "idle_seconds", "stall_threshold_seconds", "tasks_per_hour", "remaining_seconds",
    "overdue_seconds", "eta_timestamp", "labels", "stage", "item",
    "mixed_pipelines", "stats_tasks", "documents_read", "documents_written", "tokens", "steps",
    "stats_left_out",
    "executor", "slurm_job_name", "hidden",
]  # fmt: skip
"""What version 1 of the API says of a job: none of these may go."""

ROOT_FIELDS = [
    "root", "url", "up", "attempted", "error", "last_successful_scan_timestamp", "jobs_lost",
    "folders_unsearched", "folders_unread", "folders_denied", "missed", "age_seconds", "is_fresh",
    "last_scan_duration_seconds", "scan_interval_seconds", "totals",
]  # fmt: skip
SUM_FIELDS = [
    "jobs", "jobs_completed", "jobs_unreadable", "jobs_in_state", "tasks_failed",
    "logs_deferred", "jobs_hidden",
    "jobs_completed_ratio", "tasks", "tasks_completed", "tasks_completed_ratio",
]  # fmt: skip

PLACES: tuple[Place, ...] = get_args(Place)


def report_of_every_kind() -> Report:
    """Jobs that are under way, complete, waiting and unreadable, the last with and without a
    last good reading."""
    jobs = (
        a_job("under way", labels=(("stage", "tokenize"), ("dump", "d")),
              upstream=Upstream("r", "complete", "order", tasks=100, completed=100, late=0)),
        a_job("complete", reading=a_reading(tasks_completed=100)),
        a_job("waiting", reading=a_reading(
            tasks_completed=0, started=False, tasks_completed_since_launch=0, start_timestamp=None,
            last_completion_timestamp=None, longest_completion_gap_seconds=None),
            upstream=Upstream("r", "unreadable", "depends")),
        a_job("timeless", reading=a_reading(
            tasks_completed_since_launch=None, launch_timestamp=None,
            last_completion_timestamp=None, longest_completion_gap_seconds=None)),
        a_job("unreadable", error="denied"),
        an_unreadable_job("never read"),
    )  # fmt: skip
    return report_on(a_snapshot(a_root("r", *jobs), a_root("empty")), NOW)


def row_named(name: str) -> Row:
    return next(row for row in report_of_every_kind().rows if row.job_name == name)


def test_the_api_says_of_each_subject_what_its_version_promises_and_no_more() -> None:
    report = report_of_every_kind()
    assert {tuple(job_json(row)) for row in report.rows} == {tuple(FIELDS)}
    assert {tuple(root_json(row)) for row in report.roots} == {tuple(ROOT_FIELDS)}
    assert list(totals_json(report.totals)) == SUM_FIELDS


def test_a_job_that_was_never_read_has_every_field_and_every_cell() -> None:
    """A row is not built by the position of its fields, so none can be left out."""
    report = report_of_every_kind()
    never_read = row_named("never read")
    known = {name for name, value in job_json(never_read).items() if value is not None}
    assert known == {"root", "job_name", "state", "error", "labels", "hidden"}
    assert job_json(never_read)["labels"] == {}
    assert job_json(row_named("under way"))["labels"] == {"stage": "tokenize", "dump": "d"}
    cells = [column.cell(never_read, NOW) for column in columns_for(report, report.rows)]
    assert cells[:4] == ["r", "never read", "✗ unreadable", "-"]
    assert cells[-1] == "access denied"


def test_a_value_is_published_by_its_row_of_the_table_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not by being a field of some class: without its row it is nowhere."""
    shown = tuple(fact for fact in JOB_FACTS if fact.name != "executor")
    monkeypatch.setattr(facts, "JOB_FACTS", shown)
    row = row_named("under way")
    assert row.reading is not None
    assert row.reading.executor == "slurm"
    assert list(job_json(row)) == [name for name in FIELDS if name != "executor"]
    for place in PLACES:
        assert "Executor" not in [column.title for _, column in columns_of(place)]


def test_names_are_unique_and_so_are_places_in_a_table() -> None:
    every = (*JOB_FACTS, *ROOT_FACTS, *SUMS)
    metrics = [fact.metric.name for fact in every if fact.metric is not None]
    assert len(metrics) == len(set(metrics))
    for table in (JOB_FACTS, ROOT_FACTS, SUMS):
        names = [fact.name for fact in table]
        assert len(names) == len(set(names))
    for place in PLACES:
        orders = [column.order for _, column in columns_of(place)]
        assert orders == sorted(set(orders))
        titles = [column.title for _, column in columns_of(place)]
        assert len(titles) == len(set(titles))


def test_what_is_told_is_told_in_sentences() -> None:
    for fact in (*JOB_FACTS, *ROOT_FACTS, *SUMS):
        assert fact.help.endswith(".")
        assert fact.help[0].isupper() or fact.help[0].isdigit()


def test_orders_are_offered_from_the_most_to_the_least_useful() -> None:
    assert list(SORTS) == [
        "attention", "name", "progress", "last", "idle", "remaining", "pace", "launch",
    ]  # fmt: skip


def started(read: Callable[[Any], float | None]) -> Fact[Any, Any]:
    """One row of the table for a value that there is not."""
    return of_reading(
        "first_light_timestamp",
        read,
        "Unix time of the first light.",
        schema=NUMBER_OR_NULL,
        columns=(Column("First light", "ago", 55, ("terminal", "page", "job")),),
        sort=Sort("light", "First light, newest first", 9, descending=True),
    )


def test_one_row_shows_a_new_value_in_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    fact = started(lambda reading: reading.launch_timestamp + 60)
    monkeypatch.setattr(facts, "JOB_FACTS", (*JOB_FACTS, fact))
    row = row_named("under way")
    assert row.reading is not None
    assert row.reading.launch_timestamp is not None
    first_light = row.reading.launch_timestamp + 60
    assert job_json(row)["first_light_timestamp"] == first_light
    assert fact.metric is not None
    assert fact.metric.name == "datatrove_job_first_light_timestamp_seconds"
    assert list(fact.metric.samples(row.job)) == [((), first_light)]
    assert list(fact.metric.samples(an_unreadable_job())) == []
    for place in PLACES:
        assert "First light" in [column.title for _, column in columns_of(place)]


def test_a_column_that_may_be_empty_is_there_once_a_row_fills_it() -> None:
    def headings(*jobs: Job) -> list[str]:
        report = report_on(a_snapshot(a_root("r", *jobs)), NOW)
        return [column.heading for column in columns_for(report, report.rows)]

    known = a_job("known", reading=a_reading(start_timestamp=NOW - 60))
    assert "STARTED" not in headings(a_job("not known", reading=a_reading(start_timestamp=None)))
    assert "STARTED" in headings(a_job("not known", reading=a_reading(start_timestamp=None)), known)


def test_everything_can_be_json() -> None:
    report = report_of_every_kind()
    for found in (
        *map(job_json, report.rows),
        *map(root_json, report.roots),
        totals_json(report.totals),
    ):
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}
        assert json.loads(json.dumps(found, allow_nan=False)) == plain
