"""Puts a root's jobs into the Root of a snapshot: sorted, summed up, some of them hidden.

Pure. A job that did not change stays the very same object, also while it is hidden, so that
nobody downstream has to compare or render it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from exporter.config.settings import RootConfig
from exporter.model.job import Job
from exporter.model.names.grouping import Group, group_of_labels, groups_of
from exporter.model.snapshot import Root, Totals
from exporter.model.stages.sums import sums_by_stage
from exporter.model.state import HIDDEN_FIRST


@dataclass(frozen=True, slots=True)
class Others:
    """Names of the jobs that other shards have, in order, and their stages by labels."""

    names: tuple[str, ...] = ()
    stages: frozenset[str] = frozenset()


NO_OTHERS = Others()


def with_jobs(
    root: Root,
    jobs: Iterable[Job],
    config: RootConfig,
    wall_time: float,
    *,
    is_lost: bool = False,
    elsewhere: Others = NO_OTHERS,
) -> Root:
    """The root with these jobs, in any order and none hidden, in place of those it has. A *lost*
    one could not be read for so long that nothing of it is known any more. The jobs `elsewhere`
    count for the stages, so that all shards tell the same ones apart."""
    ordered = sorted(jobs, key=attrgetter("name"))
    hidden = _hidden(ordered, config, wall_time)
    published = _hide(ordered, hidden, root.jobs) if hidden else tuple(ordered)
    unwatched = sum(job.state not in HIDDEN_FIRST for job in published if job.hidden)
    root = replace(
        root,
        jobs=published,
        groups=_groups(published, root, elsewhere.names),
        jobs_unwatched=unwatched,
    )
    # A root that was never read to the end, or that is lost, has no jobs to count, which is not
    # the same as 0 jobs.
    was_read = root.up or root.totals is not None
    if was_read and not is_lost:
        stages = sums_by_stage(published, elsewhere.stages) if config.labels else ()
        totals = Totals.of_jobs(published)
        return replace(root, totals=totals, stages=stages, jobs_lost=None)
    lost = root.jobs_lost if root.totals is None else root.totals.jobs
    return replace(root, totals=None, stages=(), jobs_lost=lost)


def _groups(jobs: Sequence[Job], before: Root, elsewhere: Sequence[str]) -> tuple[Group, ...]:
    """Stages and items of the jobs, from labels where they have some. They depend on all names
    alone; while those of the jobs are the same, it is the very same object."""
    names = [job.name for job in jobs]
    if len(before.groups) == len(names) and names == [job.name for job in before.jobs]:
        return before.groups
    if all(job.labels for job in jobs):
        return tuple(group_of_labels(job.labels or ()) for job in jobs)
    ordered = sorted((*names, *elsewhere))
    by_name = dict(zip(ordered, groups_of(ordered), strict=True))
    return tuple(group_of_labels(job.labels) if job.labels else by_name[job.name] for job in jobs)


def _hide(jobs: Iterable[Job], hidden: set[str], before: Iterable[Job]) -> tuple[Job, ...]:
    """The jobs, those with these names hidden: by the object from before, if it is the same."""
    known = {job.name: job for job in before if job.hidden}
    published = []
    for job in jobs:
        if job.name in hidden:
            copy = replace(job, hidden=True)
            same = known.get(job.name) == copy
            published.append(known[job.name] if same else copy)
        else:
            published.append(job)
    return tuple(published)


def _hidden(jobs: Sequence[Job], config: RootConfig, wall_time: float) -> set[str]:
    """Names of jobs without series: those complete for long enough, and of the others those
    beyond the limit: complete ones first, then abandoned, then waiting ones, then the last by
    name."""
    after = config.hide_completed_after_seconds
    hidden = set()
    shown: list[Job] = []
    for job in jobs:
        if after is not None and _complete_for(job, wall_time) >= after:
            hidden.add(job.name)
        else:
            shown.append(job)
    if len(shown) > config.max_per_root:
        shown.sort(key=_comes_late)  # stable: by name within
        hidden |= {job.name for job in shown[config.max_per_root :]}
    return hidden


def _comes_late(job: Job) -> int:
    """How late a job gets room; 0 for those that get it first."""
    return HIDDEN_FIRST[::-1].index(job.state) + 1 if job.state in HIDDEN_FIRST else 0


def _complete_for(job: Job, wall_time: float) -> float:
    """Seconds since the job's last completion, at least 0; minus infinity while it is not
    complete or cannot be read."""
    if job.state != "complete" or job.reading is None:
        return float("-inf")
    last = job.reading.last_completion_timestamp or job.reading.launch_timestamp
    return max(0.0, wall_time - last) if last is not None else 0.0
