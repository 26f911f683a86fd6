"""What only S3 has: keys instead of folders, pages, credentials, and servers that err."""

import itertools
import json
import ssl
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Certificates
from support.jobs.asked import JobFolder
from support.servers import (
    BUCKET,
    HOST,
    Answer,
    HttpServer,
    Moto,
    Request,
    S3Server,
    free_ports,
    silent_server,
)
from support.storages.clouds import counted
from support.storages.in_memory_s3 import Objects

from exporter.config.settings import (
    RootConfig,
    StorageOptions,
)
from exporter.errors import Reason, StorageError
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import File, Folder, Version
from exporter.storage.s3.storage import S3Storage
from exporter.workers import Workers

LIMIT = 1000
CANARIES = {"key": "CANARYKEY", "secret": "CANARYSECRET", "token": "CANARYTOKEN"}
CALL_SECONDS = 20
"""No call takes longer, whatever the server does."""


def executor_file(tasks: int) -> bytes:
    """That of a local executor: nobody has to find out when it left its queue."""
    return b'{"start_method": "spawn", "world_size": %d}' % tasks


class Keys:
    """Writes keys below a prefix of its own."""

    _prefixes = (f"s3-{number}" for number in itertools.count())

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.prefix = next(self._prefixes)
        self.client = server.client()

    def put(self, *keys: str, data: bytes = b"") -> None:
        for key in keys:
            self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}", Body=data)

    def put_job(self, name: str, tasks: int = 4, completed: int = 2) -> None:
        self.put(f"{name}/executor.json", data=executor_file(tasks))
        self.put(*(f"{name}/completions/{rank:05d}" for rank in range(completed)))

    def open(self, path: str = "", **options: Any) -> S3Storage:
        url = "/".join(part for part in (f"s3://{BUCKET}", self.prefix, path) if part)
        return S3Storage(url, {**self.server.options, **options}, 16)


@pytest.fixture
def keys(s3_server: S3Server) -> Iterator[Keys]:
    """An empty prefix on SeaweedFS."""
    keys = Keys(s3_server)
    yield keys
    keys.client.close()


@pytest.fixture
def exact_keys(moto_server: Moto) -> Iterator[Keys]:
    """An empty prefix on moto, which keeps double slashes."""
    keys = Keys(moto_server)
    yield keys
    keys.client.close()


@pytest.fixture(params=["s3_server", "moto_server"])
def any_keys(request: pytest.FixtureRequest) -> Iterator[Keys]:
    """An empty prefix on each server in turn."""
    keys = Keys(request.getfixturevalue(request.param))
    yield keys
    keys.client.close()


def failure(call: Callable[[], object]) -> StorageError:
    """The error of a call; it must not show a secret."""
    with pytest.raises(StorageError) as caught:
        call()
    shown = "".join([*traceback.format_exception(caught.value), repr(caught.value)])
    assert "CANARY" not in shown
    assert "\n" not in caught.value.detail
    return caught.value


def calls_of(storage: S3Storage) -> dict[str, Callable[[], object]]:
    """Everything that can be asked."""
    return {
        "list_folder": lambda: storage.list_folder((), with_subfolders=True),
        "has_executor_file": lambda: storage.list_folder(("job",), with_subfolders=False),
        "look": lambda: storage.look(("job",), Folder((), has_executor_file=True)),
        "read_executor": JobFolder(storage, "job").read,
        "list_files": lambda: storage.list_files(("job",), "logs"),
        "read_part": lambda: storage.read_part(("job",), "executor.json", of_end=True),
        "read_file": lambda: storage.read_file(("job",), "executor.json", 1000),
    }


LISTINGS = ("list_folder", "has_executor_file", "look", "list_files")


# Keys


def test_directory_marker_keys_are_neither_jobs_nor_markers_nor_logs(any_keys: Keys) -> None:
    any_keys.put("", "job/", "job/completions/", "job/logs/", "folder/", "fake/executor.json/")
    any_keys.put_job("job", completed=1)
    with closing(any_keys.open()) as storage:
        assert set(storage.list_folder((), with_subfolders=True).subfolders) == {
            *("job", "folder", "fake")
        }
        assert storage.list_folder(("job",), with_subfolders=True).has_executor_file
        for with_subfolders in (True, False):
            folder = storage.list_folder(("fake",), with_subfolders=with_subfolders)
            assert not folder.has_executor_file
        markers = JobFolder(storage, "job").look().markers
        assert (list(markers.ranks), markers.others) == ([0], 1)
        any_keys.client.delete_object(Bucket=BUCKET, Key=f"{any_keys.prefix}/job/completions/00000")
        assert not JobFolder(storage, "job").has_logs()
        any_keys.put("job/logs/task_00000.log")
        assert JobFolder(storage, "job").has_logs()


