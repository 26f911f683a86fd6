"""The pages: what they say, and that nothing but the templates makes markup."""

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable

import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from jinja2 import PackageLoader, StrictUndefined, UndefinedError
from support.pages import READING, Skeleton, asked, below, job_path, page_of, shown, views_of
from support.paths import DATA
from support.readings import (
    DAY,
    HOUR,
    NOW,
    a_job,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
    completed,
    some_logs,
)

from exporter import __version__
from exporter.config.settings import ShowErrors
from exporter.datatrove.failure import Cause
from exporter.datatrove.layout import display_name
from exporter.datatrove.ranks import Ranks
from exporter.datatrove.task_state import Failure
from exporter.model import facts
from exporter.model.fact import Column, Fact, Place, Sort
from exporter.model.report import report_on
from exporter.model.snapshot import Job, Reading, Root
from exporter.web.pages import CONTENT_SECURITY_POLICY, Pages, new_environment
from exporter.web.query import Query
from exporter.web.urls import Addresses

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
        failed = a_failed_job("why", type=slurm, where=error, message=query or "none")
        down = a_root(
            "down" if root != "down" else "down2",
            job,
            url=error,
            up=False,
            error=f"other: {error}",
        )
        jobs = (job, an_unreadable_job(), failed)
        views = views_of(a_root(root, *jobs, url=error, show_errors="text"), down)
        answers = [
            views.index(asked(("name", f"{query}\0matches nothing"), ("root", root))),
            views.index(asked(("hide_complete", "true"))),
            views.job(below(job_path(root, name))),
            views.job(below(job_path(down.name, name))),
            views.job(below(job_path(root, "why"))),
        ]
        assert [answer.status for answer in answers] == [200] * 5
        return [Skeleton(shown(answer)) for answer in answers]

    assume(not {"broken", "why"} & {root, name})
    harmless = documents("a", "b", "c", "d", "e")
    hostile = documents(root, name, slurm, error, query)
    for ours, theirs in zip(hostile, harmless, strict=True):
        assert ours.parts == theirs.parts
    assert name in hostile[1].names
    assert root in hostile[1].names


def test_the_attack_of_the_property_test_would_be_seen() -> None:
    source = page_of(a_root("prod", a_job("x", reading=READING)))
    attacked = source.replace("<bdi>x</bdi>", '<bdi>x"><script>alert(1)</script></bdi>')
    assert attacked != source
    assert Skeleton(attacked).parts != Skeleton(source).parts


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
    ],
)
def test_the_title_carries_the_bad_news(roots: list[Root], title: str) -> None:
    assert Skeleton(page_of(*roots)).title == title


def test_a_root_that_hangs_is_old_and_not_up_to_date() -> None:
    root = a_root("prod", a_job("a", reading=READING), last_successful_scan_timestamp=NOW - HOUR)
    text = page_of(root)
    assert "Not up to date" in text
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


def text_of(page: str) -> str:
    """What people read of a document."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", page)))


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
    paged = [("view", "problems"), ("per_page", "20"), ("page", "2")]
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


def test_a_job_of_millions_of_missing_ranks_shows_the_first_of_them() -> None:
    many = replace(READING, tasks=2**50, ranks=Ranks(range(1, 4000, 2)), tasks_completed=2000)
    views = views_of(a_root("prod", a_job("a", reading=many)))
    assert "the first 200 of them:" in shown(views.job(below("prod/a")))
    found = json.loads(shown(views.api_job(below("prod/a"))))
    assert found["missing_runs"][:2] == [{"first": 0, "last": 0}, {"first": 2, "last": 2}]
    assert len(found["missing_runs"]) == 1000
    assert found["missing_runs_truncated"] is True


def test_shell_commands_and_queries_on_the_page_quote_the_name() -> None:
    name = display_name('it\'s "a" $(job)\n')
    views = views_of(a_root("prod", a_job(name, reading=READING), url="/da ta"))
    text = Skeleton(shown(views.job(below(job_path("prod", name)))))
    assert text.title.endswith(f"– {name} – datatrove jobs")
    commands = html.unescape(shown(views.job(below(job_path("prod", name)))))
    assert """failed_logs $'/da ta/it\\'s "a" $(job)\\x0a'</pre>""" in commands
    assert r"""job_name="it's \"a\" $(job)\\x0a"}</pre>""" in commands


def a_failed_job(name: str = "i/failed", **fields: str) -> Job:
    """A local job whose launch ended with two kinds of failures, the one with this text."""
    texts = {"type": "IndexError", "where": "extract.py:run:88", "message": "out of <range>"}
    cause = Cause("program", **{**texts, **fields})
    at = int((NOW - 900) * 1e9)
    failed = {52: Failure(cause, at - 10**12), 53: Failure(cause, at)}
    logs = some_logs({**failed, 60: Failure(Cause("out_of_memory"), None)}, silent=[55], others=54)
    reading = replace(READING, tasks=102, tasks_completed=44, executor="local", slurm_job_name="",
                      logs=logs, needs_relaunch=True)  # fmt: skip
    return a_job(name, reading=reading)


