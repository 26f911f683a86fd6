"""A root's storage as its scans use it: opened on first use, with the visits that hang in it.

It outlives the scans and knows nothing of them, nor of what they find.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from exporter.config.settings import RootConfig
from exporter.scanning.concurrency import Concurrency
from exporter.storage.base import Path, Storage
from exporter.workers import OVERDUE_PER_OWNER, Workers

OpenStorage = Callable[[str, Mapping[str, Any], int], Storage]


class RootStorage:
    """Opened by `open_storage` with as many connections as there are workers. It owns the
    workers' calls that go to it. `stuck` are the folders whose visits were given up and have
    not returned yet, and by whom. Used by the scheduler's thread, but for `get`."""

    def __init__(
        self,
        config: RootConfig,
        workers: Workers,
        open_storage: OpenStorage,
        stuck: dict[Path, object] | None = None,
    ) -> None:
        self.concurrency = Concurrency()
        self._config = config
        self._workers = workers
        self._open = open_storage
        self._opened: Storage | None = None
        self._stuck = {} if stuck is None else stuck

    def successor(self, config: RootConfig) -> "RootStorage":
        """The storage of the root that takes this one's place. At the same URL, what hangs
        in this one hangs there, too, until it returns: no more threads for it."""
        stuck = self._stuck if config.url == self._config.url else None
        return RootStorage(config, self._workers, self._open, stuck)

    @property
    def is_hung(self) -> bool:
        """Nothing may be asked of it until some of what hangs returns."""
        return () in self._stuck or len(self._stuck) >= OVERDUE_PER_OWNER

    def is_stuck(self, path: Path) -> bool:
        """A visit to this folder was given up and has not returned yet."""
        return path in self._stuck

    def hold(self, path: Path, visitor: object) -> None:
        """The visitor was given up during its visit to this folder."""
        self._stuck[path] = visitor

    def returned(self, visitor: object) -> None:
        """The visit with which the visitor was given up has returned."""
        for path in [path for path, stuck in self._stuck.items() if stuck is visitor]:
            del self._stuck[path]

    def get(self) -> Storage:
        """The storage, opened on first use; called on workers' threads. Only the visit to
        the root itself can be first, so two threads never get here at once."""
        if self._opened is None:
            options = self._config.storage_options.reveal()
            self._opened = self._open(self._config.url, options, self._workers.size)
        return self._opened

    def requests(self) -> tuple[tuple[str, int], ...]:
        """(operation, requests so far); none before it was opened."""
        return self._opened.requests.totals() if self._opened is not None else ()

    def close(self) -> None:
        """Give up all calls, and have a worker close the storage: that may take as long as
        the storage does."""
        self._workers.abandon(self)
        if self._opened is not None:
            with suppress(RuntimeError):  # no threads: then it is closed with the process
                self._workers.submit(self, self._opened.close)
