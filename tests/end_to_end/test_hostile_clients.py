"""Clients that mean no good, by the hundred: a good scraper is answered all the while."""

import base64
import itertools
import json
import os
import re
import resource
import signal
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.certificates import Certificates, hashed
from support.processes import Exporter, get, serving
from support.servers import HOST, running, wait_until

pytestmark = pytest.mark.timeout(300)  # most of it is waiting for the server to hang up

CROWD = 700
"""More than the connections that are held at a time."""
SCRAPES = 15
HELD = 512
MEBIBYTE = 1 << 20

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def many_sockets() -> Iterator[None]:
    """This process needs more descriptors than it attacks with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a page far larger than the buffers of a connection."""
    root = tmp_path_factory.mktemp("large")
    for number in range(600):
        job = root / ("a" * 250) / ("b" * 250) / f"{number}"
        job.mkdir(parents=True)
        (job / "executor.json").write_text('{"world_size": 1}')
    return root


@pytest.fixture
def exporter(tmp_path: Path, large: Path) -> Iterator[Exporter]:
    with serving(tmp_path, roots=[str(large)], scan={"interval": "1h"}) as served:
        served.wait_until_ready()
        yield served
        assert "Traceback" not in served.output
        assert len(served.lines) < 20, "no line for each of them"
        assert served.end(signal.SIGTERM) == 0


@pytest.fixture
def with_tls(tmp_path: Path) -> Iterator[tuple[Exporter, ssl.SSLContext]]:
    made = Certificates(tmp_path / "certificates")
    option = f"--web.config.file={made.write_web_config()}"
    (tmp_path / "root").mkdir()
    with serving(tmp_path, option, roots=[str(tmp_path / "root")]) as served:
        yield served, made.client()
        assert "Traceback" not in served.output
        assert len(served.lines) < 20
        assert served.end(signal.SIGTERM) == 0


def scrape_meanwhile(
    exporter: Exporter, tls: ssl.SSLContext | None = None, scrapes: int = SCRAPES
) -> None:
    """A good scraper, every 200 ms and on a new connection each time."""
    wait = threading.Event()
    for number in range(scrapes):
        answer = get(exporter.port, "/metrics", {"Accept-Encoding": "gzip"}, tls)
        assert answer.status == 200, f"scrape {number}"
        wait.wait(0.2)
    assert get(exporter.port, "/-/healthy", tls=tls).status == 200


