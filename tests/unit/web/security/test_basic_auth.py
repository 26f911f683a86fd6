"""Basic authentication: who gets in, at what cost, and what attackers tried on others."""

import asyncio
import base64
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certificates import hashed

from exporter.web.security import basic_auth
from exporter.web.security.basic_auth import BasicAuth, Pace

T = TypeVar("T")

CLIENT = "127.0.0.1"
KNOWN = {b"alice": "wonderland", "bøb".encode(): "pass:word"}
USERS = {
    b"alice": hashed("wonderland").encode(),
    "bøb".encode(): hashed("pass:word").encode(),
    b"long": hashed("x" * 72).encode(),
    b"": hashed("nameless").encode(),
}


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def header(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def allows(value: str) -> bool:
    return run(BasicAuth().allows(value, USERS, CLIENT))


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("alice", "wonderland"),
        ("bøb", "pass:word"),
        ("long", "x" * 72),
        ("long", "x" * 200),  # bcrypt ignores the rest, in Go's implementation too
        ("", "nameless"),
    ],
)
def test_who_knows_the_password_gets_in(user: str, password: str) -> None:
    assert allows(header(user, password))
    assert allows(header(user, password).replace("Basic", "bASIC"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic YWxpY2U=",  # no colon
        "Basic YWxpY2U6d29uZGVybGFuZA",  # no padding
        "Basic YWxpY2U6d29uZGVybGFuZA== x",
        "Bearer YWxpY2U6d29uZGVybGFuZA==",
        "BasicYWxpY2U6d29uZGVybGFuZA==",
        "Basic \udcff",
        "Basic " + "A" * 1_000_000,
        header("alice", ""),
        header("alice", "wonderlan"),
        header("alice", "wonderland "),
        header("alice", "wonderland\0"),
        header("alice", "\0"),
        header("ALICE", "wonderland"),
        header("alice", "pass:word"),
        header("alice", "x" * 73),
        header("bøb", "pass"),
        header("mallory", "fakepassword"),
        header("mallory", ""),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    ],
)
def test_nobody_else_gets_in_and_nothing_breaks(value: str) -> None:
    assert not allows(value)


@settings(deadline=None, max_examples=200)
@given(st.binary() | st.binary().map(base64.b64encode))
def test_no_bytes_get_in_or_break_anything(credentials: bytes) -> None:
    assert not allows("Basic " + credentials.decode("latin-1"))


class Counting:
    """Notes the hashes that were checked, while they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checked: list[bytes] = []
        real = bcrypt.checkpw

        def checkpw(password: bytes, hashed_password: bytes) -> bool:
            self.checked.append(hashed_password)
            return real(password, hashed_password)

        monkeypatch.setattr(bcrypt, "checkpw", checkpw)


def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise time tells which users exist. What bcrypt costs is in the hash."""
    counting = Counting(monkeypatch)
    users = {b"alice": hashed("wonderland", cost=5).encode()}

    async def log_in() -> None:
        checking = BasicAuth()
        assert not await checking.allows(header("alice", "wrong"), users, CLIENT)
        assert not await checking.allows(header("mallory", "wrong"), users, CLIENT)

    run(log_in())
    assert [checked[4:6] for checked in counting.checked] == [b"05", b"05"]


