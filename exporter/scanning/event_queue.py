"""A queue from many threads to one that waits, which hears of events in batches.

To wake a thread and hand over the interpreter lock takes longer than a short visit to a
folder, and the thread that was woken competes for the lock with the one that goes on. So only
urgent events wake the waiting thread, which takes the others along.

(``queue.SimpleQueue`` will not do: a signal that arrives just when its ``get`` times out
makes it wait for ever, as of CPython 3.11.)
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
        self._events: deque[_T] = deque()
        self._woken = threading.Event()

    def put(self, event: _T, *, is_urgent: bool) -> None:
        """Add an event; an urgent one wakes the waiting thread."""
        self._events.append(event)
        if is_urgent:
            self.wake()

    def wake(self) -> None:
        """End `wait`, now or when it is next called."""
        self._woken.set()

    def wait(self, until: float) -> None:
        """Return when there are events, when woken, or at the time `until` (monotonic)."""
        if not self._events:
            self._woken.wait(max(0.0, until - time.monotonic()))
        self._woken.clear()  # whoever woke this thread has put its event before

    def take(self, until: float) -> Iterator[_T]:
        """Remove and yield events, also those that arrive meanwhile, but none after `until`."""
        while self._events and time.monotonic() < until:
            yield self._events.popleft()
