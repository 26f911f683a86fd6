"""States of tasks and causes of failures, as scans find them in folders of real launches.

The answers were written down by whoever launched them, and by Slurm's accounting.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.jobs.task_states import (
    DEAD,
    STATES,
    TIMELINES,
    UNTELLABLE,
    Scans,
    open_tasks_of,
    unpack,
    versions_of,
)
from support.servers import BUCKET, HttpServer
from support.slurm.jobs import unpack as unpack_slurm_jobs
from support.storages.in_memory_s3 import Objects

from exporter.datatrove.task_state import OpenTasks
from exporter.storage.filesystems.adapter import Adapter
from exporter.storage.filesystems.generic import GenericStorage
from exporter.storage.local.storage import LocalStorage
from exporter.storage.s3.storage import S3Storage

NOT_DONE = ("failed", "requeued", "running", "waiting")


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("launches"))


@pytest.fixture(scope="module")
def clusters_jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_slurm_jobs(tmp_path_factory.mktemp("cluster"))


def types_of(tasks: OpenTasks) -> dict[str, str]:
    return {str(rank): failure.cause.type for rank, failure in tasks.failures.items()}


@pytest.mark.parametrize("job", STATES)
def test_every_launch_on_a_disk_is_told_as_it_was(launches: Path, job: str) -> None:
    truth = STATES[job]
    reading = Scans(LocalStorage(str(launches)), job).read()
    tasks, states = open_tasks_of(reading), dict(truth["states"])
    if job == "s3/kinds":  # on a disk its logs seem to be those of tasks under way
        states = {"completed": 4, "failed": 6, "running": 1, "waiting": 3}
    assert bool(reading.needs_relaunch) == truth["needs_relaunch"]
    if tasks is None:
        assert states["completed"] == reading.tasks
        return
    told = Counter(tasks.in_states())
    if tasks.is_live:  # a silent task runs, as far as anybody knew
        told["running"] += told.pop("silent")
        assert {s: told[s] for s in NOT_DONE} == {s: states.get(s, 0) for s in NOT_DONE}
    else:
        assert told["failed"] == states["failed"]
        assert told["unseen"] == states.get("unseen", 0) + states.get("running", 0) + states.get(
            "waiting", 0
        )


def test_exceptions_are_told_by_their_class(launches: Path) -> None:
    """All but the one behind a message of 300 KB, which nobody reads to its end."""
    tasks = open_tasks_of(Scans(LocalStorage(str(launches)), "local/kinds").read())
    assert tasks is not None
    known = {
        rank: name for rank, name in STATES["local/kinds"]["exceptions"].items() if " " not in name
    }
    assert types_of(tasks) == {**known, "15": ""}


@pytest.mark.parametrize("job", [job for job in STATES if job.startswith("s3")])
def test_every_launch_on_s3_is_told_as_it_was(launches: Path, job: str) -> None:
    with on_s3(launches / job) as storage:
        reading = Scans(storage, "job").read()
    tasks = open_tasks_of(reading)
    assert tasks is not None
    wanted = {s: n for s, n in STATES[job]["states"].items() if n and s != "completed"}
    assert {s: n for s, n in tasks.in_states().items() if n} == wanted
    assert reading.needs_relaunch is STATES[job]["needs_relaunch"]


class on_s3:  # noqa: N801 - reads as a phrase
    """The storage of a bucket that has a copy of a job, with its times."""

    def __init__(self, job: Path) -> None:
        self.objects = Objects(BUCKET)
        files = [file for file in job.rglob("*") if file.is_file()]
        for file in sorted(files, key=os.path.getmtime):
            self.objects.now = file.stat().st_mtime
            self.objects.put(f"logs/job/{file.relative_to(job)}", file.read_bytes())

    def __enter__(self) -> S3Storage:
        self.server = HttpServer(self.objects.answer).__enter__()
        options = {"endpoint_url": self.server.url, "key": "any", "secret": "any"}
        self.storage = S3Storage(f"s3://{BUCKET}/logs", options, 8)
        return self.storage

    def __exit__(self, *_: object) -> None:
        with closing(self.storage):
            self.server.__exit__(None, None, None)


@pytest.mark.parametrize("job", STATES)
def test_where_a_log_shows_once_it_is_closed_one_without_a_marker_failed(
    launches: Path, job: str
) -> None:
    """Each launch as if its folder lay in a storage that fsspec alone reads."""
    states = STATES[job]["states"]
    storage = GenericStorage(f"file://{launches}", {}, Adapter())
    tasks = open_tasks_of(Scans(storage, job).read())
    if tasks is None:
        return
    told = tasks.in_states()
    assert told["failed"] + told["unseen"] + told.get("requeued", 0) == sum(
        n for s, n in states.items() if s != "completed"
    )
    if job != "s3/kinds":
        assert told["failed"] == states["failed"] + states.get("running", 0)
        assert told.get("requeued", 0) == states.get("requeued", 0)


@pytest.mark.parametrize("job", [*DEAD, *UNTELLABLE])
def test_every_job_of_a_real_cluster_is_told_as_slurm_told_it(
    clusters_jobs: Path, job: str
) -> None:
    reading = Scans(LocalStorage(str(clusters_jobs / "jobs")), job).read()
    tasks = open_tasks_of(reading)
    failed = tuple(sorted(tasks.failures)) if tasks is not None else ()
    assert failed == DEAD.get(job, ())
    assert reading.needs_relaunch is bool(failed)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("oom", "out_of_memory"),
        ("timeout", "time_limit"),
        ("cancelled", "cancelled"),
        ("broken_env", "launcher"),
        ("arrays/signatures", "other"),
    ],
)
def test_slurm_tells_why_its_ranks_ended(clusters_jobs: Path, job: str, reason: str) -> None:
    tasks = open_tasks_of(Scans(LocalStorage(str(clusters_jobs / "jobs")), job).read())
    assert tasks is not None
    assert tasks.failed_by_reason() == {reason: len(DEAD[job])}


@pytest.mark.parametrize(
    ("job", "failed"),
    [("chain_failed/signatures", {2}), ("fail_once", {1, 4}), ("relaunch_fewer", {5})],
)
def test_a_failed_rank_was_told_before_the_job_was_launched_again(
    clusters_jobs: Path, job: str, failed: set[int]
) -> None:
    reading = Scans(LocalStorage(str(clusters_jobs / "before_relaunch")), job).read()
    tasks = open_tasks_of(reading)
    assert tasks is not None
    assert tasks.failures.keys() == failed
    assert reading.needs_relaunch


@pytest.mark.parametrize("job", TIMELINES)
def test_while_it_happens_no_requeued_rank_ever_failed(tmp_path: Path, job: str) -> None:
    timeline, states = TIMELINES[job], {}
    for states in replayed(tmp_path, job):
        failed = {rank for rank, state in states.items() if state == "failed"}
        assert failed <= dict(timeline.failed).keys()
    assert {rank for rank, s in states.items() if s == "failed"} == dict(timeline.failed).keys()


def test_while_it_happens_a_requeued_rank_is_told(tmp_path: Path) -> None:
    seen = [state for states in replayed(tmp_path, "usr1") if (state := states.get(1))]
    assert list(dict.fromkeys(seen)) == ["running", "requeued"]


def replayed(folder: Path, job: str) -> Iterator[dict[int, str]]:
    """The states of the open tasks that are told one by one, after each change of any file."""
    timeline, root = TIMELINES[job], folder / "root"
    versions = list(versions_of(job))
    for name in ("logs", "slurm_logs", "completions"):
        (root / "job" / name).mkdir(parents=True)
    launch = root / "job" / "executor.json"
    launch.write_text(json.dumps(timeline.executor))
    os.utime(launch, (versions[0][0] - 1,) * 2)
    tasks = timeline.executor["world_size"]
    assert isinstance(tasks, int)
    ranks_to_run = root / "job" / "ranks_to_run.json"
    ranks_to_run.write_text(json.dumps(list(range(tasks))))
    scans, relaunch = Scans(LocalStorage(str(root)), "job"), timeline.relaunched_at
    for time, name, content in versions:
        if relaunch is not None and time > relaunch:
            todo = [rank for rank in range(tasks) if not marker(root, rank).exists()]
            ranks_to_run.write_text(json.dumps(todo))
            os.utime(launch, (relaunch,) * 2)
            relaunch = None
        file = root / "job" / name
        file.write_bytes(content)
        os.utime(file, (time, time))
        if name.startswith("logs/") and b"Processing done for rank=" in content:
            done = marker(root, int(name[-9:-4]))
            done.touch()
            os.utime(done, (time, time))
        reading = scans.read()
        open_tasks = open_tasks_of(reading)
        yield dict(open_tasks.states) if open_tasks is not None else {}


def marker(root: Path, rank: int) -> Path:
    return root / "job" / "completions" / f"{rank:05d}"
