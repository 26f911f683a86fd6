"""Keeps what is known of one job between scans. No I/O, no clock."""

import math
from dataclasses import dataclass, replace
from operator import is_

from exporter.config.labels import labels_of
from exporter.config.settings import RootConfig
from exporter.datatrove.ranks import NO_MARKERS, Ranks
from exporter.errors import Reason
from exporter.model.job import Job, Reading
from exporter.model.upstream import NO_KIN, Kin, Progress
from exporter.scanning.job_memory import Memory
from exporter.scanning.probes.times import Times, TimesQuestion


@dataclass(slots=True)
class JobState:
    """`job` has the last good reading, and why the last scan could not read the job;
    `failed_since` is since when, `logged` what the log said of it last. `reached` is the
    number of the scan that last got to it, `reached_at` (wall-clock) when the last one ended
    that did and failed. `kin` is what the last good scan told of the job's place among others.
    While nothing changes, `job` stays the very same object."""

    job: Job
    verify_due: float
    look_due: float = 0.0
    is_settled: bool = False
    memory: Memory | None = None
    failed_since: float = math.inf
    logged: Reason | None = None
    reached: int = -1
    reached_at: float = 0.0
    kin: Kin = NO_KIN
    began_at: float | None = None
    """When a scan saw that it had begun, which the one before did not; infinity until it ends."""
    _progress: Progress | None = None
    _progress_of: tuple[object, ...] = (None,) * 5
    """What this follows from."""

    @classmethod
    def unread(cls, name: str, config: RootConfig, verify_due: float = 0.0) -> "JobState":
        """Of a job of which nothing is known yet but its name."""
        labels = labels_of(name, config.labels) if config.labels else None
        return cls(Job(name, None, labels=labels), verify_due, kin=Kin(labels=labels))

    def remembered(self, memory: Memory | None) -> bool:
        """Take in what a scan found out beside the reading, if it did; whether the job says
        something else of its place among others. One that cannot be read is placed as it was."""
        if memory is None or memory is self.memory:
            return False
        self.memory = memory
        if memory.executor is None:
            return False
        ids = memory.arrays.ids if memory.arrays is not None else ()
        before, self.kin = self.kin, Kin(memory.executor.lineage, self.job.labels, ids)
        return self.kin != before

    def progress(self) -> Progress | None:
        """How far the job was when; None where nothing is known of it. The very same object while
        nothing of that changes."""
        reading, memory = self.job.reading, self.memory
        if reading is None:
            return None
        markers = memory.look.markers if memory is not None else NO_MARKERS
        times = memory.times if memory is not None else None
        seen = (reading, self.job.error, markers, times, self.began_at)
        if self._progress is None or not all(map(is_, seen, self._progress_of)):
            self._progress_of = seen
            if times is not None and times.modified_ns is not None and reading.is_complete:
                markers = replace(
                    markers, ranks=Ranks.first(times.asked), modified_ns=times.modified_ns
                )
            self._progress = Progress(
                reading.tasks,
                reading.tasks_completed,
                is_readable=self.job.error is None,
                last=reading.last_completion_timestamp,
                began=self._began(reading, times),
                markers=markers,
                has_times=times is None or not times.are_of_copy,
            )
        return self._progress

    def _began(self, reading: Reading, times: Times | None) -> float | None:
        signs = [math.inf if self.began_at is None else self.began_at]
        if reading.history is not None:
            signs.append(reading.history.sampled[0])
        elif times is not None and times.oldest_ns is not None and times.asked >= reading.tasks:
            signs.append(times.oldest_ns / 1e9)
        began = min(signs)
        return None if began == math.inf else began

    def question(self, most: int, *, keeps_all: bool) -> TimesQuestion | None:
        """What to ask for the times of its markers, of so many at `most`; None where nothing can
        be asked or nothing is left to ask."""
        memory, reading = self.memory, self.job.reading
        if memory is None or reading is None or not reading.is_complete or self.job.error:
            return None
        times = memory.times or Times()
        if times.asked >= reading.tasks and (times.modified_ns is not None or not keeps_all):
            return None
        return TimesQuestion(reading.tasks, most, keeps_all, times)

    def learned(self, times: Times) -> None:
        """Take in the answer to such a question."""
        if self.memory is not None:
            self.memory = replace(self.memory, times=times)

    def was_read(self, reading: Reading | None) -> None:
        job = self.job
        was_good = job.error is None and job.as_of is None
        if reading is not None:
            self._see_begin(job.reading, reading)
        if not was_good or (job.reading is not reading and job.reading != reading):
            self.job = replace(job, reading=reading, error=None, as_of=None)
        self.failed_since, self.logged = math.inf, None

    def _see_begin(self, before: Reading | None, reading: Reading) -> None:
        """See if it has begun; anew if its markers were deleted so that all tasks run again."""
        lost_all = before is not None and before.tasks_completed and not reading.tasks_completed
        if not reading.started or lost_all:
            self.began_at = None
        elif before is not None and not before.started:
            self.began_at = math.inf

    def was_not_read(self, reason: Reason, now: float) -> None:
        if self.job.error != reason or self.job.as_of is not None:
            self.job = replace(self.job, error=reason, as_of=None)
        self.is_settled = False
        self.failed_since = min(self.failed_since, now)

    def was_not_reached(self, last_read: float | None) -> None:
        """A scan of the root failed before it got here; the root was `last_read` then."""
        if self.job.as_of is None:
            self.job = replace(self.job, as_of=max(self.reached_at, last_read or 0.0))
        self.is_settled = False

    def expire(self, failed_until: float) -> None:
        """Forget the reading if the job could not be read since that time or longer."""
        if self.failed_since <= failed_until and self.job.reading is not None:
            self.job = replace(self.job, reading=None)
