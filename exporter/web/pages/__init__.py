"""The pages for people, from a report and nothing else."""

from exporter.model.report import Report, Row
from exporter.web.pages.environment import CONTENT_SECURITY_POLICY, Templates, freshness
from exporter.web.pages.job import job
from exporter.web.pages.status import status
from exporter.web.query import Query
from exporter.web.urls import Addresses

__all__ = ["CONTENT_SECURITY_POLICY", "Pages"]

_ALL = Query()


class Pages:
    """Renders the pages. `addresses` are those of the report's jobs, `up` leads from a page's
    address to the exporter's own."""

    def __init__(self) -> None:
        self._templates = Templates()

    def status(self, report: Report, query: Query, addresses: Addresses) -> bytes:
        """The status page."""
        values = status(report, query, self._templates.cells)
        return self._templates.render("jobs.html", addresses, up="", back=query, **values)

    def job(
        self, report: Report, row: Row, up: str, addresses: Addresses, came_from: Query = _ALL
    ) -> bytes:
        """The page of one row of the report, and the way back to what was `came_from`."""
        values = job(report, row, self._templates.entries)
        return self._templates.render("job.html", addresses, up=up, back=came_from, **values)

    def missing(self, report: Report, up: str) -> bytes:
        """The page in place of a job that is not in the report: whether there may be one."""
        return self._templates.render(
            "missing.html",
            Addresses(()),
            title="No such job – datatrove jobs",
            icon="bad",
            up=up,
            report=report,
            pending=freshness(report.roots)["pending"],
        )
