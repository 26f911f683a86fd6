"""The pages and the API as answers, from snapshots: no server, no storage, no clock."""

import csv
import gzip
import io
import json
from dataclasses import replace
from urllib.parse import quote

import pytest
from support.snapshots.pages import READING, asked, below, job_path, shown, views_of
from support.snapshots.readings import DAY, NOW, a_job, a_root, a_snapshot, an_unreadable_job
from support.snapshots.stages import daily

from exporter.model.names.grouping import UNKNOWN, groups_of
from exporter.model.snapshot import Latest, Root
from exporter.web.answer import Request
from exporter.web.views import Views


@pytest.mark.parametrize("name", [".", "..", "a//b", "a/./b", "a/..", "%2e", "?x#y", "\\\\x41"])
def test_every_job_is_found_at_its_address(name: str) -> None:
    views = views_of(
        a_root("s3://b/..", a_job("other", reading=READING), a_job(name, reading=READING))
    )
    path = job_path("s3://b/..", name)
    assert views.job(below(path)).status == 200
    assert json.loads(shown(views.api_job(below(path))))["job_name"] == name


def test_the_query_says_which_job_is_meant_where_a_path_cannot() -> None:
    jobs = [a_job(name, reading=READING) for name in ("a//b", "a/b")]
    views = views_of(a_root("prod", *jobs))
    assert views.job(below("prod/a/b")).status == 404
    for name in ("a//b", "a/b"):
        request = Request(below="-", query=(("root", "prod"), ("job_name", name)))
        assert json.loads(shown(views.api_job(request)))["job_name"] == name
        page = shown(views.job(request))
        assert f'href="../api/v1/jobs/-?root=prod&amp;job_name={quote(name, safe="")}"' in page


@pytest.mark.parametrize("path", ["prod/no", "no/a", "prod/a/", "prod//a", "%ff/a", "xyz"])
def test_what_is_no_job_is_not_found(path: str) -> None:
    views = views_of(a_root("prod", a_job("a", reading=READING)))
    assert views.job(below(path)).status == 404
    assert views.api_job(below(path)).status == 404
    assert path not in shown(views.job(below(path)))


@pytest.mark.parametrize(
    ("root", "says"),
    [
        (a_root("prod"), "There is no job of this name, or not any more."),
        (
            a_root("prod", attempted=False, up=False, totals=None),
            "Whether there is a job of this name is not known yet: the first scan is under way.",
        ),
        (
            replace(a_root("prod", up=False), totals=None, jobs_lost=3),
            "No job of this name is known, without root prod (3 jobs as of ",
        ),
    ],
)
def test_of_a_job_that_nobody_can_know_the_page_does_not_say_that_there_is_none(
    root: Root, says: str
) -> None:
    """Those who come from an alert after a restart, or while the root cannot be reached, would
    believe it."""
    answer = views_of(a_root("other", a_job("a", reading=READING)), root).job(below("prod/a"))
    assert answer.status == 404
    assert says in shown(answer)


def test_a_query_without_meaning_is_refused_in_one_line() -> None:
    views = views_of(a_root("prod"))
    answer = views.index(asked(("state", "<script>")))
    assert (answer.status, answer.content_type) == (400, "text/plain; charset=utf-8")
    assert shown(answer).startswith("state: expected one of unreadable, ")
    refused = views.api_jobs(asked(("state", "<script>")))
    assert refused.status == 400
    assert json.loads(shown(refused))["error"].startswith("state: expected one of")


def test_the_api_pages_what_the_filter_leaves() -> None:
    jobs = [a_job(f"job-{n:02}", reading=READING) for n in range(25)]
    views = views_of(a_root("prod", *jobs, an_unreadable_job()))
    second = asked(("name", "JOB"), ("sort", "name"), ("page", "2"), ("per_page", "10"))
    found = json.loads(shown(views.api_jobs(second)))
    assert [job["job_name"] for job in found.pop("jobs")] == [f"job-{n:02}" for n in range(10, 20)]
    assert found == {"time": NOW, "total": 25, "page": 2, "pages": 3, "per_page": 10,
                     "roots_missing": []}  # fmt: skip
    beyond = json.loads(shown(views.api_jobs(asked(("page", "9")))))
    assert (beyond["jobs"], beyond["pages"]) == ([], 1)


def test_a_report_is_made_anew_for_a_new_snapshot_and_after_a_second() -> None:
    time = NOW
    latest = Latest()
    latest.publish(a_snapshot(a_root("prod", a_job("a", reading=READING))))
    views = Views(latest.read, lambda: time)

    def seen() -> tuple[float, int]:
        answer = json.loads(shown(views.api_jobs(asked())))
        return answer["time"], answer["total"]

    assert seen() == (NOW, 1)
    time = NOW + 0.5
    assert seen() == (NOW, 1)
    latest.publish(a_snapshot(a_root("prod", a_job("a", reading=READING), an_unreadable_job())))
    assert seen() == (NOW + 0.5, 2)
    time = NOW + 2
    assert seen() == (NOW + 2, 2)
    time = NOW - 60  # the clock was set back
    assert seen() == (NOW - 60, 2)


