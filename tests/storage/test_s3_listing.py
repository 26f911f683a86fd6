"""What a scan of S3 costs, counted by the server; and servers that list otherwise."""

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import botocore.handlers
import pytest
from support.servers import Answer, HttpServer, Request, S3Server
from support.storages.in_memory_s3 import Objects

from exporter.config.settings import RootConfig, StorageOptions
from exporter.errors import StorageError
from exporter.model.snapshot import Latest
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import Folder
from exporter.storage.s3 import client
from exporter.storage.s3 import client as s3_client
from exporter.storage.s3.client import Client
from exporter.storage.s3.storage import S3Storage
from exporter.workers import Workers

PAGE_KEYS = 100
JOB = ("job",)


class Bucket:
    """Jobs in memory behind an HTTP server, scanned as the scheduler does."""

    def __init__(self, page_keys: int) -> None:
        self.objects = Objects(page_keys=page_keys)
        self.change: Callable[[Request], Request] = lambda request: request
        self.spoil: Callable[[Request, Answer], Answer] = lambda _, answer: answer
        self.server = HttpServer(self._answer)
        self.keys_sent = 0
        self.folder: Folder | None = None
        self.memory: Memory | None = None

    def _answer(self, request: Request) -> Answer:
        answer = self.spoil(request, self.objects.answer(self.change(request)))
        self.keys_sent += answer.body.count(b"<Key>")
        return answer

    def open(self) -> S3Storage:
        options = {"endpoint_url": self.server.url, "key": "any", "secret": "any"}
        return S3Storage("s3://bucket/logs", options, 16, self.objects.page_keys)

    def put_job(self, tasks: int, done: Any, name: str = "job") -> None:
        self.objects.put_many([f"logs/{name}/completions/{rank:05d}" for rank in done])
        # Of a local executor: nobody has to find out when it left its queue.
        content = b'{"start_method": "spawn", "world_size": %d}' % tasks
        self.objects.put(f"logs/{name}/executor.json", content)

    def complete(self, *ranks: int) -> None:
        for rank in ranks:
            self.objects.put(f"logs/job/completions/{rank:05d}")

    def scan(self, storage: S3Storage, *, thorough: bool = False) -> JobScan:
        self.folder = storage.list_folder(JOB, self.folder, with_subfolders=True, thorough=thorough)
        result = scan_job(storage, JOB, self.folder, self.memory, thorough=thorough)
        self.memory = result.memory or self.memory
        return result

    def cost(self, storage: S3Storage) -> tuple[int, Counter[str], int]:
        """(tasks completed, requests, keys listed) of a scan, as the server counts."""
        self.objects.answered.clear()
        self.keys_sent = 0
        before = dict(storage.requests.totals())
        reading = self.scan(storage).reading
        asked = Counter(self.objects.answered)
        counted = {name: count - before[name] for name, count in storage.requests.totals()}
        assert counted == {name: asked[name] for name in counted}
        assert reading is not None
        return reading.tasks_completed, asked, self.keys_sent


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket(PAGE_KEYS)
    with bucket.server:
        yield bucket


@pytest.fixture
def storage(bucket: Bucket) -> Iterator[S3Storage]:
    with closing(bucket.open()) as storage:
        yield storage


# What a scan costs


def test_a_job_on_one_page_costs_one_list_and_one_get(bucket: Bucket, storage: S3Storage) -> None:
    bucket.put_job(200, range(PAGE_KEYS - 1))
    assert bucket.cost(storage)[:2] == (PAGE_KEYS - 1, Counter(list=1, get=1))


@pytest.mark.parametrize("with_subfolders", [False, True])
def test_logs_beyond_the_first_page_cost_a_list_only_where_sub_folders_matter(
    bucket: Bucket, storage: S3Storage, with_subfolders: bool
) -> None:
    bucket.put_job(200, range(60))
    bucket.objects.put_many([f"logs/job/logs/task_{rank:05d}.log" for rank in range(60)])
    bucket.put_job(3, range(1), "job/merged")
    folder = storage.list_folder(JOB, with_subfolders=with_subfolders)
    result = scan_job(storage, JOB, folder)
    assert bucket.objects.answered == Counter(list=1 + with_subfolders, get=1)
    assert ("merged" in folder.subfolders) == with_subfolders
    assert result.reading is not None
    assert result.reading.tasks_completed == 60


