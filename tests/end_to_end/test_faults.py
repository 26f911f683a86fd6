"""A storage that breaks, hangs and comes back, under a running exporter.

Everything here is a real fault of a real thing: a frozen mount, a frozen S3 server, one
that answers wrongly, credentials that are withdrawn, a process that is suspended.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from support.jobs.folders import write_job, write_marker
from support.processes import Exporter, Page, get, serving
from support.servers import (
    BUCKET,
    HOST,
    Moto,
    S3Server,
    free_ports,
    is_listening,
    running,
    wait_until,
)
from support.storages import faulty_s3
from support.storages.faulty_s3 import Fault, FaultyS3
from support.storages.mounts import bindfs

FAST = {"interval": "1s", "timeout": "3s"}


def write_two_of_four(folder: Path) -> Path:
    return write_job(folder, tasks=4, completed=[0, 1])


def scans(page: Page, root: str) -> float:
    return page.value("datatrove_root_scans_total", root=root) or 0


def is_up(page: Page, root: str) -> bool:
    return page.value("datatrove_root_up", root=root) == 1


def completed(page: Page, root: str, name: str = "job") -> float | None:
    return page.value("datatrove_job_tasks_completed", root=root, job_name=name)


def stuck(page: Page) -> float:
    value = page.value("datatrove_exporter_scan_workers_stuck")
    assert value is not None
    return value


def threads(exporter: Exporter) -> int:
    return len(list(Path(f"/proc/{exporter.process.pid}/task").iterdir()))


# --- A mount whose file server is gone


@contextmanager
def thirty_roots(folder: Path) -> Iterator[tuple[Exporter, Callable[[], None], Callable[[], None]]]:
    """An exporter with twenty roots on a mount and ten beside it, one of which has a job
    on another mount; and what freezes and thaws both."""
    for number in range(20):
        write_two_of_four(folder / "server" / f"mounted-{number}" / "job")
    for number in range(10):
        write_two_of_four(folder / f"local-{number}" / "job")
    write_two_of_four(folder / "other-server")
    roots = [f"mnt/mounted-{number}" for number in range(20)]
    roots += [f"local-{number}" for number in range(10)]
    config = {
        "roots": [{"name": Path(root).name, "url": str(folder / root)} for root in roots],
        "scan": FAST,
    }
    with (
        bindfs(folder / "server", folder / "mnt") as mount,
        bindfs(folder / "other-server", folder / "local-9" / "mounted") as other,
        serving(folder, **config) as exporter,
    ):

        def freeze() -> None:
            mount.freeze()
            other.freeze()

        def thaw() -> None:
            mount.thaw()
            other.thaw()

        yield exporter, freeze, thaw


MOUNTED = [f"mounted-{number}" for number in range(20)]
LOCAL = [f"local-{number}" for number in range(10)]


@pytest.mark.timeout(300)
def test_twenty_frozen_roots_leave_ten_others_on_time_and_recover(tmp_path: Path) -> None:
    with thirty_roots(tmp_path) as (exporter, freeze, thaw):
        exporter.wait_for(
            lambda page: all(is_up(page, root) for root in MOUNTED + LOCAL), "all are up"
        )
        threads_before = threads(exporter)
        freeze()
        page = exporter.wait_for(
            lambda page: not any(is_up(page, root) for root in MOUNTED),
            "the frozen roots are down",
            seconds=60,
        )
        for root in MOUNTED:
            # The scan under way may have got as far as the job.
            assert page.errors(root).pop(("root", "timeout")) == 1
            assert set(page.errors(root)) <= {("root", "timeout"), ("job", "timeout")}
            assert completed(page, root) == 2  # kept
        before = {root: scans(page, root) for root in LOCAL}
        page = exporter.wait_for(
            lambda page: all(scans(page, root) >= before[root] + 5 for root in LOCAL),
            "the others are scanned as if nothing were",
        )
        for root in LOCAL:
            assert is_up(page, root)
            assert completed(page, root) == 2
        assert (
            page.value("datatrove_job_scan_success", root="local-9", job_name="mounted") == 0
        )  # one frozen job, and its root goes on
        # Two for each at most, the job and the root, however often they were due.
        assert 21 <= stuck(page) <= 42
        assert threads(exporter) <= threads_before + 42 + 4
        assert page.value("datatrove_root_scans_skipped_total", root="mounted-0")
        assert exporter.get("/-/healthy").status == 200
        write_marker(tmp_path / "server" / "mounted-7" / "job", "00002", time.time())
        thaw()
        page = exporter.wait_for(
            lambda page: (
                all(is_up(page, root) for root in MOUNTED) and completed(page, "mounted-7") == 3
            ),
            "what was frozen is read again",
            seconds=60,
        )
        exporter.wait_for(lambda page: stuck(page) == 0, "no thread is stuck")
        freeze()
        exporter.wait_for(lambda page: stuck(page) > 0, "threads are stuck again", seconds=60)
        assert exporter.end(signal.SIGTERM) == 0
        assert "Traceback" not in exporter.output


# --- S3 servers that fail in every way


@contextmanager
def s3_process(folder: Path) -> Iterator[tuple[S3Server, "subprocess.Popen[bytes]"]]:
    """moto, its process in our hands, with a job of two tasks of four in the bucket."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    with running(command, folder / "moto.log") as process:
        wait_until(lambda: is_listening(port), "moto listens", seconds=60)
        server = S3Server(f"http://{HOST}:{port}", "any", "any")
        with closing(server.client()) as client:
            client.create_bucket(Bucket=BUCKET)
            put_job(client, "logs/job", [0, 1])
        yield server, process


