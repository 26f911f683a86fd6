"""One suite for every backend: what storage/base.py promises, on real storage."""

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support.jobs.asked import JobFolder
from support.servers import FTP_BUSY, FTP_UNLISTABLE, FtpServer, ftp, wait_until
from support.storages.backends import (
    OBJECT_STORES,
    Backend,
    FolderBackend,
    HuggingFaceBackend,
    MemoryBackend,
    failure,
    write_small_job,
)

from exporter.storage import open_storage
from exporter.storage.base import PART_BYTES, Storage, Version
from exporter.storage.filesystems.generic import GenericStorage
from exporter.storage.hdfs.storage import HdfsStorage
from exporter.storage.s3.storage import S3Storage

LIMIT = 1000

# Folders


@pytest.mark.parametrize("with_subfolders", [True, False], ids=["listed", "only looked at"])
@pytest.mark.parametrize(
    ("path", "subfolders", "has_executor_file"),
    [
        ((), {"a", "plain"}, False),
        (("a",), {"completions", "inner"}, True),
        (("a", "completions"), set(), False),
        (("a", "inner"), set(), True),
        (("plain",), {"deep"}, False),
        (("plain", "deep"), {"job"}, False),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else "",
)
def test_a_listing_tells_subfolders_and_whether_there_is_an_executor_file(
    backend: Backend,
    storage: Storage,
    path: tuple[str, ...],
    subfolders: set[str],
    has_executor_file: bool,
    with_subfolders: bool,
) -> None:
    write_small_job(backend, "a")
    write_small_job(backend, "a/inner", completed=0)
    write_small_job(backend, "plain/deep/job", completed=0)
    for path_of_a_file in ("a.json", "plain/executor.json.tmp", "plain/deep/my-executor.json"):
        backend.write(path_of_a_file, b"{}")
    folder = storage.list_folder(path, with_subfolders=with_subfolders)
    assert folder.has_executor_file is has_executor_file
    assert sorted(folder.subfolders) == (sorted(subfolders) if with_subfolders else [])


def test_the_root_itself_can_be_a_job(backend: Backend, storage: Storage) -> None:
    backend.write("executor.json", b'{"world_size": 4}')
    backend.write("completions/00003")
    assert storage.list_folder((), with_subfolders=True).has_executor_file
    assert storage.list_folder((), with_subfolders=False).has_executor_file
    assert JobFolder(storage).ranks() == [3]
    assert JobFolder(storage).read() == b'{"world_size": 4}'


@pytest.mark.parametrize("with_subfolders", [True, False])
def test_a_folder_named_executor_json_makes_no_job(
    backend: Backend, storage: Storage, with_subfolders: bool
) -> None:
    backend.write("job/executor.json/file", b"{}")
    assert not storage.list_folder(("job",), with_subfolders=with_subfolders).has_executor_file
    error = failure(JobFolder(storage, "job").read)
    assert error.reason in ("not_found", "invalid")


@pytest.mark.parametrize("with_subfolders", [True, False])
def test_a_root_that_does_not_exist_is_not_found_unless_the_storage_has_no_folders(
    backend: Backend, storage: Storage, with_subfolders: bool
) -> None:
    with closing(open_storage(f"{backend.url}-not", backend.options, 16)) as missing:
        if backend.url.startswith(OBJECT_STORES):
            folder = missing.list_folder((), with_subfolders=with_subfolders)
            assert (folder.subfolders, folder.has_executor_file) == ((), False)
        else:
            error = failure(lambda: missing.list_folder((), with_subfolders=with_subfolders))
            assert error.reason == "not_found"


def test_a_folder_that_is_a_file_is_never_an_empty_folder(
    backend: Backend, storage: Storage
) -> None:
    backend.write("job")
    if isinstance(storage, S3Storage):  # where `job` and `job/…` have nothing in common
        assert storage.list_folder(("job",), with_subfolders=True).subfolders == ()
    else:
        error = failure(lambda: storage.list_folder(("job",), with_subfolders=True))
        assert error.reason in ("invalid", "not_found")


ODD_NAMES = ["a b", "100%", "%41", "a+b&c=d", "[x]*?", "#1", "~", ".hidden", "'\"", "日本-é-😀"]


def test_folder_names_stay_as_they_are(backend: Backend, storage: Storage) -> None:
    names = ODD_NAMES
    if backend.url.startswith("webhdfs:"):  # Hadoop before 3.2 decodes its URLs twice
        names = [name for name in ODD_NAMES if not set(name) & set("%+")]
    for name in names:
        write_small_job(backend, f"{name}/{name}", completed=1)
    assert sorted(storage.list_folder((), with_subfolders=True).subfolders) == sorted(names)
    for name in names:
        assert storage.list_folder((name,), with_subfolders=True).subfolders == (name,)
        assert storage.list_folder((name, name), with_subfolders=False).has_executor_file
        assert JobFolder(storage, name, name).read() == b'{"world_size": 4}'
        assert JobFolder(storage, name, name).ranks() == [0]


def test_object_stores_tell_subfolders_with_one_request(backend: Backend, storage: Storage) -> None:
    if not storage.is_object_store:
        return
    write_small_job(backend, "dump/a/job")
    write_small_job(backend, "dump/b/job")
    backend.write("dump/file")
    storage.list_folder((), with_subfolders=True)
    before = dict(storage.requests.totals())["list"]
    assert sorted(storage.some_subfolders(("dump",))) == ["a", "b"]
    assert dict(storage.requests.totals())["list"] == before + 1


# Every call looks afresh


def test_every_change_is_seen_at_the_next_call(backend: Backend, storage: Storage) -> None:
    """Also when someone in this process uses the same filesystem with its caches on."""
    options = {key: value for key, value in backend.options.items() if key != "use_listings_cache"}
    caching, root = fsspec.url_to_fs(backend.url, **options)

    def remember_everything() -> None:
        caching.find(root)
        for folder in ("", "/job", "/job/completions", "/job/logs"):
            caching.exists(f"{root}{folder}")
            if caching.isdir(f"{root}{folder}"):
                caching.ls(f"{root}{folder}", detail=True)
        storage.list_folder((), with_subfolders=True)
        storage.list_folder(("job",), with_subfolders=True)

    write_small_job(backend, "job")
    remember_everything()
    job = JobFolder(storage, "job")
    version = job.version()

    backend.write("job/completions/00003")
    assert job.ranks() == [0, 1, 3]
    remember_everything()
    backend.delete("job/completions/00001")
    assert job.ranks() == [0, 3]
    remember_everything()
    backend.write("job/executor.json", b'{"world_size": 16}')
    assert not job.version().is_same(version)
    assert job.read() == b'{"world_size": 16}'
    backend.delete_all("job/completions")
    assert not job.has_logs()
    remember_everything()
    backend.write("job/logs/task_00000.log", b"log")
    assert job.has_logs()
    assert log_names(storage, "job") == ["task_00000.log"]
    remember_everything()
    write_small_job(backend, "new/job")
    assert sorted(storage.list_folder((), with_subfolders=True).subfolders) == ["job", "new"]
    assert storage.list_folder(("new", "job"), with_subfolders=False).has_executor_file
    remember_everything()
    backend.delete_all("job")
    assert storage.list_folder((), with_subfolders=True).subfolders == ("new",)
    assert failure(job.look).reason == "not_found"
    if isinstance(caching, fsspec.get_filesystem_class("ftp")):
        caching.ftp.close()


# executor.json


def test_a_version_is_the_same_until_the_file_is_written_again(
    backend: Backend, storage: Storage
) -> None:
    write_small_job(backend, "job", tasks=4)
    job = JobFolder(storage, "job")
    first = job.version()
    with_content, data = storage.read_executor(("job",), first, LIMIT)
    assert data == b'{"world_size": 4}'
    assert with_content.is_same(first)
    assert job.version().is_same(first)
    assert not first.is_same(None)

    write_small_job(backend, "job", tasks=5)
    second = job.version()
    with_content, data = storage.read_executor(("job",), second, LIMIT)
    assert data == b'{"world_size": 5}'
    assert with_content.is_same(second)
    assert not second.is_same(first)


def test_a_launch_with_the_same_content_is_another_version(
    backend: Backend, storage: Storage
) -> None:
    write_small_job(backend, "job")
    first = JobFolder(storage, "job").version()
    # Most storage tells whole seconds: write again in another one.
    written = backend.modified("job/executor.json")
    wait_until(lambda: time.time() >= int(written) + 1.01, "the next second")
    write_small_job(backend, "job")
    assert not JobFolder(storage, "job").version().is_same(first)


def test_a_version_without_token_is_equal_to_nothing() -> None:
    unknown = Version(None, 1)
    assert not unknown.is_same(unknown)


def test_a_file_as_large_as_the_limit_is_read_and_a_larger_one_is_not(
    backend: Backend, storage: Storage
) -> None:
    large = b" " * 300_000
    backend.write("job/executor.json", large)
    job = JobFolder(storage, "job")
    assert job.read(len(large)) == large
    for limit in (len(large) - 1, 10):
        assert failure(lambda limit=limit: job.read(limit)).reason == "too_large"
    # Nothing is left behind that the next call stumbles over.
    assert job.read(len(large)) == large
    assert storage.list_folder(("job",), with_subfolders=True).has_executor_file


@pytest.mark.parametrize("backend", ["memory", "ftp"], indirect=True)
def test_a_file_that_the_listing_shows_to_be_too_large_is_not_read(
    backend: Backend, storage: Storage
) -> None:
    backend.write("job/executor.json", b" " * 100)
    seen = JobFolder(storage, "job").version()
    assert failure(lambda: storage.read_executor(("job",), seen, 99)).reason == "too_large"
    assert dict(storage.requests.totals())["read"] == 0


def test_an_empty_executor_file_is_read_as_it_is(backend: Backend, storage: Storage) -> None:
    backend.write("job/executor.json", b"")
    assert JobFolder(storage, "job").read() == b""


def test_what_is_not_there_is_not_found(backend: Backend, storage: Storage) -> None:
    backend.write("other/executor.json", b"{}")
    backend.write("folder/completions/00000")
    for path in (("no-job",), ("no", "job"), ("folder",)):
        assert failure(JobFolder(storage, *path).look).reason == "not_found"
        assert failure(JobFolder(storage, *path).read).reason == "not_found"


def test_a_job_deleted_while_it_is_scanned_is_not_found(backend: Backend, storage: Storage) -> None:
    write_small_job(backend, "job")
    last = JobFolder(storage, "job").look()
    folder = storage.list_folder(("job",), with_subfolders=True)
    backend.delete_all("job")
    # HDFS has told with the folder's listing that nothing changed, and is not asked again
    # unless nothing is to be taken on trust.
    thorough = isinstance(storage, HdfsStorage)
    look = failure(lambda: storage.look(("job",), folder, last, thorough=thorough))
    assert look.reason == "not_found"
    assert failure(JobFolder(storage, "job").read).reason == "not_found"


# Markers


def test_no_completions_folder_yet_is_an_empty_listing(backend: Backend, storage: Storage) -> None:
    write_small_job(backend, "job", completed=0)
    markers = JobFolder(storage, "job").look().markers
    assert (len(markers.ranks), markers.others) == (0, 0)


def test_nothing_but_marker_files_looks_like_a_marker(backend: Backend, storage: Storage) -> None:
    write_small_job(backend, "job", tasks=4, completed=2)
    folders = ("00002/x", "00003/00001", "deep/00002/00003")
    files = ("00001.tmp", "000001", "2", ".nfs00002", "-0001", "00009")
    for path in (*folders, *files):
        backend.write(f"job/completions/{path}")
    backend.write("job/00002")
    backend.write("job/completions.old/00002")
    markers = JobFolder(storage, "job").look().markers
    assert list(markers.ranks) == [0, 1, 9]
    assert markers.stray(4) - 1 == markers.others >= len(files) - 1 + len(folders)


def test_times_are_right_to_the_second(backend: Backend, storage: Storage) -> None:
    write_small_job(backend, "job", completed=3)
    look = JobFolder(storage, "job").look()
    times = look.markers.modified_ns or storage.marker_times(("job",), look.markers.ranks)
    assert len(times) == len(look.markers.ranks) == 3
    read = {f"completions/{rank:05d}": time for rank, time in enumerate(times)}
    read["executor.json"] = look.executor.modified_ns
    for name, modified_ns in read.items():
        assert modified_ns is not None
        assert int(modified_ns / 1e9) == int(backend.modified(f"job/{name}"))


# Logs


def test_logs_are_there_once_the_folder_holds_anything(backend: Backend, storage: Storage) -> None:
    for name in ("job", "nested", "other", "file", "none"):
        write_small_job(backend, name, completed=0)
    backend.write("job/logs/task_00000.log", b"log")
    backend.write("job/logs/task_00012.log", b"log")
    backend.write("nested/logs/worker_0/task_00000.log", b"log")
    backend.write("other/logs.txt", b"log")
    backend.write("other/stats/00000.json", b"{}")
    backend.write("file/logs", b"log")
    found = {name: JobFolder(storage, name).has_logs() for name in ("job", "nested", "other")}
    assert found == {"job": True, "nested": True, "other": False}
    assert not JobFolder(storage, "file").has_logs()
    assert log_names(storage, "job") == ["task_00000.log", "task_00012.log"]
    for name in ("nested", "other", "file", "none"):
        assert log_names(storage, name) == []


def test_logs_deleted_while_the_job_is_scanned_do_not_make_the_job_gone(
    backend: Backend, storage: Storage
) -> None:
    write_small_job(backend, "job", completed=0)
    backend.write("job/logs/task_00000.log", b"log")
    folder = storage.list_folder(("job",), with_subfolders=True)
    backend.delete_all("job/logs")
    first = storage.look(("job",), folder)
    if not isinstance(storage, S3Storage):  # whose listing had shown them
        assert not first.has_logs


def log_names(storage: Storage, job: str) -> list[str]:
    return sorted(file.name for file in storage.list_files((job,), "logs"))


def test_only_the_files_that_are_wanted_are_listed_with_time_and_size(
    backend: Backend, storage: Storage
) -> None:
    write_small_job(backend, "job")
    for name in ("7_0.out", "7_1.out", "8_0.out", "deep/9_0.out"):
        backend.write(f"job/slurm_logs/{name}", b"log")
    offered: list[str] = []

    def of_array_7(names: Sequence[str]) -> list[str]:
        offered.extend(names)
        return [name for name in names if name.startswith("7_")]

    files = storage.list_files(("job",), "slurm_logs", of_array_7)
    assert sorted(offered) == ["7_0.out", "7_1.out", "8_0.out"]
    assert sorted(file.name for file in files) == ["7_0.out", "7_1.out"]
    for file in files:
        assert file.modified_ns is not None
        assert int(file.modified_ns / 1e9) == int(backend.modified(f"job/slurm_logs/{file.name}"))
        assert file.size == (None if isinstance(storage, S3Storage) else 3)
    assert storage.list_files(("job",), "logs", of_array_7) == []


LOG = b"".join(b"line %d\n" % number for number in range(20_000))


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, len(LOG)])
def test_a_part_of_a_file_is_its_beginning_or_its_end(
    backend: Backend, storage: Storage, size: int
) -> None:
    write_small_job(backend, "job")
    log = LOG[:size]
    backend.write("job/logs/task_00000.log", log)
    backend.write("job/ranks_to_run.json", b"[0]")
    file = "logs/task_00000.log"
    assert storage.read_part(("job",), file) == log[:PART_BYTES]
    assert storage.read_part(("job",), file, of_end=True) == log[-PART_BYTES:]
    assert storage.read_part(("job",), "ranks_to_run.json", of_end=True) == b"[0]"
    # Nothing is left behind that the next call stumbles over.
    assert JobFolder(storage, "job").ranks() == [0, 1]


