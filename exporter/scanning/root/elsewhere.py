"""Keeps what is known of the jobs of a root that are left to others: to other shards.

Their names tell the stages of all. And they may be the upstreams of our jobs: what they left says
which job each is, and of those that our jobs read it is read how far they are, as of our own.
Nothing of that is counted or published. No I/O, no clock.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.config.labels import stage_of
from exporter.config.settings import RootConfig
from exporter.datatrove.layout import path_of
from exporter.model.upstream import Kin
from exporter.scanning.discovery import (
    FolderToVisit,
    is_at_or_below,
    is_elsewhere,
    jitter,
    job_name,
)
from exporter.scanning.job_memory import JobScan
from exporter.scanning.job_scan import ProgressQuestion
from exporter.scanning.probes.traces import Traces, TracesQuestion
from exporter.scanning.root.job_state import JobState
from exporter.scanning.root.publish import NO_OTHERS, Others
from exporter.scanning.root.visitor import Question, Visit
from exporter.storage.base import Folder, Path


@dataclass(slots=True)
class _OtherJob:
    """`state` is kept while one of our jobs reads of it. `file_due` is when to read again what
    it says of itself, `arrays_due` the names of its arrays; minus infinity until that was done."""

    folder: Folder | None
    state: JobState
    traces: Traces = field(default_factory=Traces)
    file_due: float = -math.inf
    arrays_due: float = -math.inf


@dataclass(frozen=True, slots=True)
class Wanted:
    """What our jobs need to know of those of a root that are left to others: which folder each
    recorded of itself, the numbers of its Slurm arrays, and how far those of these names are."""

    folders: bool = False
    arrays: bool = False
    progress: frozenset[str] = frozenset()


NOTHING_WANTED = Wanted()


class Elsewhere:
    """Used by one thread."""

    def __init__(self, config: RootConfig) -> None:
        self._config = config
        self._jobs: dict[Path, _OtherJob] = {}
        self._named: dict[str, Path] | None = {}
        """Where each job lies; None once some came, went, or changed their place among others."""
        self._kin: dict[str, Kin] = {}
        self._others = NO_OTHERS
        self._wanted = NOTHING_WANTED

    @property
    def kin(self) -> Mapping[str, Kin]:
        """What is known of each job's place among others, by name; the very same object while
        nothing of it changes."""
        if self._named is None:
            self._named = {job.state.job.name: path for path, job in self._jobs.items()}
            self._kin = {name: self._jobs[path].state.kin for name, path in self._named.items()}
            stages = {stage_of(kin.labels) for kin in self._kin.values()} - {""}
            others = Others(tuple(sorted(self._kin)), frozenset(stages))
            self._others = self._others if others == self._others else others
        return self._kin

    @property
    def others(self) -> Others:
        """The very same object while it is equal."""
        return self._others if self.kin else NO_OTHERS

    def _named_job(self, name: str) -> _OtherJob | None:
        path = self._named.get(name) if self.kin and self._named is not None else None
        return None if path is None else self._jobs[path]

    def state_of(self, name: str) -> JobState | None:
        """What is known of how far a job is, if one of ours reads of it."""
        job = self._named_job(name)
        return None if job is None else job.state

    def want(self, wanted: Wanted) -> None:
        """See to it that this is known from now on, and nothing else."""
        for name in self._wanted.progress - wanted.progress:
            if (job := self._named_job(name)) is not None:
                kin = job.state.kin
                job.state = JobState.unread(name, self._config)
                job.state.kin = kin
        self._wanted = wanted

    def listed(self, path: Path, folder: Folder | None) -> None:
        """Take in the listing of a folder that is no job of ours; None for one that cannot be
        listed, and may be a job."""
        known = self._jobs.get(path)
        is_job = folder is None or folder.has_executor_file
        if known is not None and is_job:
            known.folder = folder or known.folder
        elif known is not None:
            self._keep(set(self._jobs) - {path})
        elif is_job and is_elsewhere(name := job_name(path), self._config):
            self._jobs[path] = _OtherJob(folder, JobState.unread(name, self._config))
            self._named = None

    def keep_found(self, listed: Collection[Path], unlisted: Collection[Path]) -> None:
        """A scan came to its end that listed these folders, and others not, which may hold jobs:
        all that lie in neither are gone."""
        gone = {
            path
            for path in self._jobs
            if path not in listed and not any(is_at_or_below(path, f) for f in unlisted)
        }
        if gone:
            self._keep(set(self._jobs) - gone)

    def _keep(self, paths: Collection[Path]) -> None:
        """Forget all jobs that are not among these."""
        if any(path not in paths for path in self._jobs):
            self._jobs = {path: job for path, job in self._jobs.items() if path in paths}
            self._named = None

    def forget_below(self, path: Path) -> None:
        """Other folders took the places of those at or below this one."""
        self._keep({known for known in self._jobs if not is_at_or_below(known, path)})

    def expire(self, failed_until: float) -> None:
        """Forget how far jobs are that could not be read since that time or longer."""
        for job in self._jobs.values():
            job.state.expire(failed_until)

    def questions(self, now: float) -> Iterator[tuple[Visit, Question]]:
        """Visits that ask what our jobs need to know and what is due."""
        wanted = self._wanted
        if wanted.folders or wanted.arrays:
            for path, job in self._jobs.items():
                of_file, of_arrays = now >= job.file_due, wanted.arrays and now >= job.arrays_due
                if of_file or (of_arrays and job.traces.is_slurm):
                    traces = TracesQuestion(job.traces, of_file, of_arrays)
                    yield Visit(FolderToVisit(path), question=traces), traces
        for name in wanted.progress:
            job_named = self._named_job(name)
            if job_named is not None and now >= job_named.state.look_due and job_named.folder:
                state, path = job_named.state, path_of(name)
                progress = ProgressQuestion(
                    job_named.folder, state.memory, thorough=now >= state.verify_due
                )
                yield Visit(FolderToVisit(path), question=progress), progress

    def answered(self, path: Path, question: Question, answer: object, now: float) -> None:
        """Take in the answer to one of them."""
        if (job := self._jobs.get(path)) is None:
            return
        if isinstance(answer, Traces):
            self._learned(path, job, answer, now)
        elif isinstance(answer, JobScan):
            thorough = isinstance(question, ProgressQuestion) and question.thorough
            self._read(job.state, answer, now, thorough=thorough)

    def _read(self, state: JobState, answer: JobScan, now: float, *, thorough: bool) -> None:
        config = self._config
        interval = config.completed_scan_interval_seconds
        state.look_due = now + interval if answer.is_settled else now
        if thorough:
            state.verify_due = now + config.verify_interval_seconds
        if answer.memory is not None:
            state.memory = answer.memory
        if answer.error is not None:
            state.was_not_read(answer.error.reason, now)
        elif answer.reading is not None:
            state.was_read(answer.reading)

    def _learned(self, path: Path, job: _OtherJob, traces: Traces, now: float) -> None:
        soon = self._config.completed_scan_interval_seconds
        if now >= job.file_due:
            is_first, again = job.file_due == -math.inf, self._config.verify_interval_seconds
            part = jitter(path) if is_first else 1.0
            job.file_due = now + (soon if traces is job.traces else part * again)
        if self._wanted.arrays:
            job.arrays_due = now + soon
        job.traces = traces
        kin = Kin(traces.lineage, job.state.job.labels, traces.array_ids)
        if kin != job.state.kin:
            job.state.kin = kin
            self._named = None
