"""What the status page says, and the whole of some pages."""

import html
import os
import re
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from support.paths import DATA
from support.snapshots.many_jobs import an_estate
from support.snapshots.pages import (
    READING,
    Skeleton,
    a_failed_job,
    asked,
    below,
    page_of,
    shown,
    text_of,
    views_of,
)
from support.snapshots.readings import (
    DAY,
    HOUR,
    NOW,
    a_job,
    a_root,
    an_unreadable_job,
    an_unscanned_root,
    completed,
)

from exporter import __version__
from exporter.datatrove.ranks import Ranks
from exporter.model.job import Job, Reading
from exporter.model.snapshot import Root
from exporter.web.answer import Request
from exporter.web.query import Query, parse_query


@pytest.mark.parametrize(
    ("roots", "title"),
    [
        ([a_root("prod", a_job("a", reading=READING))], "1 running – datatrove jobs"),
        (
            [a_root("prod", an_unreadable_job(), a_job("a", reading=READING))],
            "1 unreadable – datatrove jobs",
        ),
        (
            [
                a_root(
                    "prod", a_job("a", reading=READING), last_successful_scan_timestamp=NOW - HOUR
                )
            ],
            "1 root failing – datatrove jobs",
        ),
        ([a_root("prod")], "no jobs – datatrove jobs"),
        ([an_unscanned_root("new")], "no jobs – datatrove jobs"),
        (
            [a_root("prod", a_job("a", reading=replace(READING, tasks_completed=100)))],
            "all complete – datatrove jobs",
        ),
        (
            [
                a_root(
                    "prod",
                    a_job("a", reading=READING),
                    a_job("b", reading=replace(READING, tasks_completed=100)),
                )
            ],
            "1 running – datatrove jobs",
        ),
    ],
)
def test_the_title_carries_the_bad_news(roots: list[Root], title: str) -> None:
    assert Skeleton(page_of(*roots)).title == title


def test_a_root_that_hangs_is_old_and_not_up_to_date() -> None:
    root = a_root("prod", a_job("a", reading=READING), last_successful_scan_timestamp=NOW - HOUR)
    text = page_of(root)
    assert "Not up to date" in text
    assert "%23d93a2f" in text  # the icon is red, though no job needs anybody
    assert "is not scanned in time: the storage hangs" in text
    of_job = shown(views_of(root).job(below("prod/a")))
    assert "was last scanned" in of_job
    assert ">1 h ago</time>: the storage hangs" in of_job


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "Permission denied (1 job)</span>"),
        ({"totals": None, "jobs": (), "jobs_lost": 583}, "Permission denied (583 jobs)</span>"),
        ({"totals": None, "last_successful_scan_timestamp": None}, "denied (never read)</span>"),
    ],
)
def test_a_root_that_fails_says_why_and_how_old_its_data_is(
    facts: dict[str, object], said: str
) -> None:
    root = a_root(
        "prod", a_job("a", reading=READING), up=False, error="denied: Permission denied", **facts
    )
    text = page_of(root)
    assert said in text


def test_before_the_first_scan_nothing_is_claimed() -> None:
    text = page_of(an_unscanned_root("new"))
    assert "The first scan is under way." in text
    assert "No tasks are known yet." in text
    assert "jobs appear here when it ends" in text


def test_an_empty_root_says_what_a_job_is() -> None:
    text = page_of(a_root("prod"))
    assert "No jobs below the configured roots." in text
    assert "✓</span> Up to date, scanned 5 s ago." in text


def stalled(number: int) -> list[Job]:
    """Jobs of which the first moved last."""
    of = [completed(10, ago=(2 + n / 10) * HOUR, gap=600) for n in range(number)]
    return [a_job(f"stalled {n:04}", reading=reading) for n, reading in enumerate(of)]


def test_what_needs_somebody_comes_first_and_beyond_some_lines_by_a_link() -> None:
    views = views_of(a_root("prod", *stalled(30), a_job("fine", reading=done())))
    page = shown(views.index(asked(("name", "stalled"))))
    main = page.partition("<main>")[2]
    assert "<h2>" in main
    assert main.index("<h2>Needs you (30)") == main.index("<h2>")
    assert page.count("last sign of life") == 12
    assert '<a href="?name=stalled&amp;view=problems">18 more</a>' in page
    whole = shown(views.index(asked(("name", "stalled"), ("view", "problems"))))
    assert whole.count("last sign of life") == 30
    assert 'id="jobs"' not in whole
    for page_number in ("2", "99"):  # there is no 99th: the last one
        paged = [("view", "problems"), ("per_page", "20"), ("page", page_number)]
        assert shown(views.index(asked(*paged))).count("last sign of life") == 10


