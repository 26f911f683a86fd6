"""Finds the job whose output a job reads, and how much of it came too late. Pure.

Nothing is guessed: where two jobs may be the one, none is.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from exporter.config.labels import STAGE, Labels
from exporter.datatrove.executor_file import NO_LINEAGE, Lineage
from exporter.datatrove.ranks import NO_MARKERS, Markers

Via = Literal["order", "depends", "slurm"]
"""How an upstream was found: by the configured order of stages, by the job that the executor was
told to wait for, or by that job's number in Slurm."""

JobKey = tuple[str, str]
"""Names of root and job."""

TOLERANCE_SECONDS = 60.0
"""A marker may be this much newer than what came of it: clocks differ a little."""


@dataclass(frozen=True, slots=True)
class Kin:
    """What a job tells of its place among others; `array_ids` are the Slurm arrays it ran as."""

    lineage: Lineage = NO_LINEAGE
    labels: Labels | None = None
    array_ids: tuple[int, ...] = ()


NO_KIN = Kin()


@dataclass(frozen=True, slots=True)
class Upstream:
    """The job whose output another job reads, and how that is known. It has `tasks`, so many of
    them `completed`; both are None where it cannot be read. `late` of them were not when the
    other job began; None where that is not known, or that did not begin."""

    root: str
    job_name: str
    via: Via
    tasks: int | None = None
    completed: int | None = None
    late: int | None = None

    @property
    def key(self) -> JobKey:
        return self.root, self.job_name

    @property
    def remaining(self) -> int | None:
        """Tasks that have no marker."""
        if self.tasks is None or self.completed is None:
            return None
        return self.tasks - self.completed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job was when, as of its last good reading: so many of its `tasks` are
    `completed`, the newest at `last`. `markers` come with times where these are known. It `began`
    at its oldest marker, of whatever launch, or when it was seen to; None before, and where that
    is not known. Without `has_times`, those of its markers are not those of its tasks. Times are
    Unix seconds, but for those of markers."""

    tasks: int
    completed: int
    is_readable: bool = True
    last: float | None = None
    began: float | None = None
    markers: Markers = NO_MARKERS
    has_times: bool = True

    @property
    def is_complete(self) -> bool:
        return self.completed == self.tasks

    def completed_after(self, time: float) -> int | None:
        """How many of its tasks completed after that; None where that is not known."""
        if not self.completed or (self.last is not None and self.last <= time):
            return 0
        times = self.markers.times_below(self.tasks)
        if not self.has_times or len(times) != self.completed:
            return None
        return sum(time_ns > time * 1e9 for time_ns in times)


def upstreams(
    jobs: Mapping[JobKey, Kin],
    stage_order: Mapping[str, Sequence[str]],
    elsewhere: Mapping[JobKey, Kin] | None = None,
) -> dict[JobKey, Upstream]:
    """The upstream of each job that has one, which may be one `elsewhere`. `stage_order` has the
    stages of each root, the first one first. Jobs of every root may depend on each other; labels
    and Slurm's numbers mean the same in one root only."""
    known = {**jobs, **(elsewhere or {})}
    by_place = _index((_place(key, kin.labels), key) for key, kin in known.items())
    by_folder = _index((kin.lineage.own, key) for key, kin in known.items())
    by_array = _index(((key[0], n), key) for key, kin in known.items() for n in kin.array_ids)
    found = {}
    for key, kin in jobs.items():
        before = _place_before(key, kin.labels, stage_order.get(key[0], ()))
        ways: tuple[tuple[Via, Sequence[JobKey]], ...] = (
            ("order", by_place.get(before, ()) if before is not None else ()),
            ("depends", by_folder.get(kin.lineage.upstream, ())),
            ("slurm", by_array.get((key[0], kin.lineage.slurm_id), ())),
        )
        for via, candidates in ways:
            one = _only_one([other for other in candidates if other != key], key[0])
            if one is not None:
                found[key] = Upstream(*one, via)
                break
    return found


def with_progress(
    upstream: Upstream,
    progress: Progress | None,
    of_job: Progress,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Upstream:
    """The upstream with the numbers that follow from its `progress` and from that of the job that
    reads it. Late tasks are those that are missing, and those whose marker is newer than the
    beginning of that job by more than the tolerance."""
    if progress is None:
        return replace(upstream, tasks=None, completed=None, late=None)
    late = None
    if of_job.began is not None:
        newer = progress.completed_after(of_job.began + tolerance_seconds)
        late = None if newer is None else progress.tasks - progress.completed + newer
    if not progress.is_readable:
        return replace(upstream, tasks=None, completed=None, late=late)
    return replace(upstream, tasks=progress.tasks, completed=progress.completed, late=late)


def _index(pairs: Iterable[tuple[object, JobKey]]) -> dict[object, list[JobKey]]:
    index = defaultdict(list)
    for value, key in pairs:
        if value is not None:
            index[value].append(key)
    return index


def _only_one(candidates: Sequence[JobKey], root: str) -> JobKey | None:
    """The only candidate, or the only one of the same root."""
    near = [key for key in candidates if key[0] == root] or candidates
    return near[0] if len(near) == 1 else None


def _place(key: JobKey, labels: Labels | None) -> object:
    return (key[0], frozenset(labels)) if labels else None


def _place_before(key: JobKey, labels: Labels | None, order: Sequence[str]) -> object:
    """Where the job of the stage before lies: the same labels but for the stage."""
    stage = dict(labels or ()).get(STAGE)
    if stage not in order or (at := order.index(stage)) == 0:
        return None
    return _place(key, tuple({**dict(labels or ()), STAGE: order[at - 1]}.items()))