def test_a_page_of_one_report_is_made_once_and_each_query_has_its_own() -> None:
    time = NOW
    snapshot = a_snapshot(a_root("prod", *(a_job(f"job-{n}", reading=READING) for n in range(12))))
    views = Views(lambda: snapshot, lambda: time)
    for number in [*range(12)] * 2:  # more than are kept
        query = asked(("name", f"job-{number}"))
        for handler in ("index", "api_stages", "api_problems"):
            alone = Views(lambda: snapshot, lambda: time)
            expected = shown(getattr(alone, handler)(query))
            assert shown(getattr(views, handler)(query)) == expected
    (first,), (again,) = (views.index(asked()).body for _ in range(2))
    assert first is again
    time = NOW + 1
    assert shown(views.index(asked())) != first.decode()


def test_every_answer_is_compressed_for_those_who_ask() -> None:
    views = views_of(a_root("prod", a_job("a", reading=READING)))
    for handler, path, query in (
        (views.index, "", ()),
        (views.index, "", (("state", "nosuch"),)),
        (views.job, "prod/a", ()),
        (views.job, "prod/b", ()),
        (views.api_stages, "", ()),
        (views.api_stages, "", (("page", "1"),)),
        (views.api_job, "prod/a", ()),
        (views.api_roots, "", ()),
        (views.api_description, "", ()),
    ):
        plain = handler(Request(path, query))
        small = handler(Request(path, query, {"Accept-Encoding": "br, gzip;q=0.5"}))
        assert (plain.headers, plain.status) == ({"Vary": "Accept-Encoding"}, small.status)
        assert small.headers == {"Vary": "Accept-Encoding", "Content-Encoding": "gzip"}
        assert gzip.decompress(b"".join(small.body)).decode() == shown(plain)


def test_no_document_is_made_for_head(monkeypatch: pytest.MonkeyPatch) -> None:
    views = views_of(a_root("prod", a_job("a", reading=READING)))
    monkeypatch.setattr("exporter.web.views.gzip.compress", lambda *_: 1 // 0)
    monkeypatch.setattr("exporter.web.pages.environment.Templates.render", lambda *_, **__: 1 // 0)
    head = Request(headers={"Accept-Encoding": "gzip"}, wants_body=False)
    for answer in (views.index(head), views.api_jobs(head), views.api_stages(head)):
        assert (answer.status, answer.body) == (200, ())
        assert answer.headers["Content-Encoding"] == "gzip"
    assert views.job(replace(head, below="prod/a")).status == 200
    assert views.job(replace(head, below="prod/b")).status == 404


def csv_of(views: Views, *query: tuple[str, str], **headers: str) -> list[dict[str, str]]:
    answer = views.api_jobs(Request(query=query, headers=headers))
    assert answer.content_type == "text/csv; charset=utf-8; header=present"
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    return list(csv.DictReader(io.StringIO(shown(answer))))


def test_jobs_are_csv_for_those_who_ask() -> None:
    views = views_of(a_root("prod", *(a_job(f"job-{n:03}", reading=READING) for n in range(250))))
    rows = csv_of(views, ("format", "csv"), ("name", "JOB"), ("sort", "name"))
    assert [row["job_name"] for row in rows] == [f"job-{n:03}" for n in range(250)]
    assert len(csv_of(views, Accept="text/csv")) == 250
    page = csv_of(views, ("format", "csv"), ("sort", "name"), ("page", "3"), ("per_page", "100"))
    assert [row["job_name"] for row in page] == [f"job-{n:03}" for n in range(200, 250)]
    assert views.api_jobs(asked(("format", "json"))).content_type == "application/json"
    both = Request(query=(("format", "json"),), headers={"Accept": "text/csv"})
    assert views.api_jobs(both).content_type == "application/json"
    for refused in ((("format", "xml"),), (("format", "csv"), ("format", "csv"))):
        assert views.api_jobs(asked(*refused)).status == 400


def test_the_stages_are_those_of_the_jobs_that_match() -> None:
    names = ["filter/CC-MAIN-2020-05", "filter/CC-MAIN-2020-10", "tokenize/CC-MAIN-2020-05"]
    jobs = [a_job(name, reading=daily(*[10] * 10, of=320)) for name in names]
    views = views_of(
        a_root("prod", *jobs, an_unreadable_job(), groups=(*groups_of(names), UNKNOWN))
    )
    found = json.loads(shown(views.api_stages(asked())))
    assert [(s["stage"], s["jobs"]) for s in found["stages"]] == [
        ("filter/*", 2), ("tokenize/*", 1), (None, 1),
    ]  # fmt: skip
    whole = found["whole"]
    assert (whole["tasks_left"], whole["tasks_last_day"], whole["tasks_per_day"]) == (660, 30, 30)
    assert whole["done_about_timestamp"] == pytest.approx(NOW + 22 * DAY)
    assert whole["tasks_by_day"] == [0] * 4 + [30] * 10
    found = json.loads(shown(views.api_stages(asked(("name", "tok"), ("state", "stalled")))))
    assert [stage["stage"] for stage in found["stages"]] == ["tokenize/*"]
    for name in ("sort", "page", "format", "view"):
        assert views.api_stages(asked((name, "1"))).status == 400