def test_the_page_of_a_failed_job_says_what_broke_where_since_when_and_what_to_do() -> None:
    page = shown(views_of(a_root("prod", a_failed_job("j"))).job(below("prod/j")))
    text = text_of(page)
    assert "What to do: Nothing of this launch can finish it: mend the cause first." in text
    assert (
        "2 tasks: IndexError at extract.py:run:88 (program) ranks 52–53, newest 15 min ago" in text
    )
    assert "1 task: out of memory rank 60" in text
    assert "Missing: 3 failed · 1 silent · 54 not started" in text
    assert "Failed 52–53, 60 Silent 55 Not started 0–9, 50–51, 54" in text


@pytest.mark.parametrize("show", ["none", "types", "text"])
def test_pages_and_api_show_what_show_errors_allows(show: ShowErrors) -> None:
    views = views_of(a_root("prod", a_failed_job("j"), show_errors=show))
    page = shown(views.job(below("prod/j")))
    answers = [page, shown(views.index(asked())), shown(views.api_job(below("prod/j"))),
               shown(views.api_jobs(asked()))]  # fmt: skip
    for answer in answers:
        assert ("IndexError" in answer) == (show != "none")
        assert ("extract.py" in answer) == (show != "none")
    told = ["out of &lt;range&gt;" in page, False, *("out of <range>" in a for a in answers[2:])]
    assert told == ([True, False, True, True] if show == "text" else [False] * 4)
    assert "out of <range>" not in page


def test_the_api_tells_causes_by_rank_and_advice() -> None:
    views = views_of(a_root("prod", a_failed_job("j"), a_job("k", reading=READING)))
    found = json.loads(shown(views.api_job(below("prod/j"))))
    assert found["failures"] == [
        {"type": "IndexError", "where": "extract.py:run:88", "reason": "program", "message": None,
         "tasks": 2, "ranks": [52, 53], "last_timestamp": NOW - 900},
        {"type": None, "where": None, "reason": "out_of_memory", "message": None,
         "tasks": 1, "ranks": [60], "last_timestamp": None},
    ]  # fmt: skip
    assert "58 of 102 tasks will run" in found["advice"]
    assert (found["state"], found["needs_relaunch"]) == ("failed", True)
    healthy = json.loads(shown(views.api_job(below("prod/k"))))
    assert (healthy["failures"], healthy["advice"]) == (None, None)


def test_a_page_beyond_the_last_shows_the_last() -> None:
    views = views_of(a_root("prod", a_job("only", reading=READING)))
    assert "<bdi>only</bdi>" in shown(views.index(asked(("page", "9"))))


# --- The whole of two pages


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


# --- The environment of the templates


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example('"><script>')
@example("' onclick='")
@example("&lt;&#x3c;<!--")
def test_text_comes_back_as_text_from_elements_and_attributes(name: str) -> None:
    page = Skeleton(page_of(a_root(name, a_job("a", reading=READING)), a_root("other")))
    options = [at["value"] for at in page.attributes if at.keys() == {"value"}]
    if all(c.isprintable() or c in "\n\t " for c in name):
        assert name in page.names
        assert name in options
    else:
        assert len(name) in map(len, page.names)


def test_what_html_forbids_is_replaced() -> None:
    root = a_root("prod", up=False, error="other: a\0b\rc\ud800d\ufffee")
    assert "cannot be scanned: a\ufffdb\ufffdc\ufffdd\ufffde" in page_of(root)
    page = shown(views_of(a_root("prod")).index(asked(("name", "a\0b\rc\ufffee"))))
    assert 'value="a\ufffdb\ufffdc\ufffde"' in page


def test_every_template_escapes_and_takes_nothing_that_is_not_there() -> None:
    environment = new_environment()
    assert environment.autoescape is True
    assert environment.undefined is StrictUndefined
    assert environment.from_string("<p>{{ x }}").render(x="<'\">") == "<p>&lt;&#39;&#34;&gt;"
    with pytest.raises(UndefinedError):
        environment.from_string("{{ nothing }}").render()


def sources(folder: Traversable) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from sources(entry)
        elif entry.name.endswith((".py", ".html")):
            yield entry.name, entry.read_text("utf-8")


UNESCAPED = re.compile(
    r"\|\s*(safe|forceescape|xmlattr|tojson|urlize)\b|autoescape|Markup\(|__html__"
)


