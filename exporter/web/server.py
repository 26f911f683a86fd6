"""The HTTP server: aiohttp's protocol on an event loop and thread of its own.

Nothing but HTTP runs on that loop: no storage, no scanning, no rendering of pages, no
hashing of passwords. A response is written in pieces under a deadline, so a client that
does not read costs one socket buffer; ``connections`` bounds the rest. What costs more is
done in turns: scrapes on one thread, filtered ones and pages for people on another.

What is served is the table in ``routes``. Nothing of a request is ever echoed, but for
the status page's filter, which is shown in its form. Who may ask is decided before
anything else, also for what does not exist.

Only the parser and the framing of aiohttp are used, not its application: what that does by
itself (answering ``Expect``, pages for errors) is not decided here. A request's body is
neither decompressed nor read: with the answer, the connection ends.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from exporter.log import Seldom, event
from exporter.metrics.exposition import in_pieces
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.web.answer import Answer, Request, text
from exporter.web.connections import IDLE_SECONDS, Connection, Listener, connection_limit
from exporter.web.operations import Operations, Reload
from exporter.web.pages import CONTENT_SECURITY_POLICY
from exporter.web.routes import Route, Thread, routes
from exporter.web.security.access import Access
from exporter.web.turns import BusyError, Turns, Turnstile
from exporter.web.views import Views

_LOG = logging.getLogger("exporter.web")
_PROTOCOL_LOG = logging.getLogger("exporter.protocol")

_WRITE_SECONDS = 30
_DRAIN_SECONDS = 3
_UNREAD_BODY_SECONDS = 2
_MAX_HEADERS = 64
_BUSY_SECONDS = 1
_BUGS_LOGGED_SECONDS = 60
_WAITING: dict[Thread, int] = {"render": 512, "write": 32}
"""How many requests may wait for a thread. No scrape is refused: there are no more connections."""

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

    __slots__ = ("_bugs", "_headers", "connection")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        headers: Callable[[], Mapping[str, str]],
        bugs: Seldom,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # None is how to have none
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_UNREAD_BODY_SECONDS,
            auto_decompress=False,
            max_headers=_MAX_HEADERS,
        )
        self.connection = connection
        self._headers = headers
        self._bugs = bugs

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
        for message, _ in self._messages:  # of two errors in a row only one is ever handled
            error = getattr(message, "exc", None)
            if error is not None:
                error.with_traceback(None)  # its frames hold what was received

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
            self.log_exception(exc_info=exc)
        elif exc is not None:
            exc.with_traceback(None)  # its frames hold what was received
        answer = _short(status)
        response = web.Response(body=answer.body[0], status=status)
        response.headers.update({"Content-Type": answer.content_type, **self._headers()})
        response.force_close()
        return response

    def log_exception(self, *_: Any, exc_info: BaseException | None = None, **__: Any) -> None:
        """See the base class, which quotes what was received."""
        kind = type(exc_info).__name__
        if self._bugs.is_due(kind):
            event(_PROTOCOL_LOG, logging.ERROR, "a connection met a bug", detail=kind)


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
        self._turns = {thread: Turns(thread, limit) for thread, limit in _WAITING.items()}
        self._turnstile = Turnstile()
        self._bugs = Seldom(_BUGS_LOGGED_SECONDS)
        self._loop = asyncio.new_event_loop()
        self._http = web.Server(self._respond, loop=self._loop)
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        self._loop.call_soon_threadsafe(self._listener.start)

    def stop(self) -> None:
        """Stop accepting, let responses in flight end for a few seconds, close."""
        draining = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        with suppress(TimeoutError):  # a client that does not read is not waited for
            draining.result(_DRAIN_SECONDS + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        for turns in self._turns.values():
            turns.close()

    async def _stop(self) -> None:
        self._listener.stop()
        self._http.pre_shutdown()
        await self._http.shutdown(_DRAIN_SECONDS)

    def _new_protocol(self, connection: Connection) -> asyncio.Protocol:
        return _Protocol(self._http, self._loop, connection, self._headers, self._bugs)

    def _headers(self) -> Mapping[str, str]:
        """The headers of every response."""
        return {**_HEADERS, **self._access.policy.headers}

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, the same way whatever it asks for."""
        protocol = request.protocol
        assert isinstance(protocol, _Protocol)
        with protocol.connection.handling():
            try:
                await self._turnstile.passed(protocol.connection.answered)
                answer = await self._answer(request, protocol.connection)
            except BusyError:  # who would not wait could keep the loop busy with refusals
                protocol.connection.enter("idle")
                await asyncio.sleep(_BUSY_SECONDS)
                answer = _short(503, {"Retry-After": str(_BUSY_SECONDS)})
            except ConnectionError:
                raise  # the client is gone
            except Exception as error:
                if self._bugs.is_due(type(error).__name__):
                    _LOG.exception("a request met a bug of the exporter")
                answer = _short(500)
            headers = {"Content-Type": answer.content_type, **answer.headers, **self._headers()}
            response = web.StreamResponse(status=answer.status, headers=headers)
            if self._listener.is_full or not request.content.is_eof():
                protocol.close()  # whatever comes after this request is thrown away unparsed
                response.force_close()
            await _send(request, response, answer, protocol.connection)
            return response

    async def _answer(self, request: web.BaseRequest, connection: Connection) -> Answer:
        """The route's answer, from the thread that its row names, if the client may have it."""
        status = await self._refusal(request, connection.client)
        if status is not None:
            return _short(status, {"WWW-Authenticate": "Basic"} if status == 401 else None)
        connection.enter("answering")
        route = self._route(request.rel_url.path_safe)
        if route is None:
            return _short(404)
        if request.method not in route.methods:
            return _short(405, {"Allow": ",".join(route.methods)})
        asked = Request(
            route.below(request.rel_url.raw_path),
            tuple(request.query.items()),
            request.headers,
            wants_body=request.method != "HEAD",
        )
        if route.thread == "loop":
            found = route.answer(asked)
        else:  # a filtered scrape takes longer, so it waits with the pages
            turns = self._turns["write" if asked.query else route.thread]
            found = await turns.do(partial(route.answer, asked), connection.client)
        return found if isinstance(found, Answer) else await found

    async def _refusal(self, request: web.BaseRequest, client: str) -> int | None:
        """The status with which to refuse the request, or None."""
        if request.transport is None:
            raise ConnectionResetError
        return await self._access.refusal(
            request.rel_url.path_safe,
            request.headers.get("Authorization", ""),
            request.transport.get_extra_info("peercert"),
            client,
        )

    def _route(self, path: str) -> Route | None:
        """The route that serves this decoded path."""
        return next((route for route in self._routes if route.serves(path)), None)


def _short(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that says no more than its status."""
    return Answer(text(HTTPStatus(status).phrase).body, status=status, headers=headers or {})


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, answer: Answer, connection: Connection
) -> None:
    """Write the answer piece by piece; hang up on a client that does not read."""
    transport = request.transport
    connection.enter("sending")
    has_body = request.method != "HEAD"
    if has_body:
        response.content_length = sum(map(len, answer.body))
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.prepare(request)
            for piece in in_pieces(answer.body) if has_body else ():
                await response.write(piece)
                connection.progressed()
                await asyncio.sleep(0)  # a fast reader would keep the loop for itself
            await response.write_eof()
    except (ConnectionError, TimeoutError):
        if transport is not None:
            transport.abort()
