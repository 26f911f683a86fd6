"""The pages and the API as documents, from snapshots: no server, no storage, no clock."""

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from support.readings import (
    HOUR,
    NOW,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
)

from exporter.datatrove.layout import display_name
from exporter.datatrove.pace import History
from exporter.datatrove.ranks import Ranks
from exporter.model.snapshot import Job, Latest, Root
from exporter.web import job_page
from exporter.web.routes import Views
from exporter.web.urls import job_path

READING = a_reading(
    tasks=100,
    tasks_completed=40,
    tasks_completed_since_launch=40,
    stray_markers=2,
    launch_timestamp=NOW - 10 * HOUR,
    last_completion_timestamp=NOW - 600,
    longest_completion_gap_seconds=1200.0,
    started=True,
    executor="slurm",
    slurm_job_name="mine",
    ranks=Ranks([*range(10, 50), 100, 107]),
    history=History.of_ordered([int((NOW - 600 - n * 800) * 1e9) for n in range(39, -1, -1)]),
)
UNREADABLE = an_unreadable_job("broken")


def root_of(*jobs: Job, name: str = "prod", **facts: object) -> Root:
    """A root that was just scanned."""
    return a_root(name, *jobs, **facts)


def views_of(*roots: Root, clock: Callable[[], float] = lambda: NOW) -> Views:
    snapshot = a_snapshot(*roots)
    return Views(lambda: snapshot, clock)


def page_of(*roots: Root) -> str:
    return views_of(*roots).index([]).body.decode()


