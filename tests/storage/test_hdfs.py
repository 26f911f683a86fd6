"""HDFS: what a scan costs the NameNode, and what is said when one is in trouble."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.jobs.asked import JobFolder
from support.servers import (
    HOST,
    Answer,
    HttpServer,
    Request,
    free_ports,
    is_listening,
    silent_server,
    wait_until,
)
from support.storages.backends import HdfsBackend, failure, write_small_job
from support.storages.hadoop import LISTING_LIMIT, Hdfs, standby_namenode

from exporter.errors import StorageError
from exporter.storage import open_storage
from exporter.storage.base import Requests, Storage
from exporter.storage.hdfs import call_timeout, rpc, webhdfs
from exporter.storage.hdfs.call_timeout import TimedCalls
from exporter.storage.hdfs.rpc import RpcNameNode
from exporter.storage.hdfs.storage import FileStatus, HdfsStorage


@pytest.fixture(params=["hdfs", "webhdfs"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(way: str, hdfs_server: Hdfs, tmp_path: Path) -> HdfsBackend:
    """An empty root with a name of its own."""
    path = f"{tmp_path.name}-{way}"
    is_web = way == "webhdfs"
    url = hdfs_server.web_url(path) if is_web else hdfs_server.url(path)
    backend = HdfsBackend(
        hdfs_server, url, path, hdfs_server.http_port if is_web else hdfs_server.rpc_port
    )
    backend._client.mkdirs(f"/{path}")
    return backend


@pytest.fixture
def storage(backend: HdfsBackend) -> Iterator[Storage]:
    with closing(open_storage(backend.url, backend.options, 4)) as storage:
        yield storage


class Bill:
    """What calls cost, by our own count."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._before = dict(storage.requests.totals())

    def since(self) -> dict[str, int]:
        now = dict(self._storage.requests.totals())
        spent = {name: now[name] - self._before[name] for name in now}
        self._before = now
        return {name: count for name, count in spent.items() if count}


# Requests


