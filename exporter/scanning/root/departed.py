"""Keeps what jobs completed that are gone, so that deleting a folder undoes no work.

No I/O, no clock. A job that comes back takes along what was kept of it, and one that was moved or
copied, so that another has its completions, is not kept: each completion counts once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from exporter.datatrove.throughput import HOUR_SECONDS, KEPT_HOURS, NOTHING
from exporter.model.job import Job, Reading
from exporter.model.names.grouping import UNKNOWN, Group
from exporter.model.snapshot import DepartedJob
from exporter.scanning.job_memory import JobScan
from exporter.storage.base import Path

_MOST = 5000
_Times = tuple[float, float | None, int] | None
"""What a job keeps that is moved or copied with its times, and no two share. None where times are
whole seconds: jobs launched in a loop have the same, and on object stores none keep theirs."""


class Departed:
    """The jobs of one root that are gone. Used by one thread."""

    def __init__(self) -> None:
        self._jobs: dict[Path, DepartedJob] = {}
        self._times: dict[Path, _Times] = {}
        self._published: tuple[DepartedJob, ...] = ()

    def went(self, jobs: Mapping[Path, Job], groups: Mapping[str, Group]) -> None:
        """These jobs are gone, or others took their places; `groups` by name, as last known."""
        for path, job in jobs.items():
            if job.reading is not None and job.reading.by_hour:
                group = groups.get(job.name, UNKNOWN)
                self._jobs.pop(path, None)  # the last to go comes last
                self._jobs[path] = DepartedJob(job.name, group, job.reading.by_hour, job.labels)
                self._times[path] = _times_of(job.reading)
        self._keep(list(self._jobs)[-_MOST:])

    def drop_moved(self, jobs: Iterable[Job]) -> None:
        """Forget those whose completions one of these jobs has."""
        present = {_times_of(job.reading) for job in jobs if job.reading is not None} - {None}
        self._keep([path for path in self._jobs if self._times[path] not in present])

    def came_back(self, path: Path, scan: JobScan) -> JobScan:
        """The scan of a job, which has from now on what was completed before it went."""
        reading, memory = scan.reading, scan.memory
        if path not in self._jobs or reading is None or memory is None:
            return scan
        before = self._jobs.pop(path).by_hour
        del self._times[path]
        by_hour = (reading.by_hour or NOTHING).with_all_of(before)
        reading = replace(reading, by_hour=by_hour)
        return replace(
            scan, reading=reading, memory=replace(memory, reading=reading, by_hour=by_hour)
        )

    def _keep(self, paths: list[Path]) -> None:
        if len(paths) < len(self._jobs):
            self._jobs = {path: self._jobs[path] for path in paths}
            self._times = {path: self._times[path] for path in paths}

    def published(self, present: Collection[Path], wall_time: float) -> tuple[DepartedJob, ...]:
        """Those that are not `present`; the very same object while nothing changes."""
        oldest = wall_time // HOUR_SECONDS - KEPT_HOURS
        self._keep([path for path, job in self._jobs.items() if job.by_hour.hours[-1] > oldest])
        published = tuple(job for path, job in self._jobs.items() if path not in present)
        if published != self._published:
            self._published = published
        return self._published


def _times_of(reading: Reading) -> _Times:
    launch = reading.launch_timestamp
    if launch is None or launch.is_integer():
        return None
    return launch, reading.last_completion_timestamp, reading.tasks_completed