def put_job(client: object, prefix: str, ranks: list[int]) -> None:
    put = client.put_object  # type: ignore[attr-defined]
    body = json.dumps({"world_size": 4, "start_method": "spawn"}).encode()
    put(Bucket=BUCKET, Key=f"{prefix}/executor.json", Body=body)
    for rank in ranks:
        put(Bucket=BUCKET, Key=f"{prefix}/completions/{rank:05d}", Body=b"")


def s3_root(name: str, endpoint_url: str) -> dict[str, object]:
    options = {"endpoint_url": endpoint_url, "key": "any", "secret": "any"}
    return {"name": name, "url": f"s3://{BUCKET}/logs", "storage_options": options}


@pytest.mark.timeout(300)
def test_a_frozen_s3_server_is_a_timeout_until_it_answers_again(tmp_path: Path) -> None:
    write_two_of_four(tmp_path / "local" / "job")
    with s3_process(tmp_path) as (server, process):
        roots = [
            s3_root("s3", server.endpoint_url),
            {"name": "local", "url": str(tmp_path / "local")},
        ]
        with serving(tmp_path, roots=roots, scan=FAST) as exporter:
            exporter.wait_for(lambda page: completed(page, "s3") == 2, "the bucket is read")
            process.send_signal(signal.SIGSTOP)
            page = exporter.wait_for(lambda page: not is_up(page, "s3"), "it is down", seconds=60)
            assert page.errors("s3") == {("root", "timeout"): 1}
            assert completed(page, "s3") == 2
            before = scans(page, "local")
            exporter.wait_for(lambda page: scans(page, "local") >= before + 3, "others go on")
            process.send_signal(signal.SIGCONT)
            with closing(server.client()) as client:
                put_job(client, "logs/job", [2])
            exporter.wait_for(
                lambda page: is_up(page, "s3") and completed(page, "s3") == 3 and stuck(page) == 0,
                "it is read again, and no thread is stuck",
                seconds=90,
            )


HTML = b"<!DOCTYPE html><html><body>Please log in.</body></html>"

