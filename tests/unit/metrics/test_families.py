"""What is published, under which name: the table and the library's collector."""

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from support.snapshots.collector import SnapshotCollector
from support.snapshots.readings import (
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
)

from exporter.config.settings import StallRule
from exporter.datatrove.task_state import OpenTasks
from exporter.metrics.families import (
    JOB_FAMILIES,
    OVERALL_FAMILIES,
    ROOT_FAMILIES,
)
from exporter.model.job import Job, Logs
from exporter.model.snapshot import Latest, Root, Snapshot
from exporter.model.upstream import Upstream

READING = a_reading(
    tasks=10,
    tasks_completed=4,
    tasks_completed_since_launch=3,
    stray_markers=2,
    start_timestamp=130.25,
    launch_timestamp=100.5,
    last_completion_timestamp=200.25,
    longest_completion_gap_seconds=60.0,
    started=True,
    executor="slurm",
    slurm_job_name="dedup",
    needs_relaunch=False,
    logs=Logs(
        OpenTasks({}, {}, 6, "waiting", needs_relaunch=False),
        last_open_write=210.5,
        longest_gap_seconds=12.0,
    ),
)
FAMILIES = (*OVERALL_FAMILIES, *ROOT_FAMILIES, *JOB_FAMILIES)


def snapshot_of(*jobs: Job, **options: object) -> Snapshot:
    return a_snapshot(a_root("r", *jobs, **options))


def registry_of(snapshot: Snapshot) -> CollectorRegistry:
    latest = Latest()
    latest.publish(snapshot)
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(latest))
    return registry


def value(snapshot: Snapshot, name: str, **labels: str) -> float | None:
    return registry_of(snapshot).get_sample_value(name, labels)


def job_value(job: Job, name: str, **labels: str) -> float | None:
    return value(snapshot_of(job), f"datatrove_job_{name}", root="r", job_name=job.name, **labels)


def test_a_job_gives_every_per_job_metric() -> None:
    upstream = Upstream("q", "a/a", "slurm", tasks=12, completed=11, late=2)
    job = a_job("a/b", reading=READING, labels=(("dump", "b"),), upstream=upstream)
    expected = {
        "tasks": 10,
        "tasks_completed": 4,
        "completion_ratio": 0.4,
        "tasks_completed_since_launch": 3,
        "stray_markers": 2,
        "launch_timestamp_seconds": 100.5,
        "last_completion_timestamp_seconds": 200.25,
        "longest_completion_gap_seconds": 60,
        "started": 1,
        "start_timestamp_seconds": 130.25,
        "needs_relaunch": 0,
        "last_log_write_timestamp_seconds": 210.5,
        "longest_log_gap_seconds": 12,
        "scan_success": 1,
        "upstream_tasks_remaining": 1,
        "upstream_tasks_late": 2,
    }
    assert {name: job_value(job, name) for name in expected} == expected
    assert job_value(job, "info", executor="slurm", slurm_job_name="dedup") == 1
    assert job_value(job, "state", state="abandoned") == 1
    assert job_value(job, "tasks_in_state", state="waiting") == 6
    assert job_value(job, "labels", dump="b") == 1
    before = {"upstream_root": "q", "upstream_job_name": "a/a", "via": "slurm"}
    assert job_value(job, "upstream_info", **before) == 1
    of_steps = {"step_documents", "step_seconds"}
    of_stats = {"stats_tasks", "documents_read", "documents_written", "tokens", "mixed_pipelines"}
    named = {"info", "state", "tasks_in_state", "labels", "upstream_info"}
    every = {f"datatrove_job_{name}" for name in {*expected, *named, *of_stats, *of_steps}}
    assert every == {family.name for family in JOB_FAMILIES}


@pytest.mark.parametrize(
    ("field", "metric"),
    [
        ("tasks_completed_since_launch", "tasks_completed_since_launch"),
        ("launch_timestamp", "launch_timestamp_seconds"),
        ("last_completion_timestamp", "last_completion_timestamp_seconds"),
        ("longest_completion_gap_seconds", "longest_completion_gap_seconds"),
        ("start_timestamp", "start_timestamp_seconds"),
    ],
)
def test_what_is_not_known_has_no_sample(field: str, metric: str) -> None:
    assert job_value(a_job(reading=replace(READING, **{field: None})), metric) is None


