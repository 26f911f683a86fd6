"""The HTTP server: aiohttp on an event loop and thread of its own.

Nothing but HTTP runs on that loop: no storage, no scanning, no rendering of pages, no
hashing of passwords. A response is written in pieces under a deadline, so a client that
does not read costs one socket buffer; ``connections`` bounds the rest.

What is served is the table in ``routes``. Nothing of a request is ever echoed, but for
the status page's filter, which is shown in its form. Who may ask is decided before
anything else, also for what does not exist.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.metrics.exposition import PIECE_BYTES, Body
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.web.answer import Answer, Request
from exporter.web.connections import IDLE_SECONDS, Connection, Listener, connection_limit
from exporter.web.operations import Operations, Reload
from exporter.web.pages import CONTENT_SECURITY_POLICY
from exporter.web.routes import Route, Thread, routes
from exporter.web.security.access import Access
from exporter.web.views import Views

_LOG = logging.getLogger("exporter.web")
_PROTOCOL_LOG = logging.getLogger("exporter.protocol")

_WRITE_SECONDS = 30
_DRAIN_SECONDS = 3
_UNREAD_BODY_SECONDS = 2
_REST = "{path:(?s:.+)}"  # anything, in the syntax of aiohttp's routes

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "datatrove-exporter",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}


class _Protocol(web.RequestHandler):
    """aiohttp's handler of one connection. It reports to `connection`, and answers to what
    is not HTTP in a word: aiohttp's own answer quotes and logs it. `headers` gives those of
    every response."""

    __slots__ = ("_headers", "connection")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        headers: Callable[[], Mapping[str, str]],
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # None is how to have none
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_UNREAD_BODY_SECONDS,
        )
        self.connection = connection
        self._headers = headers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connection.opened(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.connection.closed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Also bytes that end no request may end so; then the connection counts as idle, no worse.
        self.connection.received(ends_request=data.endswith(b"\r\n\r\n"))
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the base class decides
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """See the base class. Called only before a response has begun."""
        self.close()  # parse nothing more of what was received
        if status >= 500:
            _PROTOCOL_LOG.error("a request met a bug of the exporter", exc_info=exc)
        elif exc is not None:
            exc.with_traceback(None)  # its frames hold what was received
        response = _short(status, self._headers())
        response.force_close()
        return response


class Server:
    """Serves what `publisher` shows on `listener`, a bound socket, until `stop`. Others
    start and stop the publisher."""

    def __init__(
        self,
        listener: socket.socket,
        publisher: Publisher,
        process_metrics: ProcessMetrics,
        is_healthy: Callable[[], bool],
        *,
        access: Access,
        reload: Reload | None = None,
    ) -> None:
        self._access = access
        self._listener = Listener(
            listener, connection_limit(), self._new_protocol, lambda: access.policy.tls
        )
        operations = Operations(publisher, process_metrics, is_healthy, reload)
        self._routes = routes(Views(publisher.read), operations)
        self._pools: dict[Thread, ThreadPoolExecutor] = {
            "render": ThreadPoolExecutor(1, "render"),
            "write": ThreadPoolExecutor(1, "write"),
        }
        self._runner = web.AppRunner(
            self._application(), handle_signals=False, shutdown_timeout=_DRAIN_SECONDS
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)

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
        for pool in self._pools.values():
            pool.shutdown(wait=False)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._common], client_max_size=1024)
        for route in self._routes:
            path = route.path + _REST if route.serves_below else route.path
            for method in route.methods:
                application.router.add_route(method, path, partial(self._handle, route))
        return application

    async def _start(self) -> None:
        await self._runner.setup()
        self._listener.start()

    async def _stop(self) -> None:
        self._listener.stop()
        await self._runner.cleanup()

    def _new_protocol(self, connection: Connection) -> asyncio.Protocol:
        assert self._runner.server is not None
        return _Protocol(self._runner.server, self._loop, connection, self._headers)

    def _headers(self) -> Mapping[str, str]:
        """The headers of every response."""
        return {**_HEADERS, **self._access.policy.headers}

    @web.middleware
    async def _common(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only those who may; our own short error texts; the same headers on every response."""
        assert isinstance(request.protocol, _Protocol)
        with request.protocol.connection.answering():
            try:
                status = await self._refusal(request)
                if status is None:
                    response = await handler(request)
                else:
                    challenge = {"WWW-Authenticate": "Basic"} if status == 401 else None
                    response = _short(status, challenge)
            except web.HTTPException as error:
                allow = error.headers.get("Allow")
                response = _short(error.status, {"Allow": allow} if allow else None)
            except (ConnectionError, TimeoutError):
                raise  # the client is gone or does not read
            except Exception:
                _LOG.exception("a request met a bug of the exporter")
                response = _short(500)
            if not response.prepared:
                response.headers.update(self._headers())
            return response

    async def _refusal(self, request: web.Request) -> int | None:
        """The status with which to refuse the request, or None."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        return await self._access.refusal(
            request.headers.get("Authorization", ""),
            transport.get_extra_info("peercert"),
            transport.get_extra_info("peername"),
        )

    async def _handle(self, route: Route, request: web.Request) -> web.StreamResponse:
        """The route's answer, from the thread that its row names."""
        asked = Request(
            route.below(request.rel_url.raw_path), tuple(request.query.items()), request.headers
        )
        if route.thread == "loop":
            found = route.answer(asked)
        else:
            pool = self._pools[route.thread]
            found = await self._loop.run_in_executor(pool, route.answer, asked)
        answer = found if isinstance(found, Answer) else await found
        headers = {"Content-Type": answer.content_type, **answer.headers, **self._headers()}
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = sum(map(len, answer.body))
        await _send(request, response, answer.body)
        return response


def _short(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response that says no more than its status."""
    return web.Response(status=status, text=f"{HTTPStatus(status).phrase}\n", headers=headers)


async def _send(request: web.Request, response: web.StreamResponse, body: Body) -> None:
    """Write the body piece by piece; hang up on a client that does not read."""
    transport = request.transport
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.prepare(request)
            if request.method != "HEAD":
                for piece in body:
                    for start in range(0, len(piece), PIECE_BYTES):
                        await response.write(piece[start : start + PIECE_BYTES])
            await response.write_eof()
    except (ConnectionError, TimeoutError):
        if transport is not None:
            transport.abort()
