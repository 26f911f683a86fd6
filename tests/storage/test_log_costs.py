"""What it costs on S3 to look at logs, in requests as the server counts them."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from support.costs import asked
from support.jobs.task_states import Scans, open_tasks_of
from support.servers import BUCKET, HttpServer
from support.storages.in_memory_s3 import Objects

from exporter.datatrove.layout import log_name, marker_name
from exporter.storage.s3.storage import S3Storage

LOCAL = b'{"start_method": "spawn", "skip_completed": true, "local_tasks": 5, "world_size": %d}'
FAILED = (
    b"2026-11-26 16:13:41.349 | ERROR    | datatrove.executor.base:_run_for_rank:99 - oh\n"
    b'  File "/a/steps.py", line 7, in run\nKeyError: 1\n'
)


@contextmanager
def a_job(tasks: int, *, missing: set[int]) -> Iterator[tuple[Objects, S3Storage]]:
    """A job of which these ranks failed and all others completed."""
    objects = Objects(BUCKET)
    objects.now = time.time() - 3600
    objects.put("logs/job/executor.json", LOCAL % tasks)
    for rank in range(tasks):
        objects.put(f"logs/job/logs/{log_name(rank)}", FAILED if rank in missing else b"log")
        if rank not in missing:
            objects.put(f"logs/job/completions/{marker_name(rank)}", b"")
    with HttpServer(objects.answer) as server:
        options = {"endpoint_url": server.url, "key": "any", "secret": "any"}
        with closing(S3Storage(f"s3://{BUCKET}/logs", options, 8)) as storage:
            yield objects, storage


def requests_of(scans: Scans) -> dict[str, int]:
    return asked(scans.storage.requests, scans.read)


def extra(storage: S3Storage, **options: object) -> dict[str, int]:
    """What a scan sends beyond those that it sends if nobody watches logs, once nothing is new."""
    alone = Scans(storage, "job", watch_logs="never")
    watched = Scans(storage, "job", **options)
    for scans in (alone, watched):
        for _ in range(3):
            scans.read()
    before, after = requests_of(alone), requests_of(watched)
    return {name: after[name] - before[name] for name in after}


def test_a_complete_job_costs_nothing_more() -> None:
    with a_job(1200, missing=set()) as (_, storage):
        assert extra(storage, log_scan_interval_seconds=0.0) == {"list": 0, "get": 0}


@pytest.mark.parametrize(
    ("missing", "lists"),
    [({7}, 1), (set(range(0, 18, 2)), 2), (set(range(5, 1100)), 2)],
    ids=["one run", "nine runs, two pages", "a run of two pages"],
)
def test_a_look_lists_all_logs_or_the_missing_ones_whichever_takes_fewer_requests(
    missing: set[int], lists: int
) -> None:
    with a_job(1200, missing=missing) as (_, storage):
        cost = extra(storage, log_scan_interval_seconds=0.0)
        assert cost["list"] == lists


def test_between_two_looks_a_job_costs_nothing_more() -> None:
    with a_job(1200, missing={7, 8}) as (_, storage):
        assert extra(storage) == {"list": 0, "get": 0}


def test_each_log_that_ended_is_read_once() -> None:
    with a_job(1200, missing={7, 8, 300}) as (_, storage):
        scans = Scans(storage, "job", log_scan_interval_seconds=0.0)
        assert requests_of(scans)["get"] == 3 + 1  # and executor.json
        assert requests_of(scans)["get"] == 0
        tasks = open_tasks_of(scans.read())
        assert tasks is not None
        assert tasks.failed_by_reason() == {"program": 3}


def test_many_runs_are_listed_in_turns_and_none_is_forgotten() -> None:
    missing = set(range(0, 24_000, 2_000))  # twelve runs, twenty-four pages
    with a_job(24_000, missing=missing) as (objects, storage):
        scans = Scans(storage, "job", log_scan_interval_seconds=0.0)
        found = []
        for _ in range(3):
            tasks = open_tasks_of(scans.read())
            assert tasks is not None
            found.append(len(tasks.failures))
        assert found == [12, 12, 12]
        objects.delete(f"logs/job/logs/{log_name(2_000)}")
        for _ in range(3):
            tasks = open_tasks_of(scans.read())
        assert tasks is not None
        assert set(tasks.failures) == missing - {2_000}