class Skeleton(HTMLParser):
    """What a document is made of, apart from its texts, the values of attributes, and the
    places where a line may break: one for each slash of a name."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[object] = []
        self.title = ""
        self.names: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr" and not attrs:
            return
        self.parts.append((tag, [name for name, _ in attrs]))
        self._open.append(tag)
        if tag == "bdi":
            self.names.append("")

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["bdi"]:
            self.names[-1] += data
        elif self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data

    def handle_comment(self, data: str) -> None:
        self.parts.append("comment")

    def handle_pi(self, data: str) -> None:
        self.parts.append("processing instruction")

    def handle_decl(self, decl: str) -> None:
        self.parts.append("declaration")


NAMES = st.one_of(
    st.binary(min_size=1, max_size=30).map(
        lambda name: display_name(name.decode("utf-8", "surrogateescape"))
    ),
    st.lists(
        st.sampled_from(
            ["<", ">", '"', "'", "&", "/", "a", "=", "<!--", "]]>", "</title>", "\\\\"]
        ),
        min_size=1,
    ).map("".join),
)


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(root=NAMES, name=NAMES, slurm=NAMES, error=NAMES, query=st.text(max_size=20))
@example(*["\"><script>alert(1)</script><p class='"] * 5)
def test_no_element_and_no_attribute_is_born_from_data(
    root: str, name: str, slurm: str, error: str, query: str
) -> None:
    def documents(root: str, name: str, slurm: str, error: str, query: str) -> list[Skeleton]:
        job = a_job(name, reading=replace(READING, slurm_job_name=slurm))
        down = root_of(
            job,
            name="down" if root != "down" else "down2",
            url=error,
            up=False,
            error=f"other: {error}",
        )
        views = views_of(root_of(job, UNREADABLE, name=root, url=error), down)
        answers = [
            views.index([("name", f"{query}\0matches nothing"), ("root", root)]),
            views.index([("hide_complete", "true")]),
            views.job(job_path(root, name)),
            views.job(job_path(down.name, name)),
        ]
        assert [answer.status for answer in answers] == [200] * 4
        return [Skeleton(answer.body.decode()) for answer in answers]

    assume("broken" not in (root, name))
    harmless = documents("a", "b", "c", "d", "e")
    hostile = documents(root, name, slurm, error, query)
    for ours, theirs in zip(hostile, harmless, strict=True):
        assert ours.parts == theirs.parts
    assert name in hostile[1].names
    assert root in hostile[1].names


def test_the_attack_of_the_property_test_would_be_seen() -> None:
    source = page_of(root_of(a_job("x", reading=READING)))
    attacked = source.replace("<bdi>x</bdi>", '<bdi>x"><script>alert(1)</script></bdi>')
    assert attacked != source
    assert Skeleton(attacked).parts != Skeleton(source).parts


@pytest.mark.parametrize(
    ("roots", "title"),
    [
        ([root_of(a_job("a", reading=READING))], "1 running – datatrove jobs"),
        ([root_of(UNREADABLE, a_job("a", reading=READING))], "1 unreadable – datatrove jobs"),
        (
            [root_of(a_job("a", reading=READING), last_successful_scan_timestamp=NOW - HOUR)],
            "1 root failing – datatrove jobs",
        ),
        ([root_of()], "no jobs – datatrove jobs"),
        ([an_unscanned_root("new")], "no jobs – datatrove jobs"),
        (
            [root_of(a_job("a", reading=replace(READING, tasks_completed=100)))],
            "all complete – datatrove jobs",
        ),
    ],
)
def test_the_title_carries_the_bad_news(roots: list[Root], title: str) -> None:
    assert Skeleton(page_of(*roots)).title == title


def test_a_root_that_hangs_is_old_and_not_up_to_date() -> None:
    text = page_of(root_of(a_job("a", reading=READING), last_successful_scan_timestamp=NOW - HOUR))
    assert "Not up to date" in text
    assert "was last scanned" in text
    assert ">1 h ago</time>: the storage hangs" in text


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "What is shown of it was read "),
        ({"totals": None, "jobs": ()}, "It was last read "),
        ({"totals": None, "last_successful_scan_timestamp": None}, "Nothing is known of it."),
    ],
)
def test_a_root_that_fails_says_why_and_how_old_its_data_is(
    facts: dict[str, object], said: str
) -> None:
    root = root_of(
        a_job("a", reading=READING), up=False, error="denied: Permission denied", **facts
    )
    text = page_of(root)
    assert "cannot be scanned: Permission denied. " in text
    assert said in text


def test_before_the_first_scan_nothing_is_claimed() -> None:
    text = page_of(an_unscanned_root("new"))
    assert "The first scan is under way." in text
    assert "No tasks are known yet." in text
    assert "jobs appear here when it ends" in text


def test_an_empty_root_says_what_a_job_is() -> None:
    text = page_of(root_of())
    assert "No jobs below the configured roots." in text
    assert "✓</span> Up to date, scanned 5 s ago." in text


def test_links_lead_to_the_exporter_whatever_path_it_is_served_below() -> None:
    views = views_of(root_of(a_job("a/b c", reading=READING), name="s3://bucket/logs"))
    assert 'href="jobs/s3%3A%2F%2Fbucket%2Flogs/a/b%20c"' in views.index([]).body.decode()
    page = views.job("s3%3A%2F%2Fbucket%2Flogs/a/b%20c").body.decode()
    assert 'href="../../../metrics"' in page
    assert 'href="../../../api/v1/jobs/s3%3A%2F%2Fbucket%2Flogs/a/b%20c"' in page


@pytest.mark.parametrize("name", [".", "..", "a//b", "a/./b", "a/..", "%2e", "?x#y", "\\\\x41"])
def test_every_job_is_found_at_its_address(name: str) -> None:
    views = views_of(
        root_of(a_job("other", reading=READING), a_job(name, reading=READING), name="s3://b/..")
    )
    path = job_path("s3://b/..", name)
    assert views.job(path).status == 200
    assert json.loads(views.api_job(path).body)["job_name"] == name


@pytest.mark.parametrize("path", ["prod/no", "no/a", "prod/a/", "prod//a", "%ff/a", "xyz"])
def test_what_is_no_job_is_not_found(path: str) -> None:
    views = views_of(root_of(a_job("a", reading=READING)))
    assert views.job(path).status == 404
    assert views.api_job(path).status == 404
    assert path not in views.job(path).body.decode()


def test_a_job_of_millions_of_missing_ranks_shows_the_first_of_them() -> None:
    many = replace(READING, tasks=2**50, ranks=Ranks(range(1, 4000, 2)), tasks_completed=2000)
    views = views_of(root_of(a_job("a", reading=many)))
    assert "the first 200 of them:" in views.job("prod/a").body.decode()
    found = json.loads(views.api_job("prod/a").body)
    assert found["missing_runs"][:2] == [{"first": 0, "last": 0}, {"first": 2, "last": 2}]
    assert len(found["missing_runs"]) == 1000
    assert found["missing_runs_truncated"] is True


def test_the_chart_never_leaves_its_frame() -> None:
    future = replace(READING, last_completion_timestamp=NOW + HOUR, launch_timestamp=NOW + 9 * HOUR,
                     history=History.of_ordered([int((NOW + HOUR) * 1e9)]))  # fmt: skip
    for reading in (READING, future, replace(READING, launch_timestamp=None)):
        text = views_of(root_of(a_job("a", reading=reading))).job("prod/a").body.decode()
        points = [
            pair for part in text.split('points="')[1:] for pair in part.split('"')[0].split()
        ]
        assert points
        for point in points:
            x, y = map(float, point.split(","))
            assert 0 <= x <= 600
            assert 0 <= y <= 200


def test_shell_commands_and_queries_on_the_page_quote_the_name() -> None:
    name = display_name('it\'s "a" $(job)\n')
    views = views_of(root_of(a_job(name, reading=READING), url="/da ta"))
    text = Skeleton(views.job(job_path("prod", name)).body.decode())
    assert text.title.endswith(f"– {name} – datatrove jobs")
    commands = views.job(job_path("prod", name)).body.decode()
    assert "failed_logs $&#x27;/da ta/it\\&#x27;s &quot;a&quot; $(job)\\x0a&#x27;" in commands
    assert "job_name=&quot;it&#x27;s \\&quot;a\\&quot; $(job)\\\\x0a&quot;" in commands


def test_a_query_without_meaning_is_refused_in_one_line() -> None:
    views = views_of(root_of())
    answer = views.index([("state", "<script>")])
    assert (answer.status, answer.content_type) == (400, "text/plain; charset=utf-8")
    assert answer.body.startswith(b"state: expected one of unreadable, ")
    refused = views.api_jobs([("state", "<script>")])
    assert refused.status == 400
    assert json.loads(refused.body)["error"].startswith("state: expected one of")


def test_the_api_pages_what_the_filter_leaves() -> None:
    jobs = [a_job(f"job-{n:02}", reading=READING) for n in range(25)]
    views = views_of(root_of(*jobs, UNREADABLE))
    found = json.loads(
        views.api_jobs([("name", "JOB"), ("sort", "name"), ("page", "2"), ("per_page", "10")]).body
    )
    assert [job["job_name"] for job in found.pop("jobs")] == [f"job-{n:02}" for n in range(10, 20)]
    assert found == {"time": NOW, "total": 25, "page": 2, "pages": 3, "per_page": 10}
    beyond = json.loads(views.api_jobs([("page", "9")]).body)
    assert (beyond["jobs"], beyond["pages"]) == ([], 1)


def test_a_page_beyond_the_last_shows_the_last() -> None:
    views = views_of(root_of(a_job("only", reading=READING)))
    assert "<bdi>only</bdi>" in views.index([("page", "9")]).body.decode()


def test_a_report_is_made_anew_for_a_new_snapshot_and_after_a_second() -> None:
    time = NOW
    latest = Latest()
    latest.publish(a_snapshot(root_of(a_job("a", reading=READING))))
    views = Views(latest.read, lambda: time)

    def seen() -> tuple[float, int]:
        answer = json.loads(views.api_jobs([]).body)
        return answer["time"], answer["total"]

    assert seen() == (NOW, 1)
    time = NOW + 0.5
    assert seen() == (NOW, 1)
    latest.publish(a_snapshot(root_of(a_job("a", reading=READING), UNREADABLE)))
    assert seen() == (NOW + 0.5, 2)
    time = NOW + 2
    assert seen() == (NOW + 2, 2)
    time = NOW - 60  # the clock was set back
    assert seen() == (NOW - 60, 2)


def test_a_slow_pace_is_told_as_time_per_task() -> None:
    told = [job_page.pace(per_hour) for per_hour in (1234.5, 12, 1.25, 0.1)]
    assert told == [
        "1,234 tasks an hour",
        "12 tasks an hour",
        "1.2 tasks an hour",
        "a task in 10 h",
    ]
