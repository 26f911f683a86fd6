"""When a launch left its queue, on S3: the same answers as on disks, and what they cost."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.costs import asked
from support.servers import BUCKET, Answer, HttpServer, Request
from support.slurm.jobs import LATE_SECONDS, STARTED, markers_in_order, unpack
from support.storages.in_memory_s3 import XML, Objects

from exporter.model.job import Reading
from exporter.scanning.job_memory import Memory
from exporter.scanning.job_scan import scan_job
from exporter.storage.base import Folder
from exporter.storage.s3.storage import S3Storage

JOB = ("job",)
SLURM = b'{"partition": "cpu", "world_size": 4}'


class Bucket:
    """A job in a bucket, and scans of it."""

    def __init__(self) -> None:
        self.objects = Objects(BUCKET)
        self.refusal: Answer | None = None
        self.folder: Folder | None = None
        self.memory: Memory | None = None
        self.storage: S3Storage

    def answer(self, request: Request) -> Answer:
        if self.refusal is not None and request.path.endswith(".log"):
            return self.refusal
        return self.objects.answer(request)

    def put(self, name: str, data: bytes = b"", time: float | None = None) -> None:
        self.objects.now = self.objects.now if time is None else time
        self.objects.put(f"logs/job/{name}", data)

    def copy(self, job: Path, without: Path | None = None) -> None:
        """Write a job folder's files in the order of their times, at these times."""
        files = [file for file in job.rglob("*") if file.is_file() and file != without]
        for file in sorted(files, key=os.path.getmtime):
            self.put(str(file.relative_to(job)), file.read_bytes(), file.stat().st_mtime)

    def show_order(self) -> None:
        """Have the server show that it lists keys in order, by another job's."""
        for rank in range(9):
            self.objects.put(f"logs/other/completions/{rank:05d}", b"")
        self.objects.put("logs/other/executor.json", SLURM)
        folder = self.storage.list_folder(("other",), with_subfolders=True)
        self.storage.look(("other",), folder)

    def scan(self) -> Reading:
        self.folder = self.storage.list_folder(JOB, self.folder, with_subfolders=True)
        result = scan_job(self.storage, JOB, self.folder, self.memory)
        self.memory = result.memory
        assert result.error is None
        assert result.reading is not None
        return result.reading

    def requests_of_a_scan(self) -> dict[str, int]:
        return asked(self.storage.requests, self.scan)


@contextmanager
def a_bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    with HttpServer(bucket.answer) as server:
        options = {"endpoint_url": server.url, "key": "any", "secret": "any"}
        with closing(S3Storage(f"s3://{BUCKET}/logs", options, 8)) as bucket.storage:
            yield bucket


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with a_bucket() as known:
        known.show_order()
        yield known


def test_the_start_of_real_jobs_under_way_is_that_which_slurm_tells(tmp_path: Path) -> None:
    jobs = unpack(tmp_path) / "jobs"
    checked = 0
    for name, truth in STARTED.items():
        markers = markers_in_order(jobs / name)
        if len(markers) < 2 or truth is None:
            continue
        with a_bucket() as bucket:
            bucket.copy(jobs / name, without=markers[-1])
            reading = bucket.scan()
            if reading.tasks_completed_since_launch:  # files of Slurm itself are not looked at
                assert reading.start_timestamp is not None, name
                assert truth <= reading.start_timestamp <= truth + LATE_SECONDS, name
                assert bucket.requests_of_a_scan()["get"] == 0
                checked += 1
    assert checked == 15


LOG = (
    b"2026-11-26 16:00:00.000 | INFO     | a:b:1 - CANARY\n"
    b"2026-11-26 16:02:00.000 | INFO     | a:b:1 - CANARY\n"
)
DENIED = Answer(403, b"<Error><Code>AccessDenied</Code></Error>", XML)
BUSY = Answer(503, b"<Error><Code>SlowDown</Code></Error>", XML)
NOW = 1_700_000_000.0
HOUR = 3600.0


def test_a_job_in_its_queue_costs_what_it_did_and_its_first_log_one_list(bucket: Bucket) -> None:
    bucket.put("executor.json", SLURM, NOW)
    bucket.scan()
    assert bucket.requests_of_a_scan() == {"list": 1, "get": 0}
    bucket.put("logs/task_00000.log", LOG, NOW + 48 * HOUR)
    assert bucket.requests_of_a_scan() == {"list": 1 + 1, "get": 0}
    reading = bucket.scan()
    assert reading.start_timestamp == NOW + 48 * HOUR
    assert bucket.requests_of_a_scan() == {"list": 1, "get": 0}


def test_the_first_completion_costs_one_get(bucket: Bucket) -> None:
    bucket.put("executor.json", SLURM, NOW)
    bucket.scan()
    done = NOW + 48 * HOUR
    bucket.put("logs/task_00003.log", LOG, done)
    bucket.put("completions/00003", time=done)
    assert bucket.requests_of_a_scan() == {"list": 1, "get": 1}
    assert bucket.scan().start_timestamp == done - 120
    bucket.put("completions/00001", time=done + 60)
    assert bucket.requests_of_a_scan()["get"] == 0
    assert bucket.scan().longest_completion_gap_seconds == 120


def test_logs_that_may_not_be_read_leave_the_job_readable(bucket: Bucket) -> None:
    bucket.refusal = DENIED
    bucket.put("executor.json", SLURM, NOW)
    bucket.put("logs/task_00000.log", LOG, NOW + HOUR)
    bucket.put("completions/00000", time=NOW + HOUR)
    bucket.put("completions/00001", time=NOW + HOUR + 60)
    reading = bucket.scan()
    assert (reading.tasks_completed, reading.started, reading.start_timestamp) == (2, True, None)
    assert reading.longest_completion_gap_seconds == 60
    bucket.put("completions/00002", time=NOW + HOUR + 90)
    assert bucket.requests_of_a_scan()["get"] == 0, "it is not asked for again"


def test_a_log_that_cannot_be_read_now_is_asked_for_again(bucket: Bucket) -> None:
    bucket.put("executor.json", SLURM, NOW)
    bucket.put("logs/task_00000.log", LOG, NOW + HOUR)
    bucket.put("completions/00000", time=NOW + HOUR)
    bucket.refusal = BUSY
    assert bucket.scan().start_timestamp is None
    bucket.refusal = None
    bucket.put("completions/00001", time=NOW + HOUR + 60)
    assert bucket.scan().start_timestamp == NOW + HOUR - 120


def test_a_job_that_was_complete_long_ago_costs_nothing_more(bucket: Bucket) -> None:
    before = dict(bucket.storage.requests.totals())
    bucket.put("executor.json", SLURM, NOW)
    for rank in range(4):
        bucket.put(f"logs/task_{rank:05d}.log", LOG, NOW + HOUR)
        bucket.put(f"completions/{rank:05d}", time=NOW + HOUR + rank)
    reading = bucket.scan()
    assert reading.is_complete
    assert reading.start_timestamp is None
    assert dict(bucket.storage.requests.totals()) == {"list": before["list"] + 1, "get": 1}
