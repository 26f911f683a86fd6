"""The latest snapshot as a collector of prometheus_client: the reference for our pages."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.families import collect
from exporter.model.snapshot import Latest, Snapshot


class SnapshotCollector(Collector):
    """Gives a registry what `Exposition` renders, so that the library writes the same samples."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        return collect(self._latest.read())

    def describe(self) -> Iterator[Metric]:
        return collect(Snapshot())
