"""Which connection gives way when there are too many."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from exporter.web.connections import LIMITS, Connection, Listener, Phase


@pytest.fixture
def open_one() -> Iterator[Callable[..., Connection]]:
    """Makes a connection in a phase, since so many seconds, of a client; `says` is not read yet."""
    loop = asyncio.new_event_loop()
    all_open: set[Connection] = set()
    with ExitStack() as stack:
        stack.callback(loop.close)

        def connection(
            phase: Phase, seconds: float, client: str = "a", says: bytes = b""
        ) -> Connection:
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            stack.enter_context(theirs)
            ours.setblocking(False)
            theirs.sendall(says)
            made = Connection(ours, client, loop, all_open)
            made.enter(phase)
            made.since -= seconds
            return made

        yield connection


def evicted(most: int, *connections: Connection) -> list[Connection]:
    """Those of `connections` that give way, the first to go first."""
    with socket.socket() as bound:
        listener = Listener(bound, 1, lambda _: asyncio.Protocol(), lambda: None)
        listener._connections = set(connections)
        for each in connections:
            each._all_open = listener._connections

        async def evict() -> None:
            listener._evict(most)
            assert listener.is_full

        asyncio.run(evict())
    return [each for each in connections if each not in listener._connections]


def test_who_is_of_least_use_goes_first(open_one: Callable[..., Connection]) -> None:
    for most in range(len(LIMITS) + 1):
        first_to_go = [open_one(phase, 30) for phase in LIMITS]
        assert evicted(most, *first_to_go) == first_to_go[:most]


def test_nobody_goes_within_a_moment_but_who_is_idle(open_one: Callable[..., Connection]) -> None:
    fresh = {phase: open_one(phase, 0.01) for phase in LIMITS}
    assert evicted(9, *fresh.values()) == [fresh["idle"]]


def test_of_equals_those_of_the_client_that_holds_most_go_first(
    open_one: Callable[..., Connection],
) -> None:
    crowd = [open_one("idle", number, "crowd") for number in (3, 2, 1)]
    scraper = open_one("idle", 60, "scraper")
    assert evicted(2, scraper, *crowd) == crowd[:2]


def test_who_said_something_that_was_not_read_yet_is_not_silent(
    open_one: Callable[..., Connection],
) -> None:
    silent, heard = open_one("opening", 5), open_one("opening", 5, says=b"GET")
    assert evicted(9, silent, heard) == [silent]
