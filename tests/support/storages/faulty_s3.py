"""A proxy before a real S3 server that passes requests on, or injects the fault it is told to."""

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from support.servers import HOST

_PAGE = 2
"""Keys per listing page, so that every listing has several."""

Response = tuple[int, dict[str, str], bytes]
Fault = Callable[["Exchange"], None]


class Exchange:
    """One request that came in, and what may be done with it."""

    def __init__(self, proxy: "FaultyS3", connection: socket.socket, head: bytes) -> None:
        self._proxy = proxy
        self.connection = connection
        line, *fields = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.headers = dict(field.split(": ", 1) for field in fields if ": " in field)
        self.query = dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "list-type" in self.query

    @property
    def is_later_page(self) -> bool:
        return self.is_listing and "continuation-token" in self.query

    def ask(self) -> Response:
        """What the real server answers."""
        target = self.target
        if self.is_listing:
            pages = {"max-keys": str(_PAGE)}
            target = f"{urlsplit(target).path}?{urlencode({**self.query, **pages})}"
        connection = http.client.HTTPConnection(HOST, self._proxy.behind, timeout=30)
        try:
            connection.request(self.method, target, headers=self.headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.connection.sendall(self.encode(status, headers, body))

    def encode(self, status: int, headers: dict[str, str], body: bytes) -> bytes:
        hop = {"connection", "transfer-encoding", "date", "server"}
        kept = {k: v for k, v in headers.items() if k.lower() not in hop}
        if not any(name.lower() == "content-length" for name in kept):
            kept["Content-Length"] = str(len(body))
        lines = [f"HTTP/1.1 {status} -", *(f"{k}: {v}" for k, v in kept.items())]
        head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
        return head if self.method == "HEAD" else head + body


class FaultyS3:
    """Listens on a port of its own; `fault` may be changed at any time (None: passes all)."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self.fault: Fault | None = None
        self.requests = 0
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self._is_closed = False
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._listener.close()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(30)
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    head += piece
                self.requests += 1
                exchange = Exchange(self, connection, head.partition(b"\r\n\r\n")[0])
                (self.fault or passes)(exchange)
        except (OSError, http.client.HTTPException):
            pass  # a client that goes away, or the server behind that is stopped, is no news


def passes(exchange: Exchange) -> None:
    exchange.answer(*exchange.ask())


def error(status: int, code: str, **headers: str) -> Fault:
    """Every request is answered so."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>"
    own = {"Content-Type": "application/xml", **headers}
    return lambda exchange: exchange.answer(status, own, body.encode())


def listing(change: Callable[[bytes], bytes], *, later: bool = False) -> Fault:
    """Listing pages (or all but the first) come with another body and status 200."""

    def fault(exchange: Exchange) -> None:
        status, headers, body = exchange.ask()
        if exchange.is_later_page if later else exchange.is_listing:
            body = change(body)
            headers = {"Content-Type": "application/xml"}
        exchange.answer(status, headers, body)

    return fault


def pages_without_end(exchange: Exchange) -> None:
    """The first page again and again, each time with another token for the next."""
    exchange.query.pop("continuation-token", None)
    status, headers, body = exchange.ask()
    if exchange.is_listing:
        body = re.sub(rb"<IsTruncated>\w+<", b"<IsTruncated>true<", body)
        body = re.sub(rb"<NextContinuationToken>[^<]*</NextContinuationToken>", b"", body)
        token = f"<NextContinuationToken>t{time.monotonic_ns()}</NextContinuationToken>"
        body = body.replace(b"</IsTruncated>", b"</IsTruncated>" + token.encode())
        headers = {"Content-Type": "application/xml"}
    exchange.answer(status, headers, body)


def resets(exchange: Exchange) -> None:
    """The connection breaks instead of an answer."""
    linger = struct.pack("ii", 1, 0)
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def breaks_off(exchange: Exchange) -> None:
    """The connection ends in the middle of each body."""
    status, headers, body = exchange.ask()
    if not body:
        resets(exchange)
        return
    answer = exchange.encode(status, {**headers, "Content-Length": str(len(body))}, body)
    exchange.connection.sendall(answer[: -len(body) // 2])


def drips(exchange: Exchange) -> None:
    """One byte a second, so that no read takes long and no answer ever ends."""
    answer = exchange.encode(*exchange.ask())
    for byte in answer:
        exchange.connection.sendall(bytes([byte]))
        time.sleep(1)


def says_nothing(exchange: Exchange) -> None:
    exchange.connection.recv(1)  # until the client goes away