def test_a_file_is_read_whole_up_to_a_limit(backend: Backend, storage: Storage) -> None:
    write_small_job(backend, "job", completed=2)
    content = b"0123456789" * (LIMIT // 10)
    backend.write("job/stats/00000.json", content)
    backend.write("job/stats/00001.json", content + b"x")
    assert storage.read_file(("job",), "stats/00000.json", LIMIT)[1] == content
    error = failure(lambda: storage.read_file(("job",), "stats/00001.json", LIMIT))
    assert error.reason == "too_large"
    modified_ns, data = storage.read_file(("job",), "stats/00001.json", 10 * LIMIT)
    assert data == content + b"x"
    if modified_ns is not None:  # in whole seconds, perhaps
        (listed,) = storage.list_files(("job",), "stats", lambda _: ["00001.json"])
        assert listed.modified_ns is not None
        assert abs(listed.modified_ns - modified_ns) < 10**9
    assert JobFolder(storage, "job").ranks() == [0, 1]


def test_an_empty_file_is_a_file_and_what_is_none_is_an_error(
    backend: Backend, storage: Storage
) -> None:
    backend.write("job/executor.json", b"{}")
    backend.write("job/stats/00000.json")
    backend.write("job/stats/00001.json/file", b"x")
    assert storage.read_file(("job",), "stats/00000.json", LIMIT)[1] == b""
    for file in ("stats/00001.json", "stats/00002.json", "no/00000.json"):
        error = failure(lambda file=file: storage.read_file(("job",), file, LIMIT))
        assert error.reason in ("not_found", "invalid")


@pytest.mark.parametrize("of_end", [False, True])
def test_a_part_of_what_is_no_file_is_an_error(
    backend: Backend, storage: Storage, of_end: bool
) -> None:
    backend.write("job/logs/task_00000.log/file", b"log")
    backend.write("job/executor.json", b"{}")
    for file in ("logs/task_00000.log", "logs/task_00001.log", "no/task_00000.log"):
        error = failure(lambda file=file: storage.read_part(("job",), file, of_end=of_end))
        assert error.reason in ("not_found", "invalid")


# Requests, threads, the end


def test_every_call_counts_its_requests_also_when_it_fails(
    backend: Backend, storage: Storage
) -> None:
    write_small_job(backend, "job")
    operations = [operation for operation, _ in storage.requests.totals()]
    assert set(storage.requests.totals()) == {(operation, 0) for operation in operations}
    calls: list[Callable[[], object]] = [
        lambda: storage.list_folder((), with_subfolders=True),
        lambda: storage.list_folder(("job",), with_subfolders=False),
        JobFolder(storage, "job").look,
        JobFolder(storage, "job").read,
        lambda: storage.list_files(("job",), "logs"),
        lambda: storage.read_part(("job",), "executor.json"),
        lambda: storage.read_file(("job",), "executor.json", LIMIT),
        lambda: failure(JobFolder(storage, "no-job").look),
        lambda: failure(JobFolder(storage, "no-job").read),
    ]
    before = 0
    for call in calls:
        call()
        totals = storage.requests.totals()
        assert [operation for operation, _ in totals] == operations
        assert sum(count for _, count in totals) > before
        before = sum(count for _, count in totals)


def test_calls_from_many_threads_at_once_get_their_own_answers(
    backend: Backend, storage: Storage
) -> None:
    jobs = {f"job-{number}": number + 1 for number in range(8)}
    for name, tasks in jobs.items():
        write_small_job(backend, name, tasks=tasks, completed=tasks)

    def look(name: str) -> tuple[bool, bytes, list[int], int]:
        folder = storage.list_folder((name,), with_subfolders=True)
        found = storage.look((name,), folder)
        version, data = storage.read_executor((name,), found.executor, LIMIT)
        assert version.is_same(found.executor)
        jobs_seen = len(storage.list_folder((), with_subfolders=True).subfolders)
        return folder.has_executor_file, data, list(found.markers.ranks), jobs_seen

    with ThreadPoolExecutor(16) as threads:
        names = list(jobs) * 8
        for name, answer in zip(names, threads.map(look, names), strict=True):
            data = b'{"world_size": %d}' % jobs[name]
            assert answer == (True, data, list(range(jobs[name])), len(jobs))


def test_closing_gives_up_connections_and_may_be_done_twice(backend: Backend) -> None:
    write_small_job(backend, "job")
    before = backend.connections()
    storage = open_storage(backend.url, backend.options, 4)
    storage.list_folder((), with_subfolders=True)
    JobFolder(storage, "job").look()
    if not isinstance(backend, MemoryBackend | HuggingFaceBackend) and backend.options:
        assert backend.connections() > before
    storage.close()
    storage.close()
    wait_until(lambda: backend.connections() <= before, "the connections are gone")


def test_opening_asks_the_storage_nothing(backend: Backend) -> None:
    before = backend.connections()
    with closing(open_storage(backend.url, backend.options, 4)) as storage:
        assert {count for _, count in storage.requests.totals()} == {0}
        assert backend.connections() <= before  # the test's own may end


# What only servers behind fsspec do


def open_ftp(server: FtpServer, path: str = "", **options: Any) -> GenericStorage:
    storage = open_storage(server.url(path), {**server.options, **options}, 4)
    assert isinstance(storage, GenericStorage)
    return storage


@pytest.mark.parametrize(
    ("refusal", "reason"), [(FTP_UNLISTABLE, "denied"), (FTP_BUSY, "unavailable")]
)
@pytest.mark.parametrize("mlsd", [True, False], ids=["MLSD", "LIST"])
def test_a_folder_that_ftp_refuses_to_list_is_never_empty(
    tmp_path: Path, refusal: str, reason: str, mlsd: bool
) -> None:
    with ftp(tmp_path, mlsd=mlsd) as server:
        backend = FolderBackend(server.folder, server.url(""), server.options)
        write_small_job(backend, "job")
        backend.write("job/inner/executor.json", b"{}")
        with closing(open_ftp(server)) as storage:
            for folder, call in {
                "job/completions": JobFolder(storage, "job").look,
                "job/inner": lambda: storage.list_folder(("job", "inner"), with_subfolders=True),
                "job": lambda: storage.list_folder(("job",), with_subfolders=False),
                ".": lambda: storage.list_folder((), with_subfolders=True),
            }.items():
                call()
                backend.write(f"{folder}/{refusal}")
                assert failure(call).reason == reason


def test_a_busy_ftp_server_is_not_taken_for_one_without_the_folder(tmp_path: Path) -> None:
    with ftp(tmp_path) as server, closing(open_ftp(server)) as storage:
        backend = FolderBackend(server.folder, server.url(""), server.options)
        for folder in (".", "job", "job/completions"):
            backend.write(f"{folder}/{FTP_BUSY}")
        backend.write("job/executor.json", b"{}")
        for call in (
            lambda: storage.list_folder(("job",), with_subfolders=True),
            JobFolder(storage, "job").look,
        ):
            assert failure(call).reason == "unavailable"


def test_ftp_says_denied_for_a_wrong_password_and_does_not_quote_it(ftp_server: FtpServer) -> None:
    with closing(open_ftp(ftp_server, password="CANARY-PASSWORD")) as storage:
        error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert error.reason == "denied"
    assert "CANARY" not in "".join(traceback.format_exception(error))


def test_an_ftp_server_without_machine_listings_gives_the_same_names(tmp_path: Path) -> None:
    """It tells times in a form meant for people, so none are known."""
    with ftp(tmp_path, mlsd=False) as server, closing(open_ftp(server)) as storage:
        backend = FolderBackend(server.folder, server.url(""), server.options)
        write_small_job(backend, "job", tasks=4, completed=3)
        backend.write("job/completions/00003/x")
        assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)
        job = JobFolder(storage, "job")
        look = job.look()
        assert job.read() == b'{"world_size": 4}'
        assert not look.executor.is_same(look.executor)
        assert (list(look.markers.ranks), look.markers.others) == ([0, 1, 2], 1)
        assert look.markers.modified_ns is None
        assert storage.marker_times(("job",), [0, 1]) == [None, None]
        assert failure(JobFolder(storage, "no").look).reason == "not_found"


def test_a_storage_outlives_its_server(tmp_path: Path) -> None:
    """A broken connection costs one call; the next one connects again."""
    with ftp(tmp_path) as server:
        storage = open_ftp(server)
        write_small_job(
            FolderBackend(server.folder, server.url(""), server.options), "job", completed=1
        )
        assert JobFolder(storage, "job").ranks() == [0]
    assert failure(JobFolder(storage, "job").look).reason == "unavailable"
    assert failure(JobFolder(storage, "job").look).reason == "unavailable"
    with ftp(tmp_path, port=server.port), closing(storage):
        assert JobFolder(storage, "job").ranks() == [0]
