"""S3 servers that do otherwise than S3: each complaint that was made in public, as it was."""

import logging
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.processes import COMMAND
from support.servers import Answer, HttpServer, Request
from support.storages.in_memory_s3 import QUIRKS, Objects

from exporter.config.addresses import check_url
from exporter.config.settings import RootConfig, StorageOptions
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.storage.s3.storage import S3Storage, bucket_and_prefix
from exporter.workers import Workers

UNPROVABLE = {"short pages are last", "large pages are last", "no times"}
RELAUNCHED = 1_100
"""Tasks of a job whose markers were deleted to run it again."""


class Server:
    """A bucket with quirks, of which a root ``logs`` is scanned again and again."""

    def __init__(self, objects: Objects, url: str, bucket: str) -> None:
        self.objects = objects
        self.options = {
            "endpoint_url": url,
            "key": "any",
            "secret": "any",
            "config_kwargs": {"retries": {"total_max_attempts": 1}},
        }
        options = StorageOptions(self.options)
        config = RootConfig("s3", f"s3://{bucket}/logs", storage_options=options)
        self.workers = Workers(4)
        self.scheduler = Scheduler([config], Latest(), self.workers)

    def put_job(self, name: str, tasks: int, ranks: Iterable[int]) -> None:
        self.objects.put_many([f"logs/{name}/completions/{rank:05d}" for rank in ranks])
        self.objects.put(f"logs/{name}/executor.json", b'{"world_size": %d}' % tasks)

    def scan(self) -> Root:
        return self.scheduler.run_once().roots[0]

    def found(self) -> dict[str, int | str | None]:
        """Tasks completed of each job, or why it cannot be read."""
        return {
            job.name: job.error or (job.reading and job.reading.tasks_completed)
            for job in self.scan().jobs
        }


@contextmanager
def serving(*quirks: str, bucket: str = "bucket", outage: Any = None) -> Iterator[Server]:
    objects = Objects(bucket, quirks=quirks)
    with HttpServer(outage(objects) if outage else objects.answer) as http:
        server = Server(objects, http.url, bucket)
        yield server
        server.workers.close()


@pytest.mark.parametrize("quirk", ["order by chance", "order backwards"])
def test_a_job_without_a_completion_is_read_where_keys_come_in_no_order(quirk: str) -> None:
    with serving(quirk) as server:
        server.put_job("large", 3_000, range(1_100))
        server.put_job("queued", 4, ())
        for _ in range(3):
            assert server.found() == {"large": 1_100, "queued": 0}


@pytest.mark.parametrize("quirk", sorted({*QUIRKS} - UNPROVABLE))
def test_a_server_with_a_quirk_is_read_right_scan_after_scan(quirk: str) -> None:
    """Small, large and growing jobs: what `status` says at once, `serve` says ever after."""
    with serving(quirk) as server:
        server.put_job("small", 4, range(2))
        server.put_job("sub/large", 3_000, range(1_100))
        server.put_job("holes", 3_000, range(0, 2_200, 2))
        for number in range(4):
            assert server.found() == {"holes": 1_100, "small": 2, "sub/large": 1_100 + number}
            server.objects.put(f"logs/sub/large/completions/{1_100 + number:05d}")


@pytest.mark.parametrize("with_other_jobs", [0, 20])
def test_a_server_that_encodes_names_and_does_not_say_so_hides_no_folder(
    with_other_jobs: int,
) -> None:
    with serving("encoding unsaid") as server:
        server.put_job("plain", 4, range(2))
        server.put_job("date=2024/job", 4, range(3))
        for number in range(with_other_jobs):
            server.put_job(f"other{number}", 4, range(4))
        for _ in range(2):
            found = server.found()
            assert found["plain"] == 2
            assert found["date%3D2024"] == "partial"


@pytest.mark.parametrize("left", [range(0), range(RELAUNCHED - 100), range(1_050, RELAUNCHED)])
def test_a_job_whose_deleted_markers_shorten_a_last_page_is_never_a_number(left: range) -> None:
    """rustfs #3217, minio #11724: the page that they shorten claims to be the last."""
    with serving("short pages are last") as server:
        server.put_job("before", 9, range(9))
        server.put_job("again", RELAUNCHED, range(RELAUNCHED))
        for rank in range(RELAUNCHED):
            if rank not in left:
                server.objects.delete(f"logs/again/completions/{rank:05d}")
        server.objects.put_many([f"logs/again/logs/task_{rank:05d}.log" for rank in range(9)])
        for _ in range(3):
            found = server.found()
            assert found["before"] == 9
            assert found["again"] in ("partial", len(left))
        if not left:
            assert found["again"] == "partial"


