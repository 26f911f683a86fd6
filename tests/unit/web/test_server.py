"""The HTTP server as a process: who is answered, with which headers, over which TLS."""

import base64
import gc
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from http.client import HTTPException
from itertools import islice
from pathlib import Path

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from support.certificates import Certificates, hashed
from support.jobs.folders import write_job
from support.processes import COMMAND, Answer, Exporter, get, prometheus, serving
from support.servers import HOST, wait_until
from support.snapshots.pages import job_path

from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.model.snapshot import Latest
from exporter.web.operations import Operations
from exporter.web.routes import routes as web_routes
from exporter.web.security.access import Access
from exporter.web.server import Server
from exporter.web.views import Views

PASSWORD = "correct horse"
USERS = {"prometheus": hashed(PASSWORD)}


def header(password: str = PASSWORD, user: str = "prometheus") -> dict[str, str]:
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, made: Certificates
) -> Iterator[tuple[Exporter, Certificates]]:
    """An exporter that asks for a certificate of a certain name and for a password."""
    folder = tmp_path_factory.mktemp("guarded")
    write_job(folder / "root" / "job", tasks=4, completed=[0, 1])
    file = made.write_web_config(
        tls_server_config={
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "ca.crt",
            "client_allowed_sans": ["prometheus.example.org"],
        },
        basic_auth_users=USERS,
        http_server_config={
            "headers": {
                "X-Frame-Options": "sameorigin",
                "Strict-Transport-Security": "max-age=63072000",
            }
        },
    )
    with serving(folder, f"--web.config.file={file}", roots=[str(folder / "root")]) as exporter:
        exporter.wait_until_told()
        yield exporter, made


# --- Every path


def routes() -> set[tuple[str, str]]:
    """The server's own table: what the tests below must not forget."""
    operations = Operations(Publisher(Latest()), ProcessMetrics(), lambda: True, None)
    table = web_routes(Views(Latest().read), operations)
    below = {True: "a/b", False: ""}
    return {(m, r.path + below[r.serves_below]) for r in table for m in r.methods}


ROUTES = routes()
ELSEWHERE = [
    (method, path)
    for method in ("GET", "POST", "OPTIONS", "DELETE")
    for path in ("/nosuch", "/metrics/", "/-//ready", "/METRICS", "/%2e%2e/etc/passwd", "/-/", "*")
] + [("TRACE", "/"), ("PATCH", "/metrics"), ("PROPFIND", "/metrics"), ("GET", "/metrics?x=1")]


def test_the_table_of_routes_is_seen() -> None:
    assert {("GET", "/metrics"), ("HEAD", "/"), ("POST", "/-/reload")} <= ROUTES
    assert len(ROUTES) >= 10


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES) + ELSEWHERE)
def test_every_path_asks_for_a_certificate_and_a_password(
    guarded: tuple[Exporter, Certificates], method: str, path: str
) -> None:
    exporter, made = guarded
    known = made.client("prometheus", "prometheus.example.org")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        get(exporter.port, path, header(), made.client(), method)
    nothing = path == "*" and method != "OPTIONS"  # that could be asked for
    unknown = made.client("other", "other.example.org")
    answer = get(exporter.port, path, header(), unknown, method)
    assert answer.status == (400 if nothing else 403)
    for wrong in ({}, header("wrong"), header(user="nobody"), {"Authorization": "Basic \xff"}):
        answer = get(exporter.port, path, wrong, known, method)
        assert answer.status == (400 if nothing else 401)
        assert nothing or answer.headers["WWW-Authenticate"] == "Basic"
    assert get(exporter.port, path, header(), known, method).status != 401


def test_a_failed_login_is_logged_without_the_name_and_not_each_time(
    guarded: tuple[Exporter, Certificates],
) -> None:
    exporter, made = guarded
    known = made.client("prometheus", "prometheus.example.org")
    for number in range(20):
        assert get(exporter.port, "/", header(user=f"mallory{number}"), known).status == 401
    lines = exporter.wait_for_lines("login failed")
    assert 0 < len(lines) < 20
    assert f"client={HOST}" in lines[-1]
    assert "mallory" not in exporter.output


# --- Headers

SECURE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "datatrove-exporter",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}


def assert_secure(answer: Answer, **others: str) -> None:
    expected = {**SECURE, **others}
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    folder = tmp_path_factory.mktemp("plain")
    write_job(folder / "root" / "job", tasks=4, completed=[0, 1])
    with serving(folder, roots=[str(folder / "root")]) as exporter:
        exporter.wait_until_ready()
        exporter.wait_until_told()
        yield exporter


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES) + ELSEWHERE)
def test_every_answer_has_the_security_headers(plain: Exporter, method: str, path: str) -> None:
    assert_secure(get(plain.port, path, method=method))


