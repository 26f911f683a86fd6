"""A root's storage as its scans use it: opened on first use, with the visits that hang in it.

It outlives the scans and knows nothing of them, nor of what they find.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from exporter.config.settings import RootConfig
from exporter.scanning.concurrency import Concurrency
from exporter.scanning.probing import Probes
from exporter.storage.base import Path, Storage
from exporter.workers import OVERDUE_PER_OWNER, Workers

_SEARCHES = 100
OpenStorage = Callable[[str, Mapping[str, Any], int], Storage]


class RootStorage:
    """Opened by `open_storage` with as many connections as there are workers. It owns the
    workers' calls that go to it. Used by the scheduler's thread, but for `get`, `may_search`,
    `config` and what `probes` have for any."""

    def __init__(self, config: RootConfig, workers: Workers, open_storage: OpenStorage) -> None:
        self.config = config
        self.workers = workers
        self.concurrency = Concurrency()
        self.probes = Probes(config)
        self.stuck: dict[Path, object] = {}
        """Folders whose visits were given up and have not returned yet, and their visitors."""
        self._open = open_storage
        self._opened: Storage | None = None
        self._searching = threading.Lock()
        self._searches_left = 0
        self._searches_renewed_at = -math.inf

    def take_over(self, other: "RootStorage") -> None:
        """Take the place of another. At the same URL, what hangs in that one hangs in this
        one, too, until it returns: no more threads for it."""
        if other.config.url == self.config.url:
            self.stuck = other.stuck

    @property
    def is_hung(self) -> bool:
        """Nothing may be asked of it until some of what hangs returns."""
        return () in self.stuck or len(self.stuck) >= OVERDUE_PER_OWNER

    def hold(self, path: Path, visitor: object) -> None:
        """The visitor was given up during its visit to this folder."""
        self.stuck[path] = visitor

    def returned(self, visitor: object) -> None:
        """The visit with which the visitor was given up has returned."""
        for path in [path for path, stuck in self.stuck.items() if stuck is visitor]:
            del self.stuck[path]

    def get(self) -> Storage:
        """The storage, opened on first use; called on workers' threads. Only the visit to
        the root itself can be first, so two threads never get here at once."""
        if self._opened is None:
            options = self.config.storage_options.reveal()
            self._opened = self._open(self.config.url, options, self.workers.size)
        return self._opened

    def may_search(self, *, is_job: bool) -> bool:
        """Whether a request may be spent to see if a folder at `max_depth` holds more; asked
        for each, by any thread. Half of what there is in each `verify_interval` is kept for
        folders that are no jobs, which more likely do."""
        with self._searching:
            now = time.monotonic()
            if now - self._searches_renewed_at >= self.config.verify_interval_seconds:
                self._searches_left, self._searches_renewed_at = _SEARCHES, now
            if self._searches_left <= (_SEARCHES // 2 if is_job else 0):
                return False
            self._searches_left -= 1
            return True

    def requests(self) -> tuple[tuple[str, int], ...]:
        """(operation, requests so far); none before it was opened."""
        return self._opened.requests.totals() if self._opened is not None else ()

    def notes(self) -> tuple[str, ...]:
        """What was found out about the storage so far; nothing before it was opened."""
        return self._opened.notes if self._opened is not None else ()

    def close(self) -> None:
        """Give up all calls, and have a worker close the storage: that may take as long as
        the storage does."""
        self.workers.abandon(self)
        if self._opened is not None:
            with suppress(RuntimeError):  # no threads: then it is closed with the process
                self.workers.submit(self, self._opened.close)
