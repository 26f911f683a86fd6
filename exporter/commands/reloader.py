"""Runs reloads one at a time; requests that arrive during one are met by a single next one.

A signal handler may ask for a reload: that takes no lock.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

_LOG = logging.getLogger("exporter.reload")


class Reloader:
    """Calls `reload`, which returns why it failed or None, on a thread of its own, after each
    request but never twice at once. A thousand requests during a reload lead to one more."""

    def __init__(self, reload: Callable[[], str | None]) -> None:
        self._reload = reload
        self._asked: queue.SimpleQueue[Future[str | None]] = queue.SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._run, name="reload", daemon=True).start()

    def ask(self) -> "Future[str | None]":
        """Ask for a reload that begins after this call."""
        future: Future[str | None] = Future()
        self._asked.put(future)
        return future

    def _run(self) -> None:
        while True:
            asked = [self._asked.get()]
            while not self._asked.empty():
                asked.append(self._asked.get_nowait())
            try:
                outcome = self._reload()
            except Exception:
                _LOG.exception("a reload met a bug of the exporter")
                outcome = "internal error"
            for future in asked:
                if future.set_running_or_notify_cancel():
                    future.set_result(outcome)
