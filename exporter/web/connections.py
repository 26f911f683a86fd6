"""Accepts connections, ends those that take too long, and evicts some if there are too many.

A client that says nothing, dribbles its request, or does not read costs a file descriptor
until its connection is aborted; on Linux the kernel keeps one that says nothing to itself.
While the limit is reached, those give way that are of least use: first one in its TLS
handshake, then one that is still asking, then an idle one, then one whose answer makes no
progress. Of these, first one of the client that holds most, then the one that has been so for
longest. Whoever is answered meanwhile has to connect again, so that asking often is no way to
stay. None is evicted within a moment: a crowd of honest clients is served in turn, the others
wait in the system's queue. What that moment may last decides how fast a crowd that means no
good, and comes back each time, gets out of the way.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from exporter.log import Seldom, event
from exporter.web.turns import client_of

_LOG = logging.getLogger("exporter.connections")

IDLE_SECONDS = 75  # more than the usual scrape interval of a minute
_CONNECTIONS = 512
_EVICTED_AT_ONCE = 32  # this part of the limit: to choose costs more than to evict
_SILENT_SECONDS = 10
_HANDSHAKE_SECONDS = 5
_SHUTDOWN_SECONDS = 1
_SWEEP_SECONDS = 1
_WAIT_SECONDS = 0.02
_FULL_SECONDS = 1
_LOG_SECONDS = 60
_RESTED_SECONDS = 1

Phase = Literal["opening", "asking", "idle", "sending", "answering"]
"""Until the TLS handshake is done; until it is decided to answer, password included; between two
requests; while the answer is sent; while it is made."""


class Limits(NamedTuple):
    """Seconds in a phase, or since its last progress, after which a connection is aborted,
    and may be evicted."""

    timeout_seconds: float
    evictable_after_seconds: float


LIMITS: dict[Phase, Limits] = {
    "opening": Limits(10, 1),
    "asking": Limits(10, 0.5),
    "idle": Limits(IDLE_SECONDS, 0),
    "sending": Limits(60, 0.5),  # has a deadline of its own, well below
    "answering": Limits(60, 5),  # it waits for us, and is not to blame for it
}
"""The first phases here are those of which a connection is evicted first."""

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def connection_limit() -> int:
    """Half the file descriptors at most: the other half is for scans and the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(_CONNECTIONS, soft // 2))


class Connection:
    """One client's connection, among `all_open` until it ends: its phase, and `since` when in
    the loop's time. Its protocol reports what happens; used on the loop's thread only."""

    def __init__(
        self, client: str, loop: asyncio.AbstractEventLoop, all_open: set["Connection"]
    ) -> None:
        self._loop = loop
        self._all_open = all_open
        self._transport: asyncio.Transport | None = None
        self._handler: asyncio.Task[Any] | None = None
        self.client = client
        self.answered = loop.time() - _RESTED_SECONDS
        """When its last request was, in the loop's time. A new one counts as one that rested."""
        self._is_within_request = True
        self.enter("opening")
        all_open.add(self)

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there, after the TLS handshake if there is one."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.enter("asking")

    def received(self, *, ends_request: bool) -> None:
        """Data came from the client, up to the end of a request or not."""
        self._is_within_request = not ends_request
        if self.phase == "idle":
            self.enter("asking")

    def handled_by(self, task: asyncio.Task[Any] | None) -> None:
        """What is under way on it, to be cancelled if it ends."""
        self._handler = task

    @contextmanager
    def handling(self) -> Iterator[None]:
        """For the time in which a task decides on a request and answers it, in the end. It is
        cancelled if the connection ends."""
        self.handled_by(asyncio.current_task())
        self.enter("asking")
        try:
            yield
        finally:
            self._handler = None
            self.answered = self._loop.time()
            self.enter("asking" if self._is_within_request else "idle")

    def progressed(self) -> None:
        """The client took a piece of its answer."""
        self.since = self._loop.time()

    def closed(self) -> None:
        """The connection has ended."""
        self._all_open.discard(self)
        if self._handler is not None:
            self._handler.cancel()

    def abort(self) -> None:
        """End it now, whatever is under way."""
        self.closed()
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_useless(self) -> bool:
        """Whether it may be evicted."""
        return self.phase_seconds > LIMITS[self.phase].evictable_after_seconds

    @property
    def phase_seconds(self) -> float:
        """Time spent in the present phase without progress."""
        return self._loop.time() - self.since

    def enter(self, phase: Phase) -> None:
        """Another phase begins."""
        self.phase: Phase = phase
        self.since = self._loop.time()


class Listener:
    """Accepts on `listener`, a bound socket, at most `limit` connections at a time. `tls`
    is asked for each of them; None is plain HTTP."""

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
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._full_until = float("-inf")
        self._shortage = Seldom(_LOG_SECONDS)

    def start(self) -> None:
        """Begin to accept, on the running event loop."""
        self._listener.setblocking(False)  # noqa: FBT003 - the socket's own method
        if hasattr(socket, "TCP_DEFER_ACCEPT"):  # only who says something is accepted
            option = socket.TCP_DEFER_ACCEPT
            self._listener.setsockopt(socket.IPPROTO_TCP, option, _SILENT_SECONDS)
        loop = asyncio.get_running_loop()
        self._tasks = {loop.create_task(self._accept()), loop.create_task(self._sweep())}

    def stop(self) -> None:
        """Accept no more; connections that are open stay so."""
        for task in self._tasks:
            task.cancel()
        self._listener.close()

    @property
    def is_full(self) -> bool:
        """Whether there were too many connections just now."""
        return asyncio.get_running_loop().time() < self._full_until

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._listener)
            except OSError as error:  # the client is gone already, or resources are short
                if error.errno in _OUT_OF_RESOURCES:
                    if self._shortage.is_due():
                        text = "cannot accept connections"
                        event(_LOG, logging.WARNING, text, reason=error.strerror)
                    self._evict(1)
                    await asyncio.sleep(_WAIT_SECONDS)
                continue
            connection = Connection(client_of(peer), loop, self._connections)
            connection.handled_by(loop.create_task(self._open(connection, accepted)))
            await asyncio.sleep(0)  # who is in gets on first, whatever crowd is in the queue
            while len(self._connections) > self._limit:
                if not self._evict(1 + self._limit // _EVICTED_AT_ONCE):
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
            connection.closed()
            accepted.close()

    async def _sweep(self) -> None:
        """Abort what takes too long."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for connection in list(self._connections):
                if connection.phase_seconds > LIMITS[connection.phase].timeout_seconds:
                    connection.abort()

    def _evict(self, most: int) -> bool:
        """Abort up to `most` connections, those first to go; False if all must be kept for now."""
        self._full_until = asyncio.get_running_loop().time() + _FULL_SECONDS
        phases = list(LIMITS)
        held = Counter(each.client for each in self._connections)
        useless = [each for each in self._connections if each.is_useless]
        useless.sort(key=lambda each: (phases.index(each.phase), -held[each.client], each.since))
        for connection in useless[:most]:
            connection.abort()
        return bool(useless)
