"""Sums over the jobs of each stage, where labels tell the stage. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from exporter.config.labels import stage_of
from exporter.model.job import Job
from exporter.model.snapshot import StageSums, Totals

MOST_STAGES = 200
"""Stages of a root that are told apart: a pattern that takes dumps for stages makes thousands."""
OTHER = "other"


def sums_by_stage(jobs: Iterable[Job], elsewhere: Iterable[str] = ()) -> StageSums:
    """Stages by name, each with the sums of its jobs; beyond the first `MOST_STAGES` all
    together, as `OTHER`. Jobs without a stage are in none. `elsewhere` are the stages of jobs
    that other shards read: so all shards tell the same stages apart, and their sums add up."""
    by_stage = defaultdict[str, list[Job]](list)
    for job in jobs:
        if stage := stage_of(job.labels):
            by_stage[stage].append(job)
    first = set(sorted({*by_stage, *elsewhere})[:MOST_STAGES])
    told = defaultdict[str, list[Job]](list)
    for stage, of_stage in by_stage.items():
        told[stage if stage in first else OTHER] += of_stage
    return tuple((stage, Totals.of_jobs(of_stage)) for stage, of_stage in sorted(told.items()))
