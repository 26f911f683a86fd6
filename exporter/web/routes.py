"""Addresses -> documents for people and programs. Knows no HTTP server and no storage.

A report on 20,000 jobs takes a moment to make, so one is kept while its snapshot is the
latest and it is about a second old. Meant to be called on one thread, which is not that
of the server.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from exporter.model.report import Report, Row, report_on
from exporter.model.snapshot import Root, Snapshot
from exporter.web import api, job_page, pages
from exporter.web.query import QueryError, parse_query
from exporter.web.urls import parse_job_path

Pairs = Iterable[tuple[str, str]]

_PAGES = "/jobs/"
_API = "/api/v1/"
_REST = "{path:(?s:.+)}"  # as aiohttp's routes have it
PATHS = (
    "/",
    f"{_PAGES}{_REST}",
    f"{_API}jobs",
    f"{_API}jobs/{_REST}",
    f"{_API}roots",
    f"{_API}openapi.json",
)
"""Every path that `Views.answer` has an answer to."""

_REPORT_SECONDS = 1.0
_TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer."""

    body: bytes
    kind: Literal["html", "json", "text"]
    status: int = 200

    @property
    def content_type(self) -> str:
        return _TYPES[self.kind]


class Views:
    """The status page, the pages of jobs and the JSON API, from the `latest` snapshot.

    Paths of jobs are encoded as in ``link``; queries are decoded name-value pairs.
    """

    def __init__(
        self, latest: Callable[[], Snapshot], clock: Callable[[], float] = time.time
    ) -> None:
        self._latest = latest
        self._clock = clock
        self._kept: tuple[Snapshot, Report] | None = None

    def answer(self, path: str, query: Pairs) -> Answer:
        """The answer at a path, as it was sent: percent-encoded."""
        if path.startswith(_PAGES):
            return self.job(path.removeprefix(_PAGES))
        match path.removeprefix(_API):
            case "jobs":
                return self.api_jobs(query)
            case "roots":
                return self.api_roots()
            case "openapi.json":
                return Answer(api.DESCRIPTION, "json")
            case below if below.startswith("jobs/"):
                return self.api_job(below.removeprefix("jobs/"))
        return self.index(query)

    def index(self, query: Pairs) -> Answer:
        """The status page."""
        try:
            parsed = parse_query(query, strict=False)
        except QueryError as error:
            return Answer(f"{error}\n".encode(), "text", 400)
        return Answer(pages.render(self._report()[1], parsed), "html")

    def job(self, path: str) -> Answer:
        """The page of the job at an encoded ``root/name``."""
        snapshot, report = self._report()
        up = "../" * (path.count("/") + 1)
        found = _find(snapshot, report, path)
        if found is None:
            return Answer(job_page.render_missing(up), "html", 404)
        return Answer(job_page.render(report, *found, up), "html")

    def api_jobs(self, query: Pairs) -> Answer:
        """Jobs as JSON."""
        try:
            parsed = parse_query(query, strict=True)
        except QueryError as error:
            return Answer(api.error(str(error)), "json", 400)
        return Answer(api.jobs(self._report()[1], parsed), "json")

    def api_job(self, path: str) -> Answer:
        """One job as JSON."""
        snapshot, report = self._report()
        found = _find(snapshot, report, path)
        if found is None:
            return Answer(api.error("no such job"), "json", 404)
        return Answer(api.job(report, found[1]), "json")

    def api_roots(self) -> Answer:
        """Roots as JSON."""
        snapshot, report = self._report()
        return Answer(api.roots(report, snapshot.roots), "json")

    def _report(self) -> tuple[Snapshot, Report]:
        snapshot, now = self._latest(), self._clock()
        kept = self._kept
        if kept is None or kept[0] is not snapshot or not 0 <= now - kept[1].time < _REPORT_SECONDS:
            kept = self._kept = (snapshot, report_on(snapshot, now))
        return kept


def _find(snapshot: Snapshot, report: Report, path: str) -> tuple[Root, Row] | None:
    address = parse_job_path(path)
    row = next((row for row in report.rows if (row.root, row.job_name) == address), None)
    if row is None:
        return None
    return next(root for root in snapshot.roots if root.name == row.root), row
