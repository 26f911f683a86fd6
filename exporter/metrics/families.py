"""The metric families about datatrove, from the table of facts."""

from exporter.model.facts import JOB_FACTS, ROOT_FACTS, SUMS
from exporter.model.facts.fact import Metric
from exporter.model.job import Job
from exporter.model.snapshot import Root, Totals

# In the order of /metrics: of a root, first whether it is up, then its sums.
_up, *_of_root = (fact.metric for fact in ROOT_FACTS if fact.metric)
_sums = (fact.metric for fact in SUMS if fact.metric)

OVERALL_FAMILIES: tuple[Metric[Totals], ...] = tuple(fact.overall for fact in SUMS if fact.overall)
ROOT_FAMILIES: tuple[Metric[Root], ...] = (_up, *_sums, *_of_root)
JOB_FAMILIES: tuple[Metric[Job], ...] = tuple(fact.metric for fact in JOB_FACTS if fact.metric)
