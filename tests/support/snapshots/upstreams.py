"""Jobs that wait for one another, and what an exporter says of which reads from which."""

from exporter.config.settings import RootConfig
from exporter.model.job import Job
from exporter.model.snapshot import Latest
from exporter.model.upstream import Upstream
from exporter.scanning.root.storage import OpenStorage
from exporter.scanning.scheduler import Scheduler
from exporter.storage import open_storage
from exporter.workers import Workers


def folder_of(path: str) -> str:
    """As datatrove writes a job's folder into executor.json."""
    return f"DataFolder(path={path!r}, fs=<fsspec.implementations.local.LocalFileSystem at 0x7>)"


def names_itself(path: str) -> dict[str, object]:
    return {"logging_dir": folder_of(path)}


def waits_for(path: str) -> dict[str, object]:
    return {"depends": {"logging_dir": folder_of(path)}}


class Exporter:
    """What it says of some roots over scans that remember one another."""

    def __init__(
        self,
        *roots: RootConfig,
        tolerance_seconds: float = 60.0,
        opener: OpenStorage = open_storage,
    ) -> None:
        self._workers = Workers(4)
        self.latest = Latest()
        self.scheduler = Scheduler(roots, self.latest, self._workers, opener, tolerance_seconds)

    def scan(self) -> dict[str, Job]:
        """Jobs by root and name, joined by a colon."""
        snapshot = self.scheduler.run_once()
        return {f"{root.name}:{job.name}": job for root in snapshot.roots for job in root.jobs}

    def upstreams(self) -> dict[str, Upstream]:
        jobs = self.scan().items()
        return {name: job.upstream for name, job in jobs if job.upstream is not None}

    def requests(self) -> int:
        """Sent to all storages so far."""
        return sum(n for root in self.latest.read().roots for _, n in root.requests)

    def close(self) -> None:
        self._workers.close()