def test_double_slashes_are_folders_without_a_name(exact_keys: Keys) -> None:
    """datatrove's minhash example writes its jobs below ``logs//signatures``."""
    exact_keys.put_job("logs//signatures", completed=3)
    exact_keys.put_job("logs/buckets", completed=1)
    with closing(exact_keys.open()) as storage:
        assert storage.list_folder((), with_subfolders=True).subfolders == ("logs",)
        below = storage.list_folder(("logs",), with_subfolders=True).subfolders
        assert sorted(below) == ["", "buckets"]
        assert storage.list_folder(("logs", ""), with_subfolders=True).subfolders == ("signatures",)
        path = ("logs", "", "signatures")
        assert storage.list_folder(path, with_subfolders=False).has_executor_file
        assert len(JobFolder(storage, *path).ranks()) == 3
    with closing(exact_keys.open("logs/")) as storage:
        assert storage.list_folder((), with_subfolders=True).subfolders == ("signatures",)
    with closing(exact_keys.open("logs//signatures")) as storage:
        assert len(JobFolder(storage).ranks()) == 3
    root = scan_once(config_of(exact_keys))
    assert [(job.name, job.reading.tasks_completed) for job in root.jobs if job.reading] == [
        ("logs//signatures", 3),
        ("logs/buckets", 1),
    ]


ODD_NAMES = [
    "a+b",
    "100%",
    "%41",
    "a&b=c",
    "a b",
    "é-日本-😀",
    "new\nline",
    "<&>'\"",
    "?#[x]*",
    "~",
]


def test_keys_with_odd_characters_stay_as_they_are(keys: Keys) -> None:
    for name in ODD_NAMES:
        keys.put_job(name, completed=1)
        keys.put(f"{name}/completions/{name}", f"{name}/inner {name}/file")
    with closing(keys.open()) as storage:
        assert sorted(storage.list_folder((), with_subfolders=True).subfolders) == sorted(ODD_NAMES)
        for name in ODD_NAMES:
            folder = storage.list_folder((name,), with_subfolders=True)
            assert sorted(folder.subfolders) == sorted(["completions", f"inner {name}"])
            assert folder.has_executor_file
            assert storage.list_folder((name,), with_subfolders=False).has_executor_file
            job = JobFolder(storage, name)
            assert job.read() == executor_file(4)
            markers = job.look().markers
            assert (list(markers.ranks), markers.others) == ([0], 1)
    for name in ODD_NAMES:
        with closing(keys.open(name)) as storage:
            assert storage.list_folder((), with_subfolders=True).has_executor_file


def test_a_prefix_is_not_taken_for_a_folder(keys: Keys) -> None:
    """``job`` must not see the keys of ``job2`` and ``job-old``."""
    keys.put_job("job", completed=1)
    keys.put_job("job2", completed=4)
    keys.put("job/completions2/00002", "job/completions-old/00003", "job/logs2/x", "jo")
    with closing(keys.open("job")) as storage:
        assert storage.list_folder((), with_subfolders=True).has_executor_file
        markers = JobFolder(storage).look().markers
        assert (list(markers.ranks), markers.others) == ([0], 0)


def test_listings_of_several_pages_are_whole(keys: Keys) -> None:
    ranks = [*range(2050), 100_000, 123_456]
    names = [f"{rank:05d}" for rank in ranks]
    keys.put_job("job", tasks=200_000, completed=0)
    folders = [f"folder-{number}" for number in range(1050)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: keys.put(f"job/completions/{name}"), names))
        list(threads.map(lambda name: keys.put(f"many/{name}/file"), folders))
    with closing(keys.open()) as storage:
        markers = storage.look(("job",), Folder((), has_executor_file=True)).markers
        assert list(markers.ranks) == ranks
        assert markers.modified_ns is not None
        assert len(markers.modified_ns) == len(names)
        assert dict(storage.requests.totals())["list"] == 4  # one beyond the end
        found = storage.list_folder(("many",), with_subfolders=True).subfolders
        assert sorted(found) == sorted(folders)
        # The first: it might be a job. The last: to prove that no folder was left out.
        assert dict(storage.requests.totals())["list"] == 8


