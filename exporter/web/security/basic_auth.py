"""Basic authentication against bcrypt hashes.

* An unknown user costs as much as a wrong password, so time does not tell who exists.
* One hash is computed at a time, on a thread of its own: guessing takes one core at most
  and never the event loop. Clients take turns, so a crowd that guesses does not keep out who
  comes with the right password for the first time. A guess whose client has gone is not checked,
  but who comes again with the same is older than the guesses that came since, and soon next.
* Beyond a few, wrong guesses are told slower than they are checked. Who waits for an answer
  before the next guess so leaves most checks to others.
* Results are cached under an HMAC of the user, the hash and the password, each with its
  length, so that no other three make the same key (CVE-2022-46146). Right and wrong
  passwords have caches of their own: guessing does not evict who logged in.
"""

import asyncio
import base64
import binascii
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import bcrypt

from exporter.web.turns import Turns

_CACHE_SIZE = 100
_WAITING_LIMIT = 512  # as many as there are connections
_REMEMBERED = 16_384  # not yet checked: 3 MB
_PASSWORD_BYTES = 72  # bcrypt ignores what follows, as Go's does
_TOLD_AT_ONCE = 8  # wrong guesses
_TOLD_EVERY = 4  # times as long as a check takes
_LONGEST_PAUSE_SECONDS = 30.0
_FAKE = "$2b${cost:02d}$MWvGnHjYQKpNyjHVvzYTlO2aFz5x3WYzCMYQuiVSp8oJLNLcMHYk2"
"""A hash for users that do not exist. It does not matter of which password."""


@dataclass(slots=True)
class _Check:
    """A password that waits to be checked, for so many requests."""

    outcome: asyncio.Task[bool]
    requests: int = 0


class Pace:
    """When wrong guesses are told: the first few at once, then one in so many checks' time."""

    def __init__(self) -> None:
        self._told = 0.0

    def seconds_until_told(self, now: float, check_seconds: float) -> float:
        """Take the next moment to tell one; how long it is until then."""
        interval_seconds = _TOLD_EVERY * check_seconds
        earliest = now - _TOLD_AT_ONCE * interval_seconds
        latest = now + _LONGEST_PAUSE_SECONDS
        self._told = min(max(self._told, earliest) + interval_seconds, latest)
        return max(self._told - now, 0.0)


class BasicAuth:
    """Checks credentials. Belongs to one event loop."""

    def __init__(self) -> None:
        self._turns = Turns("bcrypt", _WAITING_LIMIT, serves_newest=True)
        self._pace = Pace()
        self._check_seconds = 0.0
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[bytes, _Check] = {}
        self._asked: OrderedDict[bytes, float] = OrderedDict()

    async def allows(self, authorization: str, users: Mapping[bytes, bytes], client: str) -> bool:
        """Whether the value of an Authorization header names one of `users` (name ->
        hash) and their password. Raises BusyError."""
        credentials = _parse(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # Checked for unknown users, too: that takes its time.
        hashed = users.get(user) or _fake_hash(users)
        is_right = await self._check(user, hashed, password, client)
        return is_right and user in users

    async def _check(self, user: bytes, hashed: bytes, password: bytes, client: str) -> bool:
        key = self._key_of(user, hashed, password)
        for cache, answer in ((self._right, True), (self._wrong, False)):
            if key in cache:
                cache.move_to_end(key)
                return answer
        check = self._waiting.get(key)
        if check is None:
            loop = asyncio.get_running_loop()
            compare = partial(self._compare, loop, key, password, hashed)
            turn = self._turns.do(compare, client, self._first_asked(key, loop.time()))
            check = self._waiting[key] = _Check(loop.create_task(turn))
        check.requests += 1
        try:
            is_right = await asyncio.shield(check.outcome)
        finally:
            check.requests -= 1
            if not check.requests:
                check.outcome.cancel()  # unless it is there
                if self._waiting.get(key) is check:
                    del self._waiting[key]
        if not is_right:
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(self._pace.seconds_until_told(now, self._check_seconds))
        return is_right

    def _first_asked(self, key: bytes, now: float) -> float:
        """When this was asked for the first time, if it is not known yet whether it is right."""
        first = self._asked.setdefault(key, now)
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return first

    def _compare(
        self, loop: asyncio.AbstractEventLoop, key: bytes, password: bytes, hashed: bytes
    ) -> bool:
        began = time.perf_counter()
        is_right = _matches(password, hashed)
        self._check_seconds = time.perf_counter() - began
        loop.call_soon_threadsafe(self._remember, key, is_right)  # also if the client has gone
        return is_right

    def _remember(self, key: bytes, is_right: bool) -> None:  # noqa: FBT001 - it is the result
        cache = self._right if is_right else self._wrong
        cache[key] = None
        self._asked.pop(key, None)
        if len(cache) > _CACHE_SIZE:
            cache.popitem(last=False)

    def _key_of(self, *parts: bytes) -> bytes:
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, message, "sha256")


def _parse(authorization: str) -> tuple[bytes, bytes] | None:
    """User and password of ``Basic dXNlcjpwYXNzd29yZA==``, or None."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def _fake_hash(users: Mapping[bytes, bytes]) -> bytes:
    """A hash that takes as long to check as the slowest of those of `users`."""
    cost = max((int(hashed[4:6]) for hashed in users.values()), default=10)
    return _FAKE.format(cost=cost).encode()


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_PASSWORD_BYTES], hashed)
    except ValueError:  # a NUL in the password, in some versions
        return False