def test_what_a_filter_leaves_out_of_what_needs_somebody_is_said() -> None:
    views = views_of(a_root("prod", *stalled(3), a_job("fine", reading=done())))
    assert "Nothing needs you among the jobs asked for; 3 elsewhere" in text_of(
        shown(views.index(asked(("name", "fine"))))
    )
    assert "Needs you (1) among the jobs asked for; 2 elsewhere" in text_of(
        shown(views.index(asked(("name", "0001"))))
    )
    assert "eeds you" not in page_of(a_root("prod", a_job("fine", reading=done())))


def done() -> Reading:
    return completed(100, ago=600, gap=600)


def test_jobs_hidden_for_want_of_room_are_told_if_somebody_should_watch_them() -> None:
    said = "that should be watched: no alert sees"
    assert said not in page_of(a_root("prod", a_job("a", hidden=True)))
    page = page_of(a_root("prod", a_job("a", hidden=True), jobs_unwatched=1200))
    assert f"max_per_root hides 1,200 jobs {said} them" in page


def test_links_lead_to_the_exporter_whatever_path_it_is_served_below() -> None:
    views = views_of(a_root("s3://bucket/logs", a_job("a/b c", reading=READING)))
    assert 'href="jobs/s3:/bucket/logs/a/b%20c"' in shown(views.index(asked()))
    page = shown(views.job(below("s3:/bucket/logs/a/b%20c")))
    assert 'href="../../../../../metrics"' in page
    assert 'href="../../../../../api/v1/jobs/s3:/bucket/logs/a/b%20c"' in page


def test_a_page_beyond_the_last_shows_the_last() -> None:
    views = views_of(a_root("prod", a_job("only", reading=READING)))
    assert "<bdi>only</bdi>" in shown(views.index(asked(("page", "9"))))


def every_kind() -> tuple[Root, ...]:
    """A job in every state, and what else makes a page differ."""
    done = replace(READING, tasks=40, executor="local", slurm_job_name="")
    overdue = replace(done, tasks=41, last_completion_timestamp=NOW - HOUR / 2)
    queued = replace(READING, tasks_completed=0, tasks_completed_since_launch=0, started=False,
                     start_timestamp=None, last_completion_timestamp=None,
                     longest_completion_gap_seconds=None,
                     stray_markers=0, ranks=Ranks(), history=None)  # fmt: skip
    long_ago = NOW - 9 * HOUR
    jobs = (
        a_job("a/<running>", reading=READING),
        a_job(
            "b/stalled", reading=replace(READING, last_completion_timestamp=long_ago), hidden=True
        ),
        a_job("c/waiting", reading=queued),
        a_job("d/complete", reading=done),
        a_failed_job(),
        a_job("g/abandoned", reading=replace(queued, launch_timestamp=NOW - 8 * DAY)),
        a_job("h/overdue", reading=overdue),
        an_unreadable_job("e/unreadable"),
        a_job("f/was readable", reading=replace(READING, history=None), error="timeout"),
    )
    return (
        a_root("prod", *jobs),
        a_root("old & slow", *jobs[:1], last_successful_scan_timestamp=NOW - 2 * HOUR),
        a_root("gone", totals=None, jobs_lost=583, up=False, error="not_found: No such folder",
               last_successful_scan_timestamp=NOW - HOUR),
        a_root("away", a_job("g/old", reading=READING, as_of=NOW - 600), up=False,
               error="unavailable: Stale file handle", last_successful_scan_timestamp=NOW - 600),
        an_unscanned_root("new"),
    )  # fmt: skip


@pytest.mark.parametrize("page", ["status", "stalled-job", "failed-job"])
def test_a_whole_page_is_as_it_was(page: str) -> None:
    """Markup meant to change: write it with PAGES_AS_THEY_ARE=1, and read the difference."""
    views = views_of(*every_kind())
    jobs = {"stalled-job": "b/stalled", "failed-job": "i/failed"}
    answer = views.index(asked()) if page == "status" else views.job(below(f"prod/{jobs[page]}"))
    whole = shown(answer).replace(f"datatrove-exporter {__version__}", "datatrove-exporter")
    whole = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", whole, flags=re.DOTALL)
    if os.environ.get("PAGES_AS_THEY_ARE"):
        (DATA / "pages" / f"{page}.html").write_text(whole, "utf-8")
    assert whole == (DATA / "pages" / f"{page}.html").read_text("utf-8")


