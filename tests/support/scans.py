"""Scans a root again and again, as the scheduler does; or one job of it, as a scan does."""

from pathlib import Path

from exporter.config.settings import RootConfig
from exporter.model.job import Job, Reading
from exporter.model.snapshot import Latest, Root
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import Storage
from exporter.storage.local.storage import LocalStorage
from exporter.workers import Workers


class Watch:
    """The exporter's view of one root, over scans that remember one another."""

    def __init__(self, root: Path | str, **options: object) -> None:
        self._workers = Workers(4)
        defaults = {"max_depth": 8, "completed_scan_interval_seconds": 0.0}
        config = RootConfig("root", str(root), **{**defaults, **options})
        self._scheduler = Scheduler([config], Latest(), self._workers)

    def scan(self) -> Root:
        (root,) = self._scheduler.run_once().roots
        assert root.up, root.error
        return root

    def reading(self, name: str) -> Reading:
        """What a scan of now says about one job."""
        job = jobs_of(self.scan())[name]
        assert job.error is None
        assert job.reading is not None
        return job.reading

    def close(self) -> None:
        self._workers.close()


def jobs_of(root: Root) -> dict[str, Job]:
    return {job.name: job for job in root.jobs}


def scan(folder: Path, memory: Memory | None = None) -> JobScan:
    """A scan of the job in this folder alone, without probes."""
    return scan_with(LocalStorage(str(folder.parent)), folder, memory)


def scan_with(storage: Storage, folder: Path, memory: Memory | None = None) -> JobScan:
    """The same of a storage whose root is the folder above."""
    path = (folder.name,)
    return scan_job(storage, path, storage.list_folder(path, with_subfolders=False), memory)


def read(folder: Path, memory: Memory | None = None) -> Reading:
    """What it reads."""
    result = scan(folder, memory)
    assert result.error is None
    assert result.reading is not None
    return result.reading