def test_the_web_configurations_headers_come_first(
    guarded: tuple[Exporter, Certificates],
) -> None:
    exporter, made = guarded
    known = made.client("prometheus", "prometheus.example.org")
    others = {"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=63072000"}
    for path in ("/", "/metrics", "/nosuch"):
        assert_secure(get(exporter.port, path, header(), known), **others)
        assert_secure(get(exporter.port, path, {}, known), **others)


def test_an_excluded_path_needs_no_certificate_and_no_password(
    tmp_path: Path, made: Certificates
) -> None:
    write_job(tmp_path / "root" / "job", tasks=4)
    authority = Certificates(tmp_path / "certificates")
    file = authority.write_web_config(
        tls_server_config={
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "ca.crt",
        },
        basic_auth_users=USERS,
        auth_excluded_paths=["/-/healthy"],
    )
    with serving(tmp_path, roots=[str(tmp_path / "root")], web={"config_file": str(file)}) as one:
        anyone, known = authority.client(), authority.client("prometheus", "prometheus")
        assert get(one.port, "/-/healthy", {}, anyone).status == 200
        assert get(one.port, "/%2D/healthy", {}, anyone).status == 200
        assert get(one.port, "/metrics", header(), anyone).status == 403
        assert get(one.port, "/metrics", {}, known).status == 401
        assert get(one.port, "/metrics", header(), known).status == 200
        stranger = made.client("stranger", "prometheus")  # of another authority
        stranger.load_verify_locations(authority.authority_file)
        with pytest.raises((OSError, HTTPException)):
            get(one.port, "/-/healthy", {}, stranger)


def test_a_path_means_the_same_however_its_letters_are_encoded(plain: Exporter) -> None:
    found = json.loads(plain.get("/api/v1/%6Aobs").body)["jobs"]
    path = job_path(found[0]["root"], found[0]["job_name"])
    assert "<title>" in plain.get(f"/%6Aobs/{path}").body.decode()
    assert json.loads(plain.get(f"/api/v1/%6Aobs/{path}").body)["job_name"] == "job"
    assert plain.get("/jobs%2F" + path).status == 404


def is_complete(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


def exchange(port: int, request: bytes) -> Answer | None:
    """The answer to bytes that no library would send; None if there is none."""
    with socket.create_connection((HOST, port), timeout=2) as client:
        received = b""
        with suppress(ConnectionError, TimeoutError):
            client.sendall(request)
            while not is_complete(received) and (piece := client.recv(65536)):
                received += piece
    if not received:
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), headers, body)


CANARY = "a-canary"
LINE = b"GET /metrics HTTP/1.1\r\n"
NOT_HTTP = {
    "nothing": b"\r\n\r\n",
    "random bytes": bytes(range(256)),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "an SSH banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "an unknown version": b"GET / HTTP/7.7\r\nHost: a\r\n\r\n",
    "a method of controls": b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": f"GET HTTP/1.1 {CANARY}\r\nHost: a\r\n\r\n".encode(),
    "a space in the path": f"GET /{CANARY} x HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "a header without colon": LINE + f"Host: a\r\n{CANARY}\r\n\r\n".encode(),
    "a header with NUL": LINE + f"Host: a\r\nX: {CANARY}\0\r\n\r\n".encode(),
    "a folded header": LINE + b"Host: a\r\nX: a\r\n b\r\n\r\n",
    "two lengths": LINE + b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length below zero": LINE + b"Host: a\r\nContent-Length: -1\r\n\r\n",
    "a length and chunks": LINE + b"Host: a\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": LINE + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long header": LINE + b"Host: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "a long header's name": LINE + b"Host: a\r\n" + b"a" * 100_000 + b": x\r\n\r\n",
    "a cookie bomb": LINE + b"Host: a\r\nCookie: " + b"a=b; " * 20_000 + b"\r\n\r\n",
    "many headers": LINE + b"Host: a\r\n" + b"X: a\r\n" * 10_000 + b"\r\n",
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_refused_in_a_word(plain: Exporter, name: str) -> None:
    """By a status of 400 to 499, with the security headers, and without a line in the log:
    whoever reaches the port could otherwise fill it."""
    before = plain.output
    answer = exchange(plain.port, NOT_HTTP[name])
    if answer is not None and answer.status != 200:  # a folded header may be understood
        assert 400 <= answer.status < 500
        assert_secure(answer)
        assert len(answer.body) < 50
        assert CANARY not in answer.body.decode()
    assert name in ("nothing", "HTTP/0.9", "a folded header") or (
        answer is None or answer.status != 200
    )
    assert plain.output == before
    assert plain.get("/metrics").status == 200


ACCEPTS = [
    "application/openmetrics-text;version=abc",
    "application/openmetrics-text; version=1.0.0; version=2.0.0",
    "application/openmetrics-text;version=",
    "application/openmetrics-text;;;q",
    "application/openmetrics-text;version=1.0.0;q=0",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    ",,;;,=",
    "*/*;q=0",
    "x" * 8000,
    ";".join("q" for _ in range(4000)),
    "\xff\xfe",
]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_an_odd_accept_header_gets_a_page_all_the_same(plain: Exporter, accept: str) -> None:
    for name in ("Accept", "Accept-Encoding"):
        answer = get(plain.port, "/metrics", {name: accept})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(
            ("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0")
        )
        assert b"datatrove_jobs 1" in answer.body


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.1\r\nHost: evil\r\n\r\n",
        b"GET http://evil/metrics HTTP/1.1\r\nHost: evil\r\n\r\n",
        b"GET /?<canary> HTTP/1.1\r\nHost: <canary>\r\nReferer: <canary>\r\n\r\n",
        b"GET /<canary> HTTP/1.1\r\nHost: <canary>\r\n\r\n",
        b"<canary> / HTTP/1.1\r\nHost: <canary>\r\n\r\n",
    ],
)
def test_nothing_of_a_request_is_echoed(plain: Exporter, request_: bytes) -> None:
    answer = exchange(plain.port, request_)
    assert answer is not None
    everything = answer.body.decode() + str(answer.headers)
    assert "evil" not in everything
    assert "<canary>" not in everything


