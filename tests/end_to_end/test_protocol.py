"""Every path on which the HTTP library could act by itself: what is answered is ours, the
same refusal as for any request, and nothing of what was sent is echoed or logged."""

import gzip
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest
from support.certificates import hashed
from support.jobs.folders import write_job
from support.processes import Exporter, serving
from support.servers import HOST

CANARY = b"canary"
MEBIBYTE = 1 << 20


class Said(NamedTuple):
    """What a client sends, piece by piece, and the statuses that answer it where everyone may
    ask; with a password, 200 to 499 become 401, but 400 (no HTTP) stays."""

    pieces: tuple[bytes, ...]
    statuses: tuple[int, ...]
    is_last: bool = False
    """Whether the connection ends with that."""


def said(*pieces: bytes, answered: tuple[int, ...], is_last: bool = False) -> Said:
    return Said(pieces, answered, is_last)


def request(line: str = "GET /-/healthy", *headers: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: a", *headers, "", "")).encode()


BOMB = gzip.compress(bytes(20 * MEBIBYTE))
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
CHUNKED = "Transfer-Encoding: chunked"
PATHS = {
    "an expectation": said(request("GET /metrics", "Expect: canary"), answered=(200,)),
    "an expectation of what is not there": said(
        request("GET /nosuch", "Expect: canary"), answered=(404,)
    ),
    "100-continue before a body": said(
        request("POST /-/reload", "Expect: 100-continue", "Content-Length: 9"),
        answered=(403,),
        is_last=True,
    ),
    **{
        f"a body that is no {coding}": said(
            request("GET /-/healthy", f"Content-Encoding: {coding}", "Content-Length: 6") + CANARY,
            answered=(200,),
        )
        for coding in ("gzip", "deflate", "br", "zstd", "canary")
    },
    "a bomb": said(
        request("GET /-/healthy", "Content-Encoding: gzip", f"Content-Length: {len(BOMB)}") + BOMB,
        answered=(200,),
    ),
    "a bomb that comes after the answer": said(
        request("GET /-/healthy", "Content-Encoding: gzip", "Content-Length: 99999"),
        BOMB,
        answered=(200,),
        is_last=True,
    ),
    "a body that is not whole": said(
        request("POST /metrics", "Content-Length: 99") + CANARY, answered=(405,), is_last=True
    ),
    "a body, and the next request": said(
        request("GET /-/healthy", "Content-Length: 6") + CANARY + request(), answered=(200, 200)
    ),
    "a body that comes late, and the next request": said(
        request("GET /-/healthy", "Content-Length: 6"),
        CANARY + request(),
        answered=(200,),
        is_last=True,
    ),
    "chunks": said(
        request("POST /-/reload", CHUNKED) + b"6\r\ncanary\r\n0\r\nX: canary\r\n\r\n",
        answered=(403,),
    ),
    "chunks that are none": said(
        request("GET /-/healthy", CHUNKED) + b"canary\r\n", answered=(400,), is_last=True
    ),
    "chunks that turn out to be none": said(
        request("GET /-/healthy", CHUNKED) + b"1\r\na\r\n",
        b"canary\r\n",
        answered=(200,),
        is_last=True,
    ),
    "an upgrade": said(request("GET /-/healthy", *UPGRADE), answered=(200,)),
    "an upgrade, and something else": said(
        request("GET /-/healthy", *UPGRADE), b"\0canary\r\n\r\n", answered=(200, 400), is_last=True
    ),
    "an upgrade, and a request": said(
        request("GET /-/healthy", *UPGRADE) + request(), answered=(200, 200)
    ),
    "an upgrade to HTTP/2": said(
        request("GET /-/healthy", "Connection: Upgrade", "Upgrade: h2c"), answered=(200,)
    ),
    "a tunnel": said(request("CONNECT canary:443"), answered=(404,)),
    "another method": said(request("PROPFIND /metrics", "X: canary"), answered=(405,)),
    "a trace": said(request("TRACE /metrics", "X: canary"), answered=(405,)),
    "requests in one breath": said(request() * 3, answered=(200, 200, 200)),
    "requests, and something else": said(
        request(), b"\0canary\r\n\r\n", answered=(200, 400), is_last=True
    ),
    "HTTP/1.0": said(b"GET /-/healthy HTTP/1.0\r\n\r\n", answered=(200,), is_last=True),
    "no host": said(b"GET /-/healthy HTTP/1.1\r\n\r\n", answered=(400,), is_last=True),
    "a host that is none": said(
        b"GET /-/healthy HTTP/1.1\r\nHost: [canary\r\n\r\n", answered=(200,)
    ),
    "an address that is none": said(request("GET http://[canary/"), answered=(400,), is_last=True),
    "cookies that are none": said(
        request("GET /-/healthy", 'Cookie: ;;=="canary'), answered=(200,)
    ),
    "a path that is not encoded": said(request("GET /%zz%ff%00?%zz=canary"), answered=(404,)),
    "conditions and a range": said(
        request("GET /-/healthy", "Range: bytes=0-5", "If-None-Match: *"), answered=(200,)
    ),
    "as many headers as allowed": said(
        request("GET /-/healthy", *["X: canary"] * 60), answered=(200,)
    ),
    "too many headers": said(
        request("GET /-/healthy", *["X: canary"] * 100), answered=(400,), is_last=True
    ),
    "a path that is too long": said(
        request("GET /" + "canary" * 2000), answered=(400,), is_last=True
    ),
}


@pytest.fixture(scope="module", params=["compiled", "python"])
def exporters(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[bool, Exporter]]:
    """One that asks for a password, and one that does not; with either of the library's parsers."""
    environment = {"AIOHTTP_NO_EXTENSIONS": "1"} if request.param == "python" else {}
    folder = tmp_path_factory.mktemp("protocol")
    write_job(folder / "root" / "job", tasks=4)
    web = folder / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: '{hashed('wonderland')}'}}")
    with (
        serving(folder, environment=environment, roots=[str(folder / "root")]) as plain,
        serving(
            tmp_path_factory.mktemp("guarded"),
            f"--web.config.file={web}",
            environment=environment,
            roots=[str(folder / "root")],
        ) as guarded,
    ):
        plain.wait_until_told()
        guarded.wait_until_told()
        yield {False: plain, True: guarded}


