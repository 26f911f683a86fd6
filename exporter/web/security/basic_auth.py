"""Basic authentication against bcrypt hashes.

* An unknown user costs as much as a wrong password, so time does not tell who exists.
* One hash is computed at a time, on a thread of its own: guessing takes one core at most
  and never the event loop. Beyond `_WAITING_LIMIT` waiting checks, more are refused.
* Results are cached under an HMAC of the user, the hash and the password, each with its
  length, so that no other three make the same key (CVE-2022-46146). Right and wrong
  passwords have caches of their own: guessing does not evict who logged in.
"""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

_CACHE_SIZE = 100
_WAITING_LIMIT = 16
_PASSWORD_BYTES = 72  # bcrypt ignores what follows, as Go's does
_FAKE = "$2b${cost:02d}$MWvGnHjYQKpNyjHVvzYTlO2aFz5x3WYzCMYQuiVSp8oJLNLcMHYk2"
"""A hash for users that do not exist. It does not matter of which password."""


class BusyError(Exception):
    """Too many passwords wait to be checked."""


class BasicAuth:
    """Checks credentials. Belongs to one event loop."""

    def __init__(self) -> None:
        self._hashing = ThreadPoolExecutor(1, "bcrypt")
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}

    async def allows(self, authorization: str, users: Mapping[bytes, bytes]) -> bool:
        """Whether the value of an Authorization header names one of `users` (name ->
        hash) and their password. Raises BusyError."""
        credentials = _parse(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # Checked for unknown users, too: that takes its time.
        is_right = await self._check(user, users.get(user) or _fake_hash(users), password)
        return is_right and user in users

    async def _check(self, user: bytes, hashed: bytes, password: bytes) -> bool:
        key = self._key_of(user, hashed, password)
        for cache, answer in ((self._right, True), (self._wrong, False)):
            if key in cache:
                cache.move_to_end(key)
                return answer
        if (same := self._waiting.get(key)) is not None:
            return await asyncio.shield(same)
        if len(self._waiting) >= _WAITING_LIMIT:
            raise BusyError
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._hashing, _matches, password, hashed)
        self._waiting[key] = future
        future.add_done_callback(lambda done: self._checked(key, done))
        return await asyncio.shield(future)  # the client may go; the result is cached

    def _checked(self, key: bytes, done: "asyncio.Future[bool]") -> None:
        del self._waiting[key]
        if done.cancelled() or done.exception() is not None:
            return
        cache = self._right if done.result() else self._wrong
        cache[key] = None
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
