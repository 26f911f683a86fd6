"""Turns of clients: at work that a thread of its own does, and at the event loop.

A queue in the order of arrival belongs to whoever asks most. For a thread, every other turn is
that of the client that was served least recently, by its address; between these it is the turn
of what waits for longest, from whatever client, so that no number of addresses keeps out
anyone. Where a crowd is slowed down elsewhere, half of the turns are the newest's: who comes
when the crowd is there already need not wait until all of it was served. At the loop, it is the
turn of the connection that was answered longest ago.
"""

import asyncio
import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import Any, TypeVar

_T = TypeVar("_T")

_REMEMBERED = 4096
"""Clients of which is known when they were served last."""


class BusyError(Exception):
    """More waits to be done than the limit allows."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A request's place: its work, whose it is, since when it waits, where the outcome goes."""

    work: Callable[[], Any]
    client: str
    since: float
    outcome: asyncio.Future[Any]


class Turns:
    """Does work on one thread, named `name`. Beyond `limit` requests that wait, the newest of
    the client that waits for most is refused. Belongs to one event loop."""

    def __init__(self, name: str, limit: int, *, serves_newest: bool = False) -> None:
        self._orders: tuple[Callable[[_Turn], Any], ...] = (_since, self._rank)
        if serves_newest:
            self._orders = (_since, _newest, self._rank, _newest)
        self._thread = ThreadPoolExecutor(1, name)
        self._limit = limit
        self._waiting: list[_Turn] = []
        self._served: OrderedDict[str, int] = OrderedDict()
        self._is_working = False
        self._count = 0

    async def do(self, work: Callable[[], _T], client: str, since: float | None = None) -> _T:
        """The result of `work`, which waits `since` then in the loop's time, or since now.
        Raises BusyError. Work is not begun for who is cancelled first."""
        loop = asyncio.get_running_loop()
        turn = _Turn(work, client, loop.time() if since is None else since, loop.create_future())
        self._waiting.append(turn)
        if not self._is_working:
            self._begin_next()
        elif len(self._waiting) > self._limit:
            self._refuse_one(client)
        try:
            return await turn.outcome  # type: ignore[no-any-return]
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def close(self) -> None:
        """Begin nothing more; does not wait."""
        self._thread.shutdown(wait=False)

    def _refuse_one(self, newcomer: str) -> None:
        held = Counter(each.client for each in self._waiting)
        most = max(held, key=lambda each: (held[each], each == newcomer))
        newest = max((each for each in self._waiting if each.client == most), key=_since)
        self._waiting.remove(newest)
        newest.outcome.set_exception(BusyError())

    def _begin_next(self) -> None:
        self._is_working = bool(self._waiting)
        if not self._is_working:
            return
        self._count += 1
        turn = min(self._waiting, key=self._orders[self._count % len(self._orders)])
        self._waiting.remove(turn)
        self._served[turn.client] = self._count
        self._served.move_to_end(turn.client)
        if len(self._served) > _REMEMBERED:
            self._served.popitem(last=False)
        begun = asyncio.get_running_loop().run_in_executor(self._thread, turn.work)
        begun.add_done_callback(partial(self._done, turn.outcome))

    def _rank(self, turn: _Turn) -> tuple[int, float]:
        return self._served.get(turn.client, 0), turn.since

    def _done(self, outcome: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        self._begin_next()
        error = done.exception()
        if outcome.done():  # its client has gone
            return
        if error is None:
            outcome.set_result(done.result())
        else:
            outcome.set_exception(error)


def _since(turn: _Turn) -> float:
    return turn.since


def _newest(turn: _Turn) -> float:
    return -turn.since


@dataclass(slots=True)
class Turnstile:
    """Lets one request in for each round of the event loop, in which it looks for what else has
    come. Those that ask without pause else fill each round, and who needs some rounds for an
    answer waits for all of them each time."""

    _waiting: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _count: int = 0
    _is_turning: bool = False

    async def passed(self, answered: float) -> None:
        """Returns when it is the turn of a connection that was last `answered` then."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._count += 1
        heappush(self._waiting, (answered, self._count, turn))
        if not self._is_turning:
            self._is_turning = True
            loop.call_soon(self._turn, loop)
        await turn

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_turning = bool(self._waiting)
        if self._is_turning:
            _, _, turn = heappop(self._waiting)
            if not turn.done():  # its client has not gone
                turn.set_result(None)
            loop.call_soon(self._turn, loop)


def client_of(peer: object) -> str:
    """Whose turn a connection from the address `peer` takes: IPv6 gives everyone a network
    of 64 bits."""
    if not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_address(int(address) >> 64 << 64))
