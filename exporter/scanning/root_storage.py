"""A root's storage as its scans meet it: opened on first use, what hangs in it, and by how
many threads it is best asked.

It outlives the scans and knows nothing of them, nor what they find.
"""

from collections.abc import Callable, Mapping
from typing import Any

from exporter.config.settings import RootConfig
from exporter.scanning.concurrency import Concurrency
from exporter.storage.base import Path, Storage
from exporter.workers import OVERDUE_PER_OWNER

OpenStorage = Callable[[str, Mapping[str, Any], int], Storage]


class RootStorage:
    """Opened by `open_storage` with as many `connections` as there are workers. It owns
    the workers' calls that go to it."""

    def __init__(self, config: RootConfig, connections: int, open_storage: OpenStorage) -> None:
        self._config = config
        self._connections = connections
        self._open = open_storage
        self.opened: Storage | None = None
        self.stuck: dict[Path, object] = {}
        """Folders whose visits were given up and have not returned yet, and by whom."""
        self.concurrency = Concurrency()

    @property
    def is_hung(self) -> bool:
        """Whether it is not to be asked for anything until some of what hangs returns."""
        return () in self.stuck or len(self.stuck) >= OVERDUE_PER_OWNER

    def get(self) -> Storage:
        """Open the storage on first use. Only the visit to the root itself can be first,
        so two threads never get here at once."""
        if self.opened is None:
            options = self._config.storage_options.reveal()
            self.opened = self._open(self._config.url, options, self._connections)
        return self.opened

    def returned(self, visitor: object) -> None:
        """What this visitor was given up with has returned."""
        for path in [path for path, stuck in self.stuck.items() if stuck is visitor]:
            del self.stuck[path]
