"""Keeps what jobs completed that are gone, so that deleting a folder undoes no work.

No I/O, no clock. A job that comes back takes along what was kept of it, and one that was moved or
copied, so that another has its completions, is not kept: each completion counts once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from exporter.datatrove.throughput import HOUR_SECONDS, KEPT_HOURS, NOTHING, Hourly
from exporter.model.snapshot import DepartedJob, Job
from exporter.model.stages.grouping import UNKNOWN, Group
from exporter.scanning.job_scan import JobScan
from exporter.storage.base import Path

_MOST = 5000


class Departed:
    """The jobs of one root that are gone. Used by one thread."""

    def __init__(self) -> None:
        self._jobs: dict[Path, DepartedJob] = {}
        self._published: tuple[DepartedJob, ...] = ()

    def went(self, jobs: Mapping[Path, Job], groups: Mapping[str, Group]) -> None:
        """These jobs are gone, or others took their places; `groups` by name, as last known."""
        for path, job in jobs.items():
            by_hour = job.reading.by_hour if job.reading is not None else None
            if by_hour:
                group = groups.get(job.name, UNKNOWN)
                self._jobs.pop(path, None)
                self._jobs[path] = DepartedJob(job.name, group, by_hour)
        for path in list(self._jobs)[: max(0, len(self._jobs) - _MOST)]:
            del self._jobs[path]

    def drop_moved(self, jobs: Iterable[Job]) -> None:
        """Forget those whose completions one of these jobs has."""
        if self._jobs:
            present = {_key(job.reading.by_hour) for job in jobs if job.reading is not None}
            self._jobs = {
                p: job for p, job in self._jobs.items() if _key(job.by_hour) not in present
            }

    def came_back(self, path: Path, scan: JobScan) -> JobScan:
        """The scan of a job, which has from now on what was completed before it went."""
        reading, memory = scan.reading, scan.memory
        if path not in self._jobs or reading is None or memory is None:
            return scan
        before = self._jobs.pop(path).by_hour
        by_hour = (reading.by_hour or NOTHING).with_all_of(before)
        reading = replace(reading, by_hour=by_hour)
        return replace(
            scan, reading=reading, memory=replace(memory, reading=reading, by_hour=by_hour)
        )

    def published(self, present: Collection[Path], wall_time: float) -> tuple[DepartedJob, ...]:
        """Those that are not `present`; the very same object while nothing changes."""
        oldest = wall_time // HOUR_SECONDS - KEPT_HOURS
        kept = {p: job for p, job in self._jobs.items() if job.by_hour.hours[-1] > oldest}
        self._jobs = kept
        published = tuple(job for path, job in kept.items() if path not in present)
        if published != self._published:
            self._published = published
        return self._published


def _key(by_hour: Hourly | None) -> tuple[bytes, bytes]:
    return (by_hour.hours.tobytes(), by_hour.tasks.tobytes()) if by_hour else (b"", b"")
