"""Where ``status`` gets its report from: folders that it scans itself, or a running exporter."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from exporter.commands.status.logs.failed import Failed
from exporter.commands.status.logs.missing import Logs
from exporter.commands.status.logs.per_job import JobKey
from exporter.model.report import Report, Row


class Source(Protocol):
    """One place to ask."""

    def report(self) -> Report:
        """The report as of now; it may take long."""
        ...

    def remarks(self, report: Report) -> Iterator[str]:
        """A line for each root that could not be read or has no jobs, and for whatever jobs may be
        missed by."""
        ...

    def missing(self, rows: Sequence[Row]) -> Mapping[JobKey, Logs]:
        """The logs of missing ranks, of the jobs among the rows that have any."""
        ...

    def failed(self, rows: Sequence[Row], tail: int) -> Mapping[JobKey, Failed]:
        """The failed tasks of incomplete jobs among the rows, each with so many lines."""
        ...
