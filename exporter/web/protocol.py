"""HTTP on one connection: aiohttp's, with changes that its parameters do not allow."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from exporter.web.connections import IDLE_SECONDS, Connection

_LOG = logging.getLogger("exporter.protocol")
_UNREAD_BODY_SECONDS = 2


class Protocol(web.RequestHandler):
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
            _LOG.error("a request met a bug of the exporter", exc_info=exc)
        elif exc is not None:
            exc.with_traceback(None)  # its frames hold what was received
        response = web.Response(
            status=status, text=f"{HTTPStatus(status).phrase}\n", headers=self._headers()
        )
        response.force_close()
        return response