# Who may


@pytest.mark.parametrize("with_subfolders", [True, False])
def test_a_missing_bucket_is_not_found(any_keys: Keys, with_subfolders: bool) -> None:
    for url in ("s3://no-such-bucket", "s3://no-such-bucket/logs"):
        with closing(S3Storage(url, any_keys.server.options, 4)) as storage:
            error = failure(lambda s=storage: s.list_folder((), with_subfolders=with_subfolders))
            assert error.reason == "not_found"


@pytest.mark.parametrize("wrong", [("key",), ("secret",), ("key", "secret"), ("token",)])
def test_wrong_credentials_are_denied(any_keys: Keys, wrong: tuple[str, ...]) -> None:
    any_keys.put_job("job")
    options = {**any_keys.server.options, **{name: CANARIES[name] for name in wrong}}
    if wrong == ("token",):
        options |= CANARIES
    with closing(any_keys.open(**options)) as storage:
        for name, call in calls_of(storage).items():
            assert failure(call).reason == "denied", name


def test_no_credentials_at_all_are_denied_before_anything_is_sent(s3_server: S3Server) -> None:
    options = {"endpoint_url": s3_server.endpoint_url}
    with closing(S3Storage(f"s3://{BUCKET}", options, 4)) as storage:
        for call in calls_of(storage).values():
            error = failure(call)
            assert (error.reason, error.detail) == (
                "denied",
                "no credentials found (environment, ~/.aws, storage_options)",
            )
        assert {count for _, count in storage.requests.totals()} == {0}


def test_anonymous_access_that_is_not_allowed_is_denied(keys: Keys) -> None:
    options = {"endpoint_url": keys.server.endpoint_url, "anon": True}
    with closing(S3Storage(f"s3://{BUCKET}", options, 4)) as storage:
        for name, call in calls_of(storage).items():
            assert failure(call).reason == "denied", name


def test_anonymous_access_that_is_allowed_signs_nothing() -> None:
    objects = Objects()
    objects.put("logs/job/executor.json", b'{"world_size": 4}')
    objects.put("logs/job/completions/00001")

    def answer(request: Request) -> Answer:
        is_signed = "Authorization" in request.headers or "X-Amz-Signature" in request.query
        return Answer(403, error_body("AccessDenied")) if is_signed else objects.answer(request)

    with HttpServer(answer) as server:
        options = {"endpoint_url": server.url, "anon": True}
        with closing(S3Storage("s3://bucket/logs", options, 4)) as storage:
            assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)
            assert JobFolder(storage, "job").ranks() == [1]
            assert JobFolder(storage, "job").read() == b'{"world_size": 4}'
        with closing(S3Storage("s3://bucket/logs", {**options, "anon": False, **CANARIES}, 4)) as s:
            assert failure(lambda: s.list_folder((), with_subfolders=True)).reason == "denied"


def test_who_pays_for_requests_says_so_in_each_of_them(exact_keys: Keys) -> None:
    """moto does not know of such buckets: what AWS refuses, is refused before it."""
    exact_keys.put_job("job")
    with counted(int(exact_keys.server.endpoint_url.rpartition(":")[2])) as moto:

        def answer(request: Request) -> Answer:
            if request.headers.get("x-amz-request-payer") != "requester":
                return Answer(403, error_body("AccessDenied"), XML)
            return moto.answer(request)

        with HttpServer(answer) as server:
            pays = {"endpoint_url": server.url, "requester_pays": True}
            with closing(exact_keys.open(**pays)) as storage:
                assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)
                for name, call in calls_of(storage).items():
                    assert call() is not None, name
                assert JobFolder(storage, "job").ranks() == [0, 1]
                assert_counts_are_right(storage, server)
            with closing(exact_keys.open(**pays | {"requester_pays": False})) as storage:
                for name, call in calls_of(storage).items():
                    assert failure(call).reason == "denied", name


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "datatrove-exporter/"), ({"config_kwargs": {"user_agent": "team-nine"}}, "team-nine")],
)
def test_the_log_of_a_server_can_tell_who_asks(options: dict[str, object], name: str) -> None:
    with HttpServer(lambda _: Answer(403, error_body("AccessDenied"), XML)) as server:
        connection = {"endpoint_url": server.url, "key": "any", "secret": "any"}
        with closing(S3Storage("s3://bucket/logs", {**connection, **options}, 4)) as storage:
            assert failure(lambda: storage.list_folder((), with_subfolders=True))
        asked_by = {request.headers.get("User-Agent", "") for request in server.received}
    assert asked_by
    assert all(value.startswith(name) for value in asked_by), asked_by


