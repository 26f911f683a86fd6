"""Which connection gives way when there are too many."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from exporter.web.connections import LIMITS, Connection, Listener, Phase


@pytest.fixture
def open_one() -> Iterator[Callable[..., Connection]]:
    """Makes a connection in a phase, since so many seconds, of a client."""
    with closing(asyncio.new_event_loop()) as loop:

        def connection(phase: Phase, seconds: float, client: str = "a") -> Connection:
            made = Connection(client, loop, set())
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps silent clients to itself")
def test_who_says_nothing_is_not_even_accepted() -> None:
    async def come() -> int:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            opened: list[Connection] = []

            def open_it(connection: Connection) -> asyncio.Protocol:
                opened.append(connection)
                return asyncio.Protocol()

            listener = Listener(bound, 100, open_it, lambda: None)
            listener.start()
            with ExitStack() as stack:
                address = bound.getsockname()
                for _ in range(20):
                    stack.enter_context(socket.create_connection(address))
                speaks = stack.enter_context(socket.create_connection(address))
                speaks.sendall(b"GET")
                while not opened:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                listener.stop()
            return len(opened) + len(listener._connections)

    assert asyncio.run(come()) == 2, "one, twice"