def test_the_fake_password_of_an_unknown_user_does_not_get_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the first time nor when the answer is remembered."""
    fake = bcrypt.hashpw(b"fakepassword", bcrypt.gensalt(4))
    monkeypatch.setattr(basic_auth, "_FAKE", fake.decode().replace("$04$", "${cost:02d}$"))

    async def log_in() -> None:
        checking = BasicAuth()
        for _ in range(3):
            assert not await checking.allows(header("mallory", "fakepassword"), USERS, CLIENT)

    run(log_in())


def test_a_password_that_was_checked_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)

    async def log_in() -> None:
        checking = BasicAuth()
        for _ in range(3):
            assert await checking.allows(header("alice", "wonderland"), USERS, CLIENT)
            assert not await checking.allows(header("alice", "wrong"), USERS, CLIENT)
        together = [checking.allows(header("bøb", "pass:word"), USERS, CLIENT) for _ in range(300)]
        assert all(await asyncio.gather(*together))

    run(log_in())
    assert len(counting.checked) == 3


def test_a_changed_hash_ends_what_was_remembered() -> None:
    async def log_in() -> None:
        checking = BasicAuth()
        assert await checking.allows(header("alice", "wonderland"), USERS, CLIENT)
        changed = {b"alice": hashed("looking-glass").encode()}
        assert not await checking.allows(header("alice", "wonderland"), changed, CLIENT)
        assert not await checking.allows(header("alice", "wonderland"), {}, CLIENT)
        assert await checking.allows(header("alice", "looking-glass"), changed, CLIENT)

    run(log_in())


def test_a_key_cannot_be_made_of_other_parts() -> None:
    """CVE-2022-46146: user, hash and password in one string could be cut elsewhere."""

    async def log_in() -> None:
        checking = BasicAuth()
        hash_of_alice = USERS[b"alice"].decode()
        # Remembered as right under "alice" + hash + "wonderland"; try to meet that key.
        assert await checking.allows(header("alice", "wonderland"), USERS, CLIENT)
        for cut in range(6):
            user = f"alice{hash_of_alice}wonderland"[:cut]
            rest = f"alice{hash_of_alice}wonderland"[cut:]
            assert not await checking.allows(header(user, rest), USERS, CLIENT)
        assert not await checking.allows(
            header(f"alice{hash_of_alice}", "wonderland"), USERS, CLIENT
        )

    run(log_in())
    parts = BasicAuth()._key_of
    assert parts(b"a", b"bc", b"d") != parts(b"ab", b"c", b"d")
    assert parts(b"a", b"b", b"cd") != parts(b"a", b"bc", b"d")
    assert BasicAuth()._key_of(b"a") != BasicAuth()._key_of(b"a")  # a key of each process


def test_guessing_neither_fills_memory_nor_pushes_out_who_logged_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def log_in() -> BasicAuth:
        checking = BasicAuth()
        assert await checking.allows(header("alice", "wonderland"), USERS, CLIENT)
        for guess in range(250):
            assert not await checking.allows(header("alice", f"{guess}"), USERS, CLIENT)
        counting = Counting(monkeypatch)
        assert await checking.allows(header("alice", "wonderland"), USERS, CLIENT)
        assert counting.checked == []
        return checking

    checking = run(log_in())
    assert len(checking._wrong) <= 100
    assert len(checking._right) == 1


def test_a_crowd_that_guesses_does_not_keep_out_who_comes_for_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also from the same address, as behind a proxy, and although each guesses on at once; and
    without waiting until each of the crowd was served: a scraper's patience is short."""
    guessers = 30
    users = {user: hashed(password, cost=7).encode() for user, password in KNOWN.items()}

    async def log_in() -> None:
        checking = BasicAuth()
        counting = Counting(monkeypatch)

        async def guess(name: int) -> None:
            for number in itertools.count():
                guessed = header("alice", f"{name} {number}")
                assert not await checking.allows(guessed, users, CLIENT)

        crowd = [asyncio.create_task(guess(name)) for name in range(guessers)]
        while len(counting.checked) < 2 * guessers:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        before = len(counting.checked)
        assert await checking.allows(header("alice", "wonderland"), users, CLIENT)
        assert len(counting.checked) - before <= 12, "the newest is soon next"
        before = len(counting.checked)
        assert await checking.allows(header("bøb", "pass:word"), users, "10.0.0.2")
        assert len(counting.checked) - before <= 6, "an address not served yet has every fourth"
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        assert not checking._waiting

    run(log_in())