def credentials_of(server: S3Server) -> str:
    return f"aws_access_key_id = {server.key}\naws_secret_access_key = {server.secret}\n"


@pytest.fixture
def profiles(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS' two files, in which the profile ``default`` may not look at anything."""
    wrong = credentials_of(replace(keys.server, key=CANARIES["key"], secret=CANARIES["secret"]))
    issued = {
        "Version": 1,
        "AccessKeyId": keys.server.key,
        "SecretAccessKey": keys.server.secret,
    }
    (tmp_path / "issued.json").write_text(json.dumps(issued))
    (tmp_path / "credentials").write_text(
        f"[default]\n{wrong}\n[shared]\n{credentials_of(keys.server)}\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion = us-east-1\n"
        f"[profile configured]\nregion = us-east-1\nendpoint_url = {keys.server.endpoint_url}\n"
        f"{credentials_of(keys.server)}"
        f"[profile issued]\ncredential_process = cat {tmp_path}/issued.json\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize("profile", ["shared", "configured", "issued"])
def test_a_profile_is_looked_up_in_the_files_of_aws(keys: Keys, profile: str) -> None:
    keys.put_job("job")
    options: dict[str, Any] = {"profile": profile}
    if profile != "configured":  # has the address, too
        options["endpoint_url"] = keys.server.endpoint_url
    with closing(S3Storage(f"s3://{BUCKET}/{keys.prefix}", options, 4)) as storage:
        assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)
        assert JobFolder(storage, "job").ranks() == [0, 1]


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("profile", "detail"),
    [(None, "InvalidAccessKeyId"), ("missing", "the AWS profile does not exist")],
)
def test_another_profile_is_never_taken_in_its_place(
    keys: Keys, profile: str | None, detail: str
) -> None:
    keys.put_job("job")
    options: dict[str, Any] = {"endpoint_url": keys.server.endpoint_url}
    if profile is not None:
        options["profile"] = profile
    with closing(S3Storage(f"s3://{BUCKET}/{keys.prefix}", options, 4)) as storage:
        error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert error.reason == "denied"
    assert detail in error.detail


def test_an_object_one_may_not_look_at_is_not_a_missing_one(exact_keys: Keys) -> None:
    """Allowed to list, not to read: a scan looks at listings until it has to read."""
    exact_keys.put_job("job")
    assert isinstance(exact_keys.server, Moto)
    with closing(exact_keys.open(**exact_keys.server.lister.options)) as storage:
        assert storage.list_folder(("job",), with_subfolders=True).has_executor_file
        assert JobFolder(storage, "job").ranks() == [0, 1]
        assert failure(JobFolder(storage, "job").read).reason == "denied"