def test_a_job_costs_what_changed_in_it(
    backend: HdfsBackend, storage: Storage, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_job(backend, "job", tasks=10, completed=3)
    backend.write("job/logs/task_00000.log", b"log")
    job, bill = JobFolder(storage, "job"), Bill(storage)

    first = job.look()
    assert bill.since() == {"list": 2}
    storage.read_executor(("job",), first.executor, 1000)
    assert bill.since() == {"read": 1 if way == "hdfs" else 2}  # sent on to a DataNode
    unchanged = job.look(first)
    assert unchanged is first
    assert bill.since() == {"list": 1}

    backend.write("job/completions/00003")
    changed = job.look(first)
    assert list(changed.markers.ranks) == [0, 1, 2, 3]
    assert bill.since() == {"list": 2}
    assert job.look(changed) is changed
    assert bill.since() == {"list": 1}
    backend.write("job/executor.json", b'{"world_size": 11}')
    relaunched = job.look(changed)
    assert relaunched.markers is changed.markers
    assert not relaunched.executor.is_same(changed.executor)
    assert bill.since() == {"list": 1}
    assert job.look(relaunched, thorough=True) is not relaunched
    assert bill.since() == {"list": 2}


def test_a_job_without_markers_costs_one_request_while_its_logs_stay_as_they_are(
    backend: HdfsBackend, storage: Storage
) -> None:
    write_small_job(backend, "job", completed=0)
    job, bill = JobFolder(storage, "job"), Bill(storage)
    look = job.look()
    assert bill.since() == {"list": 1}
    backend.write("job/logs/task_00000.log", b"log")
    look = job.look(look)
    assert look.has_logs
    assert bill.since() == {"list": 2}
    assert job.look(look) is look
    assert bill.since() == {"list": 1}
    backend.delete("job/logs/task_00000.log")
    assert not job.look(look).has_logs


def test_more_markers_than_an_answer_holds_are_all_listed(
    backend: HdfsBackend, storage: Storage, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "_ENTRIES_PER_REQUEST", LISTING_LIMIT)
    write_small_job(backend, "job", tasks=3000, completed=2 * LISTING_LIMIT + 1)
    bill = Bill(storage)
    ranks = JobFolder(storage, "job").look().markers.ranks
    assert list(ranks) == list(range(2 * LISTING_LIMIT + 1))
    # WebHDFS sends a whole folder at once.
    assert bill.since() == {"list": 1 + (3 if way == "hdfs" else 1)}


def test_the_namenode_counts_the_same_requests(
    hdfs_server: Hdfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "_ENTRIES_PER_REQUEST", LISTING_LIMIT)
    path = f"{tmp_path.name}-counted"
    backend = HdfsBackend(hdfs_server, hdfs_server.url(path), path, hdfs_server.rpc_port)
    backend._client.mkdirs(f"/{path}")
    for number in range(20):
        write_small_job(backend, f"job-{number}", tasks=4, completed=2)
    write_small_job(backend, "long", tasks=500, completed=LISTING_LIMIT + 5)

    def received() -> tuple[int, int]:
        calls = hdfs_server.requests_received()
        return calls.get("GetListing", 0), calls.get("GetBlockLocations", 0)

    def published() -> tuple[int, int]:
        """The NameNode's figures, renewed each second, once they have stood still."""
        last, since = received(), time.monotonic()
        while time.monotonic() < since + 4:
            time.sleep(0.5)
            if (now := received()) != last:
                last, since = now, time.monotonic()
        return last

    before = published()
    with closing(open_storage(backend.url, {}, 4)) as storage:
        for number in range(20):
            job = JobFolder(storage, f"job-{number}")
            look = job.look()
            assert job.look(look) is look
            storage.read_executor(job.path, look.executor, 1000)
        JobFolder(storage, "long").look()
        counted = dict(storage.requests.totals())
    after = published()
    assert counted == {"list": 20 * 3 + 3, "read": 20}
    assert (after[0] - before[0], after[1] - before[1]) == (counted["list"], counted["read"])


class BusyNameNode:
    """A sibling of the real ways to a NameNode, for what cannot be timed with one: a marker
    comes just before each listing of the job, and another just after each of its markers.
    Folders are stamped to the millisecond, as HDFS does."""

    def __init__(self) -> None:
        self.requests = Requests("list", "read")
        self.is_busy = True
        self._markers: list[FileStatus] = []

    def list_status(self, path: str) -> list[FileStatus]:
        if path == "/job":
            self._complete_if_busy()
            changed = self._markers[-1].modified_ms
            return [
                FileStatus("executor.json", False, 10, 1),
                FileStatus("completions", True, 0, changed),
            ]
        listed = list(self._markers)
        self._complete_if_busy()
        return listed

    def _complete_if_busy(self) -> None:
        if self.is_busy:
            now_ms = time.time_ns() // 1_000_000
            self._markers.append(FileStatus(f"{len(self._markers):05d}", False, 0, now_ms))

    def read(self, path: str, limit_bytes: int) -> bytes:
        raise AssertionError("nobody reads")

    def close(self) -> None:
        pass


def test_a_marker_that_comes_right_after_a_listing_is_not_lost() -> None:
    """It must not leave the folder with the stamp that was seen before the listing."""
    for _ in range(20):
        namenode = BusyNameNode()
        job = JobFolder(HdfsStorage(namenode, "/"), "job")
        first = job.look()
        assert list(first.markers.ranks) == [0]
        namenode.is_busy = False
        assert list(job.look(first).markers.ranks) == [0, 1]


def test_marker_times_can_be_asked_for_again(backend: HdfsBackend, storage: Storage) -> None:
    write_small_job(backend, "job", completed=3)
    look = JobFolder(storage, "job").look()
    assert look.markers.modified_ns is not None
    times = list(look.markers.modified_ns)
    assert storage.marker_times(("job",), [0, 2, 7]) == [times[0], times[2], None]


# Trouble


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limits, short enough to wait for."""
    monkeypatch.setattr(rpc, "_CALL_SECONDS", 0.5)
    monkeypatch.setattr(webhdfs, "_READ_SECONDS", 0.5)


def at(url: str, way: str, path: str = "logs") -> str:
    """The root at an HTTP server's address, as it would be reached in some way."""
    return f"{way}://{url.removeprefix('http://')}/{path}"


def reason_of(url: str, **options: Any) -> str:
    with closing(open_storage(url, options, 4)) as storage:
        return failure(lambda: storage.list_folder((), with_subfolders=True)).reason


@pytest.mark.usefixtures("short_limits")
def test_a_namenode_that_is_silent_is_a_timeout(way: str) -> None:
    with silent_server() as url:
        assert reason_of(at(url, way)) == "timeout"


def test_a_port_that_nobody_listens_on_is_unavailable(way: str) -> None:
    (port,) = free_ports(1)
    assert reason_of(f"{way}://{HOST}:{port}/logs") == "unavailable"


def test_a_host_that_does_not_exist_is_unavailable(way: str) -> None:
    assert reason_of(f"{way}://no-such-host.invalid:8020/logs") == "unavailable"


def test_a_port_of_another_protocol_is_an_error(hdfs_server: Hdfs) -> None:
    assert reason_of(f"hdfs://{HOST}:{hdfs_server.http_port}/logs") in ("unavailable", "partial")
    assert reason_of(f"webhdfs://{HOST}:{hdfs_server.rpc_port}/logs") in ("other", "unavailable")


def test_what_may_not_be_read_is_denied_and_never_empty(
    hdfs_server: Hdfs, backend: HdfsBackend, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "nobody")
    write_small_job(backend, "job")
    path = f"{backend._root}/job"
    options = {"user": "nobody"} if way == "webhdfs" else {}
    with closing(open_storage(backend.url, options, 4)) as storage:
        job = JobFolder(storage, "job")
        assert job.ranks() == [0, 1]
        with closing(hdfs_server.client()) as admin:
            admin.call("PUT", "SETPERMISSION", f"{path}/completions", permission="700")
            assert failure(job.look).reason == "denied"
            admin.call("PUT", "SETPERMISSION", f"{path}/executor.json", permission="600")
            error = failure(job.read)
            assert error.reason == "denied"
            assert "nobody" not in str(error)
            admin.call("PUT", "SETPERMISSION", path, permission="700")
            call = lambda: storage.list_folder(("job",), with_subfolders=True)  # noqa: E731
            assert failure(call).reason == "denied"


def test_a_namenode_in_safe_mode_is_read_all_the_same(hdfs_server: Hdfs, tmp_path: Path) -> None:
    path = f"{tmp_path.name}-safe"
    backend = HdfsBackend(hdfs_server, "", path, 0)
    backend._client.mkdirs(f"/{path}")
    write_small_job(backend, "job")
    hdfs_server.admin("-safemode", "enter")
    try:
        for url in (hdfs_server.url(path), hdfs_server.web_url(path)):
            with closing(open_storage(url, {}, 4)) as storage:
                assert JobFolder(storage, "job").ranks() == [0, 1]
    finally:
        hdfs_server.admin("-safemode", "leave")


def test_of_several_namenodes_the_one_that_answers_is_asked(
    hdfs_server: Hdfs, backend: HdfsBackend
) -> None:
    """A name service, as Hadoop's files describe it; the first of its two is down."""
    write_small_job(backend, "job")
    (port,) = free_ports(1)
    provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    service = {
        "dfs.ha.namenodes.cluster": "one,two",
        "dfs.namenode.rpc-address.cluster.one": f"{HOST}:{port}",
        "dfs.namenode.rpc-address.cluster.two": f"{HOST}:{hdfs_server.rpc_port}",
        "dfs.client.failover.proxy.provider.cluster": provider,
    }
    with closing(open_storage(f"hdfs://cluster{backend._root}", service, 4)) as storage:
        assert JobFolder(storage, "job").ranks() == [0, 1]
    assert reason_of(f"hdfs://another{backend._root}", **service) == "invalid"


def test_a_namenode_on_standby_is_unavailable_until_it_takes_over(tmp_path: Path) -> None:
    with standby_namenode(tmp_path) as server, ExitStack() as stack:
        roots = {
            "by name": ("hdfs://cluster/", {"config_dir": str(server.configuration)}),
            "by address": (server.url(""), {}),
            "over HTTP": (server.web_url(""), {}),
        }
        storages = {
            name: stack.enter_context(closing(open_storage(url, options, 4)))
            for name, (url, options) in roots.items()
        }

        def reasons() -> dict[str, str]:
            return {
                name: failure(partial(storage.list_folder, (), with_subfolders=True)).reason
                for name, storage in storages.items()
            }

        # WebHDFS refuses connections for a moment longer than RPC does.
        wait_until(lambda: is_listening(server.http_port), "the NameNode answers HTTP")
        assert reasons() == dict.fromkeys(roots, "unavailable")
        server.admin("-transitionToActive", "--forceactive", "one", tool="DFSHAAdmin")
        for storage in storages.values():
            assert storage.list_folder((), with_subfolders=True).subfolders == ()


def test_hadoops_own_files_say_where_the_namenode_is(
    hdfs_server: Hdfs, backend: HdfsBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_job(backend, "job")
    url = f"hdfs://{backend._root}"
    with closing(open_storage(url, {"config_dir": str(hdfs_server.configuration)}, 4)) as storage:
        assert JobFolder(storage, "job").ranks() == [0, 1]
    monkeypatch.setenv("HADOOP_CONF_DIR", str(hdfs_server.configuration))
    with closing(open_storage(url, {}, 4)) as storage:
        assert JobFolder(storage, "job").ranks() == [0, 1]


def test_views_of_hdfs_are_read(hdfs_server: Hdfs, backend: HdfsBackend) -> None:
    write_small_job(backend, "job")
    mounts = {
        "fs.viewfs.mounttable.view.link./logs": hdfs_server.url(backend._root.lstrip("/")),
        "fs.viewfs.mounttable.view.linkFallback": hdfs_server.url(""),
    }
    with closing(open_storage("viewfs://view/logs", mounts, 4)) as storage:
        assert storage.list_folder((), with_subfolders=True).subfolders == ("job",)
        assert JobFolder(storage, "job").ranks() == [0, 1]


def test_a_cluster_that_wants_kerberos_which_is_not_there_is_denied(
    hdfs_server: Hdfs, backend: HdfsBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "no-tickets"))
    options = {"hadoop.security.authentication": "kerberos"}
    url = hdfs_server.url(backend._root.lstrip("/"))
    with closing(open_storage(url, options, 4)) as storage:
        try:  # the server asks for none, and the client may go along
            storage.list_folder((), with_subfolders=True)
        except StorageError as error:
            assert error.reason == "denied"  # noqa: PT017


# WebHDFS answers


def web_answer(status: int, exception: str) -> Answer:
    body = json.dumps({"RemoteException": {"exception": exception, "message": "CANARY"}})
    return Answer(status, body.encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web_answer(403, "StandbyException"), "unavailable"),
        (web_answer(403, "SafeModeException"), "unavailable"),
        (web_answer(500, "RetriableException"), "unavailable"),
        (web_answer(401, "SecurityException"), "denied"),
        (web_answer(403, "AccessControlException"), "denied"),
        (web_answer(404, "FileNotFoundException"), "not_found"),
        (web_answer(500, "NullPointerException"), "other"),
        (Answer(401, b"<html>CANARY"), "denied"),
        (Answer(404, b"<html>CANARY"), "other"),
        (Answer(429), "throttled"),
        (Answer(503), "unavailable"),
        (Answer(307, b"", {"Location": "http://127.0.0.1/login"}), "other"),
        (Answer(200, b""), "partial"),
        (Answer(200, b"<html>CANARY"), "partial"),
        (Answer(200, b'{"FileStatuses":{}}'), "partial"),
        (Answer(200, b'{"FileStatuses":{"FileStatus":[{}]}}'), "partial"),
        (Answer(200, b'{"FileStatuses":{"File', missing_bytes=20), "partial"),
        (Answer(200, b'{"FileStatuses":{"File', missing_bytes=20, hangs=True), "timeout"),
        (Answer(200, b"", hangs=True, missing_bytes=1), "timeout"),
    ],
    ids=lambda value: f"{value.status} {value.body[:40]!r}" if isinstance(value, Answer) else value,
)
@pytest.mark.usefixtures("short_limits")
def test_answers_that_are_no_listing_are_errors(answer: Answer, reason: str) -> None:
    with HttpServer(lambda request: answer) as server:
        with closing(open_storage(at(server.url, "webhdfs"), {}, 4)) as storage:
            error = failure(lambda: storage.list_folder((), with_subfolders=True))
    assert error.reason == reason
    assert "CANARY" not in str(error)