def connect(port: int, receive_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(30)
    client.connect((HOST, port))
    return client


@contextmanager
def crowd(
    port: int, says: bytes, size: int = CROWD, receive_bytes: int | None = None
) -> Iterator[list[socket.socket]]:
    """Connections that said something and stay open."""
    with ExitStack() as stack:
        clients = []
        for _ in range(size):
            client = stack.enter_context(connect(port, receive_bytes))
            with suppress(ConnectionError):
                client.sendall(says)
            clients.append(client)
        yield clients


def is_closed(client: socket.socket) -> bool:
    """Whether the server hung up; what it sent before is thrown away."""
    client.setblocking(False)
    try:
        while client.recv(MEBIBYTE):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def descriptors(exporter: Exporter) -> int:
    """Open files of the exporter, whose process may be a child of the command's."""
    return len(os.listdir(f"/proc/{exporter.process.pid}/fd"))


def connections(exporter: Exporter) -> int:
    """Sockets that the exporter holds for clients; the kernel may hold on to others."""
    folder = Path(f"/proc/{exporter.process.pid}")
    held = set()
    for link in (folder / "fd").iterdir():
        with suppress(FileNotFoundError):
            held.add(os.readlink(link))
    sockets = [line.split() for line in (folder / "net/tcp").read_text().splitlines()[1:]]
    port = f":{exporter.port:04X}"
    return sum(
        local.endswith(port) and not remote.endswith(":0000") and f"socket:[{inode}]" in held
        for _, local, remote, *_, inode in (fields[:10] for fields in sockets)
    )


def memory_bytes(exporter: Exporter) -> int:
    pages = Path(f"/proc/{exporter.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


SILENCES = {
    "say nothing": b"",
    "stop within the request line": b"GET /met",
    "stop within the headers": b"GET /metrics HTTP/1.1\r\nHost: local",
    "stop within a second request": b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\nGET /met",
    "stop within a body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\nabc",
}


def test_clients_that_fall_silent(exporter: Exporter) -> None:
    with ExitStack() as stack:
        crowds = {
            silence: stack.enter_context(crowd(exporter.port, says, CROWD // len(SILENCES)))
            for silence, says in SILENCES.items()
        }
        assert sum(map(len, crowds.values())) > HELD + 50
        scrape_meanwhile(exporter)
        assert descriptors(exporter) < HELD + 50
        for silence, clients in crowds.items():
            wait_until(lambda c=clients: all(map(is_closed, c)), f"cut off: {silence}", seconds=60)


def test_clients_that_stay_after_a_request(exporter: Exporter) -> None:
    """That is allowed, for more than a minute; but when all connections are taken, not at
    the cost of others."""
    with crowd(exporter.port, b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n"):
        scrape_meanwhile(exporter)
        assert descriptors(exporter) < HELD + 50


@contextmanager
def chatting(port: int, says: bytes, pause_seconds: float, size: int = CROWD) -> Iterator[None]:
    """More clients than there is room for, each of which says something every moment, keeps
    its connection for as long as it may, and comes back at once."""
    stop = threading.Event()
    heard: list[int] = []

    def come_in() -> socket.socket:
        client = socket.socket()
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect((HOST, port))
        return client

    def say(clients: list[socket.socket]) -> None:
        for place, client in enumerate(clients):
            try:
                with suppress(BlockingIOError):
                    while received := client.recv(MEBIBYTE):
                        heard.append(len(received))
                    raise ConnectionError("the server hung up")
                with suppress(BlockingIOError):
                    client.send(says)
            except OSError:
                client.close()
                clients[place] = come_in()

    def chat() -> None:
        clients = [come_in() for _ in range(size)]
        while not stop.wait(pause_seconds):
            say(clients)
        for client in clients:
            client.close()

    chatter = threading.Thread(target=chat)
    chatter.start()
    try:
        wait_until(lambda: len(heard) > size / 2, "they are answered")
        yield
    finally:
        stop.set()
        chatter.join()


CHATTER = {
    "a small request": b"GET /nosuch HTTP/1.1\r\nHost: a\r\n\r\n",
    "a scrape": REQUEST,
    "a request and half of the next": REQUEST.replace(b"metrics", b"-/healthy") + REQUEST[:20],
}


@pytest.mark.parametrize("says", CHATTER)
def test_more_clients_than_room_that_ask_more_often_than_they_may_be_evicted(
    tmp_path: Path, says: str
) -> None:
    with few_jobs(tmp_path) as exporter:
        with chatting(exporter.port, CHATTER[says], 0.7):
            scrape_meanwhile(exporter)
        assert descriptors(exporter) < HELD + 50


@contextmanager
def few_jobs(folder: Path, *options: str) -> Iterator[Exporter]:
    """An exporter whose pages are small."""
    (folder / "root").mkdir()
    with serving(folder, *options, roots=[str(folder / "root")]) as served:
        served.wait_until_ready() if not options else None
        yield served
        assert "Traceback" not in served.output
        assert len(served.lines) < 40


def test_a_crowd_that_guesses_passwords_keeps_nobody_out(tmp_path: Path) -> None:
    """Nothing is known of the right one: this is its first use. They come from its address."""
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: '{hashed('wonderland', cost=8)}'}}")
    guessed = itertools.count()

    def guess() -> None:
        answer = get(exporter.port, "/metrics", basic_auth(f"{next(guessed)}"))
        assert answer.status == 401

    with few_jobs(tmp_path, f"--web.config.file={web}") as exporter:
        with repeatedly(guess, threads=40):
            wait_until(lambda: next(guessed) > 100, "they guess")
            for _ in range(SCRAPES):
                answer = get(exporter.port, "/metrics", basic_auth("wonderland"))
                assert answer.status == 200


def basic_auth(password: str) -> dict[str, str]:
    credentials = base64.b64encode(f"alice:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


def test_pages_that_are_asked_for_by_the_dozen_hold_up_no_scrape(exporter: Exporter) -> None:
    """Filtered pages in full, pages for people, and either without wanting to read them."""
    page = exporter.get("/metrics").body.decode()
    names = re.findall("^# TYPE (datatrove_job_.*) ", page, re.MULTILINE)
    filtered = "/metrics?" + "&".join(f"name[]={name}" for name in names)
    asked = itertools.cycle(
        [
            ("HEAD", filtered),
            ("GET", filtered),
            ("GET", "/api/v1/jobs?per_page=1000"),
            ("HEAD", "/"),
        ]
    )
    seen: set[int] = set()

    def ask() -> None:
        method, path = next(asked)
        accepts = {"Accept-Encoding": "gzip"}
        seen.add(get(exporter.port, path, accepts, method=method).status)

    with repeatedly(ask, threads=60):
        scrape_meanwhile(exporter)
    assert seen == {200, 503}, "beyond a limit they are told to come again"


@contextmanager
def dribbling(clients: list[socket.socket]) -> Iterator[None]:
    """Every client sends a byte of a header about every second."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.5):
            for client in clients:
                with suppress(OSError):
                    client.sendall(b"a")

    sender = threading.Thread(target=send)
    sender.start()
    yield
    stop.set()
    sender.join()


def test_clients_that_dribble_their_request(exporter: Exporter) -> None:
    with crowd(exporter.port, b"GET /metrics HTTP/1.1\r\nX: ") as clients, dribbling(clients):
        scrape_meanwhile(exporter)
        wait_until(lambda: all(map(is_closed, clients)), "all are cut off", seconds=60)


def test_clients_that_do_not_read(exporter: Exporter) -> None:
    page = len(exporter.get("/metrics").body)
    assert page > 3 * MEBIBYTE
    before = memory_bytes(exporter)
    with crowd(exporter.port, REQUEST * 3, receive_bytes=4096) as clients:
        scrape_meanwhile(exporter)
        assert memory_bytes(exporter) - before < 200 * MEBIBYTE < HELD * page
        wait_until(lambda: descriptors(exporter) < 50, "all are cut off", seconds=90)
        assert len(clients) == CROWD


WITHOUT_SWEEPING = """
import sys
import exporter.web.server
from exporter.web.connections import LIMITS, Limits
LIMITS["sending"] = Limits(timeout_seconds=86400, evictable_after_seconds=5)
exporter.web.server._WRITE_SECONDS = 2
from exporter.cli import main
main()
"""


def test_a_response_that_is_never_read_has_a_deadline_of_its_own(
    tmp_path: Path, large: Path
) -> None:
    """There is room for everybody, and nobody else who would cut the client off."""
    file, log = tmp_path / "exporter.yaml", tmp_path / "exporter.log"
    web = {"listen_address": f"{HOST}:0"}
    file.write_text(json.dumps({"roots": [str(large)], "scan": {"interval": "1h"}, "web": web}))
    command = [sys.executable, "-P", "-c", WITHOUT_SWEEPING, "serve", f"--config.file={file}"]
    with running(command, log) as process:
        exporter = Exporter(process, log).wait_for_port()
        exporter.wait_until_ready()
        assert len(exporter.get("/metrics").body) > 3 * MEBIBYTE
        wait_until(lambda: connections(exporter) == 0, "nobody is connected")
        with connect(exporter.port, receive_bytes=4096) as client:
            client.sendall(REQUEST)
            wait_until(lambda: connections(exporter) == 1, "it is answered")
            wait_until(lambda: connections(exporter) == 0, "it is cut off")
        assert "Traceback" not in exporter.output


def test_a_thousand_scrapes_at_once(exporter: Exporter) -> None:
    together = threading.Barrier(100)

    def scrape_ten_times(_: int) -> list[int]:
        together.wait()
        with ExitStack() as stack:  # all ten are asked for before one is read
            clients = [stack.enter_context(connect(exporter.port)) for _ in range(10)]
            for client in clients:
                client.sendall(
                    b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"
                    b"Connection: close\r\n\r\n"
                )
            answers = [read_to_end(client) for client in clients]
        return [int(answer.split(b" ", 2)[1]) for answer in answers if answer]

    with ThreadPoolExecutor(100) as pool:
        statuses = [status for some in pool.map(scrape_ten_times, range(100)) for status in some]
    assert statuses == [200] * 1000


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    while piece := client.recv(MEBIBYTE):
        received += piece
    return received


def repeatedly(act: Callable[[], None], threads: int = 4) -> "contextmanager[None]":  # type: ignore[type-arg]
    """Do something over and over again on several threads."""

    @contextmanager
    def acting() -> Iterator[None]:
        stop = threading.Event()
        done = [0] * threads

        def work(number: int) -> None:
            while not stop.is_set():
                with suppress(OSError):
                    act()
                done[number] += 1

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert sum(done) > 20

    return acting()


BOMBS = {
    "a header of 5 MB": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 5 * MEBIBYTE,
    "100,000 headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100_000,
    "a path of 5 MB": b"GET /" + b"a" * 5 * MEBIBYTE,
    "a query of 5 MB": b"GET /metrics?name[]=" + b"a&" * 2 * MEBIBYTE,
    "5 MB of random bytes": bytes(range(1, 256)) * 20_000,
    "10,000 requests in one breath": REQUEST.replace(b"metrics", b"-/healthy") * 10_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_requests_that_are_too_large(exporter: Exporter, bomb: str) -> None:
    scrape_meanwhile(exporter, scrapes=3)  # so that the page is rendered and in memory
    before = memory_bytes(exporter)

    def throw() -> None:
        with connect(exporter.port) as client:
            client.sendall(BOMBS[bomb])

    with repeatedly(throw):
        scrape_meanwhile(exporter)
    assert memory_bytes(exporter) - before < 100 * MEBIBYTE


def test_clients_that_hang_up_while_they_are_answered(exporter: Exporter) -> None:
    def hang_up() -> None:
        with connect(exporter.port) as client:
            client.sendall(REQUEST)
            client.recv(1000)
            reset = struct.pack("ii", 1, 0)  # instead of a goodbye
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    with repeatedly(hang_up):
        scrape_meanwhile(exporter)


def test_clients_that_never_end_a_handshake(
    with_tls: tuple[Exporter, ssl.SSLContext],
) -> None:
    exporter, client = with_tls
    half_a_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    with ExitStack() as stack:
        for says in (b"", half_a_hello, REQUEST):
            stack.enter_context(crowd(exporter.port, says, CROWD // 3))
        scrape_meanwhile(exporter, client)
        wait_until(lambda: descriptors(exporter) < 50, "all are cut off", seconds=60)


def test_clients_that_say_nothing_after_a_handshake(
    with_tls: tuple[Exporter, ssl.SSLContext],
) -> None:
    exporter, client = with_tls
    with ExitStack() as stack:
        clients = []
        for _ in range(150):
            raw = stack.enter_context(connect(exporter.port))
            clients.append(stack.enter_context(client.wrap_socket(raw, server_hostname=HOST)))
        scrape_meanwhile(exporter, client)
        wait_until(lambda: descriptors(exporter) < 50, "all are cut off", seconds=60)


def test_few_file_descriptors(tmp_path: Path) -> None:
    """Four times as many clients as descriptors, and scans go on as well."""
    root = tmp_path / "root"
    root.mkdir()
    before = ("prlimit", "--nofile=64:64")
    with serving(tmp_path, roots=[str(root)], scan={"interval": "1s"}, before=before) as exporter:
        exporter.wait_until_ready()
        with crowd(exporter.port, b"", size=256):
            scrape_meanwhile(exporter, scrapes=5)
            page = exporter.page()
            assert page.value("datatrove_root_up", root=str(root)) == 1
            assert page.errors(str(root)) == {}
        assert "Traceback" not in exporter.output
        assert exporter.end(signal.SIGTERM) == 0


def test_no_file_descriptor_left(tmp_path: Path) -> None:
    """Not even for one connection: it says so once, does not spin, and recovers."""
    root = tmp_path / "root"
    root.mkdir()
    with serving(tmp_path, roots=[str(root)]) as exporter:
        exporter.wait_until_ready()
        held = descriptors(exporter)
        pid = exporter.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held, limits[1]))
        with crowd(exporter.port, b"", size=50):
            exporter.wait_for_lines("cannot accept connections")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            scrape_meanwhile(exporter)
        assert exporter.output.count("cannot accept connections") == 1
        assert "Traceback" not in exporter.output
        assert exporter.end(signal.SIGTERM) == 0