def test_folders_that_a_short_page_leaves_out_are_missed_by_the_root() -> None:
    with serving("short pages are last") as server:
        names = [f"job-{number:04d}" for number in range(1_100)]
        server.objects.put_many([f"logs/{name}/executor.json" for name in names])
        server.objects.put_many([f"logs/a-file-{number}" for number in range(50)])
        for number in range(50):
            server.objects.delete(f"logs/a-file-{number}")
        root = server.scan()
        assert not root.up
        assert root.error == "partial: a listing page says that it is the last, and is not"
        assert "says of pages that they are the last" in "".join(root.notes)


@pytest.mark.parametrize("status", [400, 500, 501])
def test_a_refused_start_is_told_from_an_outage(status: int) -> None:
    """minio #6032. While the server is down, nothing is learned of what it can do."""
    down = False

    def outage(objects: Objects) -> Any:
        def answer(request: Request) -> Answer:
            return (
                Answer(500, b"<Error><Code>InternalError</Code></Error>")
                if down
                else (objects.answer(request))
            )

        return answer

    with serving(outage=outage) as server:
        server.put_job("job", 3_000, range(1_100))
        assert server.found() == {"job": 1_100}
        down = True
        for _ in range(4):
            assert not server.scan().up
        down = False
        root = server.scan()
        assert (root.up, root.notes) == (True, ())
        server.objects.quirks = frozenset({"start 500"})  # a passing error
        assert server.found() == {"job": 1_100}
        server.objects.quirks = frozenset()
        assert server.scan().notes == ()
        server.objects.quirks = frozenset({f"start {status}"})
        for _ in range(4):
            assert server.found() == {"job": 1_100}
        assert len(server.scan().notes) == 1


def test_a_directory_bucket_is_read_from_its_folders(caplog: pytest.LogCaptureFixture) -> None:
    """As AWS describes it: prefixes end in a slash, the order is none, a start is refused."""
    name = "logs--usw2-az1--x-s3"
    with (
        caplog.at_level(logging.WARNING),
        serving("slash only", "order by chance", "start 501") as server,
    ):
        server.put_job("small", 4, range(2))
        server.put_job("large", 3_000, range(1_100))
        for number in range(4):
            assert server.found() == {"small": 2, "large": 1_100 + number}
            server.objects.put(f"logs/large/completions/{1_100 + number:05d}")
        notes = server.scan().notes
    assert len(notes) == len(set(notes)) > 0
    assert [r.getMessage() for r in caplog.records] == list(notes)
    with closing(S3Storage(f"s3://{name}/logs", {}, 1)) as storage:
        assert storage.notes[0].startswith("the bucket is a directory bucket")


def test_what_a_server_cannot_do_is_told_by_check_config(tmp_path: Path) -> None:
    with serving("start 501", "bare prefixes") as server:
        server.put_job("job", 3_000, range(1_100))
        file = tmp_path / "config.yaml"
        options = "".join(
            f"      {name}: {value}\n" for name, value in server.options.items() if name[0] != "c"
        )
        file.write_text(f"roots:\n  - url: s3://bucket/logs\n    storage_options:\n{options}")
        command = [*COMMAND, "check-config", "--reach", str(file)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "1 job (0 unreadable), 1,100 of 3,000 tasks completed" in told
    assert "  the S3 server does not list from where it is asked to" in told


ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("bucket", "host"),
    [
        (f"arn:aws:s3:us-west-2:{ACCOUNT}:accesspoint/my-ap", "s3-accesspoint.us-west-2"),
        (f"arn:aws:s3:us-west-2:{ACCOUNT}:accesspoint:my-ap", "s3-accesspoint.us-west-2"),
        ("my-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias", "s3alias.s3"),
    ],
)
def test_access_points_are_asked_by_arn_and_by_alias(bucket: str, host: str) -> None:
    url = f"s3://{bucket}/team/logs"
    assert check_url(url) == url
    assert bucket_and_prefix(url) == (bucket, "team/logs")
    sent: list[str] = []

    def stop(request: Any, **_: object) -> None:
        sent.append(request.url)
        raise ConnectionError

    options = {"key": "any", "secret": "any", "client_kwargs": {"region_name": "us-east-1"}}
    with closing(S3Storage(url, options, 1)) as storage:
        events = storage._client._connected().s3.meta.events
        events.register_first("before-send.s3", stop)
        with pytest.raises(Exception, match="unavailable"):
            storage.list_folder((), with_subfolders=True)
    assert re.match(rf"https://my-ap-[\w-]*\.?{host}\.amazonaws\.com/\?", sent[0]) or (
        sent[0].startswith(f"https://{bucket}.s3")
    )
    assert "prefix=team%2Flogs%2F" in sent[0]


def test_an_access_point_of_several_regions_parses() -> None:
    url = f"s3://arn:aws:s3::{ACCOUNT}:accesspoint/mfzwi23gnjvgw.mrap/logs"
    assert check_url(url) == url
    assert bucket_and_prefix(url)[1] == "logs"
    with pytest.raises(ValueError, match="chained"):
        check_url("filecache::s3://bucket/logs")
