"""The HTTP server: aiohttp on an event loop and thread of its own.

Nothing but HTTP runs on that loop: no storage, no scanning, no rendering of pages. A
response is written in pieces under a deadline, so a client that does not read costs one
socket buffer; connections are bounded, silent ones are closed.

Routes match exactly; GET and HEAD only. Nothing of a request is ever echoed, but for the
status page's filter, which is shown in its form.
"""

import asyncio
import gzip
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.exposition import CONTENT_TYPES, Body, Exposition, Format
from exporter.frame import CONTENT_SECURITY_POLICY
from exporter.snapshot import Latest
from exporter.telemetry import OPENMETRICS_END, Telemetry
from exporter.views import Answer, Views

_LOG = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 1024
_WRITE_SECONDS = 30
_IDLE_SECONDS = 75  # more than the usual scrape interval of a minute
_DRAIN_SECONDS = 3
_CONNECTIONS = 512
_BACKLOG = 512

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "datatrove-exporter",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    """Serves the latest snapshot on `listener`, a bound socket, until `stop`."""

    def __init__(
        self,
        listener: socket.socket,
        latest: Latest,
        telemetry: Telemetry,
        is_healthy: Callable[[], bool],
    ) -> None:
        self._listener = listener
        self._latest = latest
        self._telemetry = telemetry
        self._is_healthy = is_healthy
        self._exposition = Exposition(latest)
        # One thread renders: concurrent scrapes wait for the same page, not for turns.
        self._renderer = ThreadPoolExecutor(1, "render")
        # Pages for people have another, so that no scrape waits for them.
        self._views = Views(latest)
        self._writer = ThreadPoolExecutor(1, "write")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._runner: web.AppRunner | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def stop(self) -> None:
        """Stop accepting, let responses in flight end for a few seconds, close."""
        draining = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        with suppress(TimeoutError):  # a client that does not read is not waited for
            draining.result(_DRAIN_SECONDS + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._renderer.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    async def _start(self) -> None:
        application = web.Application(middlewares=[_common], client_max_size=1024)
        for path, handler in (
            ("/", self._index),
            ("/jobs/{path:(?s:.+)}", self._job),
            ("/api/v1/jobs", self._api_jobs),
            ("/api/v1/jobs/{path:(?s:.+)}", self._api_job),
            ("/api/v1/roots", self._api_roots),
            ("/api/v1/openapi.json", self._api_description),
            ("/metrics", self._metrics),
            ("/-/healthy", self._healthy),
            ("/-/ready", self._ready),
        ):
            application.router.add_get(path, handler)  # and HEAD
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_IDLE_SECONDS,
            shutdown_timeout=_DRAIN_SECONDS,
        )
        await self._runner.setup()
        self._accepting = await self._loop.create_server(
            self._accept, sock=self._listener, backlog=_BACKLOG
        )

    def _accept(self) -> asyncio.BaseProtocol:
        """A protocol for a new connection; over the limit one that hangs up."""
        assert self._runner is not None
        assert self._runner.server is not None
        if len(self._runner.server.connections) >= _CONNECTIONS:
            return _Refusal()
        protocol: asyncio.BaseProtocol = self._runner.server()
        return protocol

    async def _stop(self) -> None:
        assert self._runner is not None
        self._accepting.close()
        await self._runner.cleanup()

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return await self._write(request, lambda: self._views.index(request.query.items()))

    async def _job(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path.removeprefix("/jobs/")
        return await self._write(request, lambda: self._views.job(path))

    async def _api_jobs(self, request: web.Request) -> web.StreamResponse:
        return await self._write(request, lambda: self._views.api_jobs(request.query.items()))

    async def _api_job(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path.removeprefix("/api/v1/jobs/")
        return await self._write(request, lambda: self._views.api_job(path))

    async def _api_roots(self, request: web.Request) -> web.StreamResponse:
        return await self._write(request, self._views.api_roots)

    async def _api_description(self, request: web.Request) -> web.StreamResponse:
        return await self._write(request, self._views.api_description)

    async def _write(self, request: web.Request, write: Callable[[], Answer]) -> web.StreamResponse:
        """Answer with a answer that is written, and compressed, off the loop."""
        use_gzip = _accepts_gzip(request.headers.get("Accept-Encoding", ""))

        def written() -> tuple[Answer, bytes]:
            answer = write()
            return answer, gzip.compress(answer.body, 5) if use_gzip else answer.body

        answer, body = await self._loop.run_in_executor(self._writer, written)
        response = web.StreamResponse(
            status=answer.status,
            headers={"Content-Type": answer.content_type, "Vary": "Accept-Encoding"},
        )
        if use_gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = len(body)
        await _send(request, response, Body((body,)))
        return response

    async def _healthy(self, _: web.Request) -> web.StreamResponse:
        if self._is_healthy():
            return web.Response(text="The exporter is healthy.\n")
        return web.Response(status=503, text="The scheduler does not respond.\n")

    async def _ready(self, _: web.Request) -> web.StreamResponse:
        if self._latest.read().is_ready:
            return web.Response(text="The exporter is ready.\n")
        return web.Response(status=503, text="Not every root has been scanned once.\n")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        page_format = _choose_format(request.headers.get("Accept", ""))
        use_gzip = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
        names = frozenset(request.query.getall("name[]", ())[:100])
        body = await self._loop.run_in_executor(
            self._renderer, partial(self._render, page_format, names, use_gzip=use_gzip)
        )
        response = web.StreamResponse(
            headers={"Content-Type": CONTENT_TYPES[page_format], "Vary": "Accept, Accept-Encoding"}
        )
        if use_gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = body.size_bytes
        await _send(request, response, body)
        return response

    def _render(self, page_format: Format, names: frozenset[str], *, use_gzip: bool) -> Body:
        as_openmetrics = page_format == "openmetrics"
        current = self._exposition.page(page_format)
        live = self._telemetry.render(as_openmetrics=as_openmetrics, names=names)
        end = OPENMETRICS_END if as_openmetrics else b""
        return (current.gzip_body if use_gzip else current.body)(live, end, names)


class _Refusal(asyncio.Protocol):
    """Closes its connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


@web.middleware
async def _common(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Exact methods, our own short error texts, the same headers on every answer."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        response = web.Response(status=error.status, text=f"{error.reason}\n", headers=allow)
    except (ConnectionError, TimeoutError):
        raise  # the client is gone or does not read
    except Exception:
        _LOG.exception("a request met a bug of the exporter")
        response = web.Response(status=500, text="Internal Server Error\n")
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response


async def _send(request: web.Request, response: web.StreamResponse, body: Body) -> None:
    """Write the body piece by piece; hang up on a client that does not read."""
    response.headers.update(_HEADERS)
    transport = request.transport
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.prepare(request)
            if request.method != "HEAD":
                for piece in body.pieces:
                    for start in range(0, len(piece), _PIECE_BYTES):
                        await response.write(piece[start : start + _PIECE_BYTES])
            await response.write_eof()
    except (ConnectionError, TimeoutError):
        if transport is not None:
            transport.abort()


def _choose_format(accept: str) -> Format:
    """OpenMetrics if the client names a version of it that we speak, else text."""
    for part in accept[:4096].lower().split(","):
        kind, *parameters = (item.strip() for item in part.split(";"))
        if kind == "application/openmetrics-text":
            versions = [p.removeprefix("version=") for p in parameters if p.startswith("version=")]
            if not versions or versions[0] in ("1.0.0", "0.0.1"):
                return "openmetrics"
    return "text"


def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding[:4096].lower().split(","):
        coding, *parameters = (item.strip() for item in part.split(";"))
        if coding in ("gzip", "*"):
            return not any(p.replace(" ", "") in ("q=0", "q=0.0") for p in parameters)
    return False
