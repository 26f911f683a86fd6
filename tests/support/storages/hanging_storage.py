"""A storage of local folders in which chosen folders hang until released, or fail.

It is a sibling of the real backends, for faults that real folders cannot produce on demand.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from exporter.errors import StorageError
from exporter.storage.base import Folder, Look, Path
from exporter.storage.local.storage import LocalStorage


class HangingStorage(LocalStorage):
    """Local folders; calls to a folder in `hanging` wait until `release`."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.hanging: set[Path] = set()
        self.hanging_jobs: set[Path] = set()
        self.failing: dict[Path, StorageError] = {}
        self._released = threading.Event()

    def release(self) -> None:
        self.hanging.clear()
        self.hanging_jobs.clear()
        self._released.set()
        self._released = threading.Event()

    def list_folder(self, path: Path, last: Folder | None = None, **options: bool) -> Folder:
        if path in self.hanging:
            self._released.wait(60)
        if path in self.failing:
            raise self.failing[path]
        return super().list_folder(path, last, **options)

    def look(self, path: Path, folder: Folder, last: Look | None = None, **options: bool) -> Look:
        if path in self.hanging_jobs:
            self._released.wait(60)
        return super().look(path, folder, last, **options)


def opener(
    storages: Mapping[str, HangingStorage],
) -> Callable[[str, Mapping[str, Any], int], HangingStorage]:
    """An ``open_storage`` that hands out the given storages by root folder."""
    return lambda url, options, connections: storages[str(FilePath(url))]
