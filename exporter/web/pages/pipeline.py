"""What a job's page says of the jobs before and after it."""

from typing import Any

from exporter.model.report import Report, Row
from exporter.model.stages import neighbours

_MOST = 20


def pipeline(report: Report, row: Row) -> dict[str, Any]:
    """The values of the templates: the row it reads, those that read it, and how many more."""
    after = neighbours.after(report.rows, row)
    return {
        "before": neighbours.before(report.rows, row),
        "after": after[:_MOST],
        "after_more": max(0, len(after) - _MOST),
    }