def test_nothing_is_declared_to_be_markup_but_our_own_style_and_script() -> None:
    found = {
        (name, line.strip())
        for name, source in sources(files("exporter"))
        for line in source.splitlines()
        if UNESCAPED.search(line)
    }
    assert found == {
        ("pages.py", "autoescape=True,"),
        ("pages.py", '"script": Markup(_SCRIPT),  # noqa: S704'),
        ("pages.py", '"style": Markup(_STYLE),  # noqa: S704'),
    }


def test_every_value_in_an_attribute_is_quoted() -> None:
    """Escaping is for quoted ones; no value stands where a script or a style is read."""
    for name, source in sources(files("exporter.web").joinpath("templates")):
        assert not re.search(r"<[^>]*=\s*\{", source), name
        assert not re.search(r'\s(on\w+|style|src)="?', source), name
        for href in re.findall(r'href="([^"]*)', source):
            assert re.match(r"[#?]|jobs/|data:|\{\{ up ", href), (name, href)


def test_no_template_is_compiled_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages()
    monkeypatch.setattr(PackageLoader, "get_source", None)
    report = report_on(a_snapshot(a_root("prod", a_job("a", reading=READING))), NOW)
    assert pages.jobs(report, Query(), Addresses(()))
    assert pages.job(report, report.rows[0], "../", Addresses(()))
    assert pages.missing("../")


def test_the_policy_allows_the_style_and_the_script_that_are_in_the_page() -> None:
    page = page_of(a_root("prod"))
    for kind in ("style", "script"):
        (source,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in CONTENT_SECURITY_POLICY


# --- The table of facts


@pytest.mark.parametrize(("place", "template"), [("page", "_cells"), ("job", "_entries")])
def test_there_is_a_macro_for_every_format(place: Place, template: str) -> None:
    module = new_environment().get_template(f"{template}.html").module
    for fact, column in facts.columns_of(place):
        of_its_own = hasattr(module, column.format)
        assert of_its_own or column.format in ("text", "count", "percent", "duration", "ago"), fact


A_MINUTE_AGO = '<time datetime="2023-11-14T22:12:20Z" title="2023-11-14 22:12:20 UTC">'


@pytest.mark.parametrize(
    ("format_", "value", "said"),
    [
        ("text", "a/<b>", "<bdi>a/<wbr>&lt;b&gt;</bdi>"),
        ("count", 12345, "12,345"),
        ("count", 0, "0"),
        ("percent", 0.9996, "99.9 %"),
        ("percent", 0.00002, "&lt;0.1 %"),
        ("duration", 7500.0, "2 h 5 min"),
        ("ago", NOW - 60, f"{A_MINUTE_AGO}1 min ago</time>"),
    ],
)
def test_a_new_fact_shows_by_its_row_in_the_table(
    monkeypatch: pytest.MonkeyPatch, format_: str, value: object, said: str
) -> None:
    """In the table of jobs, to sort by, and on a job's page; where there is none of it, there
    is a dash in the table and nothing on the page."""

    def made_up(row: object) -> object:
        return value if row.job_name == "with" else None  # type: ignore[attr-defined]

    sort = Sort("made_up", "Made up, largest first", 99, descending=True)
    column = Column("Made <up>", format_, 15, ("page", "job"))  # type: ignore[arg-type]
    fact = Fact("made_up", "Made up.", made_up, columns=(column,), sort=sort)  # type: ignore[arg-type]
    monkeypatch.setattr(facts, "JOB_FACTS", (*facts.JOB_FACTS, fact))
    monkeypatch.setitem(facts.SORTS, "made_up", (sort, made_up))
    views = views_of(
        a_root("prod", a_job("with", reading=READING), a_job("without", reading=READING))
    )
    page = shown(views.index(asked()))
    assert (
        '<th scope="col" class="column-made_up"><a href="?sort=made_up&amp;order=asc">' not in page
    )
    assert (
        '<th scope="col" class="column-made_up"><a href="?sort=made_up">Made &lt;up&gt;</a></th>'
    ) in page
    assert '<option value="made_up">Made up, largest first</option>' in page
    cells = re.findall(r'<td class="([^"]*)" data-label="Made &lt;up&gt;">(.*?)</td>', page)
    assert sorted(cells) == [("when", said), ("when none", '<span class="quiet">–</span>')]
    entry = f"<dt>Made &lt;up&gt;</dt> <dd>{said}</dd>"
    assert entry in shown(views.job(below("prod/with")))
    assert "Made &lt;up&gt;" not in shown(views.job(below("prod/without")))


def test_a_slow_pace_is_told_as_time_per_task() -> None:
    pace = new_environment().get_template("_entries.html").module.pace  # type: ignore[attr-defined]
    told = [str(pace(per_hour, None, None, NOW)) for per_hour in (1234.5, 12, 1.25, 0.1)]
    assert told == [
        "1,234 tasks an hour",
        "12 tasks an hour",
        "1.2 tasks an hour",
        "a task in 10 h",
    ]
