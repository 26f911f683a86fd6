"""Sets a time limit for calls into libraries that have none.

Python cannot end a thread that waits inside a library. So each call is made on a thread of
its own and given up when its time is over: the thread stays until the call returns, if ever.
A circuit breaker bounds how many threads stay: with `_HUNG_LIMIT` of them calls are refused,
except one every `_RETRY_SECONDS`. (A server that died without a word may have left
connections that never end. Because of them it must not be out of reach for good.)
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from exporter.errors import StorageError
from exporter.workers import Workers

_HUNG_LIMIT = 16
_RETRY_SECONDS = 600

T = TypeVar("T")


class TimedCalls:
    """Makes at most `size` calls at a time, not counting those that hang."""

    def __init__(self, size: int) -> None:
        self._workers = Workers(size)
        self._lock = threading.Lock()
        self._retry_at = 0.0

    def call(self, run: Callable[[], T], seconds: float) -> T:
        """What `run` returns or raises, also what is no `Exception`, as in some libraries;
        StorageError("timeout") if it does neither within `seconds`."""
        self._refuse_if_many_hang()
        # Not a SimpleQueue: a signal that comes just when its get times out makes it wait for
        # ever, as of CPython 3.11.
        done: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()

        def run_and_report() -> None:
            try:
                done.put((run(), None))
            except BaseException as error:
                done.put((None, error))

        this = object()
        self._workers.submit(this, run_and_report)
        try:
            value, error = done.get(timeout=seconds)
        except queue.Empty:
            self._workers.abandon(this)
            raise StorageError("timeout", f"no answer within {seconds:g} s") from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # T may be None

    def _refuse_if_many_hang(self) -> None:
        if self._workers.stuck < _HUNG_LIMIT:
            return
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                raise StorageError("timeout", "too many earlier calls still wait for an answer")
            self._retry_at = now + _RETRY_SECONDS

    def close(self) -> None:
        self._workers.close()
