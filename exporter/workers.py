"""A pool of daemon threads that survives calls which never return.

``concurrent.futures`` will not do: its threads are joined at exit, so one call into a
dead NFS server keeps the process from stopping, and a call that hangs takes a thread
out of the pool for good.

Rules of this pool:

* Each call belongs to an *owner*; owners with waiting calls take turns.
* At most `size` calls run at a time, not counting overdue ones. A call that runs for
  more than `patience_seconds` is overdue: it keeps its thread but gives back its slot,
  so a hung owner delays the others by that long at most.
* An owner with `OVERDUE_PER_OWNER` calls overdue gets no more threads until some of them
  return, which bounds the threads.
* A call that was given up (`abandon`) counts as stuck until it returns.
* Whatever a call raises, its thread lives on.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_LOG = logging.getLogger(__name__)

OVERDUE_PER_OWNER = 4


@dataclass(eq=False, slots=True)
class Call:
    """One call that was submitted. Its states only move forward. Only its pool moves them, with
    its lock held; any thread may read them."""

    owner: Hashable
    run: Callable[[], None]
    is_overdue: bool = False
    is_stuck: bool = False
    started: float = math.inf

    def begin(self) -> None:
        """A thread runs it from now on."""
        self.started = time.monotonic()

    def relieve(self, started_before: float) -> None:
        """It runs for too long, and no longer holds a slot, if it started before that time."""
        self.is_overdue |= self.started < started_before

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self.is_stuck = self.is_overdue = True


class Workers:
    """See the module's docstring. Thread-safe."""

    def __init__(self, size: int, patience_seconds: float = 2.0) -> None:
        self.size = size
        self.patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._waiting: dict[Hashable, deque[Call]] = {}
        self._running: set[Call] = set()
        self._threads = 0
        self._closed = False

    @property
    def busy(self) -> int:
        """Threads running a call that is not stuck."""
        with self._lock:
            return sum(not call.is_stuck for call in self._running)

    @property
    def stuck(self) -> int:
        """Threads running a call that was given up."""
        with self._lock:
            return sum(call.is_stuck for call in self._running)

    def submit(self, owner: Hashable, run: Callable[[], None]) -> Call:
        """Have `run` called on some thread, in the order of submission per owner. Raises
        RuntimeError, and submits nothing, if there is no thread and the system gives none."""
        call = Call(owner, run)
        with self._lock:
            calls = self._waiting.setdefault(owner, deque())
            calls.append(call)
            self._add_threads()
            if self._threads == 0 and not self._closed:
                calls.pop()
                if not calls:
                    del self._waiting[owner]
                raise RuntimeError("the system gives no threads")
        return call

    def abandon(self, owner: Hashable) -> None:
        """Give up all calls of an owner: waiting ones never run, running ones become stuck."""
        with self._lock:
            self._waiting.pop(owner, None)
            for call in self._running:
                if call.owner == owner:
                    call.give_up()
            self._add_threads()

    def relieve(self) -> None:
        """Let others run in the place of overdue calls. To be called about once a second."""
        limit = time.monotonic() - self.patience_seconds
        with self._lock:
            for call in self._running:
                call.relieve(limit)
            self._add_threads()

    def close(self) -> None:
        """Drop waiting calls and let idle threads end; running ones are not waited for."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._wake.notify_all()

    def _add_threads(self) -> None:
        """Start as many threads as have slots and calls, or as the system gives (lock held)."""
        waiting = sum(len(calls) for calls in self._waiting.values())
        useful = min(self._free_slots(), waiting)
        for _ in range(useful - self._idle()):
            thread = threading.Thread(target=self._work, name="scan-worker", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
                break
            self._threads += 1
        self._wake.notify(useful)

    def _idle(self) -> int:
        return self._threads - len(self._running)

    def _free_slots(self) -> int:
        return max(0, self.size - sum(not call.is_overdue for call in self._running))

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call.run()
            except BaseException:  # also what libraries use to end threads
                _LOG.exception("a scan worker met a bug of the exporter")
            finally:
                with self._lock:
                    self._running.discard(call)
                    self._wake.notify()

    def _next(self) -> Call | None:
        """Wait for a call; None when this thread should end."""
        with self._lock:
            while True:
                if self._closed or self._idle() > self.size:
                    self._threads -= 1
                    return None
                call = self._take() if self._free_slots() > 0 else None
                if call is not None:
                    call.begin()
                    self._running.add(call)
                    return call
                self._wake.wait()

    def _take(self) -> Call | None:
        """The next call of the owner whose turn it is (lock held)."""
        for owner in list(self._waiting):
            overdue = sum(c.is_overdue for c in self._running if c.owner == owner)
            if overdue >= OVERDUE_PER_OWNER:
                continue
            calls = self._waiting.pop(owner)
            call = calls.popleft()
            if calls:
                self._waiting[owner] = calls  # behind all others
            return call
        return None