def test_who_comes_again_with_the_right_password_is_soon_next_among_any_number_of_guessers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scraper whose timeout is shorter than its time in the queue gives up, and asks again."""

    async def log_in() -> int:
        checking = BasicAuth()
        counting = Counting(monkeypatch)

        async def guess(name: int) -> None:
            for number in itertools.count():
                guessed = header("alice", f"{name} {number}")
                assert not await checking.allows(guessed, USERS, CLIENT)

        def come() -> asyncio.Task[bool]:
            right = header("alice", "wonderland")
            return asyncio.create_task(checking.allows(right, USERS, CLIENT))

        crowd = [asyncio.create_task(guess(name)) for name in range(400)]
        await asyncio.sleep(0.01)
        first = come()
        await asyncio.sleep(0)
        first.cancel()
        assert not checking._right, "it gave up"
        gave_up = asyncio.get_running_loop().time()
        while any(each.since < gave_up for each in checking._turns._waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        before = len(counting.checked)
        assert await come()
        for task in crowd:
            task.cancel()
        await asyncio.gather(first, *crowd, return_exceptions=True)
        return len(counting.checked) - before

    assert run(log_in()) <= 5


def test_wrong_guesses_are_told_slower_than_they_are_checked() -> None:
    """The first few at once, for those who mistype; and nobody waits for longer than 30 s."""
    pace, now, pauses = Pace(), 1000.0, []
    for _ in range(300):
        now += 0.05
        pauses.append(pace.seconds_until_told(now, 0.05))
    assert pauses[:8] == [0.0] * 8
    told = [0.05 * number + pause for number, pause in enumerate(pauses)]
    assert told[20] - told[19] == pytest.approx(0.2)
    assert max(pauses) == pauses[-1] == pytest.approx(30, abs=0.1)
    assert pace.seconds_until_told(now + 60, 0.05) == 0


def test_only_a_new_wrong_guess_waits_until_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has an old password is told so at once, and the right one waits for nothing."""

    class Asked(Pace):
        def seconds_until_told(self, now: float, check_seconds: float) -> float:
            asked.append(check_seconds)
            return super().seconds_until_told(now, check_seconds)

    asked: list[float] = []
    monkeypatch.setattr(basic_auth, "Pace", Asked)

    async def log_in() -> None:
        checking = BasicAuth()
        for user, password in (("alice", "old"), ("alice", "wonderland"), ("mallory", "old")):
            await checking.allows(header(user, password), USERS, CLIENT)
            await checking.allows(header(user, password), USERS, CLIENT)

    run(log_in())
    assert len(asked) == 2
    assert all(seconds > 0 for seconds in asked)


def test_what_was_asked_and_never_checked_does_not_fill_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(basic_auth, "_REMEMBERED", 10)

    async def log_in() -> BasicAuth:
        checking = BasicAuth()
        for number in range(30):
            guessed = checking.allows(header("alice", f"{number}"), USERS, CLIENT)
            guess = asyncio.create_task(guessed)
            await asyncio.sleep(0)
            guess.cancel()
            await asyncio.gather(guess, return_exceptions=True)
        assert await checking.allows(header("alice", "wonderland"), USERS, CLIENT)
        return checking

    checking = run(log_in())
    assert len(checking._asked) <= 10


def test_a_guess_whose_client_has_gone_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def log_in() -> None:
        checking = BasicAuth()
        users = {b"slow": hashed("x", cost=9).encode()}
        counting = Counting(monkeypatch)
        guesses = [
            asyncio.create_task(checking.allows(header("slow", f"{n}"), users, CLIENT))
            for n in range(100)
        ]
        await asyncio.sleep(0.001)
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
        assert await checking.allows(header("slow", "x"), users, CLIENT)
        assert len(counting.checked) == 2, "the one that was begun, and this one"

    run(log_in())


def test_a_password_that_is_being_checked_is_known_though_its_client_has_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scraper gives up after its timeout and asks again: it must get in some time."""

    async def log_in() -> None:
        checking = BasicAuth()
        users = {b"slow": hashed("x", cost=9).encode()}
        counting = Counting(monkeypatch)
        scrape = asyncio.create_task(checking.allows(header("slow", "x"), users, CLIENT))
        while not counting.checked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        scrape.cancel()
        await asyncio.gather(scrape, return_exceptions=True)
        while not checking._right:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert await checking.allows(header("slow", "x"), users, CLIENT)
        assert len(counting.checked) == 1

    run(log_in())


def test_a_client_that_goes_away_does_not_spoil_the_answer_for_others() -> None:
    async def log_in() -> bool:
        checking = BasicAuth()
        users = {b"slow": hashed("x", cost=9).encode()}
        first = asyncio.create_task(checking.allows(header("slow", "x"), users, CLIENT))
        second = asyncio.create_task(checking.allows(header("slow", "x"), users, CLIENT))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert run(log_in())
