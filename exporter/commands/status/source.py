"""Where ``status`` gets its report from: folders that it scans itself, or a running exporter."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from exporter.commands.status.logs.failed import Failed
from exporter.commands.status.logs.missing import Missing
from exporter.commands.status.tables.steps import JobSteps
from exporter.model.report import Report, RootRow, Row, count_states
from exporter.model.selection import Filter
from exporter.model.upstream import JobKey

Document = Mapping[str, Any]
"""Values as JSON has them, by the names of the API's fields."""


class Source(Protocol):
    """One place to ask; raises CommandError where it cannot be asked at all."""

    @property
    def why_pipelines_are_unknown(self) -> str:
        """Why nobody compared what ran the tasks of a job, and what to do."""
        ...

    def report(self) -> Report:
        """The report as of now; it may take long. What follows is about rows of the last one."""
        ...

    def remarks(self, report: Report) -> Iterator[str]:
        """A line for each root that could not be read or has no jobs, and for whatever jobs may be
        missed by."""
        ...

    def problems(self, report: Report, wanted: Filter) -> Sequence[Document]:
        """What needs somebody, as the API has it."""
        ...

    def missing(self, rows: Sequence[Row]) -> Mapping[JobKey, Missing]:
        """The missing ranks of the incomplete jobs among the rows."""
        ...

    def failed(self, rows: Sequence[Row], tail: int) -> Mapping[JobKey, Failed]:
        """The failed tasks of incomplete jobs among the rows, each with so many lines."""
        ...

    def steps(self, rows: Sequence[Row]) -> Mapping[JobKey, JobSteps]:
        """What the steps of each job's pipeline did."""
        ...

    def job_json(self, row: Row) -> Document:
        """All that is known of a job."""
        ...

    def totals_json(self) -> Document:
        """The sums over everything in the last report."""
        ...

    def root_json(self, row: RootRow) -> Document:
        """All that is known of a root."""
        ...


def sums_json(rows: Sequence[Row]) -> Document:
    """Some of the sums, over rows alone."""
    readings = [row.reading for row in rows if row.reading is not None]
    return {
        "jobs": len(rows),
        "jobs_completed": sum(row.is_complete for row in rows),
        "jobs_in_state": count_states(rows),
        "tasks": sum(reading.tasks for reading in readings),
        "tasks_completed": sum(reading.tasks_completed for reading in readings),
    }
