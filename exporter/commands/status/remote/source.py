"""A running exporter as a `Source`: what its API says, page by page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from exporter.commands.status.logs.failed import Failed
from exporter.commands.status.logs.missing import Missing
from exporter.commands.status.remote.client import Client, Get
from exporter.commands.status.remote.reading import (
    NotUnderstoodError,
    count_in,
    failed_of,
    key_of,
    listed,
    missing_of,
    problems_of,
    report_of,
    steps_of,
)
from exporter.commands.status.source import Document
from exporter.commands.status.tables.steps import JobSteps
from exporter.commands.targets import no_root_is_called
from exporter.model.facts import JOB_FACTS, totals_json
from exporter.model.formatting import count
from exporter.model.report import Report, RootRow, Row
from exporter.model.selection import Filter
from exporter.model.snapshot import Totals
from exporter.model.upstream import JobKey

_PER_PAGE = 500
_MOST_JOBS = 200_000
_MOST_ASKED = 500
_NOT_OF_JOBS = ("logs_deferred", "tasks_failed")
# Sums that cannot be had from what is said of single jobs.
_TRIES = 3
_EMPTY = {fact.name: None for fact in JOB_FACTS if fact.schema is not None}
T = TypeVar("T")


class Exporter:
    """The exporter whose status page is at `url`: those of its roots that are named, or all, and
    those of their jobs whose names start with `prefix`. Raises CommandError."""

    def __init__(self, url: str, roots: Sequence[str] = (), prefix: str = "") -> None:
        self._client = Client(url)
        self._roots, self._prefix = frozenset(roots), prefix
        self._jobs_json: dict[JobKey, Document] = {}
        self._roots_json: dict[str, Document] = {}
        self._totals_json: Document = {}

    @property
    def why_pipelines_are_unknown(self) -> str:
        """An exporter spares the calls, or the requests."""
        return (
            "an exporter compares pipelines as tasks complete, and on object stores where "
            "read_stats is not never; status --strict of the folder, not the URL, finds out"
        )

    def report(self) -> Report:
        """As of its last scans."""
        roots, self._jobs_json = self._ask(self._everything)
        report = self._understood(lambda: report_of(roots, self._jobs_json.values()))
        self._roots_json = {root["root"]: root for root in roots["roots"]}
        self._totals_json = roots["totals"]
        return self._of_wanted(report)

    def _of_wanted(self, report: Report) -> Report:
        """The report on what is asked for alone, with sums of that."""
        names = [root.root.name for root in report.roots]
        if unknown := sorted(self._roots.difference(names)):
            self._client.fail(no_root_is_called(unknown[0], names))
        wanted = Filter(prefix=self._prefix, roots=self._roots)
        roots = tuple(r for r in report.roots if not self._roots or r.root.name in self._roots)
        rows = tuple(row for row in report.rows if wanted.keeps(row))
        totals = report.totals
        if self._prefix:
            totals = Totals.of_jobs(row.job for row in rows)
            self._totals_json = {**totals_json(totals), **dict.fromkeys(_NOT_OF_JOBS)}
        elif self._roots:
            totals = Totals.of_totals(r.root.totals for r in roots if r.root.totals is not None)
            self._totals_json = totals_json(totals)
        return Report(report.time, roots, rows, totals)

    def remarks(self, report: Report) -> Iterator[str]:
        """What it says of its roots."""
        for row in report.roots:
            if row.root.error is not None:
                yield f"{row.root.name} cannot be read: {row.root.error}"
            elif not row.root.attempted:
                yield f"{row.root.name}: not scanned yet"
            elif not row.is_fresh:
                yield f"{row.root.name}: was not scanned lately"
            elif row.root.totals is not None and row.root.totals.jobs == 0:
                yield f"{row.root.name}: no jobs found"
            yield from (f"{row.root.name}: {sentence}" for sentence in row.root.missed)

    def problems(self, report: Report, wanted: Filter) -> Sequence[Document]:
        """In its order."""
        every = self._understood(
            lambda: problems_of(self._ask(lambda get: get("/api/v1/problems", ())))
        )
        by_key = {row.key: row for row in report.rows}
        roots = {root.root.name for root in report.roots}
        keys = [(problem["root"], problem["job_name"]) for problem in every]
        return [
            problem
            for problem, key in zip(every, keys, strict=True)
            if (key in by_key and wanted.keeps(by_key[key])) or (key[1] is None and key[0] in roots)
        ]

    def missing(self, rows: Sequence[Row]) -> Mapping[JobKey, Missing]:
        """Without logs, which it does not list."""
        incomplete = [
            row.key
            for row in rows
            if row.reading and row.reading.tasks_completed < row.reading.tasks
        ]
        if len(incomplete) > _MOST_ASKED:
            self._client.fail(
                f"is asked about each job that misses ranks, and {count(len(incomplete))} are too "
                f"many; narrow them to {_MOST_ASKED}, as with --match or --limit"
            )

        def each(get: Get) -> dict[JobKey, Document]:
            return {
                (root, job_name): get("/api/v1/jobs/-", (("root", root), ("job_name", job_name)))
                for root, job_name in incomplete
            }

        answers = self._ask(each)
        return self._understood(lambda: {key: missing_of(answers[key]) for key in answers})

    def failed(self, rows: Sequence[Row], tail: int) -> Mapping[JobKey, Failed]:
        """As its last scans found them."""
        del tail  # an exporter serves no log
        return self._understood(
            lambda: {
                row.key: failed_of(self._jobs_json[row.key]) for row in rows if not row.is_complete
            }
        )

    def steps(self, rows: Sequence[Row]) -> Mapping[JobKey, JobSteps]:
        """As far as it reads stats."""
        return self._understood(lambda: {r.key: steps_of(self._jobs_json[r.key]) for r in rows})

    def job_json(self, row: Row) -> Document:
        """As it came; what an exporter of before does not know is null."""
        return {**_EMPTY, **self._jobs_json[row.key]}

    def root_json(self, row: RootRow) -> Document:
        """As it came."""
        return self._roots_json[row.root.name]

    def totals_json(self) -> Document:
        """As they came; of some of its jobs, what can be summed up here."""
        return self._totals_json

    def _everything(self, get: Get) -> tuple[Document, dict[JobKey, Document]]:
        """Roots, and all jobs. Pages are asked for anew where jobs came or went in between: none
        is left out."""
        for _ in range(_TRIES):
            roots = get("/api/v1/roots", ())
            by_key: dict[JobKey, Document] = {}
            page, pages, totals = 0, 1, set[int]()
            while page < pages:
                page += 1
                query = (("sort", "name"), ("per_page", str(_PER_PAGE)), ("page", str(page)))
                answer = get("/api/v1/jobs", query)
                total, pages = count_in(answer, "total"), count_in(answer, "pages")
                if max(total, pages * _PER_PAGE) > _MOST_JOBS:
                    self._client.fail(f"has {count(total)} jobs, which are too many to ask for")
                totals.add(total)
                by_key |= {key_of(job): job for job in listed(answer, "jobs")}
            if totals == {len(by_key)}:
                return roots, by_key
        return self._client.fail("its jobs come and go faster than they can be asked for")

    def _ask(self, question: Callable[[Get], T]) -> T:
        return self._understood(lambda: self._client.ask(question))

    def _understood(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except NotUnderstoodError as error:
            self._client.fail(
                f"is no datatrove-exporter, or one of another version: no field {error} as expected"
            )
