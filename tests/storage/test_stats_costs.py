"""What it costs on S3 to read what tasks counted, in requests as the server received them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from support.jobs.stats import Scanned, a_pipeline, as_bytes
from support.servers import BUCKET, HttpServer
from support.storages.in_memory_s3 import Objects

from exporter.datatrove.layout import marker_name
from exporter.storage.s3.storage import S3Storage

LOCAL = b'{"start_method": "spawn", "skip_completed": true, "local_tasks": %d, "world_size": %d}'


class Bucket:
    """A job in a bucket, and who asks for what of it."""

    def __init__(self, tasks: int, **options: object) -> None:
        self.objects = Objects(BUCKET)
        self.server = HttpServer(self.objects.answer)
        self.objects.put("logs/job/executor.json", LOCAL % (tasks, tasks))
        options = {"read_stats": "steps", **options}
        access = {"endpoint_url": self.server.url, "key": "any", "secret": "any"}
        self.storage = S3Storage(f"s3://{BUCKET}/logs", access, 8)
        self.scanned = Scanned(self.storage, "job", **options)

    def complete(self, *ranks: int, read: int = 10) -> None:
        for rank in ranks:
            self.objects.now += 1
            name = marker_name(rank)
            self.objects.put(f"logs/job/stats/{name}.json", as_bytes(a_pipeline(read=read)))
            self.objects.put(f"logs/job/completions/{name}", b"")

    def received(self, *, thorough: bool = False) -> Counter[str]:
        """Requests of a scan: listings, and files of stats by name."""
        before = len(self.server.received)
        self.scanned.scan(thorough=thorough)
        paths = [request.path for request in self.server.received[before:]]
        prefix = f"/{BUCKET}/logs/job/"
        return Counter(p.removeprefix(prefix) if p.startswith(prefix) else "list" for p in paths)


@contextmanager
def a_job(tasks: int, **options: object) -> Iterator[Bucket]:
    bucket = Bucket(tasks, **options)
    with bucket.server, closing(bucket.storage):
        yield bucket


def test_each_completed_task_is_got_once_and_then_nothing_more() -> None:
    with a_job(20) as bucket, a_job(20, read_stats="never") as other:
        for each in (bucket, other):
            each.complete(*range(12))
        got = bucket.received()
        assert [got[f"stats/{marker_name(rank)}.json"] for rank in range(12)] == [1] * 12
        assert got - Counter({name: 1 for name in got if name.startswith("stats/")}) == (
            other.received()
        )
        assert bucket.received() == other.received()
        for each in (bucket, other):
            each.complete(15)
        assert bucket.received() - other.received() == Counter({"stats/00015.json": 1})
        assert bucket.received() == other.received()
        assert bucket.scanned.sums().tasks == 13


def test_after_a_restart_a_scan_gets_two_hundred() -> None:
    with a_job(1000) as bucket:
        bucket.complete(*range(450))
        gets = [
            sum(n for name, n in bucket.received().items() if name.startswith("stats/"))
            for _ in range(4)
        ]
        assert gets == [200, 200, 50, 0]


def test_a_life_that_nobody_saw_end_is_noticed_by_the_time_of_its_marker() -> None:
    """Known markers are taken on trust between two thorough looks."""
    with a_job(20) as bucket:
        bucket.complete(*range(3), read=10)
        bucket.received()
        bucket.complete(1, read=500)
        assert bucket.received(thorough=True)["stats/00001.json"] == 1
        stats = bucket.scanned.sums().stats
        assert stats is not None
        assert stats.documents_read == 10 + 10 + 500


def test_a_job_complete_when_first_seen_is_one_request() -> None:
    with a_job(50) as bucket:
        bucket.complete(*range(50))
        bucket.objects.put("logs/job/stats.json", as_bytes(a_pipeline(read=500)))
        got = bucket.received()
        assert {name: n for name, n in got.items() if name.startswith("stats")} == {"stats.json": 1}
        assert bucket.scanned.sums().tasks == 50


@pytest.mark.parametrize("held", [1, 3, 5])
def test_merged_stats_of_a_relaunch_within_the_second_of_the_first_tasks_are_not_trusted(
    held: int,
) -> None:
    """A bucket tells whole seconds, so the markers of before look like ones of this launch."""
    with a_job(5) as bucket:
        bucket.complete(*range(4))
        bucket.objects.put("logs/job/executor.json", LOCAL % (5, 5))
        for rank in range(4):
            bucket.objects.put(f"logs/job/completions/{marker_name(rank)}", b"")
        bucket.complete(4)
        mean = {} if held == 1 else {"global_mean": 6 / held}
        times = {"total": 6.0, "total_human": "6 seconds", **mean}
        steps = [{**step, "time_stats": times} for step in a_pipeline()]
        bucket.objects.put("logs/job/stats.json", as_bytes(steps))
        assert (bucket.scanned.scan().stats is not None) == (held == 5)


def test_one_that_was_launched_again_is_not_trusted_and_costs_the_comparison_of_two_tasks() -> None:
    with a_job(50) as bucket:
        bucket.complete(*range(25))
        bucket.objects.now += 1
        bucket.objects.put("logs/job/executor.json", LOCAL % (50, 50))
        bucket.objects.now += 1
        bucket.complete(*range(25, 50))
        bucket.objects.put("logs/job/stats.json", as_bytes(a_pipeline(read=500)))
        got = bucket.received()
        assert sum(n for name, n in got.items() if name.startswith("stats/")) == 2
        assert got["stats.json"] == 0
        reading = bucket.scanned.scan()
        assert (reading.stats, reading.mixed_pipelines) == (None, False)
        assert not any(name.startswith("stats") for name in bucket.received())


@pytest.mark.parametrize("read_stats", ["never", "totals"])
def test_pipelines_are_compared_on_s3_where_stats_are_read(read_stats: str) -> None:
    with a_job(50, read_stats=read_stats) as bucket:
        bucket.complete(*range(10))
        bucket.objects.now += 1
        bucket.objects.put("logs/job/executor.json", LOCAL % (50, 50))
        bucket.complete(11)
        got = bucket.received()
        if read_stats == "never":
            assert [name for name in got if name.startswith("stats")] == []
            assert bucket.scanned.scan().mixed_pipelines is None
        else:
            assert sum(n for name, n in got.items() if name.startswith("stats")) == 11 + 2
            assert bucket.scanned.scan().mixed_pipelines is False
