"""Real job folders, copied onto each storage and scanned there as a root."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from support.jobs.real import DATA, KINDS, TRUTH, UNREADABLE
from support.scans import Watch, jobs_of
from support.status import status
from support.storages.backends import Backend, GoogleBackend, HdfsBackend, HuggingFaceBackend

from exporter.config.settings import StorageOptions
from exporter.datatrove.layout import INNER_FOLDERS
from exporter.model.snapshot import Root

ELSEWHERE = ["hdfs", "webhdfs", "gs", "az", "hf", "sftp"]
LOGS_PER_JOB = 2


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    """Starts watches; their threads end with the test."""
    started: list[Watch] = []

    def start(url: str, **options: object) -> Watch:
        started.append(Watch(url, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def copy_archive(backend: Backend) -> set[PurePosixPath]:
    """Copy what a scan looks at; returns the folders that it visits."""
    visited = {PurePosixPath()}
    logs: dict[PurePosixPath, int] = {}
    with tarfile.open(DATA / "real_jobs.tar.gz") as archive:
        members = [member for member in archive if member.isfile()]
        jobs = {PurePosixPath(m.name).parent for m in members if m.name.endswith("/executor.json")}
        for member in members:
            path = PurePosixPath(member.name)
            job = next((parent for parent in path.parents if parent in jobs), None)
            inner = path.relative_to(job).parts[0] if job is not None else ""
            if inner in INNER_FOLDERS and inner not in ("completions", "logs"):
                continue
            if inner == "logs":
                logs[path.parent] = logs.get(path.parent, 0) + 1
                if logs[path.parent] > LOGS_PER_JOB:
                    continue
            content = archive.extractfile(member)
            assert content is not None
            backend.write(str(path), content.read() if path.name == "executor.json" else b"")
            visited |= set((job if inner in INNER_FOLDERS else path.parent).parents)
            visited.add(job if inner in INNER_FOLDERS else path.parent)
    return visited


@pytest.mark.parametrize("backend", ELSEWHERE, indirect=True)
def test_real_jobs_are_read_there_as_what_they_are(
    backend: Backend, watch: Callable[..., Watch]
) -> None:
    visited = copy_archive(backend)
    watched = watch(backend.url, storage_options=StorageOptions(backend.options))
    first = watched.scan()
    assert sorted(job.name for job in first.jobs) == sorted(TRUTH)
    check(first)
    second = watched.scan()
    check(second)
    if isinstance(backend, HdfsBackend):
        # Nothing changed: each folder on the way, jobs included, costs one request.
        assert spent(first, second) == {"list": len(visited)}
    elif isinstance(backend, GoogleBackend | HuggingFaceBackend):
        assert spent(first, second)["list"] <= 3 * len(visited)
    # A marker more, and a job less.
    grown = next(name for name, truth in TRUTH.items() if truth.get("incomplete_ranks"))
    rank = TRUTH[grown]["incomplete_ranks"][0]
    backend.write(f"{grown}/completions/{rank:05d}")
    gone = UNREADABLE[0]
    backend.delete_all(gone)
    third = jobs_of(watched.scan())
    assert gone not in third
    reading = third[grown].reading
    assert reading is not None
    assert reading.tasks_completed == TRUTH[grown]["completed"] + 1


@pytest.mark.parametrize("backend", [*ELSEWHERE, "ftp"], indirect=True)
def test_status_shows_what_lies_there_and_the_logs_of_missing_ranks(
    backend: Backend, tmp_path: Path
) -> None:
    backend.write("deep/job/executor.json", b'{"world_size": 3}')
    backend.write("deep/job/completions/00000")
    for rank in (0, 2):
        backend.write(f"deep/job/logs/task_{rank:05d}.log", b"text")
    file = tmp_path / "config.yaml"
    roots = [
        {"name": "there", "url": backend.url, "storage_options": backend.options},
        {"name": "no", "url": f"{backend.url}-no", "storage_options": backend.options},
    ]
    file.write_text(json.dumps({"roots": roots}))
    run = status(file, "--missing")
    log = f"{backend.url}/deep/job/logs/task_00002.log"
    if not isinstance(backend, HuggingFaceBackend):  # the Hub may show a marker only later
        log += "  failed"
    assert "there: deep/job misses 1-2\n" in run.out, run.err
    assert f"\n  {log}\n" in run.out
    assert run.summary == (0, 1, 1, 3)
    if "no jobs found" in run.err:  # object stores have no folders that could be missing
        assert re.fullmatch(r"no: no jobs found, .*\nno: nothing lies below .*\n", run.err)
        assert run.code == 0
    else:
        assert re.fullmatch(r"no cannot be read: not_found: .*\n", run.err)
        assert run.code == 1


def check(root: Root) -> None:
    for name, job in jobs_of(root).items():
        truth = TRUTH[name]
        if name in UNREADABLE:
            assert (job.error, job.reading) == ("invalid", None)
            continue
        assert job.error is None, name
        assert job.reading is not None
        assert job.reading.tasks == truth["world_size"], name
        assert job.reading.tasks_completed == truth["completed"], name
        assert job.reading.stray_markers == truth["stale"], name
        assert job.reading.is_complete == truth["complete"], name
        assert job.reading.executor == KINDS.get(truth["kind"], truth["kind"]), name


def spent(before: Root, after: Root) -> dict[str, int]:
    """Requests between two scans, as ``datatrove_storage_requests_total`` has them."""
    was = dict(before.requests)
    return {name: n - was[name] for name, n in after.requests if n > was[name]}
