"""The pages for people and the documents of the JSON API, as answers.

A report on 20,000 jobs takes a moment to make, and a page about all of them another. So one
report is kept while its snapshot is the latest and it is about a second old, with the last
documents that sum it up. To be called on one thread, not the server's.
"""

import gzip
import time
from collections.abc import Callable, Hashable
from functools import partial

from exporter.model.report import Report, Row, report_on
from exporter.model.selection import Filter
from exporter.model.snapshot import Snapshot
from exporter.web import api
from exporter.web.answer import TEXT, Answer, Request
from exporter.web.negotiation import prefers_csv
from exporter.web.pages import Pages
from exporter.web.query import QueryError, came_from_query, parse_query
from exporter.web.spreadsheet import jobs_csv
from exporter.web.urls import Addresses

_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_CSV = "text/csv; charset=utf-8; header=present"
_BY_KIND = "Accept, Accept-Encoding"
_REPORT_SECONDS = 1.0
_MOST_KEPT = 8
_COMPRESSION_LEVEL = 5


class Views:
    """The status page, the pages of jobs and the JSON API, from the `latest` snapshot."""

    def __init__(
        self,
        latest: Callable[[], Snapshot],
        clock: Callable[[], float] = time.time,
        pages: Pages | None = None,
    ) -> None:
        self._latest = latest
        self._clock = clock
        self._pages = pages or Pages()
        self._kept: tuple[Snapshot, Report] | None = None
        self._documents: dict[Hashable, bytes] = {}
        self._addressed: tuple[Snapshot, Addresses] | None = None

    def index(self, request: Request) -> Answer:
        """The status page."""
        try:
            query = parse_query(request.query, strict=False)
        except QueryError as error:
            refusal = f"{error}\n".encode()
            return _answer(request, lambda: refusal, TEXT, 400)

        def page(report: Report) -> bytes:
            return self._pages.status(report, query, self._addresses())

        return _answer(request, lambda: self._once(query, page), _HTML)

    def job(self, request: Request) -> Answer:
        """The page of the job whose ``root/name`` is `below`."""
        report = self._report()
        up = "../" * (request.below.count("/") + 1)
        row = self._find(report, request)
        if row is None:
            return _answer(request, lambda: self._pages.missing(report, up), _HTML, 404)
        addresses, came_from = self._addresses(), came_from_query(request.query)
        return _answer(
            request, lambda: self._pages.job(report, row, up, addresses, came_from), _HTML
        )

    def api_jobs(self, request: Request) -> Answer:
        """Jobs as JSON, or as CSV: then all that match, unless a page is asked for."""
        pairs = [pair for pair in request.query if pair[0] != "format"]
        try:
            query, as_csv = parse_query(pairs, strict=True), _wants_csv(request)
        except QueryError as error:
            return _refusal(request, error)
        if not as_csv:
            return _answer(request, lambda: api.jobs(self._report(), query), _JSON, vary=_BY_KIND)
        has_pages = any(name in ("page", "per_page") for name, _ in pairs)

        def table() -> bytes:
            rows = query.select(self._report().rows)
            return jobs_csv(query.cut(rows) if has_pages else rows)

        return _answer(request, table, _CSV, vary=_BY_KIND)

    def api_stages(self, request: Request) -> Answer:
        """Stages as JSON."""
        return self._of_wanted(request, api.stages)

    def api_problems(self, request: Request) -> Answer:
        """What needs somebody as JSON."""
        return self._of_wanted(request, api.problems)

    def _of_wanted(self, request: Request, document: Callable[[Report, Filter], bytes]) -> Answer:
        """A document about the jobs that the query names."""
        try:
            query = parse_query(request.query, strict=True, names=api.FILTERS)
        except QueryError as error:
            return _refusal(request, error)
        wanted = query.filter
        once = partial(self._once, (document, wanted), lambda report: document(report, wanted))
        return _answer(request, once, _JSON)

    def api_job(self, request: Request) -> Answer:
        """The job whose ``root/name`` is `below` as JSON."""
        report = self._report()
        row = self._find(report, request)
        if row is None:
            return _answer(request, lambda: api.error("no such job"), _JSON, 404)
        return _answer(request, lambda: api.job(report, row), _JSON)

    def api_roots(self, request: Request) -> Answer:
        """Roots as JSON."""
        return _answer(request, lambda: api.roots(self._report()), _JSON)

    def api_description(self, request: Request) -> Answer:
        """The API's own description."""
        return _answer(request, lambda: api.DESCRIPTION, _JSON)

    def _report(self) -> Report:
        snapshot, now = self._latest(), self._clock()
        if self._kept is not None:
            of, report = self._kept
            if of is snapshot and 0 <= now - report.time < _REPORT_SECONDS:
                return report
        report = report_on(snapshot, now)
        self._kept = (snapshot, report)
        self._documents.clear()
        return report

    def _once(self, what: Hashable, make: Callable[[Report], bytes]) -> bytes:
        """What is made of the report, once."""
        report, documents = self._report(), self._documents
        if what not in documents:
            if len(documents) == _MOST_KEPT:
                documents.clear()
            documents[what] = make(report)
        return documents[what]

    def _addresses(self) -> Addresses:
        """Those of all jobs that are shown."""
        snapshot = self._latest()
        if self._addressed is None or self._addressed[0] is not snapshot:
            jobs = ((root.name, job.name) for root in snapshot.roots for job in root.jobs)
            self._addressed = (snapshot, Addresses(jobs))
        return self._addressed[1]

    def _find(self, report: Report, request: Request) -> Row | None:
        """The row of the job that is asked for."""
        job = self._addresses().find(request.below, dict(request.query))
        return next((row for row in report.rows if row.key == job), None)


def _wants_csv(request: Request) -> bool:
    """The query asks for CSV or, if it says nothing, the Accept header."""
    formats = [value for name, value in request.query if name == "format"]
    if len(formats) > 1 or not {*formats} <= {"json", "csv"}:
        raise QueryError("format: expected one of json, csv")
    return formats == ["csv"] if formats else prefers_csv(request.headers.get("Accept", ""))


def _refusal(request: Request, error: QueryError) -> Answer:
    """Why a query of the API has no answer."""
    body = api.error(str(error))
    return _answer(request, lambda: body, _JSON, 400)


def _answer(
    request: Request,
    document: Callable[[], bytes],
    content_type: str,
    status: int = 200,
    *,
    vary: str = "Accept-Encoding",
) -> Answer:
    """The document, made and compressed only if it will be sent."""
    headers = {"Vary": vary}
    if request.accepts_gzip:
        headers["Content-Encoding"] = "gzip"
    if not request.wants_body:
        return Answer((), content_type, status, headers)
    body = document()
    if request.accepts_gzip:
        body = gzip.compress(body, _COMPRESSION_LEVEL)
    return Answer((body,), content_type, status, headers)