def test_of_an_upstream_that_cannot_be_read_only_the_name_is_known() -> None:
    job = a_job(upstream=Upstream("q", "a/a", "depends"))
    named = {"upstream_root": "q", "upstream_job_name": "a/a", "via": "depends"}
    assert job_value(job, "upstream_info", **named) == 1
    assert job_value(job, "upstream_tasks_remaining") is None
    assert job_value(job, "upstream_tasks_late") is None


def test_a_job_that_was_never_read_shows_only_that() -> None:
    names = [
        sample.name
        for family in registry_of(snapshot_of(an_unreadable_job())).collect()
        for sample in family.samples
        if "job_name" in sample.labels
    ]
    assert names == ["datatrove_job_state", "datatrove_job_scan_success"]


def test_a_hidden_job_has_no_series_and_is_in_the_sums() -> None:
    snapshot = snapshot_of(a_job("a", reading=READING, hidden=True), a_job("b", reading=READING))
    assert value(snapshot, "datatrove_job_tasks", root="r", job_name="a") is None
    assert value(snapshot, "datatrove_job_tasks", root="r", job_name="b") == 10
    assert value(snapshot, "datatrove_root_jobs", root="r") == 2
    assert value(snapshot, "datatrove_root_jobs_hidden", root="r") == 1
    assert value(snapshot, "datatrove_tasks") == 20


@pytest.mark.parametrize(
    ("other", "jobs"),
    [
        (an_unscanned_root("b"), 1),
        (an_unscanned_root("b", attempted=True, error="not_found: no such folder"), None),
        (a_root("b", totals=None, jobs_lost=0, up=False), None),
        (a_root("b", up=False), 1),
    ],
    ids=["not tried yet", "never read", "lost", "kept"],
)
def test_sums_over_all_roots_are_told_only_if_every_root_tried_is_known(
    other: Root, jobs: int | None
) -> None:
    snapshot = a_snapshot(a_root("a", a_job("j", reading=READING)), other)
    assert value(snapshot, "datatrove_jobs") == jobs
    assert value(snapshot, "datatrove_tasks") == (jobs and 10)
    assert value(snapshot, "datatrove_root_jobs", root="a") == 1


def test_before_a_first_scan_a_root_is_down_with_its_counters_at_zero() -> None:
    errors = ((("root", "timeout"), 0),)
    registry = registry_of(
        a_snapshot(an_unscanned_root("r", errors=errors, requests=(("list", 0),)))
    )
    samples = {
        sample.name: sample.value
        for family in registry.collect()
        for sample in family.samples
        if "root" in sample.labels
    }
    assert samples == {
        "datatrove_root_up": 0,
        "datatrove_root_scans_total": 0,
        "datatrove_root_scans_skipped_total": 0,
        "datatrove_scan_errors_total": 0,
        "datatrove_storage_requests_total": 0,
    }


def test_a_root_tells_when_its_jobs_are_stalled() -> None:
    snapshot = snapshot_of(stall=StallRule(5.5, 2.5, 7.0, 1.5, 9.0))
    assert value(snapshot, "datatrove_root_stalled_after_seconds", root="r") == 5.5
    assert value(snapshot, "datatrove_root_stalled_gap_factor", root="r") == 2.5
    assert value(snapshot, "datatrove_root_stalled_long_after_seconds", root="r") == 7
    assert value(snapshot, "datatrove_root_stalled_tail_factor", root="r") == 1.5
    assert value(snapshot, "datatrove_root_stalled_tail_after_seconds", root="r") == 9


def test_ratios_are_absent_without_anything_to_divide_by() -> None:
    snapshot = snapshot_of()
    assert value(snapshot, "datatrove_root_jobs", root="r") == 0
    assert value(snapshot, "datatrove_root_jobs_completed_ratio", root="r") is None
    assert value(snapshot, "datatrove_tasks_completed_ratio") is None


def test_names_follow_the_conventions() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert re.fullmatch(r"datatrove_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.help.endswith(".")
        assert not {"job", "instance"} & set(family.labels)


def test_it_is_a_collector_that_can_be_described_without_a_scan() -> None:
    collector: Collector = SnapshotCollector(Latest())
    assert len(list(collector.describe())) == len(FAMILIES)
