"""One suite for every backend: what storage/base.py promises, on real storage."""

import itertools
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import fsspec
import hdfs_native
import pytest
from support.clouds import AzureServer, GoogleServer, Hub
from support.hadoop import Hdfs
from support.jobs import LAUNCH
from support.looks import JobFolder
from support.servers import BUCKET, FTP_BUSY, FTP_UNLISTABLE, FtpServer, S3Server, ftp, wait_until

from exporter.errors import StorageError
from exporter.storage import open_storage
from exporter.storage.base import Storage, Version
from exporter.storage.filesystems.generic import GenericStorage
from exporter.storage.hdfs.storage import HdfsStorage
from exporter.storage.s3.storage import S3Storage

LIMIT = 1000
OBJECT_STORES = ("s3:", "gs:", "az:", "hf:")
"""Where there are no folders, and so an empty one is not there either."""


class Backend(Protocol):
    """A kind of storage, reached by another way than the exporter's. Paths are below
    the root at `url`."""

    url: str
    options: dict[str, Any]

    def write(self, path: str, data: bytes = b"") -> None: ...

    def delete(self, path: str) -> None:
        """Remove one file."""

    def delete_all(self, path: str) -> None:
        """Remove a folder and all that is in it."""

    def modified(self, path: str) -> float:
        """When a file was last written, as this storage has it."""

    def connections(self) -> int:
        """How many connections this process holds to the server."""


class FolderBackend:
    """A local folder, seen directly or through a server that shows it."""

    def __init__(self, folder: Path, url: str, options: dict[str, Any], port: int = 0) -> None:
        self._folder = folder
        self._port = port
        self._seconds = itertools.count(LAUNCH)
        self.url = url
        self.options = options

    def write(self, path: str, data: bytes = b"") -> None:
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        # FTP tells whole seconds: two writings have to differ by one at least.
        second = next(self._seconds)
        os.utime(file, (second, second))

    def delete(self, path: str) -> None:
        (self._folder / path).unlink()

    def delete_all(self, path: str) -> None:
        shutil.rmtree(self._folder / path)

    def modified(self, path: str) -> float:
        return (self._folder / path).stat().st_mtime

    def connections(self) -> int:
        return connections_to(self._port)


class MemoryBackend:
    """fsspec's memory filesystem, which is one for the whole process."""

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}/root"
        self.options: dict[str, Any] = {}
        self._filesystem = fsspec.filesystem("memory")
        self._root = f"/{name}/root"

    def write(self, path: str, data: bytes = b"") -> None:
        self._filesystem.pipe_file(f"{self._root}/{path}", data)

    def delete(self, path: str) -> None:
        self._filesystem.rm_file(f"{self._root}/{path}")

    def delete_all(self, path: str) -> None:
        self._filesystem.rm(f"{self._root}/{path}", recursive=True)

    def modified(self, path: str) -> float:
        # Its listings tell when a file was begun, and nothing else.
        begun: float = self._filesystem.info(f"{self._root}/{path}")["created"].timestamp()
        return begun

    def connections(self) -> int:
        return 0


class S3Backend:
    """A prefix in a bucket."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.url = f"s3://{BUCKET}/{name}/root"
        self.options = server.options
        self._client = server.client()
        self._prefix = f"{name}/root/"
        self._port = int(server.endpoint_url.rpartition(":")[2])

    def write(self, path: str, data: bytes = b"") -> None:
        self._client.put_object(Bucket=BUCKET, Key=self._prefix + path, Body=data)

    def delete(self, path: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=self._prefix + path)

    def delete_all(self, path: str) -> None:
        listed = self._client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self._prefix}{path}/")
        keys = {item["Key"] for item in listed["Contents"]}
        # SeaweedFS holds on to empty folders, which other servers do not have.
        keys |= {key.rpartition("/")[0] + "/" for key in keys} | {f"{self._prefix}{path}/"}
        for key in sorted(keys, reverse=True):
            self._client.delete_object(Bucket=BUCKET, Key=key)

    def modified(self, path: str) -> float:
        head = self._client.head_object(Bucket=BUCKET, Key=self._prefix + path)
        modified: float = head["LastModified"].timestamp()
        return modified

    def connections(self) -> int:
        return connections_to(self._port)


class HdfsBackend:
    """A folder in HDFS, read by RPC or over HTTP."""

    def __init__(self, server: Hdfs, url: str, path: str, port: int) -> None:
        self.url = url
        self.options: dict[str, Any] = {}
        self._client = server.native()
        self._root = f"/{path}"
        self._port = port

    def write(self, path: str, data: bytes = b"") -> None:
        options = hdfs_native.WriteOptions(overwrite=True, replication=1)
        with self._client.create(f"{self._root}/{path}", options) as file:
            file.write(data)

    def delete(self, path: str) -> None:
        assert self._client.delete(f"{self._root}/{path}")

    def delete_all(self, path: str) -> None:
        assert self._client.delete(f"{self._root}/{path}", recursive=True)

    def modified(self, path: str) -> float:
        status = self._client.get_file_info(f"{self._root}/{path}")
        return float(status.modification_time / 1000)

    def connections(self) -> int:
        return connections_to(self._port)


class GoogleBackend:
    """A prefix in a bucket of Google Cloud Storage."""

    def __init__(self, server: GoogleServer, name: str) -> None:
        self.url = f"gs://{BUCKET}/{name}/root"
        self.options = server.options()
        self._server = server
        self._prefix = f"{name}/root/"

    def write(self, path: str, data: bytes = b"") -> None:
        self._server.write(self._prefix + path, data)

    def delete(self, path: str) -> None:
        self._server.delete(self._prefix + path)

    def delete_all(self, path: str) -> None:
        for key in self._server.keys(f"{self._prefix}{path}/"):
            self._server.delete(key)

    def modified(self, path: str) -> float:
        return self._server.modified(self._prefix + path)

    def connections(self) -> int:
        return connections_to(self._server.port)


class AzureBackend:
    """A prefix in a container of Azure Blob Storage."""

    def __init__(self, server: AzureServer, name: str) -> None:
        self.url = f"az://{BUCKET}/{name}/root"
        self.options = server.options()
        self._client = server.client()
        self._prefix = f"{name}/root/"
        self._port = server.port

    def write(self, path: str, data: bytes = b"") -> None:
        self._client.upload_blob(self._prefix + path, data, overwrite=True)

    def delete(self, path: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        with suppress(ResourceNotFoundError):  # the client asked again, and it was gone
            self._client.delete_blob(self._prefix + path)

    def delete_all(self, path: str) -> None:
        for name in list(self._client.list_blob_names(name_starts_with=f"{self._prefix}{path}/")):
            self.delete(name.removeprefix(self._prefix))

    def modified(self, path: str) -> float:
        properties = self._client.get_blob_client(self._prefix + path).get_blob_properties()
        modified: float = properties.last_modified.timestamp()
        return modified

    def connections(self) -> int:
        return connections_to(self._port)


class HubBackend:
    """A folder in a bucket on the Hub, or in a data set's repository."""

    def __init__(self, hub: Hub, place: str, name: str) -> None:
        self.url = f"hf://{place}/{name}/root"
        self.options = hub.options
        self._hub = hub
        self._prefix = f"{place}/{name}/root/"

    def write(self, path: str, data: bytes = b"") -> None:
        self._hub.write(self._prefix + path, data)

    def delete(self, path: str) -> None:
        del self._hub.files[self._prefix + path]

    def delete_all(self, path: str) -> None:
        for key in [k for k in self._hub.files if k.startswith(f"{self._prefix}{path}/")]:
            del self._hub.files[key]

    def modified(self, path: str) -> float:
        return self._hub.files[self._prefix + path][1].timestamp()

    def connections(self) -> int:
        return 0  # huggingface_hub has one pool for the whole process


