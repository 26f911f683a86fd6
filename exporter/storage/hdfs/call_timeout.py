"""Ends the wait for calls that never return, of libraries that know no time limit.

Python cannot end a thread that waits inside a library. So each call is made on a thread
of its own, and given up when its time is over: the caller goes on, the thread stays until
the call returns, if ever. How many stay is bounded: with `_HUNG_LIMIT` of them nothing is
asked any more, except now and then (a server that died without a word may have left
connections that never end, and must not be out of reach for good because of them).
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


class Watchdog:
    """Makes at most `size` calls at a time, not counting those that hang."""

    def __init__(self, size: int) -> None:
        self._workers = Workers(size)
        self._lock = threading.Lock()
        self._retry_at = 0.0

    def call(self, run: Callable[[], T], seconds: float) -> T:
        """What `run` returns or raises; StorageError("timeout") if it does neither within
        `seconds`. The exceptions of some libraries are no `Exception`; any is passed on."""
        self._refuse_if_hung()
        # Not a SimpleQueue: see event_queue.py.
        done: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()

        def carry_out() -> None:
            try:
                done.put((run(), None))
            except BaseException as error:
                done.put((None, error))

        this = object()
        self._workers.submit(this, carry_out)
        try:
            value, error = done.get(timeout=seconds)
        except queue.Empty:
            self._workers.abandon(this)
            raise StorageError("timeout", f"no answer within {seconds:g} s") from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # T may be None

    def _refuse_if_hung(self) -> None:
        if self._workers.stuck < _HUNG_LIMIT:
            return
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                raise StorageError("timeout", "too many earlier calls still wait for an answer")
            self._retry_at = now + _RETRY_SECONDS

    @property
    def hung(self) -> int:
        """Calls that were given up and have not returned."""
        return self._workers.stuck

    def close(self) -> None:
        self._workers.close()
