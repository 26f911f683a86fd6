"""Google's, Azure's and Hugging Face's storage: what calls cost, and what is said when
something is wrong."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from support.jobs.asked import JobFolder
from support.servers import BUCKET, HOST, Answer, FtpServer, HttpServer, free_ports, silent_server
from support.storages.backends import (
    AzureBackend,
    GoogleBackend,
    HuggingFaceBackend,
    failure,
    write_small_job,
)
from support.storages.clouds import AzureServer, GoogleServer, Hub, counted, hub

from exporter.config.settings import RootConfig, StorageOptions
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.storage import open_storage
from exporter.storage.base import Storage
from exporter.storage.filesystems import azure, gcs, huggingface
from exporter.workers import Workers

Cloud = GoogleBackend | AzureBackend | HuggingFaceBackend


class Place:
    """A root in some cloud, and the way there through a server that counts."""

    def __init__(
        self, backend: Cloud, storage: Storage, server: HttpServer, options: dict[str, Any]
    ) -> None:
        self.backend = backend
        self.storage = storage
        self.options = options
        self._server = server

    def spent(self) -> dict[str, int]:
        """Requests since the last time, by our count, after a look that the server has
        the same."""
        counts = dict(self.storage.requests.totals())
        spent = {name: counts[name] - self._before.get(name, 0) for name in counts}
        self._before = counts
        assert sum(spent.values()) == len(self._server.received)
        self._server.received.clear()
        return {name: count for name, count in spent.items() if count}

    _before: dict[str, int] = {}  # noqa: RUF012 - replaced, never changed


@pytest.fixture(params=["gs", "az", "hf bucket", "hf repository"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    name = tmp_path_factory.mktemp("cloud").name
    backend: Cloud
    with ExitStack() as stack:
        if request.param == "gs":
            google: GoogleServer = request.getfixturevalue("google_server")
            backend, server = GoogleBackend(google, name), stack.enter_context(counted(google.port))
            options = google.options(port_of(server))
        elif request.param == "az":
            azurite: AzureServer = request.getfixturevalue("azure_server")
            backend, server = (
                AzureBackend(azurite, name),
                stack.enter_context(counted(azurite.port)),
            )
            options = azurite.options(port_of(server))
            stack.enter_context(closing(backend._client))
        else:
            stand_in: Hub = stack.enter_context(hub())
            kind = "buckets" if request.param == "hf bucket" else "datasets"
            backend, server = (
                HuggingFaceBackend(stand_in, f"{kind}/owner/name", name),
                stand_in.server,
            )
            options = stand_in.options
        storage = stack.enter_context(closing(open_storage(backend.url, options, 4)))
        yield Place(backend, storage, server, options)


def port_of(server: HttpServer) -> int:
    return int(server.url.rpartition(":")[2])


# Requests


def test_a_job_costs_two_listings_and_the_servers_count_says_the_same(place: Place) -> None:
    for number in range(3):
        write_small_job(place.backend, f"job{number}", tasks=4, completed=2)
    assert len(place.storage.list_folder((), with_subfolders=True).subfolders) == 3
    assert place.spent() == {"list": 1}
    job = JobFolder(place.storage, "job1")
    look = job.look()
    assert place.spent() == {"list": 2}
    assert place.storage.read_executor(("job1",), look.executor, 1000)[1] == b'{"world_size": 4}'
    assert place.spent() == {"read": 1}
    assert job.look(look).executor.is_same(look.executor)
    is_repository = "hf://datasets/" in place.backend.url  # tells trees
    assert place.spent() == {"list": 1 if is_repository else 2}


def test_a_folder_is_not_taken_for_those_whose_names_only_begin_like_it(place: Place) -> None:
    write_small_job(place.backend, "job1", completed=1)
    write_small_job(place.backend, "job10", tasks=5, completed=3)
    write_small_job(place.backend, "job1x/inner", completed=4)
    place.backend.write("job1.txt")
    place.backend.write("job1/completions.old/00003")
    place.storage.list_folder((), with_subfolders=True)
    place.spent()
    folder = place.storage.list_folder(("job1",), with_subfolders=True)
    assert sorted(folder.subfolders) == ["completions", "completions.old"]
    assert place.spent() == {"list": 1}
    assert JobFolder(place.storage, "job1").ranks() == [0]
    assert JobFolder(place.storage, "job10").ranks() == [0, 1, 2]


def test_long_listings_come_in_pages_that_are_all_read(place: Place) -> None:
    many = 1100 if isinstance(place.backend, HuggingFaceBackend) else 12
    if isinstance(place.backend, HuggingFaceBackend):
        place.backend._hub.page_size = 500
    write_small_job(place.backend, "job", tasks=3000, completed=many)
    assert len(JobFolder(place.storage, "job").ranks()) == many
    assert place.spent() == {"list": 4 if isinstance(place.backend, HuggingFaceBackend) else 2}


def test_google_pages_are_followed_to_the_last() -> None:
    def answer(request: Any) -> Answer:
        assert request.query["prefix"] == "job/completions/"
        assert request.query["delimiter"] == "/"
        number = int(request.query.get("pageToken", "0"))
        name = f"job/completions/{number:05d}"
        following = f', "nextPageToken": "{number + 1}"' if number < 4 else ""
        item = f'{{"name": "{name}", "updated": "2026-01-01T00:00:0{number}Z", "size": "0"}}'
        return Answer(200, f'{{"items": [{item}]{following}}}'.encode())

    with HttpServer(answer) as server:
        options = {"endpoint_url": server.url, "token": "anon"}
        with closing(open_storage("gs://bucket/job", options, 4)) as storage:
            assert storage.list_folder(("completions",), with_subfolders=True).subfolders == ()
            assert dict(storage.requests.totals())["list"] == 5


def test_repositories_tell_content_but_no_times(hub_server: Hub) -> None:
    backend = HuggingFaceBackend(hub_server, "datasets/owner/name", "no-times")
    write_small_job(backend, "job", tasks=4, completed=2)
    with closing(open_storage(backend.url, backend.options, 4)) as storage:
        job = JobFolder(storage, "job")
        look = job.look()
        assert (list(look.markers.ranks), look.markers.modified_ns) == ([0, 1], None)
        assert look.executor.modified_ns is None
        assert job.version().is_same(look.executor)
        write_small_job(backend, "job", tasks=5, completed=2)
        assert not job.version().is_same(look.executor)


LOCAL_JOB = b'{"start_method": "forkserver", "world_size": %d}'  # nobody asks when it started


@pytest.mark.parametrize("place", ["hf bucket", "hf repository"], indirect=True)
def test_a_scan_of_the_hub_asks_as_little_as_it_tells(place: Place) -> None:
    """By the Hub's count. A bucket tells nothing of a folder but its name."""
    jobs = 5
    is_repository = "hf://datasets/" in place.backend.url
    for number in range(jobs):
        write_small_job(place.backend, f"deep/job{number}", tasks=9, completed=number)
        place.backend.write(f"deep/job{number}/executor.json", LOCAL_JOB % 9)
        place.backend.write(f"deep/job{number}/logs/task_00000.log")
    config = RootConfig("hub", place.backend.url, storage_options=StorageOptions(place.options))
    workers = Workers(2)
    scheduler = Scheduler([config], Latest(), workers)
    counted = place.backend._hub.server.received

    def scan() -> tuple[list[int], Counter[str]]:
        """(tasks completed, requests by what they ask for)"""
        counted.clear()
        root = scheduler.run_once().roots[0]
        assert all(job.reading is not None and job.reading.started for job in root.jobs)
        done = [job.reading.tasks_completed for job in root.jobs if job.reading is not None]
        return done, Counter("list" if "/tree" in r.path else "read" for r in counted)

    # The root, `deep`, and each job; its markers, or the logs of the one that has none.
    first, asked = scan()
    assert first == [0, 1, 2, 3, 4]
    # And once the logs of each, where times tell whose they are. The open one is read, and is
    # empty, so it is asked whether it is there.
    asked_of_logs = Counter() if is_repository else Counter(list=jobs + 1, read=1)
    markers = Counter(list=jobs - 1 if is_repository else jobs)
    assert asked == Counter(list=2 + jobs, read=jobs) + markers + asked_of_logs
    again, asked = scan()
    assert again == first
    assert asked == Counter(list=2 + jobs + (0 if is_repository else jobs))
    place.backend.write("deep/job3/completions/00007")
    place.backend.delete("deep/job4/completions/00000")
    place.backend.write("deep/job1/executor.json", LOCAL_JOB % 8)
    changed, asked = scan()
    assert changed == [0, 1, 2, 4, 3]
    # The logs of the job that was launched again are looked at at once.
    assert asked == Counter(list=2 + jobs + (2 if is_repository else jobs + 1), read=1)
    workers.close()