# --- Many jobs


@pytest.mark.parametrize(("dumps", "experiments"), [(96, 1356), (0, 2000), (3000, 2000)])
def test_the_first_screen_of_many_jobs_is_light(dumps: int, experiments: int) -> None:
    """2,000 jobs, most of them in a grid or none; and 20,000."""
    views = views_of(*an_estate(dumps=dumps, experiments=experiments))
    request = Request(headers={"Accept-Encoding": "gzip"})
    assert sum(map(len, views.index(request).body)) <= 30_000


def test_the_page_answers_three_questions_before_its_first_table() -> None:
    text = text_of(page_of(*an_estate()).partition("<main>")[2].partition("<table>")[0])
    said = "All done in more than a year (8 Sep 2024 or later), if the 4 stalled"
    assert text.index("Needs you (8)") < text.index(said)
    assert "slowest: tokenize/*" in text


def parsed(link: str) -> Query:
    return parse_query(parse_qsl(link), strict=False)


@pytest.mark.parametrize("view", ["stages", "grid", "list", "problems", ""])
def test_every_link_keeps_what_is_asked_for_unless_it_is_about_that(view: str) -> None:
    views = views_of(*an_estate(dumps=40, experiments=400))
    asked_for = [("name", "c"), ("root", "fineweb"), ("item", "CC-MAIN-2014-21"),
                 ("state", "waiting"), ("state", "complete"), ("per_page", "50"),
                 ("sort", "name"), ("order", "desc"), ("view", view)]  # fmt: skip
    page = shown(views.index(asked(*asked_for)))
    wanted = parse_query(asked_for, strict=False)
    links = [html.unescape(href) for href in re.findall(r'href="\?([^"]*)"', page)]
    assert len(links) > 8
    others = [query.filter for query in map(parsed, links)
              if (query.filter.name, query.filter.items) != ("c", wanted.filter.items)]  # fmt: skip
    assert len(others) <= 4  # without the name, without the item, all jobs, what is elsewhere
    assert {parsed(link).per_page for link in links} <= {50, 200, 1000}
    form = page.partition("<form")[2].partition("</form>")[0]
    for name, value in [("item", "CC-MAIN-2014-21"), ("state", "waiting"), ("order", "desc")]:
        assert f'name="{name}" value="{value}"' in form


def test_a_job_leads_back_to_what_was_asked_for() -> None:
    views = views_of(*an_estate(dumps=12, experiments=0))
    page = shown(views.index(asked(("state", "running"), ("view", "list"), ("page", "1"))))
    (href, *_) = re.findall(r'href="jobs/fineweb/([^"]+)"', page.partition('id="jobs"')[2])
    path, _, query = html.unescape(href).partition("?")
    job = shown(views.job(Request(below=f"fineweb/{path}", query=tuple(parse_qsl(query)))))
    assert '?state=running&amp;view=list">All jobs</a>' in job
    assert "from=" not in job.partition("api/v1/jobs/")[2].partition('"')[0]
    hostile = Request(below=f"fineweb/{path}", query=(("from", 'name="><script>'),))
    assert "<script>" not in shown(views.job(hostile)).partition("<main")[2].partition("</main>")[0]


def test_a_view_that_suits_comes_without_asking_and_the_others_are_a_link_away() -> None:
    estate = an_estate(dumps=12, experiments=0)
    assert 'aria-current="page" data-view="grid"' in page_of(*estate)
    one_stage = shown(views_of(*estate).index(asked(("stage", "tokenize/*"))))
    assert 'aria-current="page" data-view="list"' in one_stage
    stages = shown(views_of(*estate).index(asked(("view", "stages"))))
    assert 'class="grid"' not in stages
    assert 'class="jobs list"' not in stages
    nothing = views_of(a_root("r", a_job("x", reading=done())))
    assert "has a stage" in shown(nothing.index(asked(("view", "stages"))))
    assert "to make a grid" in shown(nothing.index(asked(("view", "grid"))))
