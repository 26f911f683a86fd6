"""Keeps the jobs of one root, by folder and by name, and each one's place among others.

No I/O, no clock. Folders are what a scan finds; names are what jobs are to others, in this root
and elsewhere.
"""

from collections.abc import (
    Collection,
    Container,
    Hashable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from dataclasses import replace

from exporter.datatrove.layout import path_of
from exporter.model.job import Job
from exporter.model.upstream import Kin, Progress, Upstream
from exporter.scanning.discovery import FolderToVisit, is_at_or_below, job_name
from exporter.scanning.job_memory import Memory
from exporter.scanning.probes.times import Times
from exporter.scanning.root.elsewhere import Elsewhere
from exporter.scanning.root.job_state import JobState
from exporter.scanning.root.visitor import Question, Visit
from exporter.storage.base import Path


class RootJobs:
    """Used by one thread. It asks also for what is wanted of the jobs `elsewhere`."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        self._states: dict[Path, JobState] = {}
        self._named: dict[str, JobState] | None = None
        """The jobs by name; None once some came, went, or changed their place among others."""
        self._kin: dict[str, Kin] = {}
        self.wanted: Mapping[str, bool] = {}
        """Jobs of whose markers the times are wanted: all of these, or the oldest only."""

    def __len__(self) -> int:
        return len(self._states)

    def items(self) -> ItemsView[Path, JobState]:
        return self._states.items()

    def paths(self) -> KeysView[Path]:
        return self._states.keys()

    def states(self) -> ValuesView[JobState]:
        return self._states.values()

    def get(self, path: Path) -> JobState | None:
        """The job in this folder."""
        return self._states.get(path)

    def at_or_below(self, path: Path) -> dict[Path, JobState]:
        """The jobs in this folder and in those below it."""
        return {place: s for place, s in self._states.items() if is_at_or_below(place, path)}

    def add(self, path: Path, state: JobState) -> JobState:
        """A job that is new in this folder."""
        self._states[path] = state
        self._named = None
        return state

    def drop(self, paths: Collection[Path]) -> dict[Path, JobState]:
        """Forget the jobs in these folders, and return them."""
        if paths:
            self._named = None
        return {path: self._states.pop(path) for path in paths}

    def remember(self, state: JobState, memory: Memory | None) -> None:
        """Take in what a scan found out beside the reading of one of the jobs, if it did."""
        if state.remembered(memory):
            self._named = None

    @property
    def kin(self) -> Mapping[str, Kin]:
        """What is known of each job's place among others, by name; the very same object while
        nothing of it changes."""
        if self._named is None:
            self._named = {state.job.name: state for state in self._states.values()}
            self._kin = {name: state.kin for name, state in self._named.items()}
        return self._kin

    def named(self, name: str) -> Job | None:
        """The job as it was last read, whether it is hidden or not."""
        state = (self._named or {}).get(name)
        return None if state is None else state.job

    def progress_of(self, name: str) -> Progress | None:
        """How far the job was when; None where nothing is known of it. The very same object while
        nothing of that changes."""
        state = self._any_named(name)
        return None if state is None else state.progress()

    def connect(self, upstreams: Mapping[str, Upstream | None]) -> dict[str, Job]:
        """Take in the upstreams of these jobs, and return the jobs."""
        named = self._named or {}
        for name, upstream in upstreams.items():
            named[name].job = replace(named[name].job, upstream=upstream)
        return {name: named[name].job for name in upstreams}

    def questions(
        self, most: int, asked: Container[tuple[Path, Hashable]], now: float
    ) -> Iterator[tuple[Visit, Question]]:
        """Visits that ask what is wanted and was not `asked` before, at a cost of `most`."""
        pending = set()
        for visit, question in self._elsewhere.questions(now):
            if (visit.target.path, question.key) not in asked and question.cost <= most:
                most -= question.cost
                pending.add(visit.target.path)
                yield visit, question
        for name, keeps_all in self.wanted.items():
            path, state = path_of(name), self._any_named(name)
            if most <= 0 or (path, keeps_all) in asked or path in pending or state is None:
                continue
            times = state.question(most, keeps_all=keeps_all)
            if times is not None:
                most -= times.cost
                yield Visit(FolderToVisit(path), question=times), times

    def answered(self, path: Path, question: Question, answer: object, now: float) -> None:
        """Take in the answer to one of the questions."""
        if not isinstance(answer, Times):
            self._elsewhere.answered(path, question, answer, now)
        elif (state := self._any_named(job_name(path))) is not None:
            state.learned(answer)

    def _any_named(self, name: str) -> JobState | None:
        return (self._named or {}).get(name) or self._elsewhere.state_of(name)