def test_a_large_job_costs_its_pages_and_the_end_of_them(
    bucket: Bucket, storage: S3Storage
) -> None:
    """One LIST more tells its sub-folders, one that nothing follows its last marker."""
    bucket.put_job(10_000, range(10_000))
    done, asked, _ = bucket.cost(storage)
    assert (done, asked) == (10_000, Counter(list=10_000 // PAGE_KEYS + 2, get=1))


def test_a_half_done_large_job_costs_a_few_pages_more(bucket: Bucket, storage: S3Storage) -> None:
    bucket.put_job(10_000, range(5_000))
    done, asked, _ = bucket.cost(storage)
    assert done == 5_000
    assert asked["get"] == 1
    assert asked["list"] <= 5_000 // PAGE_KEYS + 2 + 7


@pytest.mark.parametrize("done", [[], range(50), range(5_000), {*range(5_000)} - {4_990}])
def test_nothing_new_costs_one_list_of_a_handful_of_keys(
    bucket: Bucket, storage: S3Storage, done: Any
) -> None:
    bucket.put_job(10_000, done)
    for number in range(50):
        bucket.objects.put(f"logs/job/logs/task_{number:05d}.log")
    bucket.cost(storage)
    before = bucket.memory
    found, asked, keys = bucket.cost(storage)
    assert (found, asked) == (len(done), Counter(list=1))
    assert keys <= 16
    assert bucket.memory is before


def test_new_markers_cost_a_list_from_the_first_missing_on(
    bucket: Bucket, storage: S3Storage
) -> None:
    bucket.put_job(10_000, range(5_000))
    bucket.cost(storage)
    bucket.complete(5_000, 5_002)
    assert bucket.cost(storage)[:2] == (5_002, Counter(list=1))
    bucket.complete(5_001, 5_003, 9_999)
    found, asked, keys = bucket.cost(storage)
    assert (found, asked) == (5_005, Counter(list=1))
    assert keys <= 16
    bucket.complete(*range(6_000, 6_250))
    found, asked, keys = bucket.cost(storage)
    assert found == 5_255
    assert asked["list"] <= 4
    assert keys <= 250 + 3 * 16


def test_a_complete_job_costs_one_key(bucket: Bucket, storage: S3Storage) -> None:
    bucket.put_job(1_000, range(1_000))
    bucket.cost(storage)
    for _ in range(3):
        assert bucket.cost(storage) == (1_000, Counter(list=1), 1)


def test_executor_json_is_read_again_once_it_was_written_again(
    bucket: Bucket, storage: S3Storage
) -> None:
    bucket.put_job(1_000, range(1_000))
    bucket.cost(storage)
    bucket.objects.now += 1
    bucket.put_job(1_000, [])
    assert bucket.cost(storage)[:2] == (1_000, Counter(list=12, get=1))
    assert bucket.cost(storage)[1] == Counter(list=1)


def test_new_jobs_cost_one_list_for_each_folder_level(bucket: Bucket) -> None:
    bucket.objects.put_many(["logs/deep/er/file"])
    for number in range(20):
        bucket.put_job(50, range(number), f"deep/er/job-{number}")
    options = StorageOptions({"endpoint_url": bucket.server.url, "key": "k", "secret": "s"})
    # Folders at the greatest depth are asked for what lies below them, which is not meant here.
    config = RootConfig("s3", "s3://bucket/logs", storage_options=options, max_depth=4)
    workers = Workers(8)
    scheduler = Scheduler([config], Latest(), workers)
    scheduler.run_once()
    bucket.objects.answered.clear()
    before = dict(scheduler.run_once().roots[0].requests)
    assert bucket.objects.answered == Counter(list=3 + 20)
    bucket.put_job(50, range(7), "deep/er/job-new")
    bucket.objects.answered.clear()
    (root,) = scheduler.run_once().roots
    # The first look at logs is part of the first scan.
    assert bucket.objects.answered == Counter(list=3 + 20 + 1 + 1, get=1)
    assert {job.name for job in root.jobs} >= {"deep/er/job-new", "deep/er/job-0"}
    after = dict(root.requests)
    assert after["list"] - before["list"] == 25
    workers.close()


def test_completed_jobs_are_looked_at_in_turn_and_not_all_at_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten scans to a turn; all jobs are first seen in one scan, and again after an outage."""
    jobs, passed = PAGE_KEYS, [0.0]
    pages_of_the_root = 1
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + passed[0],
        time=time.time,
        thread_time=time.thread_time,
        process_time=time.process_time,
    )
    for module in ("scheduler", "root.scan"):
        monkeypatch.setattr(f"exporter.scanning.{module}.time", clock)
    for number in range(jobs):
        bucket.put_job(3, range(3), f"job-{number}")
    options = StorageOptions({"endpoint_url": bucket.server.url, "key": "k", "secret": "s"})
    config = RootConfig(
        "s3",
        "s3://bucket/logs",
        storage_options=options,
        scan_interval_seconds=60,
        completed_scan_interval_seconds=570,  # between nine and ten scans
        verify_interval_seconds=1e6,
    )
    workers = Workers(8)
    scheduler = Scheduler([config], Latest(), workers)

    def scan() -> int:
        """LISTs of one scan, by the server's count, but for those of the root itself."""
        bucket.objects.answered.clear()
        root = scheduler.run_once().roots[0]
        assert (root.up, len(root.jobs)) == (True, jobs)
        passed[0] += 60
        return bucket.objects.answered["list"] - pages_of_the_root

    def turns() -> None:
        """A turn costs a job one LIST, which shows its sub-folders and its executor.json."""
        for _ in range(3):
            asked = [scan() for _ in range(10)]
            assert jobs <= sum(asked) <= 1.1 * jobs, asked
            assert 0 < min(asked) <= max(asked) < jobs / 2, asked

    scan()
    turns()
    bucket.spoil = lambda request, _: Answer(503, b"")
    assert not scheduler.run_once().roots[0].up
    passed[0] += 60
    bucket.spoil = lambda _, answer: answer
    scan()
    turns()
    workers.close()


# Pages that are none, wherever they come


def cut(answer: Answer) -> Answer:
    return replace(answer, body=answer.body[:-60])


def silent_about_more(answer: Answer) -> Answer:
    return replace(answer, body=re.sub(rb"<IsTruncated>\w+</IsTruncated>", b"", answer.body))


SPOILT: dict[str, Callable[[Answer], Answer]] = {
    "empty": lambda answer: replace(answer, body=b""),
    "cut": cut,
    "HTML": lambda answer: replace(answer, body=b"<html>Welcome</html>"),
    "no word of more": silent_about_more,
    "error": lambda answer: Answer(500, b"<Error><Code>InternalError</Code></Error>"),
}


@pytest.mark.parametrize("how", sorted(SPOILT))
def test_no_page_that_is_spoilt_makes_a_listing_short(
    bucket: Bucket, storage: S3Storage, how: str
) -> None:
    """The n-th LIST of a scan is bad, for every n: of a first scan, one that lists anew,
    and one that lists what is missing."""
    missing = {5, 250, 450, 700, 899}
    bucket.put_job(1_000, {*range(900)} - missing)
    scans: list[tuple[str, bool]] = [("first", False), ("missing", False), ("anew", True)]
    for kind, thorough in scans:
        failures = 0
        for number in range(1, 30):
            if kind == "first":
                bucket.folder = bucket.memory = None
            memory, counted = bucket.memory, iter(range(1, 10_000))

            def spoil(
                request: Request, answer: Answer, n: int = number, c: Any = counted
            ) -> Answer:
                is_bad = "list-type" in request.query and next(c) >= n
                return SPOILT[how](answer) if is_bad else answer

            bucket.spoil = spoil
            try:
                result = bucket.scan(storage, thorough=thorough)
            except StorageError:  # the folder itself could not be listed
                failures += 1
                continue
            if result.error is None:
                assert result.reading is not None
                assert result.reading.tasks_completed == 895
                break
            failures += 1
            assert result.error.reason in ("partial", "unavailable")
            assert result.memory is memory
        assert failures >= 3, kind
        bucket.spoil = lambda _, answer: answer
        reading = bucket.scan(storage).reading
        assert reading is not None
        assert reading.tasks_completed == 895


# Servers that list otherwise


def ignores_start_after(request: Request) -> Request:
    query = {name: value for name, value in request.query.items() if name != "start-after"}
    return replace(request, query=query)


def empty_after_start(request: Request) -> Request:
    if "start-after" not in request.query:
        return request
    return replace(request, query={**request.query, "prefix": "nowhere"})


def backwards(request: Request, answer: Answer) -> Answer:
    entries = re.findall(rb"<Contents>.*?</Contents>", answer.body)
    body = answer.body.replace(b"".join(entries), b"".join(reversed(entries)))
    return replace(answer, body=body)


@pytest.mark.parametrize("quirk", [ignores_start_after, empty_after_start, backwards])
def test_a_server_that_does_not_list_as_s3_is_listed_whole(
    bucket: Bucket, storage: S3Storage, quirk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put_job(1_000, range(0, 700, 2))
    if quirk is backwards:
        bucket.spoil = quirk
    else:
        bucket.change = quirk
    done = 350
    with caplog.at_level(logging.WARNING):
        for number in range(8):
            reading = bucket.scan(storage).reading
            assert reading is not None
            assert reading.tasks_completed == done
            bucket.complete(701 + number)
            done += 1
    assert storage.notes
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == list(storage.notes)
    assert len(warnings) == 1
    assert "all markers of a job are listed at each scan" in warnings[0]


def test_markers_deleted_do_not_make_a_server_look_broken(
    bucket: Bucket, storage: S3Storage
) -> None:
    bucket.put_job(1_000, {*range(900)} - {5, 500})
    bucket.scan(storage)
    for rank in (6, 501, 899, 10, 700):
        bucket.objects.delete(f"logs/job/completions/{rank:05d}")
        bucket.scan(storage)
    reading = bucket.scan(storage, thorough=True).reading
    assert reading is not None
    assert reading.tasks_completed == 893
    assert not storage.notes


# botocore that changes


ODD_NAMES = ["a+b", "100%", "%41", "a&b=c", "a b", "é-日本-😀", "<&>'\"", "?#[x]*", "~"]


@pytest.mark.parametrize("change", ["handler renamed", "event gone", "nothing"])
@pytest.mark.parametrize("server", ["s3_server", "moto_server"])
def test_listings_are_the_same_whoever_parses_them(
    server: str,
    change: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if change == "handler renamed":
        monkeypatch.delattr(botocore.handlers, "_handle_200_error")
    elif change == "event gone":
        monkeypatch.setattr(s3_client, "read_listings_fast", lambda events: None)
    s3: S3Server = request.getfixturevalue(server)
    prefix = f"parsed/{change}"
    with closing(s3.client()) as client:
        for name in ODD_NAMES:
            for key in (f"{name}/executor.json", f"{name}/completions/{name}", f"{name}/x/y"):
                client.put_object(Bucket="bucket", Key=f"{prefix}/{key}", Body=b'{"world_size": 3}')
            client.put_object(Bucket="bucket", Key=f"{prefix}/{name}/completions/00001")
        times = {
            name: client.head_object(Bucket="bucket", Key=f"{prefix}/{name}/completions/00001")
            for name in ODD_NAMES
        }
    with closing(S3Storage(f"s3://bucket/{prefix}", s3.options, 4)) as storage:
        assert sorted(storage.list_folder((), with_subfolders=True).subfolders) == sorted(ODD_NAMES)
        for name in ODD_NAMES:
            folder = storage.list_folder((name,), with_subfolders=True)
            assert sorted(folder.subfolders) == ["completions", "x"]
            look = storage.look((name,), folder)
            assert (list(look.markers.ranks), look.markers.others) == ([1], 1)
            assert look.markers.modified_ns is not None
            second = int(times[name]["LastModified"].timestamp())
            assert look.markers.modified_ns[0] // 10**9 == second
            version, data = storage.read_executor((name,), look.executor, 1000)
            assert data == b'{"world_size": 3}'
            assert version.is_same(look.executor)


def test_the_description_of_s3_is_in_memory_once_for_all_roots() -> None:
    """It takes 10 MB; with one copy a root, thirty roots took 400 MB."""

    def loader_of_new_client() -> object:
        options = {"endpoint_url": "http://127.0.0.1:1", "key": "any", "secret": "any"}
        with closing(Client("bucket", options, connections=1)) as client:
            return client.run(loader_of)

    async def loader_of(session: client.Session) -> object:
        return session._filesystem.session.get_component("data_loader")

    assert loader_of_new_client() is loader_of_new_client()