def answers(client: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Status and bytes of so many answers."""
    received = b""
    while True:
        heads = list(re.finditer(rb"HTTP/1\.[01] (\d+) [^\r]*\r\n(?s:.*?)\r\n\r\n", received))
        if len(heads) >= count:
            ends = [head.start() for head in heads[1:]] + [len(received)]
            length = re.search(rb"(?i)content-length: (\d+)", heads[-1][0])
            if length is None or len(received) - heads[-1].end() >= int(length[1]):
                found = zip(heads, ends, strict=True)
                return [(int(head[1]), received[head.start() : end]) for head, end in found]
        piece = client.recv(MEBIBYTE)
        assert piece, received
        received += piece


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_whatever_is_sent_the_answer_is_ours(
    exporters: dict[bool, Exporter], path: str, guarded: bool
) -> None:
    exporter = exporters[guarded]
    before = exporter.output
    expected = [401 if guarded and s != 400 else s for s in PATHS[path].statuses]
    with socket.create_connection((HOST, exporter.port), timeout=10) as client:
        found = []
        for number, piece in enumerate(PATHS[path].pieces):
            client.sendall(piece)
            if number < len(expected):
                found += answers(client, len(expected) if len(PATHS[path].pieces) == 1 else 1)
        assert [status for status, _ in found] == expected
        for _, answer in found:
            head, _, body = answer.partition(b"\r\n\r\n")
            for line in (b"x-content-type-options: nosniff", b"server: datatrove-exporter"):
                assert line in head.lower()
            assert len(body) < 100 or b"# HELP" in body
            assert CANARY not in answer.lower()
        if PATHS[path].is_last:
            client.settimeout(10)
            with suppress(ConnectionError):
                assert client.recv(MEBIBYTE) == b"", "the connection ends"
    assert exporter.output == before