def test_a_revision_and_a_repository_of_models_are_addressed_as_such() -> None:
    asked: list[str] = []

    def answer(request: Any) -> Answer:
        asked.append(request.path)
        return Answer(200, b"[]", {"Content-Type": "application/json"})

    with HttpServer(answer) as server:
        options = {"endpoint": server.url, "token": False}
        for url in ("hf://datasets/o/n@a-branch/logs", "hf://o/n/logs", "hf://buckets/o/n"):
            with closing(open_storage(url, options, 4)) as storage:
                storage.list_folder((), with_subfolders=True)
    assert asked == [
        "/api/datasets/o/n/tree/a-branch/logs",
        "/api/models/o/n/tree/main/logs",
        "/api/buckets/o/n/tree",
    ]


def test_folders_of_hierarchical_namespaces_are_folders(azure_server: AzureServer) -> None:
    """Where an empty folder shows as an object that says what it is."""
    backend = AzureBackend(azure_server, "hierarchical")
    write_small_job(backend, "job", completed=0)
    for folder in ("job", "job/completions", "job/logs"):
        key = f"hierarchical/root/{folder}"
        backend._client.upload_blob(key, b"", metadata={"hdi_isfolder": "true"})
    with closing(open_storage(backend.url, backend.options, 4)) as storage:
        assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)
        folder = storage.list_folder(("job",), with_subfolders=True)
        assert sorted(folder.subfolders) == ["completions", "logs"]
        backend.write("job/completions/00001")
        assert JobFolder(storage, "job").ranks() == [1]
        # Some tools mark a folder by an object of its name that says nothing.
        write_small_job(backend, "other", completed=1)
        backend.write("other")
        backend.write("other/completions")
        assert sorted(storage.list_folder((), with_subfolders=True).subfolders) == ["job", "other"]
        assert JobFolder(storage, "other").ranks() == [0]
    backend._client.close()