def test_a_large_body_is_not_waited_for(plain: Exporter) -> None:
    with socket.create_connection((HOST, plain.port), timeout=20) as client:
        client.sendall(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 405 ")


# --- TLS


def test_a_real_prometheus_scrapes_over_mutual_tls_with_a_password(
    tmp_path: Path, guarded: tuple[Exporter, Certificates]
) -> None:
    exporter, made = guarded
    certificate, key = made.issue("scraper", "prometheus.example.org")
    tls = {"cert_file": str(certificate), "key_file": str(key), "ca_file": str(made.authority_file)}
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    basic = {"username": "prometheus", "password_file": str(password)}
    with prometheus(
        tmp_path, exporter.port, scheme="https", tls_config=tls, basic_auth=basic
    ) as server:
        wait_until(lambda: server.value("up") == 1, "Prometheus gets in")
        wait_until(lambda: server.value("datatrove_tasks") == 4, "it sees the job")
        password.write_text("wrong")
        wait_until(lambda: server.value("up") == 0, "Prometheus is refused")
        password.write_text(PASSWORD)
        wait_until(lambda: server.value("up") == 1, "Prometheus gets in again")


def test_who_speaks_no_tls_to_a_tls_port_gets_nothing(
    guarded: tuple[Exporter, Certificates],
) -> None:
    exporter, _ = guarded
    before = exporter.output
    assert exchange(exporter.port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") is None
    assert exchange(exporter.port, b"\x16\x03\x01") is None
    assert exporter.output == before


def serial(port: int, client: ssl.SSLContext) -> object:
    with socket.create_connection((HOST, port), timeout=10) as raw:
        with client.wrap_socket(raw, server_hostname=HOST) as connection:
            certificate = connection.getpeercert()
            assert certificate is not None
            return certificate["serialNumber"]


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    """As Kubernetes renews it: all files change at once, by one link."""
    made = Certificates(tmp_path / "first")
    web = {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"}}
    second = tmp_path / "second"
    second.mkdir()
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "..data").symlink_to(made.folder)
    made.write_web_config(**web)
    for name in ("web.yml", "server.crt", "server.key"):
        (mounted / name).symlink_to(f"..data/{name}")
    (tmp_path / "root").mkdir()
    with serving(
        tmp_path, f"--web.config.file={mounted / 'web.yml'}", roots=[str(tmp_path / "root")]
    ) as exporter:
        client = made.client()
        before = serial(exporter.port, client)
        first = made.folder
        made.folder = second
        made.issue("server", HOST)
        made.write_web_config(**web)
        made.folder = first
        (mounted / "..new").symlink_to(second)
        os.rename(mounted / "..new", mounted / "..data")
        wait_until(lambda: serial(exporter.port, client) != before, "the new one is shown")
        (second / "server.key").write_text("half a key")
        exporter.wait_for_lines("web configuration refused")
        page = get(exporter.port, "/metrics", tls=client).body.decode()
        assert "datatrove_exporter_web_config_last_reload_successful 0.0" in page
        assert exporter.end(signal.SIGTERM) == 0


def test_a_web_configuration_that_cannot_be_used_ends_in_one_line_per_mistake(
    tmp_path: Path,
) -> None:
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: nosuch, key_file: nosuch}\n")
    config = tmp_path / "exporter.yaml"
    config.write_text(f"roots: ['{tmp_path}']\nweb: {{config_file: web.yml}}\n")
    for command in (["check-config", str(config)], ["serve", f"--config.file={config}"]):
        run = subprocess.run([*COMMAND, *command], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr == (
            f"{web}:1: tls_server_config.cert_file: the file cannot be read: "
            "No such file or directory\n"
            f"{web}:1: tls_server_config.key_file: the file cannot be read: "
            "No such file or directory\n"
        )


def test_check_config_says_on_which_terms_it_serves(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    made.write_web_config(basic_auth_users=USERS)
    config = tmp_path / "exporter.yaml"
    config.write_text(f"roots: ['{tmp_path}']\nweb: {{config_file: web.yml}}\n")
    run = subprocess.run(
        [*COMMAND, "check-config", str(config)], capture_output=True, text=True, check=True
    )
    assert "serve HTTPS to clients with a password (1 user)" in run.stdout
    assert not re.search(r"\$2[aby]\$", run.stdout)


def test_more_requests_than_allowed_get_429(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text("rate_limit: {interval: 1h, burst: 2}")
    with serving(tmp_path, f"--web.config.file={web}", roots=[str(tmp_path)]) as exporter:
        statuses = [exporter.get("/-/healthy").status for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        assert_secure(exporter.get("/metrics"))


# --- Work in turns


@contextmanager
def served(process_metrics: ProcessMetrics) -> Iterator[int]:
    """The port of a server in this process."""
    listener = socket.create_server((HOST, 0))
    server = Server(
        listener, Publisher(Latest()), process_metrics, lambda: True, access=Access(None)
    )
    server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        server._thread.join()
        server._loop.close()


def test_nothing_of_what_is_no_request_waits_for_the_garbage_collection() -> None:
    """Not even if more of it comes before the first is answered. The collection of all objects
    that would find it is seldom."""
    gc.collect()
    gc.disable()
    try:
        with served(ProcessMetrics()) as port:
            for _ in range(10):
                with socket.create_connection((HOST, port)) as client, suppress(ConnectionError):
                    client.sendall(b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100_000)
                    while client.recv(65536):
                        pass
        errors = [each for each in gc.get_objects() if isinstance(each, HttpProcessingError)]
        assert errors == [], "their tracebacks would hold what was received"
    finally:
        gc.enable()


class SlowWhenFiltered(ProcessMetrics):
    """Takes its time for filtered scrapes."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def render(self, *, as_openmetrics: bool, names: Iterable[str] = ()) -> bytes:
        if names:
            assert self.gate.wait(60)
        return b""


def test_filtered_scrapes_wait_for_each_other_and_no_scrape_for_them() -> None:
    """Nor for pages; who waits beyond the limit is told when to come again."""
    slow = SlowWhenFiltered()
    with served(slow) as port, ThreadPoolExecutor(60) as pool:
        filtered = [pool.submit(get, port, "/metrics?name[]=a") for _ in range(60)]
        refused = [each.result() for each in islice(as_completed(filtered), 60 - 33)]
        assert {answer.status for answer in refused} == {503}
        assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
        assert_secure(refused[0])
        assert get(port, "/metrics").status == 200
        assert get(port, "/-/healthy").status == 200
        slow.gate.set()
        assert Counter(each.result().status for each in filtered) == {200: 33, 503: 27}


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics?name[]=datatrove_jobs", "/", "/api/v1/jobs"]
)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_head_has_the_headers_of_get_but_its_length(
    plain: Exporter, path: str, coding: str
) -> None:
    answers = [
        get(plain.port, path, {"Accept-Encoding": coding}, method=m) for m in ("GET", "HEAD")
    ]
    of_get, of_head = (
        {k: v for k, v in a.headers.items() if k not in ("Content-Length", "Date")} for a in answers
    )
    assert (of_head, answers[1].body) == (of_get, b"")


# --- Bugs


class BrokenProcessMetrics(ProcessMetrics):
    def render(self, *, as_openmetrics: bool, names: Iterable[str] = ()) -> bytes:
        raise ZeroDivisionError("a secret detail")


def test_a_bug_met_by_one_request_is_its_own_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(BrokenProcessMetrics()) as port:
        answer = get(port, "/metrics")
        assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
        assert answer.headers.items() >= SECURE.items()
        assert get(port, "/-/healthy").status == 200
        assert caplog.text.count("a request met a bug") == 1
        assert get(port, "/metrics").status == 500
        assert caplog.text.count("a request met a bug") == 1, "not for each request"


def test_nothing_is_rendered_for_head() -> None:
    with served(BrokenProcessMetrics()) as port:
        for path in ("/metrics", "/metrics?name[]=datatrove_jobs"):
            answer = get(port, path, {"Accept-Encoding": "gzip"}, method="HEAD")
            assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
