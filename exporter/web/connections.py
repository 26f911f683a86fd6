"""Accepts connections and decides which give way when there are too many.

A client that says nothing, dribbles its request, or does not read costs a file descriptor
and is cut off in the end. While all are taken, the ones that wait longest without being of
use go first: those that never asked for anything, then idle ones, then those that read too
slowly. Nobody is cut off within a moment of connecting, so a crowd of honest clients is
served in turn; who does not fit in waits in the system's queue.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from exporter.log import event

_LOG = logging.getLogger("exporter.connections")

IDLE_SECONDS = 75  # more than the usual scrape interval of a minute
_CONNECTIONS = 512
_HANDSHAKE_SECONDS = 5
_SHUTDOWN_SECONDS = 1
_SWEEP_SECONDS = 1
_WAIT_SECONDS = 0.05
_LOG_SECONDS = 60

State = Literal["opening", "idle", "asking", "answering"]

_END_AFTER_SECONDS: dict[State, float] = {
    "opening": 10,
    "asking": 10,
    "idle": IDLE_SECONDS,
    "answering": 60,  # a response has a deadline of its own, well below
}
_GIVES_WAY_AFTER_SECONDS: dict[State, float] = {
    "opening": 1,
    "asking": 1,
    "idle": 1,
    "answering": 5,
}
_FIRST_TO_GO: dict[State, int] = {"opening": 0, "asking": 1, "idle": 2, "answering": 3}

_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def connection_limit() -> int:
    """Half the file descriptors at most: the other half is for scans and the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(_CONNECTIONS, soft // 2))


class Connection:
    """What one client is doing, and since when. Its protocol reports here."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.opening: asyncio.Task[None] | None = None
        self.is_over = False
        self._is_within_request = True
        self._be("opening")

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there, and its TLS handshake was made."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def heard(self, *, ends_request: bool) -> None:
        """The client sent something, which may be the end of a request."""
        self._is_within_request = not ends_request
        if self.state == "idle":
            self._be("asking")

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While a response is made and sent."""
        self._be("answering")
        try:
            yield
        finally:
            self._be("asking" if self._is_within_request else "idle")

    def lost(self) -> None:
        """There is no connection any more."""
        self.is_over = True

    def cut_off(self) -> None:
        """End it now, whatever is under way."""
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    def seconds(self) -> float:
        """How long it has been in its state."""
        return self._loop.time() - self.since

    def _be(self, state: State) -> None:
        self.state: State = state
        self.since = self._loop.time()


class Listener:
    """Accepts on `listener`, a bound socket, at most `limit` connections at a time."""

    def __init__(
        self,
        listener: socket.socket,
        limit: int,
        new_protocol: Callable[[Connection], asyncio.Protocol],
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._listener = listener
        self._limit = limit
        self._new_protocol = new_protocol
        self._tls = tls
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._full_logged = float("-inf")

    def start(self) -> None:
        """Begin to accept, on the running event loop."""
        self._listener.setblocking(False)  # noqa: FBT003 - the socket's own method
        loop = asyncio.get_running_loop()
        self._tasks = {loop.create_task(self._accept()), loop.create_task(self._sweep())}

    def stop(self) -> None:
        """Accept no more; connections that are open stay so."""
        for task in self._tasks:
            task.cancel()
        self._listener.close()
        for connection in self._connections:
            if connection.opening is not None and not connection.opening.done():
                connection.cut_off()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # the client is gone already, or there is no room
                if error.errno in _NO_ROOM:
                    self._log_full(error)
                    self._make_room()
                    await asyncio.sleep(_WAIT_SECONDS)
                continue
            connection = Connection(loop)
            self._connections.append(connection)
            connection.opening = loop.create_task(self._open(connection, accepted))
            await asyncio.sleep(0)  # or a crowd in the queue would keep the loop for itself
            while not self._has_room() and not self._make_room():  # noqa: ASYNC110 - time passes
                await asyncio.sleep(_WAIT_SECONDS)

    async def _open(self, connection: Connection, accepted: socket.socket) -> None:
        tls = self._tls()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._new_protocol(connection),
                accepted,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if tls is not None else None,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS if tls is not None else None,
            )
        except (OSError, asyncio.CancelledError):  # no handshake, or none in time
            connection.lost()
            accepted.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for connection in self._connections:
                if connection.seconds() > _END_AFTER_SECONDS[connection.state]:
                    connection.cut_off()
            self._forget()

    def _has_room(self) -> bool:
        if len(self._connections) > self._limit:
            self._forget()
        return len(self._connections) <= self._limit

    def _forget(self) -> None:
        self._connections = [each for each in self._connections if not each.is_over]

    def _make_room(self) -> bool:
        """Cut off the connection that is first to go, if there is one."""
        waiting = [
            each
            for each in self._connections
            if not each.is_over and each.seconds() > _GIVES_WAY_AFTER_SECONDS[each.state]
        ]
        if not waiting:
            return False
        min(waiting, key=lambda each: (_FIRST_TO_GO[each.state], each.since)).cut_off()
        return True

    def _log_full(self, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._full_logged > _LOG_SECONDS:
            self._full_logged = now
            event(_LOG, logging.WARNING, "cannot accept connections", reason=error.strerror)
