"""What ``status`` answers, whether as text or as JSON: what was asked for, of one report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.commands.status.logs.failed import Failed
from exporter.commands.status.logs.missing import Missing
from exporter.commands.status.source import Document
from exporter.commands.status.tables.steps import JobSteps
from exporter.model.report import Report, Row
from exporter.model.stages.breakdown import Part
from exporter.model.upstream import JobKey


@dataclass(frozen=True, slots=True)
class Answer:
    """Jobs, or in place of them `parts` of what they are put together `by`, or `problems`; `rows`
    are then those of the problems that are jobs.

    `wanted` are the rows that the filters keep, None without filters: sums are of these, also of
    those of them that are not shown. `left_out` is how many lines ``--limit`` leaves out.
    `missing`, `failed` and `steps` are what was asked of single jobs, None if that was not.
    """

    report: Report
    wanted: Sequence[Row] | None = None
    rows: Sequence[Row] = ()
    parts: Sequence[Part] | None = None
    by: str = ""
    problems: Sequence[Document] | None = None
    left_out: int = 0
    missing: Mapping[JobKey, Missing] | None = None
    failed: Mapping[JobKey, Failed] | None = None
    steps: Mapping[JobKey, JobSteps] | None = None

    @property
    def could_all_be_read(self) -> bool:
        """Whether logs could, where they were asked for."""
        errors = [found.logs and found.logs.error for found in (self.missing or {}).values()]
        errors += [found.error for found in (self.failed or {}).values()]
        return not any(errors)