# Trouble


ADDRESSES: dict[str, tuple[str, Any]] = {
    "gs": ("gs://bucket/logs", lambda url: {"endpoint_url": url, "token": "anon"}),
    "az": ("az://bucket/logs", lambda url: AzureServer(int(url.rpartition(":")[2])).options()),
    "hf": ("hf://buckets/owner/name/logs", lambda url: {"endpoint": url, "token": False}),
}


def reason_of(scheme: str, server_url: str) -> str:
    url, options_of = ADDRESSES[scheme]
    with closing(open_storage(url, options_of(server_url), 4)) as storage:
        error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert "CANARY" not in str(error)
    assert not re.search(r"bucket/logs|owner", str(error))
    return error.reason


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limits, short enough to wait for."""
    monkeypatch.setattr(gcs, "_CALL_SECONDS", 1)
    monkeypatch.setitem(azure._ONCE, "read_timeout", 1)
    monkeypatch.setattr(huggingface, "_TIMEOUT", 1)


@pytest.mark.parametrize("scheme", ADDRESSES)
@pytest.mark.usefixtures("short_limits")
def test_a_server_that_is_silent_is_a_timeout(scheme: str) -> None:
    with silent_server() as url:
        assert reason_of(scheme, url) == "timeout"


@pytest.mark.parametrize("scheme", ADDRESSES)
def test_a_port_that_nobody_listens_on_is_unavailable(scheme: str) -> None:
    (port,) = free_ports(1)
    assert reason_of(scheme, f"http://{HOST}:{port}") == "unavailable"


@pytest.mark.parametrize("scheme", ADDRESSES)
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "denied"),
        (403, "denied"),
        (404, "not_found"),
        (429, "throttled"),
        (500, "unavailable"),
        (502, "unavailable"),
        (503, "unavailable"),
    ],
)
def test_refusals_are_told_apart(scheme: str, status: int, reason: str) -> None:
    with HttpServer(lambda request: Answer(status, b"CANARY")) as server:
        assert reason_of(scheme, server.url) == reason
        assert len(server.received) == (2 if reason == "unavailable" else 1)


@pytest.mark.parametrize("scheme", ADDRESSES)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b""),
        Answer(200, b"<html>CANARY</html>"),
        Answer(200, b'[{"type": "CANARY"', missing_bytes=50),
    ],
    ids=["empty", "a page for people", "cut short"],
)
def test_an_answer_that_is_no_listing_is_never_an_empty_one(scheme: str, answer: Answer) -> None:
    with HttpServer(lambda request: answer) as server:
        assert reason_of(scheme, server.url) in ("partial", "unavailable")


GOOGLE = {"updated": "2026-01-01T00:00:00Z", "size": "0", "generation": "1"}


def google_page(*names: str, **page: object) -> Answer:
    """A page of Google's with these objects."""
    items = [{"name": name, **GOOGLE} for name in names]
    return Answer(200, json.dumps({"items": items, **page}).encode(), JSON)