def test_credentials_that_were_replaced_on_disk_are_used(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short-lived credentials are rewritten all the time while the exporter runs."""
    file = tmp_path / "credentials"

    def write(server: S3Server) -> None:
        file.write_text(
            f"[default]\naws_access_key_id = {server.key}\n"
            f"aws_secret_access_key = {server.secret}\n"
        )

    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    keys.put_job("job")
    url, options = f"s3://{BUCKET}/{keys.prefix}", {"endpoint_url": keys.server.endpoint_url}
    with closing(S3Storage(url, options, 4)) as storage:
        write(replace(keys.server, key=CANARIES["key"]))
        assert failure(lambda: storage.list_folder((), with_subfolders=True)).reason == "denied"
        write(keys.server)
        assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)


def test_a_name_that_no_bucket_can_have_is_invalid(s3_server: S3Server) -> None:
    with closing(S3Storage("s3://not a bucket/logs", s3_server.options, 4)) as storage:
        for call in calls_of(storage).values():
            assert failure(call).reason == "invalid"


# Servers that err


XML = {"Content-Type": "application/xml"}
_HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def page(*keys: str, is_truncated: str | None = "false", token: str = "") -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        '<ETag>"0"</ETag><Size>0</Size></Contents>'
        for key in keys
    )
    truncated = f"<IsTruncated>{is_truncated}</IsTruncated>" if is_truncated else ""
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f'<ListBucketResult xmlns="{namespace}">{truncated}{more}{contents}</ListBucketResult>'
    return _HEADER + body.encode()


def error_body(code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>CANARY words of the server</Message></Error>"
    return _HEADER + body.encode()


PAGE_TIME_NS = 1_767_225_600 * 10**9  # of every key on a `page`

WHOLE_PAGE = page("logs/job/completions/00000", "logs/job/completions/00001")


def storage_on(server: HttpServer, **options: Any) -> S3Storage:
    options = {"endpoint_url": server.url, **CANARIES, **options}
    return S3Storage("s3://bucket/logs", options, 4)


def count_received(server: HttpServer) -> Counter[str]:
    """What the server saw, by our names for operations."""
    return Counter(
        "list" if "list-type" in request.query else request.method.lower()
        for request in server.received
    )


def assert_counts_are_right(storage: S3Storage, server: HttpServer) -> None:
    assert {op: n for op, n in storage.requests.totals() if n} == dict(count_received(server))


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        pytest.param(Answer(200, b""), {"partial", "unavailable"}, id="empty"),
        pytest.param(Answer(200, b"<html><body>Welcome</body></html>"), {"partial"}, id="HTML"),
        # What is no XML to its end, botocore takes for an error of the server: 500.
        pytest.param(Answer(200, b"It works!"), {"unavailable"}, id="text"),
        pytest.param(Answer(200, b'{"Contents": []}'), {"unavailable"}, id="JSON"),
        pytest.param(Answer(200, WHOLE_PAGE[:-80]), {"unavailable"}, id="XML that ends too early"),
        pytest.param(
            Answer(200, WHOLE_PAGE[:-80], missing_bytes=80), {"partial", "unavailable"}, id="cut"
        ),
        pytest.param(Answer(200, _HEADER + b"<Other/>"), {"partial"}, id="other XML"),
        pytest.param(
            Answer(200, page("logs/job/completions/00000", is_truncated=None)),
            {"partial"},
            id="a page that does not say whether it is the last",
        ),
        pytest.param(
            Answer(200, page("logs/job/completions/00000", is_truncated="true")),
            {"partial"},
            id="more to come, but not where",
        ),
        pytest.param(
            Answer(200, page("logs/job/completions/00000", is_truncated="true", token="same")),
            {"partial"},
            id="the same continuation for ever",
        ),
        pytest.param(
            Answer(200, WHOLE_PAGE.replace(b"2026-01-01T00:00:00.000Z", b"yesterday, or so")),
            {"partial"},
            id="a time that is none",
        ),
        pytest.param(
            Answer(200, WHOLE_PAGE.replace(b"2026-01-01T00:00:00.000Z", b"")),
            {"partial"},
            id="an empty time",
        ),
        pytest.param(Answer(200, error_body("InternalError")), {"unavailable"}, id="error in 200"),
        pytest.param(Answer(200, error_body("SlowDown")), {"throttled"}, id="SlowDown in 200"),
    ],
)
def test_an_answer_that_is_no_whole_listing_is_an_error(
    answer: Answer, reasons: set[Reason]
) -> None:
    with HttpServer(lambda _: replace(answer, headers=XML)) as server:
        with closing(storage_on(server)) as storage:
            for name in LISTINGS:
                assert failure(calls_of(storage)[name]).reason in reasons, name
            assert_counts_are_right(storage, server)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (503, "SlowDown", "throttled"),
        (429, "TooManyRequests", "throttled"),
        (400, "RequestLimitExceeded", "throttled"),
        (500, "InternalError", "unavailable"),
        (503, "ServiceUnavailable", "unavailable"),
        (502, "", "unavailable"),
        (504, "", "timeout"),
        (400, "RequestTimeout", "timeout"),
        (403, "AccessDenied", "denied"),
        (403, "RequestTimeTooSkewed", "denied"),
        (401, "Unauthorized", "denied"),
        (400, "ExpiredToken", "denied"),
        (400, "InvalidToken", "denied"),
        (404, "NoSuchBucket", "not_found"),
        (418, "CANARY-\n-Teapot", "other"),
    ],
)
def test_an_error_is_classified_by_what_the_server_says(
    status: int, code: str, reason: Reason
) -> None:
    body = error_body(code) if code else b"<html>Bad Gateway</html>"
    with HttpServer(lambda _: Answer(status, body, XML)) as server:
        with closing(storage_on(server)) as storage:
            calls = calls_of(storage)
            for name in (*LISTINGS, "read_executor", "read_part", "read_file"):
                with pytest.raises(StorageError) as caught:
                    calls[name]()
                assert caught.value.reason == reason, name
                assert "CANARYSECRET" not in str(caught.value)
                assert "\n" not in str(caught.value)
            assert_counts_are_right(storage, server)


def test_a_request_that_succeeds_at_the_second_attempt_counts_twice() -> None:
    whole = page("logs/executor.json")
    answers = iter([Answer(503, error_body("SlowDown"), XML), Answer(200, whole, XML)])
    with HttpServer(lambda _: next(answers)) as server, closing(storage_on(server)) as storage:
        assert storage.list_folder((), with_subfolders=False).has_executor_file
        assert storage.requests.totals() == (("list", 2), ("get", 0))
        assert_counts_are_right(storage, server)


def test_a_page_that_fails_is_asked_for_again_and_only_that_page() -> None:
    first = page("logs/job/logs/a", is_truncated="true", token="next")
    second = page("logs/job/logs/b")
    answers = iter([Answer(200, first), Answer(500, error_body("InternalError")), Answer(200, b"")])
    with HttpServer(lambda _: next(answers, Answer(200, second))) as server:
        with closing(storage_on(server)) as storage:
            failure(lambda: storage.list_files(("job",), "logs"))
            answers = iter([Answer(200, first), Answer(500, error_body("InternalError"))])
            assert storage.list_files(("job",), "logs") == [
                File("a", PAGE_TIME_NS),
                File("b", PAGE_TIME_NS),
            ]
            tokens = [request.query.get("continuation-token") for request in server.received]
            # Two keys do not tell their order: the last page has to prove that it is the last.
            assert tokens == [None, "next", "next", None, "next", "next", "next"]
            assert_counts_are_right(storage, server)


def test_redirects_without_end_are_an_error() -> None:
    headers = {**XML, "x-amz-bucket-region": "eu-west-1"}
    with HttpServer(lambda _: Answer(301, error_body("PermanentRedirect"), headers)) as server:
        with closing(storage_on(server)) as storage:
            for call in calls_of(storage).values():
                with pytest.raises(StorageError) as caught:
                    call()
                assert caught.value.reason == "other"
            assert_counts_are_right(storage, server)


def test_redirects_that_do_not_say_where_to_are_asked_about_little() -> None:
    """botocore looks for the bucket's region by a HEAD. That is answered the same, and is not
    followed by others."""
    answer = Answer(301, error_body("PermanentRedirect"), XML)
    with HttpServer(lambda _: answer) as server:
        with closing(storage_on(server)) as storage:
            calls = calls_of(storage)
            assert {failure(call).reason for call in calls.values()} == {"other"}
        heads = [request for request in server.received if request.method == "HEAD"]
        assert len(heads) <= 2 * len(calls)


def test_half_an_executor_file_is_an_error() -> None:
    """On S3 an object is written at once; half of one is half an answer."""
    half = Answer(200, b'{"world_size": 4', {"ETag": '"0"'}, missing_bytes=10)
    with HttpServer(lambda _: half) as server, closing(storage_on(server)) as storage:
        error = failure(JobFolder(storage, "job").read)
        assert error.reason in ("partial", "unavailable")


def test_a_file_that_is_too_large_is_not_read() -> None:
    """The server announces a terabyte and sends none of it."""
    headers = {"ETag": '"0"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    large = Answer(200, b"", headers, missing_bytes=10**12, hangs=True)
    with HttpServer(lambda _: large) as server, closing(storage_on(server)) as storage:
        assert failure(JobFolder(storage, "job").read).reason == "too_large"


def test_an_object_without_entity_tag_or_time_is_never_the_same() -> None:
    with HttpServer(lambda _: Answer(200)) as server, closing(storage_on(server)) as storage:
        version, _ = storage.read_executor(("job",), Version(None, None), LIMIT)
        assert version.modified_ns is None
        assert not version.is_same(version)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    (port,) = free_ports(1)
    options = {"endpoint_url": f"http://{HOST}:{port}", **CANARIES}
    with closing(S3Storage("s3://bucket/logs", options, 4)) as storage:
        for name, call in calls_of(storage).items():
            assert failure(call).reason == "unavailable", name
        assert all(count > 0 for _, count in storage.requests.totals())


@pytest.mark.parametrize(
    ("wrong", "reason", "says"),
    [
        ({"endpoint_url": "{host}"}, "invalid", "the endpoint is no URL such as https://HOST:PORT"),
        (
            {"endpoint_url": "https://{host}"},
            "unavailable",
            "no TLS with this server; does it speak plain HTTP?",
        ),
        (
            {"endpoint_url": "http://no-such-host.invalid"},
            "unavailable",
            "the host name cannot be resolved",
        ),
        ({"secrett": "CANARY"}, "invalid", "storage_options: unknown option secrett"),
        (
            {"client_kwargs": {"region": "CANARY"}},
            "invalid",
            "storage_options: unknown option region",
        ),
        ({"client_kwargs": {"region_name": "eu west"}}, "invalid", "no valid name of a region"),
        ({"client_kwargs": "CANARY"}, "other", "an unknown error (AttributeError)"),
    ],
)
def test_what_is_configured_wrongly_is_said(wrong: dict[str, Any], reason: str, says: str) -> None:
    with HttpServer(lambda _: Answer(200)) as server:
        options = {"endpoint_url": server.url, **CANARIES, **wrong}
        host = server.url.partition("://")[2]
        options["endpoint_url"] = options["endpoint_url"].replace("{host}", host)
        with closing(S3Storage("s3://bucket/logs", options, 4)) as storage:
            error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert (error.reason, error.detail) == (reason, says)


def test_a_certificate_that_nobody_vouches_for_is_said_to_be_one(tmp_path: Path) -> None:
    certificate, key = Certificates(tmp_path).issue("server", HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HttpServer(lambda _: Answer(200), tls=context) as server:
        options = {"endpoint_url": server.url, **CANARIES}
        with closing(S3Storage("s3://bucket/logs", options, 4)) as storage:
            error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert error.detail == "the server's certificate is not trusted"


# Servers that hang. Every call has to run into its own limit, so they all run from the
# start of this module, beside the other tests.


class _Hang:
    """One call, made in a thread of its own."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.outcome: Future[object] = Future()
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            result = call()
        except BaseException as error:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


@pytest.fixture(scope="module", autouse=True)
def hanging_calls() -> Iterator[dict[str, _Hang]]:
    """Calls to a server that says nothing, and to one that stops in the middle."""
    calls: dict[str, _Hang] = {}
    half = Answer(200, WHOLE_PAGE[:50], {**XML, "ETag": '"0"'}, missing_bytes=100, hangs=True)
    with ExitStack() as stack:
        options = {"endpoint_url": stack.enter_context(silent_server()), **CANARIES}
        silent = stack.enter_context(closing(S3Storage("s3://bucket/logs", options, 16)))
        server = stack.enter_context(HttpServer(lambda _: half))
        # With as many connections as calls: one that waits for another's is not yet made.
        options = {"endpoint_url": server.url, **CANARIES}
        stopping = S3Storage("s3://bucket/logs", options, 16)
        stack.enter_context(closing(stopping))
        for name, call in calls_of(silent).items():
            calls[f"silent {name}"] = _Hang(call)
        for name in (*LISTINGS, "read_executor", "read_part", "read_file"):
            calls[f"stopping {name}"] = _Hang(calls_of(stopping)[name])
        yield calls


# From end to end


def config_of(keys: Keys, **changes: Any) -> RootConfig:
    options = StorageOptions(keys.server.options)
    config = RootConfig("s3", f"s3://{BUCKET}/{keys.prefix}", storage_options=options)
    return replace(config, **changes)


def scan_once(config: RootConfig) -> Root:
    workers = Workers(8)
    (root,) = Scheduler([config], Latest(), workers).run_once().roots
    workers.close()
    return root


def test_a_scheduler_sees_the_right_numbers_and_every_change(keys: Keys) -> None:
    keys.put_job("a", tasks=4, completed=3)
    keys.put("a/completions/00009", "a/completions/", "a/logs/task_00000.log", "a/stats/x/y")
    keys.put_job("a/inner", tasks=2, completed=2)
    keys.put_job("logs/2026-01-01/queued", tasks=5, completed=0)
    keys.put_job("a/completions/no-job", tasks=100, completed=0)
    keys.put("broken/executor.json", data=b'{"world_size": ')
    keys.put("no-job/completions/00000", "file")

    workers, latest = Workers(8), Latest()
    config = config_of(keys, completed_scan_interval_seconds=0.0)
    scheduler = Scheduler([config], latest, workers)
    (root,) = scheduler.run_once().roots
    assert (root.up, root.error) == (True, None)
    jobs = {job.name: job for job in root.jobs}
    assert sorted(jobs) == ["a", "a/inner", "broken", "logs/2026-01-01/queued"]
    assert jobs["broken"].error == "invalid"
    assert jobs["broken"].reading is None
    readings = {name: job.reading for name, job in jobs.items() if job.reading}
    assert {
        name: (r.tasks, r.tasks_completed, r.stray_markers, r.started)
        for name, r in readings.items()
    } == {
        "a": (4, 3, 3, True),
        "a/inner": (2, 2, 0, True),
        "logs/2026-01-01/queued": (5, 0, 0, False),
    }
    launched = readings["a"].launch_timestamp
    last_completion = readings["a"].last_completion_timestamp
    assert launched is not None
    assert last_completion is not None
    assert time.time() - 60 < launched <= last_completion < time.time() + 2
    assert root.totals is not None
    assert (root.totals.jobs, root.totals.jobs_completed, root.totals.jobs_unreadable) == (4, 1, 1)
    assert (root.totals.tasks, root.totals.tasks_completed) == (11, 5)

    keys.put("a/completions/00003")
    keys.put_job("broken", tasks=1, completed=1)
    before = dict(root.requests)
    (root,) = scheduler.run_once().roots
    readings = {job.name: job.reading for job in root.jobs if job.reading}
    assert {name: reading.tasks_completed for name, reading in readings.items()} == {
        "a": 4,
        "a/inner": 2,
        "broken": 1,
        "logs/2026-01-01/queued": 0,
    }
    after = dict(root.requests)
    assert after["get"] - before["get"] == 1  # only `broken` was written again
    workers.close()


def test_a_scheduler_tells_a_denied_root_from_an_empty_one(keys: Keys) -> None:
    root = scan_once(config_of(keys))
    assert (root.up, root.totals and root.totals.jobs) == (True, 0)
    wrong = StorageOptions({**keys.server.options, "secret": CANARIES["secret"]})
    root = scan_once(config_of(keys, storage_options=wrong))
    assert (root.up, root.totals) == (False, None)
    assert dict(root.errors)["root", "denied"] == 1
    assert "CANARY" not in repr(root)


def test_a_mistyped_prefix_is_said_to_have_nothing_below_it(keys: Keys) -> None:
    keys.put_job("logs/job")
    config = config_of(keys)
    root = scan_once(replace(config, url=f"{config.url}/logz"))
    assert (root.up, root.totals and root.totals.jobs) == (True, 0)
    place = f"s3://{BUCKET}/{keys.prefix}/logz"
    assert root.missed == (f"nothing lies below {place}: is that how it is spelled?",)
    assert scan_once(replace(config, url=f"{config.url}/logs")).missed == ()


def test_folders_at_the_maximum_depth_that_hold_more_cost_one_listing_each(keys: Keys) -> None:
    """A hundred of them at most, until it is time to look again. A job's own folders are none."""
    for number in range(120):
        keys.put_job(f"dump-{number:03d}/stage/job", completed=1)
    keys.put_job("job")
    config = config_of(keys, max_depth=1)
    scheduler = Scheduler([config], Latest(), Workers(4))
    (first,) = scheduler.run_once().roots
    assert (first.totals and first.totals.jobs, first.folders_unsearched) == (1, 100)
    assert first.missed[0].startswith("at least 100 folders at max_depth 1 hold more")
    assert "such as dump-" in first.missed[0]
    (second,) = scheduler.run_once().roots
    (third,) = scheduler.run_once().roots
    assert third.folders_unsearched == 100
    lists = [dict(root.requests)["list"] for root in (first, second, third)]
    assert lists[2] - lists[1] == lists[1] - lists[0] <= len(second.jobs) + 121, "none searches"


@pytest.mark.parametrize("max_depth", [0, 3])
def test_a_scheduler_tells_a_missing_bucket_from_an_empty_one(keys: Keys, max_depth: int) -> None:
    config = config_of(keys, url="s3://no-such-bucket/logs", max_depth=max_depth)
    root = scan_once(config)
    assert (root.up, root.totals) == (False, None)
    assert dict(root.errors)["root", "not_found"] == 1


def test_calls_to_a_server_that_hangs_end_within_their_limit(
    hanging_calls: dict[str, _Hang],
) -> None:
    """Last in this module: these calls run since its beginning."""
    assert len(hanging_calls) == 14
    for name, hang in hanging_calls.items():
        error = failure(lambda hang=hang: hang.outcome.result(3 * CALL_SECONDS))
        assert error.reason == "timeout", name