def connections_to(port: int) -> int:
    """Established TCP connections to a port of this machine, counted at our end."""
    rows = (line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:])
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


_names = (f"storage-{os.urandom(6).hex()}" for _ in itertools.count())
# On servers that other modules use as well.


@pytest.fixture(
    params=["local", "s3", "memory", "ftp", "sftp", "hdfs", "webhdfs", "gs", "az", "hf"]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each kind of storage with an empty root."""
    name = next(_names)
    match request.param:
        case "local":
            yield FolderBackend(tmp_path, str(tmp_path), {})
        case "s3" | "moto":
            server_name = {"s3": "s3_server", "moto": "moto_server"}[request.param]
            backend = S3Backend(request.getfixturevalue(server_name), name)
            yield backend
            backend._client.close()
        case "memory":
            filesystem = fsspec.filesystem("memory")
            filesystem.makedirs(f"/{name}/root")
            yield MemoryBackend(name)
            filesystem.rm(f"/{name}", recursive=True)
        case "hdfs" | "webhdfs":
            hdfs: Hdfs = request.getfixturevalue("hdfs_server")
            path = f"{name}/root"
            url, port = hdfs.url(path), hdfs.rpc_port
            if request.param == "webhdfs":
                url, port = hdfs.web_url(path), hdfs.http_port
            backend = HdfsBackend(hdfs, url, path, port)
            backend._client.mkdirs(f"/{path}", create_parent=True)
            yield backend
        case "gs":
            yield GoogleBackend(request.getfixturevalue("google_server"), name)
        case "az":
            azure = AzureBackend(request.getfixturevalue("azure_server"), name)
            yield azure
            azure._client.close()
        case "hf" | "hf repository":
            place = {"hf": "buckets/owner/name", "hf repository": "datasets/owner/name"}
            yield HubBackend(request.getfixturevalue("hub_server"), place[request.param], name)
        case "ftp" | "sftp":
            server: FtpServer = request.getfixturevalue(f"{request.param}_server")
            folder = server.folder / name / "root"
            folder.mkdir(parents=True)
            yield FolderBackend(folder, server.url(f"{name}/root"), server.options, server.port)


@pytest.fixture
def storage(backend: Backend) -> Iterator[Storage]:
    """The backend's root as the exporter opens it."""
    with closing(open_storage(backend.url, backend.options, 16)) as storage:
        yield storage


def write_small_job(backend: Backend, path: str, tasks: int = 4, completed: int = 2) -> None:
    backend.write(f"{path}/executor.json", b'{"world_size": %d}' % tasks)
    for rank in range(completed):
        backend.write(f"{path}/completions/{rank:05d}")


def failure(call: Callable[[], object]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        call()
    return caught.value


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
    assert storage.list_logs(("job",)) == ["task_00000.log"]
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
    assert sorted(storage.list_logs(("job",))) == ["task_00000.log", "task_00012.log"]
    for name in ("nested", "other", "file", "none"):
        assert storage.list_logs((name,)) == []


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
        lambda: storage.list_logs(("job",)),
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
    if not isinstance(backend, MemoryBackend | HubBackend) and backend.options:
        assert backend.connections() > before
    storage.close()
    storage.close()
    wait_until(lambda: backend.connections() <= before, "the connections are gone")


def test_opening_asks_the_storage_nothing(backend: Backend) -> None:
    before = backend.connections()
    with closing(open_storage(backend.url, backend.options, 4)) as storage:
        assert {count for _, count in storage.requests.totals()} == {0}
        assert backend.connections() == before


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
