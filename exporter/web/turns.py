"""Work on a thread of its own, for which clients wait in turns.

A queue in the order of arrival belongs to whoever asks most. Here it is the turn of the
client that was served least recently, by its address; of those that were never served, the
newest or one drawn by lot. Of a client's own requests it is every other time the turn of
the newest: its sender surely still waits, and those of a crowd that asks again when it is
answered are mostly older. Else it is the turn of the oldest, which may not be passed over
for ever, or of one drawn by lot, which a crowd that floods cannot foresee.
"""

import asyncio
import ipaddress
import random
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")

_LOTS = random.SystemRandom()
_REMEMBERED = 4096
"""Clients of which is known when they were served last."""


class BusyError(Exception):
    """More waits to be done than the limit allows."""


class _Turn:
    """A request's place: its work, and where the outcome goes."""

    __slots__ = ("outcome", "work")

    def __init__(self, work: Callable[[], Any], outcome: asyncio.Future[Any]) -> None:
        self.work = work
        self.outcome = outcome


class Turns:
    """Does work on one thread, named `name`. Beyond `limit` requests that wait, the newest of
    the client that waits for most is refused. Belongs to one event loop."""

    def __init__(self, name: str, limit: int) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._limit = limit
        self._waiting: dict[str, list[_Turn]] = {}
        self._served: OrderedDict[str, int] = OrderedDict()
        self._is_working = False
        self._count = 0

    async def do(self, work: Callable[[], _T], client: str) -> _T:
        """The result of `work`. Raises BusyError. Work is not begun for who is cancelled first."""
        turn = _Turn(work, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(client, []).append(turn)
        if not self._is_working:
            self._begin_next()
        elif sum(map(len, self._waiting.values())) > self._limit:
            most = max(self._waiting, key=lambda each: (len(self._waiting[each]), each == client))
            self._take(most, -1).outcome.set_exception(BusyError())
        try:
            return await turn.outcome  # type: ignore[no-any-return]
        finally:
            if turn in self._waiting.get(client, ()):
                self._take(client, self._waiting[client].index(turn))

    def close(self) -> None:
        """Begin nothing more; does not wait."""
        self._thread.shutdown(wait=False)

    def _take(self, client: str, place: int) -> _Turn:
        turns = self._waiting[client]
        turn = turns.pop(place)
        if not turns:
            del self._waiting[client]
        return turn

    def _begin_next(self) -> None:
        self._is_working = bool(self._waiting)
        if not self._is_working:
            return
        self._count += 1
        clients = [*reversed(self._waiting)]
        if self._count % 2:
            _LOTS.shuffle(clients)
        client = min(clients, key=lambda each: self._served.get(each, 0))
        self._served[client] = self._count
        self._served.move_to_end(client)
        if len(self._served) > _REMEMBERED:
            self._served.popitem(last=False)
        by_lot = _LOTS.randrange(len(self._waiting[client]))
        turn = self._take(client, (-1, 0, -1, by_lot)[self._count % 4])
        begun = asyncio.get_running_loop().run_in_executor(self._thread, turn.work)
        begun.add_done_callback(partial(self._done, turn.outcome))

    def _done(self, outcome: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        self._begin_next()
        error = done.exception()
        if outcome.done():  # its client has gone
            return
        if error is None:
            outcome.set_result(done.result())
        else:
            outcome.set_exception(error)


def client_of(peer: object) -> str:
    """Whose turn a connection from the address `peer` takes: IPv6 gives everyone a network
    of 64 bits."""
    if not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_address(int(address) >> 64 << 64))
