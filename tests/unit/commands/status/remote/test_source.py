"""An exporter as a source: which of its roots and jobs, in how many questions."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.servers import Answer, HttpServer, Request
from support.snapshots.readings import (
    NOW,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
)

from exporter.commands.status.remote import client
from exporter.commands.status.remote.source import Exporter
from exporter.errors import CommandError
from exporter.model.facts import totals_json
from exporter.model.report import Report, report_on
from exporter.model.selection import Filter
from exporter.model.snapshot import Root
from exporter.web import api
from exporter.web.query import parse_query

LOST = a_root("lost", up=False, error="denied: no", totals=None)
BOOKS = a_root("books", an_unreadable_job("b/x"), a_job("b/y"))
WEB = a_root("web", a_job("w/x"), a_job("w/y", reading=a_reading(tasks_completed=100)))


def report(*roots: Root, age: float = 0.0) -> Report:
    return report_on(a_snapshot(*roots), NOW + age)


@contextmanager
def served(*reports: Report) -> Iterator[HttpServer]:
    """The API of an exporter; each question for jobs gets the next of the reports, and from then
    on the last."""
    left = list(reports)

    def answer(request: Request) -> Answer:
        parts = urlsplit(request.target)
        if parts.path == "/api/v1/roots":
            return Answer(200, api.roots(left[0]))
        if parts.path == "/api/v1/problems":
            return Answer(200, api.problems(left[0], Filter()))
        now = left.pop(0) if len(left) > 1 else left[0]
        return Answer(200, api.jobs(now, parse_query(parse_qsl(parts.query), strict=True)))

    with HttpServer(answer) as server:
        yield server


def test_of_some_roots_nothing_of_the_others_is_told() -> None:
    with served(report(LOST, BOOKS, WEB)) as server:
        some = Exporter(server.url, ["books"])
        found = some.report()
        assert [root.root.name for root in found.roots] == ["books"]
        assert [row.key for row in found.rows] == [("books", "b/x"), ("books", "b/y")]
        assert found.totals.jobs == some.totals_json()["jobs"] == 2
        problems = some.problems(found, Filter())
        assert [(told["root"], told["job_name"]) for told in problems] == [("books", "b/x")]
        every = Exporter(server.url)
        lost = [problem["root"] for problem in every.problems(every.report(), Filter())]
        assert sorted(lost) == ["books", "lost"]
        with pytest.raises(CommandError, match=r"no root is called bock; .* did you mean books\?"):
            Exporter(server.url, ["bock"]).report()


def test_sums_of_a_prefix_have_every_key_and_no_number_that_nobody_knows() -> None:
    with served(report(BOOKS, WEB)) as server:
        some = Exporter(server.url, prefix="w/")
        found = some.report()
        sums = some.totals_json()
    assert sums.keys() == totals_json(found.totals).keys()
    assert (sums["jobs"], sums["jobs_completed"], sums["tasks_completed"]) == (2, 1, 140)
    assert (sums["logs_deferred"], sums["tasks_failed"]) == (None, None)


def test_missing_ranks_are_asked_of_so_many_jobs_and_no_more() -> None:
    jobs = [a_job(f"j{number:03}") for number in range(501)]
    with served(report(a_root("r", *jobs))) as server:
        source = Exporter(server.url)
        rows = source.report().rows
        before = len(server.received)
        with pytest.raises(CommandError, match="501 are too many; narrow them to 500, as with"):
            source.missing(rows)
        assert len(server.received) == before


def test_pages_between_which_jobs_came_are_asked_for_again() -> None:
    few = [a_job(f"j{number:04}") for number in range(501)]
    more = [*few, a_job("j0000-new")]
    first, later = report(a_root("r", *few)), report(a_root("r", *more))
    with served(first, later) as server:
        rows = Exporter(server.url).report().rows
    assert {row.job_name for row in rows} == {job.name for job in more}


def test_what_is_wrong_with_a_root_is_remarked() -> None:
    roots = (LOST, an_unscanned_root("new"), a_root("empty"), a_root("missed", missed=("Look.",)))
    with served(report(*roots)) as server:
        source = Exporter(server.url)
        assert [*source.remarks(source.report())] == [
            "lost cannot be read: denied: no",
            "new: not scanned yet",
            "empty: no jobs found",
            "missed: no jobs found",
            "missed: Look.",
        ]
    with served(report(WEB, age=9000)) as server:
        source = Exporter(server.url)
        assert [*source.remarks(source.report())] == ["web: was not scanned lately"]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with HttpServer(lambda _: Answer(status, b"", {"Location": "http://x/"})) as server:
        asking = client.Client(server.url, {})
        with pytest.raises(CommandError, match="sends elsewhere, to http://x/; name"):
            asking.ask(lambda get: get("/api/v1/roots", ()))
        assert len(server.received) == 1


def test_a_fragment_is_no_filter() -> None:
    with pytest.raises(CommandError, match="filters are options here"):
        client.Client("http://h/#state=failed", {})
