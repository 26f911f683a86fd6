"""Reports from many threads to one that waits for them.

To wake a thread and hand over the interpreter lock takes longer than a short visit to a
folder does; so the waiting thread is not woken for each report, but soon after the first.

(``queue.SimpleQueue`` would do, but for this: a signal that comes just when its ``get``
times out makes it wait for ever, as of CPython 3.11.)
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

_WAKE_SECONDS = 0.005

_T = TypeVar("_T")


class Inbox(Generic[_T]):
    """`put` and `wake` may be called from any thread, the rest from the one that waits."""

    def __init__(self) -> None:
        self._items: deque[_T] = deque()
        self._woken = threading.Event()
        self._last_wake = 0.0

    def put(self, item: _T, *, at_once: bool) -> None:
        """Add an item; `at_once` if the thread that waits shall hear of it right now, or
        else when it was not woken a moment ago."""
        self._items.append(item)
        now = time.monotonic()
        if at_once or now - self._last_wake > _WAKE_SECONDS:
            self._last_wake = now
            self.wake()

    def wake(self) -> None:
        """End `wait`, now or when it is next called."""
        self._woken.set()

    def wait(self, until: float) -> None:
        """Return when there are items, or woken, or when it is `until` (monotonic)."""
        if not self._items:
            self._woken.wait(max(0.0, until - time.monotonic()))
        self._woken.clear()  # whoever woke it has left its news before

    def take(self, until: float) -> Iterator[_T]:
        """The items there are, and those that come meanwhile, but none after `until`."""
        while self._items and time.monotonic() < until:
            yield self._items.popleft()
