"""Homes of many users, in each a few jobs among very many other folders."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from exporter.config.folders import parse_folder_pattern
from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.model.snapshot import Latest, Root
from exporter.scanning.root.storage import OpenStorage
from exporter.scanning.scheduler import Scheduler
from exporter.storage import open_storage
from exporter.storage.base import Folder, Storage
from exporter.workers import Workers
from support.jobs.folders import write_job

LOGS = "datatrove/logs"


def write_homes(folder: Path, *, users: int, jobs: int, others: int) -> None:
    """So many users; each has so many jobs, and other folders two deep."""
    for user in range(users):
        home = folder / f"user-{user:02}"
        for job in range(jobs):
            write_job(home / LOGS / f"run-{job}", tasks=2, completed=[0])
        for other in range(others):
            (home / f"project-{other // 10}" / f"part-{other % 10}").mkdir(parents=True)


class ClosedFolders:
    """A storage of which some folders are closed, and all that is in them."""

    def __init__(self, storage: Storage, closed: frozenset[str]) -> None:
        self._storage = storage
        self.closed = closed

    def list_folder(self, path: tuple[str, ...], *args: Any, **options: Any) -> Folder:
        if any("/".join(path[:depth]) in self.closed for depth in range(1, len(path) + 1)):
            raise StorageError("denied", "permission denied")
        return self._storage.list_folder(path, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def closing(*closed: str) -> OpenStorage:
    """Opens storages in which these folders are closed."""
    return lambda *of: ClosedFolders(open_storage(*of), frozenset(closed))


class Scans:
    """Scans of one root in which only `folders` are looked at."""

    def __init__(
        self, url: str, *folders: str, opener: OpenStorage = open_storage, **options: object
    ) -> None:
        patterns = tuple(map(parse_folder_pattern, folders))
        defaults = {"max_depth": 6, "completed_scan_interval_seconds": 0.0, "folders": patterns}
        config = replace(RootConfig("r", url), **{**defaults, **options})
        self.workers = Workers(4)
        self.scheduler = Scheduler([config], Latest(), self.workers, opener)
        self.requests: dict[str, int] = {}

    def scan(self) -> Root:
        (root,) = self.scheduler.run_once().roots
        before, self.requests = self.requests, dict(root.requests)
        self.asked = {name: self.requests[name] - before.get(name, 0) for name in self.requests}
        return root

    @property
    def calls(self) -> int:
        """Requests of the last scan."""
        return sum(self.asked.values())


def names_of(root: Root) -> list[str]:
    return [job.name for job in root.jobs]
