"""Reports from many threads to one that waits for them.

To wake a thread and hand over the interpreter lock takes longer than a short visit to a
folder does, and a thread that was woken fights for the lock with the one that goes on. So
only some reports wake the thread that waits; it finds the others beside them.

(``queue.SimpleQueue`` would do, but for this: a signal that comes just when its ``get``
times out makes it wait for ever, as of CPython 3.11.)
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class EventQueue(Generic[_T]):
    """`put` and `wake` may be called from any thread, the rest from the one that waits."""

    def __init__(self) -> None:
        self._items: deque[_T] = deque()
        self._woken = threading.Event()

    def put(self, item: _T, *, is_urgent: bool) -> None:
        """Add an item; `is_urgent` if the thread that waits shall hear of it right now, or
        else when it is woken next."""
        self._items.append(item)
        if is_urgent:
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