FAULTS: dict[str, tuple[set[str], Fault]] = {
    "503": ({"throttled"}, faulty_s3.error(503, "SlowDown")),
    "503 without code": ({"unavailable"}, lambda e: e.answer(503, {}, b"")),
    "429": ({"throttled"}, faulty_s3.error(429, "TooManyRequests")),
    "403": ({"denied"}, faulty_s3.error(403, "AccessDenied")),
    "301": ({"other", "invalid"}, faulty_s3.error(301, "PermanentRedirect")),
    "empty page": ({"partial"}, faulty_s3.listing(lambda _: b"")),
    "HTML page": ({"partial"}, faulty_s3.listing(lambda _: HTML)),
    "half a page": (
        {"partial", "unavailable"},
        faulty_s3.listing(lambda body: body[: len(body) // 2]),
    ),
    "empty later page": ({"partial"}, faulty_s3.listing(lambda _: b"", later=True)),
    "HTML later page": ({"partial"}, faulty_s3.listing(lambda _: HTML, later=True)),
    "half a later page": (
        {"partial", "unavailable"},
        faulty_s3.listing(lambda body: body[: len(body) // 2], later=True),
    ),
    "pages without end": ({"timeout", "partial"}, faulty_s3.pages_without_end),
    "resets": ({"unavailable"}, faulty_s3.resets),
    "breaks off": ({"partial", "unavailable"}, faulty_s3.breaks_off),
    "drips": ({"timeout"}, faulty_s3.drips),
    "says nothing": ({"timeout"}, faulty_s3.says_nothing),
}
"""What goes wrong, the reasons that may be told for it, and how."""


@pytest.mark.timeout(600)
def test_no_wrong_answer_of_s3_becomes_a_number_and_every_root_recovers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server, _ = stack.enter_context(s3_process(tmp_path))
        behind = int(server.endpoint_url.rpartition(":")[2])
        with closing(server.client()) as client:
            for number in range(2):
                put_job(client, f"logs/other-{number}", [0, 1, 2])
        proxies = {name: stack.enter_context(FaultyS3(behind)) for name in FAULTS}
        config = {
            "roots": [s3_root(name, proxy.url) for name, proxy in proxies.items()],
            "scan": {"interval": "3s", "timeout": "8s", "workers": 32},
        }
        exporter = stack.enter_context(serving(tmp_path, **config))

        def is_whole(page: Page, root: str) -> bool:
            return (
                completed(page, root) == 2
                and page.value("datatrove_root_tasks_completed", root=root) == 8
                and page.value("datatrove_root_jobs", root=root) == 3
            )

        exporter.wait_for(
            lambda page: all(is_up(page, root) and is_whole(page, root) for root in FAULTS),
            "all roots are read",
            seconds=60,
        )
        for name, (_, fault) in FAULTS.items():
            proxies[name].fault = fault

        def has_failed(page: Page, root: str) -> bool:
            reasons, _ = FAULTS[root]
            return any(reason in reasons for _, reason in page.errors(root))

        def all_have_failed(page: Page) -> bool:
            for root in FAULTS:
                assert is_whole(page, root), root  # never a partial number
            return all(has_failed(page, root) for root in FAULTS)

        page = exporter.wait_for(all_have_failed, "every root has failed", seconds=180)
        for root, (reasons, _) in FAULTS.items():
            assert {reason for _, reason in page.errors(root)} <= reasons | {"timeout"}, root
        for proxy in proxies.values():
            proxy.fault = None
        page = exporter.wait_for(
            lambda page: all(is_up(page, r) and is_whole(page, r) for r in FAULTS),
            "all are read again",
            seconds=180,
        )
        exporter.wait_for(lambda page: stuck(page) == 0, "no thread is stuck", seconds=60)


def test_a_throttling_s3_is_asked_little_and_less_and_less(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server, _ = stack.enter_context(s3_process(tmp_path))
        behind = int(server.endpoint_url.rpartition(":")[2])
        proxy = stack.enter_context(FaultyS3(behind))
        roots = [s3_root("s3", proxy.url)]
        exporter = stack.enter_context(serving(tmp_path, roots=roots, scan=FAST))
        exporter.wait_for(lambda page: is_up(page, "s3"), "it is up")
        proxy.fault = faulty_s3.error(503, "SlowDown")
        page = exporter.wait_for(lambda page: not is_up(page, "s3"), "it is throttled")
        first, requests = scans(page, "s3"), proxy.requests
        page = exporter.wait_for(
            lambda page: page.value("datatrove_root_scan_backoff_seconds", root="s3") == 7,
            "it is left alone for longer",
            seconds=60,
        )
        assert proxy.requests - requests <= 2 * (scans(page, "s3") - first + 1)
        proxy.fault = None
        exporter.wait_for(
            lambda page: (
                is_up(page, "s3")
                and page.value("datatrove_root_scan_backoff_seconds", root="s3") == 0
            ),
            "it is scanned as before",
        )


def test_credentials_that_are_withdrawn_and_renewed_need_no_restart(
    tmp_path: Path, moto_server: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a token expires and an agent writes the next one into the file."""
    file = tmp_path / "credentials"

    def write(key: str, secret: str) -> None:
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")

    with closing(moto_server.client()) as client:
        put_job(client, "renewed/job", [0, 1])
    with closing(moto_server.client("iam")) as iam:
        first = iam.create_access_key(UserName="admin")["AccessKey"]
        write(first["AccessKeyId"], first["SecretAccessKey"])
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        options = {"endpoint_url": moto_server.endpoint_url}
        root = {"name": "s3", "url": f"s3://{BUCKET}/renewed", "storage_options": options}
        with serving(tmp_path, roots=[root], scan={"interval": "1s"}) as exporter:
            exporter.wait_for(lambda page: completed(page, "s3") == 2, "the bucket is read")
            iam.delete_access_key(UserName="admin", AccessKeyId=first["AccessKeyId"])
            page = exporter.wait_for(lambda page: not is_up(page, "s3"), "it is denied")
            assert {reason for _, reason in page.errors("s3")} == {"denied"}
            assert completed(page, "s3") == 2
            second = iam.create_access_key(UserName="admin")["AccessKey"]
            write(second["AccessKeyId"], second["SecretAccessKey"])
            with closing(moto_server.client()) as client:
                put_job(client, "renewed/job", [2])
            exporter.wait_for(lambda page: is_up(page, "s3") and completed(page, "s3") == 3, "back")
        iam.delete_access_key(UserName="admin", AccessKeyId=second["AccessKeyId"])


# --- The exporter itself


def test_a_suspended_exporter_goes_on_as_if_nothing_were(tmp_path: Path) -> None:
    write_two_of_four(tmp_path / "root" / "job")
    roots = [{"name": "root", "url": str(tmp_path / "root")}]
    with serving(tmp_path, roots=roots, scan={"interval": "1s"}) as exporter:
        before = scans(exporter.wait_for(lambda page: is_up(page, "root"), "it is up"), "root")
        exporter.process.send_signal(signal.SIGSTOP)
        time.sleep(10)
        write_marker(tmp_path / "root" / "job", "00002", time.time())
        exporter.process.send_signal(signal.SIGCONT)
        page = exporter.wait_for(lambda page: completed(page, "root") == 3, "it sees the change")
        assert scans(page, "root") < before + 9  # what was missed is not made up for
        assert exporter.get("/-/healthy").status == 200


DYING = """
import ctypes, os, sys, threading, time

_, die, config = sys.argv

def kill():
    while not (found := [t for t in threading.enumerate() if t.name == "scheduler"]):
        time.sleep(0.01)
    while not os.path.exists(die):
        time.sleep(0.01)
    raised = ctypes.py_object(SystemExit)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(found[0].ident), raised)

threading.Thread(target=kill, daemon=True).start()
from exporter.cli import main
sys.argv = ["datatrove-exporter", "serve", "--config.file=" + config]
sys.exit(main())
"""


def test_a_scheduler_that_dies_is_not_healthy(tmp_path: Path) -> None:
    write_two_of_four(tmp_path / "root" / "job")
    (port,) = free_ports(1)
    file = tmp_path / "exporter.yaml"
    web = {"listen_address": f"{HOST}:{port}"}
    file.write_text(json.dumps({"roots": [str(tmp_path / "root")], "web": web}))
    die = tmp_path / "die"
    with running([sys.executable, "-P", "-c", DYING, die, file], tmp_path / "log"):
        wait_until(lambda: is_listening(port), "it listens")
        wait_until(lambda: get(port, "/-/ready").status == 200, "it is ready")
        assert get(port, "/-/healthy").status == 200
        die.touch()
        wait_until(lambda: get(port, "/-/healthy").status == 503, "it says so")
        assert get(port, "/metrics").status == 200


def test_a_silent_port_holds_one_thread_and_no_other_root(tmp_path: Path) -> None:
    """WebHDFS as fsspec speaks it has no timeout of its own."""
    write_two_of_four(tmp_path / "local" / "job")
    with socket.create_server((HOST, 0)) as listener:
        url = f"webhdfs://{HOST}:{listener.getsockname()[1]}/logs"
        roots = [{"name": "silent", "url": url}, {"name": "local", "url": str(tmp_path / "local")}]
        with serving(tmp_path, roots=roots, scan={"interval": "1s", "timeout": "2s"}) as exporter:
            page = exporter.wait_for(
                lambda page: page.errors("silent") and scans(page, "local") >= 5,
                "it is given up, and the other is scanned",
            )
            assert page.errors("silent") == {("root", "timeout"): 1}
            assert not is_up(page, "silent")
            assert stuck(page) <= 1
            assert is_up(page, "local")
            assert exporter.end(signal.SIGTERM) == 0
