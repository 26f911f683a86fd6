"""Work in turns: whose turn it is, who is refused, and what happens to those who go."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from exporter.web.turns import BusyError, Turns, Turnstile, client_of


def in_turns(
    limit: int, meanwhile: Callable[[Turns, Callable[[str], Callable[[], None]]], Awaitable[None]]
) -> list[str]:
    """The order in which work was done that came while the thread was held up. `meanwhile`
    gets the turns, and what makes work of a name."""
    done: list[str] = []

    async def hold_up() -> None:
        turns = Turns("turns", limit)
        gate = threading.Event()
        held = asyncio.create_task(turns.do(gate.wait, "first"))
        await asyncio.sleep(0)
        await meanwhile(turns, lambda name: lambda: done.append(name))
        gate.set()
        await held
        while turns._is_working:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        turns.close()

    asyncio.run(hold_up())
    return done


def test_clients_take_turns_whoever_asks_most() -> None:
    async def meanwhile(turns: Turns, work: Callable[[str], Callable[[], None]]) -> None:
        meanwhile.asked = [  # type: ignore[attr-defined]
            asyncio.create_task(turns.do(work(client), client)) for client in "aaaaaaaaabc"
        ]
        await asyncio.sleep(0)

    done = in_turns(100, meanwhile)
    assert len(done) == 11
    assert set(done[:5]) == {"a", "b", "c"}


def test_every_other_turn_is_of_what_waits_for_longest_from_whatever_client() -> None:
    """So that clients that are always new, by the thousand, keep out nobody."""

    async def meanwhile(turns: Turns, work: Callable[[str], Callable[[], None]]) -> None:
        new = [turns.do(work(f"new {number}"), f"{number}") for number in range(50)]
        late = turns.do(work("came before"), "first", since=0)
        meanwhile.asked = [  # type: ignore[attr-defined]
            asyncio.create_task(each) for each in (*new, late)
        ]
        await asyncio.sleep(0)

    assert "came before" in in_turns(100, meanwhile)[:2]


def test_requests_of_one_client_are_done_in_their_order() -> None:
    async def meanwhile(turns: Turns, work: Callable[[str], Callable[[], None]]) -> None:
        meanwhile.asked = [  # type: ignore[attr-defined]
            asyncio.create_task(turns.do(work(f"{number}"), "a")) for number in range(9)
        ]
        await asyncio.sleep(0)

    assert "".join(in_turns(100, meanwhile)) == "012345678"


def test_one_request_passes_at_each_round_of_the_loop_the_longest_rested_first() -> None:
    passed: list[str] = []

    async def ask(turnstile: Turnstile, name: str, answered: float) -> None:
        await turnstile.passed(answered)
        passed.append(name)

    async def come() -> None:
        turnstile = Turnstile()
        asked = [
            asyncio.create_task(ask(turnstile, f"chatter {number}", 100 + number))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        asked[0].cancel()
        asked.append(asyncio.create_task(ask(turnstile, "scraper", 40)))
        rounds = 0
        while not all(each.done() for each in asked):
            before = len(passed)
            await asyncio.sleep(0)
            rounds += 1
            assert len(passed) - before <= 1
        assert rounds >= 20
        await asyncio.wait_for(turnstile.passed(0), 10)

    asyncio.run(come())
    assert passed.index("scraper") <= 2
    assert len(passed) == 20, "all but the one that has gone"


def test_who_waits_for_most_is_refused_when_there_are_too_many() -> None:
    outcomes: list[object] = []

    async def meanwhile(turns: Turns, work: Callable[[str], Callable[[], None]]) -> None:
        asked = [
            asyncio.create_task(turns.do(work(name), name[0]))
            for name in ("a1", "a2", "a3", "a4", "a5", "b1", "c1")
        ]
        await asyncio.sleep(0.01)
        outcomes.extend(type(each.exception()) if each.done() else None for each in asked)
        meanwhile.asked = asked  # type: ignore[attr-defined]

    done = in_turns(4, meanwhile)
    assert outcomes == [None, None, BusyError, BusyError, BusyError, None, None]
    assert sorted(done) == ["a1", "a2", "b1", "c1"]


def test_work_is_not_begun_for_who_has_gone() -> None:
    async def meanwhile(turns: Turns, work: Callable[[str], Callable[[], None]]) -> None:
        gone = asyncio.create_task(turns.do(work("gone"), "a"))
        stays = asyncio.create_task(turns.do(work("stays"), "a"))
        await asyncio.sleep(0)
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        meanwhile.asked = stays  # type: ignore[attr-defined]

    assert in_turns(100, meanwhile) == ["stays"]


def test_what_work_raises_is_for_who_asked_and_the_next_is_done() -> None:
    async def work() -> None:
        turns = Turns("turns", 10)
        failing = turns.do(lambda: 1 // 0, "a")
        fine = turns.do(lambda: 1, "a")
        outcomes = await asyncio.gather(failing, fine, return_exceptions=True)
        assert isinstance(outcomes[0], ZeroDivisionError)
        assert outcomes[1] == 1

    asyncio.run(work())


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (("10.0.0.1", 1), "10.0.0.1"),
        (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::"),
        (("2001:db8:1:2:ffff::1", 1, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::"),
        ("", ""),
        (None, ""),
    ],
)
def test_an_ipv6_client_is_its_network(peer: object, client: str) -> None:
    assert client_of(peer) == client
