"""The metric families about datatrove, from the table of facts.

Values are facts of the snapshot; what is not known has no sample.
"""

from collections.abc import Iterator

from exporter.model.fact import Metric
from exporter.model.facts import JOB_FACTS, ROOT_FACTS, SUMS
from exporter.model.snapshot import Job, Root, Totals

ROOT_LABELS = ("root",)
JOB_LABELS = ("root", "job_name")

_up, *_of_root = (fact.metric for fact in ROOT_FACTS if fact.metric is not None)
_sums = (fact.metric for fact in SUMS if fact.metric is not None)

OVERALL_FAMILIES: tuple[Metric[Totals], ...] = tuple(
    fact.overall for fact in SUMS if fact.overall is not None
)
ROOT_FAMILIES: tuple[Metric[Root], ...] = (_up, *_sums, *_of_root)
JOB_FAMILIES: tuple[Metric[Job], ...] = tuple(
    fact.metric for fact in JOB_FACTS if fact.metric is not None
)


def shown_jobs(root: Root) -> Iterator[Job]:
    """The jobs of a root that have series of their own."""
    return (job for job in root.jobs if not job.hidden)
