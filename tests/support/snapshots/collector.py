"""A snapshot through prometheus_client, to compare what the exporter writes with."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as LibraryMetric
from prometheus_client.registry import Collector

from exporter.metrics.families import JOB_FAMILIES, OVERALL_FAMILIES, ROOT_FAMILIES
from exporter.model.facts.fact import Metric, Subject
from exporter.model.snapshot import Latest, Snapshot


class SnapshotCollector(Collector):
    """The latest snapshot for a registry of the library."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest

    def collect(self) -> Iterator[LibraryMetric]:
        return collect(self._latest.read())

    def describe(self) -> Iterator[LibraryMetric]:
        return collect(Snapshot())


def collect(snapshot: Snapshot) -> Iterator[LibraryMetric]:
    """The families of one snapshot, as the library's own objects."""
    for overall in OVERALL_FAMILIES:
        yield _metric(overall, (), [((), snapshot.totals)] if snapshot.has_totals else [])
    for per_root in ROOT_FAMILIES:
        yield _metric(per_root, ("root",), [((r.name,), r) for r in snapshot.roots])
    jobs = [
        ((root.name, job.name), job)
        for root in snapshot.roots
        for job in root.jobs
        if not job.hidden
    ]
    for per_job in JOB_FAMILIES:
        yield _metric(per_job, ("root", "job_name"), jobs)


def _metric(
    family: Metric[Subject],
    labels: tuple[str, ...],
    subjects: Iterable[tuple[tuple[str, ...], Subject]],
) -> LibraryMetric:
    if family.kind == "counter":
        name = family.name.removesuffix("_total")
        metric: LibraryMetric = CounterMetricFamily(name, family.help)
    else:
        metric = GaugeMetricFamily(family.name, family.help)
    for own, subject in subjects:
        names = (*labels, *family.names(subject))
        for extra, value in family.samples(subject):
            metric.add_sample(family.name, dict(zip(names, (*own, *extra), strict=True)), value)
    return metric
