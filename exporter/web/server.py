"""The HTTP server: aiohttp on an event loop and thread of its own.

Nothing but HTTP runs on that loop: no storage, no scanning, no rendering of pages, no
hashing of passwords. A response is written in pieces under a deadline, so a client that
does not read costs one socket buffer; ``connections`` bounds the rest.

Routes match exactly; GET and HEAD only, but for ``/-/reload``. Nothing of a request is
ever echoed, but for the status page's filter, which is shown in its form. Who may ask is
decided before anything else, also for what does not exist.
"""

import asyncio
import gzip
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.metrics.process_metrics import OPENMETRICS_END, Telemetry
from exporter.metrics.publisher import Publisher
from exporter.metrics.render import CONTENT_TYPES, PIECE_BYTES, Body, Format
from exporter.model.snapshot import Latest
from exporter.web.connections import Connection, Listener, connection_limit
from exporter.web.layout import CONTENT_SECURITY_POLICY
from exporter.web.protocol import Protocol
from exporter.web.routes import PATHS, Answer, Views
from exporter.web.security.access import Access

_LOG = logging.getLogger("exporter.web")

_WRITE_SECONDS = 30
_DRAIN_SECONDS = 3
_RELOAD_SECONDS = 60

Reload = Callable[[], "Future[str | None]"]
"""Asks for a reload; its outcome is why it failed, or None."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "datatrove-exporter",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}

# A page from elsewhere can make a browser send a POST, also one that looks as if it came
# from here (DNS rebinding: Origin and Host then agree). Browsers mark each with one of
# these; nobody else does, and none of our pages has to reload anything.
_SENT_BY_BROWSERS = ("Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode")


class Server:
    """Serves the latest snapshot on `listener`, a bound socket, until `stop`."""

    def __init__(
        self,
        listener: socket.socket,
        latest: Latest,
        telemetry: Telemetry,
        is_healthy: Callable[[], bool],
        *,
        access: Access,
        reload: Reload | None = None,
    ) -> None:
        self._access = access
        self._reload = reload
        self._listener = Listener(
            listener, connection_limit(), self._new_protocol, lambda: access.terms.tls
        )
        self._telemetry = telemetry
        self._is_healthy = is_healthy
        self._publisher = Publisher(latest)
        self._renderer = ThreadPoolExecutor(1, "render")
        # Pages for people have another thread, so that no scrape waits for them.
        self._views = Views(self._publisher.read)
        self._writer = ThreadPoolExecutor(1, "write")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._runner: web.AppRunner | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._publisher.start()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    @property
    def is_showing(self) -> bool:
        """Whether what is scanned will be shown."""
        return self._publisher.is_alive

    def stop(self) -> None:
        """Stop accepting, let responses in flight end for a few seconds, close."""
        draining = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        with suppress(TimeoutError):  # a client that does not read is not waited for
            draining.result(_DRAIN_SECONDS + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._publisher.stop()
        self._renderer.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._common], client_max_size=1024)
        for path, handler in (
            *((path, self._view) for path in PATHS),
            ("/metrics", self._metrics),
            ("/-/healthy", self._healthy),
            ("/-/ready", self._ready),
        ):
            application.router.add_get(path, handler)  # and HEAD
        for method in ("POST", "PUT"):  # as Prometheus has it
            application.router.add_route(method, "/-/reload", self._reload_config)
        return application

    async def _start(self) -> None:
        self._runner = web.AppRunner(
            self._application(), handle_signals=False, shutdown_timeout=_DRAIN_SECONDS
        )
        await self._runner.setup()
        self._listener.start()

    def _new_protocol(self, connection: Connection) -> asyncio.Protocol:
        assert self._runner is not None
        assert self._runner.server is not None
        return Protocol(self._runner.server, self._loop, connection, self._headers)

    def _headers(self) -> Mapping[str, str]:
        """What every answer carries."""
        return {**_HEADERS, **self._access.terms.headers}

    async def _stop(self) -> None:
        assert self._runner is not None
        self._listener.stop()
        await self._runner.cleanup()

    @web.middleware
    async def _common(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only those who may; exact methods, our own short error texts, the same headers
        on every answer."""
        assert isinstance(request.protocol, Protocol)
        with request.protocol.connection.answering():
            try:
                status = await self._refusal(request)
                response = _refused(status) if status else await handler(request)
            except web.HTTPException as error:
                allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
                response = web.Response(
                    status=error.status, text=f"{error.reason}\n", headers=allow
                )
            except (ConnectionError, TimeoutError):
                raise  # the client is gone or does not read
            except Exception:
                _LOG.exception("a request met a bug of the exporter")
                response = web.Response(status=500, text="Internal Server Error\n")
            if not response.prepared:
                response.headers.update(self._headers())
            return response

    async def _refusal(self, request: web.Request) -> int | None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        return await self._access.refusal(
            request.headers.get("Authorization", ""),
            transport.get_extra_info("peercert"),
            transport.get_extra_info("peername"),
        )

    async def _reload_config(self, request: web.Request) -> web.StreamResponse:
        if self._reload is None:
            return web.Response(status=403, text="Lifecycle API is not enabled.\n")
        if any(name in request.headers for name in _SENT_BY_BROWSERS):
            return web.Response(status=403, text="A browser may not do this.\n")
        try:
            async with asyncio.timeout(_RELOAD_SECONDS):
                failure = await asyncio.shield(asyncio.wrap_future(self._reload()))
        except TimeoutError:
            failure = "the configuration could not be read in time"
        if failure is not None:
            return web.Response(
                status=500, text=f"The configuration was not reloaded:\n{failure}\n"
            )
        return web.Response(text="The configuration was reloaded.\n")

    async def _view(self, request: web.Request) -> web.StreamResponse:
        """A page or a JSON document, which is written and compressed off the loop."""
        use_gzip = _accepts_gzip(request.headers.get("Accept-Encoding", ""))

        def write() -> tuple[Answer, bytes]:
            answer = self._views.answer(request.rel_url.raw_path, request.query.items())
            return answer, gzip.compress(answer.body, 5) if use_gzip else answer.body

        answer, body = await self._loop.run_in_executor(self._writer, write)
        response = web.StreamResponse(
            status=answer.status,
            headers={"Content-Type": answer.content_type, "Vary": "Accept-Encoding"},
        )
        if use_gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = len(body)
        response.headers.update(self._headers())
        await _send(request, response, Body((body,)))
        return response

    async def _healthy(self, _: web.Request) -> web.StreamResponse:
        if self._is_healthy():
            return web.Response(text="The exporter is healthy.\n")
        return web.Response(status=503, text="The scheduler does not respond.\n")

    async def _ready(self, _: web.Request) -> web.StreamResponse:
        if self._publisher.read().is_ready:
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
        response.headers.update(self._headers())
        await _send(request, response, body)
        return response

    def _render(self, page_format: Format, names: frozenset[str], *, use_gzip: bool) -> Body:
        as_openmetrics = page_format == "openmetrics"
        current = self._publisher.page(page_format, compressed=use_gzip)
        live = self._telemetry.render(as_openmetrics=as_openmetrics, names=names)
        end = OPENMETRICS_END if as_openmetrics else b""
        return (current.gzip_body if use_gzip else current.body)(live, end, names)


def _refused(status: int) -> web.Response:
    challenge = {"WWW-Authenticate": "Basic"} if status == 401 else {}
    return web.Response(status=status, text=f"{HTTPStatus(status).phrase}\n", headers=challenge)


async def _send(request: web.Request, response: web.StreamResponse, body: Body) -> None:
    """Write the body piece by piece; hang up on a client that does not read."""
    transport = request.transport
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.prepare(request)
            if request.method != "HEAD":
                for piece in body.pieces:
                    for start in range(0, len(piece), PIECE_BYTES):
                        await response.write(piece[start : start + PIECE_BYTES])
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