def azure_page(*names: str, prefixes: tuple[str, ...] = (), marker: str = "") -> Answer:
    """A page of Azure's with these blobs."""
    blobs = "".join(
        f"<Blob><Name>{name}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT"
        "</Last-Modified><Etag>0x1</Etag><Content-Length>0</Content-Length>"
        "<BlobType>BlockBlob</BlobType></Properties></Blob>"
        for name in names
    )
    folders = "".join(f"<BlobPrefix><Name>{name}</Name></BlobPrefix>" for name in prefixes)
    listing = (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="bucket">'
        f"<Blobs>{blobs}{folders}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    )
    return Answer(200, listing.encode(), {"Content-Type": "application/xml"})


def hub_page(*paths: str, kind: str = "file", **headers: str) -> Answer:
    """A page of the Hub's with these entries."""
    items = [{"type": kind, "path": path, "size": 0, "oid": "1"} for path in paths]
    return Answer(200, json.dumps(items).encode(), {**JSON, **headers})


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("gs", google_page("elsewhere/executor.json")),
        ("gs", google_page(prefixes=["logs/a/b/"])),
        ("gs", google_page(nextPageToken="same")),
        ("gs", Answer(200, b'["logs/job/"]', JSON)),
        ("gs", Answer(200, b'{"items": [{"size": "0"}]}', JSON)),
        ("az", azure_page("elsewhere/executor.json")),
        ("az", azure_page(prefixes=("elsewhere/",))),
        ("hf", hub_page("logs/job/executor.json")),
        ("hf", Answer(200, b'{"path": "logs/job"}', JSON)),
        ("hf", Answer(200, b'[{"type": "file"}]', JSON)),
    ],
)
def test_a_listing_that_shows_what_was_not_asked_for_is_partial(
    scheme: str, answer: Answer
) -> None:
    with HttpServer(lambda request: answer) as server:
        assert reason_of(scheme, server.url) == "partial"


def test_pages_of_the_hub_that_lead_in_a_circle_are_partial() -> None:
    def answer(request: Any) -> Answer:
        following = "one" if request.query.get("cursor") == "two" else "two"
        return hub_page("logs/a", Link=f'<{server.url}/x?cursor={following}>; rel="next"')

    with HttpServer(answer) as server:
        assert reason_of("hf", server.url) == "partial"


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("gs", google_page("logs/other/executor.json", "logs/job/completions/00000")),
        ("gs", google_page(prefixes=["logs/other", "logs/job"])),
        ("az", azure_page("logs/other/executor.json", "logs/job/completions/00000")),
    ],
    ids=["delimiter ignored", "no slash", "delimiter ignored by Azure"],
)
def test_what_lies_deeper_shows_its_folder_and_makes_no_job(scheme: str, answer: Answer) -> None:
    with HttpServer(lambda request: answer) as server:
        url, options_of = ADDRESSES[scheme]
        with closing(open_storage(url, options_of(server.url), 4)) as storage:
            folder = storage.list_folder((), with_subfolders=True)
    assert sorted(folder.subfolders) == ["job", "other"]
    assert not folder.has_executor_file


def test_completions_that_are_listed_and_show_nothing_are_no_zero() -> None:
    """A page that is empty and claims to be the last."""

    def answer(request: Any) -> Answer:
        if "completions" in request.query["prefix"]:
            return google_page()
        return google_page("logs/job/executor.json", prefixes=["logs/job/completions/"])

    with HttpServer(answer) as server:
        url, options_of = ADDRESSES["gs"]
        with closing(open_storage(url, options_of(server.url), 4)) as storage:
            folder = storage.list_folder(("job",), with_subfolders=True)
            assert failure(lambda: storage.look(("job",), folder)).reason == "partial"


def test_a_bucket_that_does_not_exist_is_not_found(
    google_server: GoogleServer, azure_server: AzureServer
) -> None:
    for url, options in (
        ("gs://no-such-bucket/logs", google_server.options()),
        ("az://no-such-container/logs", azure_server.options()),
    ):
        with closing(open_storage(url, options, 4)) as storage:
            error = failure(lambda: storage.list_folder((), with_subfolders=True))
            assert error.reason == "not_found"


def test_a_wrong_key_is_denied(azure_server: AzureServer) -> None:
    options = azure_server.options(key="Q0FOQVJZ")
    with closing(open_storage(f"az://{BUCKET}/logs", options, 4)) as storage:
        error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert error.reason == "denied"


def test_options_that_make_no_account_are_invalid_and_not_quoted() -> None:
    with closing(open_storage("az://bucket", {"connection_string": "CANARY"}, 4)) as storage:
        error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert error.reason == "invalid"
    assert "CANARY" not in str(error)


def test_an_ssh_server_that_cannot_be_used(sftp_server: FtpServer) -> None:
    (port,) = free_ports(1)
    wrong = {**sftp_server.options, "password": "CANARY"}
    for url, options, reason in (
        (sftp_server.url(""), wrong, "denied"),
        (f"sftp://{HOST}:{port}/", sftp_server.options, "unavailable"),
    ):
        with closing(open_storage(url, options, 4)) as storage:
            error = failure(lambda: storage.list_folder((), with_subfolders=True))
        assert error.reason == reason
        assert "CANARY" not in str(error)