def test_a_gateway_that_sends_the_content_itself_is_understood() -> None:
    """HttpFS does not send on to a DataNode."""

    def answer(request: Request) -> Answer:
        assert request.query["op"] == "OPEN"
        return Answer(200, b'{"world_size": 4}')

    with HttpServer(answer) as server:
        with closing(open_storage(at(server.url, "webhdfs"), {}, 4)) as storage:
            assert JobFolder(storage, "job").read() == b'{"world_size": 4}'
            assert dict(storage.requests.totals()) == {"list": 0, "read": 1}
            assert failure(lambda: JobFolder(storage, "job").read(10)).reason == "too_large"


# Calls without a time limit


def test_a_call_that_hangs_is_given_up_and_the_next_is_made() -> None:
    calls, hold = TimedCalls(1), threading.Event()
    try:
        with pytest.raises(StorageError, match="timeout"):
            calls.call(hold.wait, 0.05)
        assert calls._workers.stuck == 1
        assert calls.call(lambda: 5, 60) == 5
        hold.set()
        wait_until(lambda: calls._workers.stuck == 0, "the call has returned")
    finally:
        hold.set()
        calls.close()


def test_what_is_raised_is_passed_on_whatever_it_is() -> None:
    class Panic(BaseException):
        pass

    def fail() -> None:
        raise Panic

    calls = TimedCalls(1)
    with pytest.raises(Panic):
        calls.call(fail, 60)
    assert calls.call(lambda: "alive", 60) == "alive"
    calls.close()


def test_the_threads_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_timeout, "_HUNG_LIMIT", 2)
    calls, hold = TimedCalls(8), threading.Event()

    def hang() -> StorageError:
        return failure(lambda: calls.call(hold.wait, 0.02))

    try:
        for _ in range(10):
            assert hang().reason == "timeout"
        assert (
            calls._workers.stuck == 3
        )  # the limit, and one attempt to find out whether it is over
        monkeypatch.setattr(calls, "_retry_at", 0)
        assert calls.call(lambda: 5, 60) == 5
    finally:
        hold.set()
        calls.close()


def test_a_new_client_is_made_after_a_call_that_hung(
    hdfs_server: Hdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    namenode = RpcNameNode(hdfs_server.url("").rstrip("/"), {}, 4)
    namenode.list_status("/")
    first = namenode._client
    hold = threading.Event()
    try:
        with pytest.raises(StorageError, match="timeout"):
            namenode._call(lambda client: hold.wait(), 0.05)
        namenode.list_status("/")
        assert namenode._client is not first
    finally:
        hold.set()
        namenode.close()
