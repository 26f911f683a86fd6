"""Nothing but the templates makes markup, and nothing runs but our own script."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from jinja2 import PackageLoader, StrictUndefined, UndefinedError
from support.snapshots.pages import (
    READING,
    Skeleton,
    a_failed_job,
    asked,
    below,
    job_path,
    page_of,
    shown,
    views_of,
)
from support.snapshots.readings import (
    NOW,
    a_job,
    a_root,
    a_snapshot,
    an_unreadable_job,
)

from exporter.datatrove.layout import display_name
from exporter.model import facts
from exporter.model.facts.fact import Column, Fact, Place, Sort
from exporter.model.names.grouping import Group
from exporter.model.report import report_on
from exporter.web.pages import CONTENT_SECURITY_POLICY, Pages
from exporter.web.pages.environment import new_environment
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


def documents(root: str, name: str, slurm: str, error: str, query: str) -> list[Skeleton]:
    """Each page with these texts in it."""
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


@cache
def harmless() -> list[Skeleton]:
    return documents("a", "b", "c", "d", "e")


@settings(max_examples=200, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(root=NAMES, name=NAMES, slurm=NAMES, error=NAMES, query=st.text(max_size=20))
@example(*["\"><script>alert(1)</script><p class='"] * 5)
def test_no_element_and_no_attribute_is_born_from_data(
    root: str, name: str, slurm: str, error: str, query: str
) -> None:
    assume(not {"broken", "why"} & {root, name})
    hostile = documents(root, name, slurm, error, query)
    for ours, theirs in zip(hostile, harmless(), strict=True):
        assert ours.parts == theirs.parts
    assert name in hostile[1].names
    assert root in hostile[1].names


def pipeline_documents(stage: str, item: str, label: str) -> list[Skeleton]:
    """Each view of two stages that share four items, and a page of one of their jobs."""
    groups = [Group(of, f"{item}{n}") for of in (stage, "a stage") for n in range(4)]
    jobs = [
        a_job(f"j{at}", reading=READING, labels=(("stage", group.stage), ("dump", label)))
        for at, group in enumerate(groups)
    ]
    views = views_of(a_root("r", *jobs, groups=tuple(groups)))
    wanted = (("stage", stage), ("item", f"{item}2"), ("label", f"dump:{label}"))
    answers = [
        *(views.index(asked(("view", view))) for view in ("grid", "stages", "list")),
        *(views.index(asked(("view", view), *wanted)) for view in ("stages", "list")),
        views.job(below("r/j2")),
    ]
    return [Skeleton(shown(answer)) for answer in answers]


@cache
def harmless_pipeline() -> list[Skeleton]:
    return pipeline_documents("b", "c", "d")


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(stage=NAMES, item=NAMES, label=NAMES)
@example(*["\"><script>alert(1)</script><p class='"] * 3)
@example("\N{RIGHT-TO-LEFT OVERRIDE}gnp", "\N{PILE OF POO}" * 63, "line\nbreak")
def test_stages_items_and_labels_are_text_too(stage: str, item: str, label: str) -> None:
    assume(stage != "a stage")
    hostile = pipeline_documents(stage, item, label)
    for ours, theirs in zip(hostile, harmless_pipeline(), strict=True):
        assert ours.parts == theirs.parts
    assert stage in hostile[0].names
    assert {stage, f"{item}2", label} <= set(hostile[3].names)


def test_the_attack_of_the_property_test_would_be_seen() -> None:
    source = page_of(a_root("prod", a_job("x", reading=READING)))
    attacked = source.replace("<bdi>x</bdi>", '<bdi>x"><script>alert(1)</script></bdi>')
    assert attacked != source
    assert Skeleton(attacked).parts != Skeleton(source).parts


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
        ("environment.py", "autoescape=True,"),
        ("environment.py", '"script": Markup(_SCRIPT),  # noqa: S704'),
        ("environment.py", '"style": Markup(_STYLE),  # noqa: S704'),
    }


def test_every_value_in_an_attribute_is_quoted() -> None:
    """Escaping is for quoted ones; no value stands where a script or a style is read."""
    for name, source in sources(files("exporter.web").joinpath("templates")):
        assert not re.search(r"<[^>]*=\s*\{", source), name
        assert not re.search(r'\s(on\w+|style|src)="?', source), name
        for href in re.findall(r'href="([^"]*)', source):
            assert re.match(r"[#?]|jobs/|api/|data:|\{\{ up ", href), (name, href)


def test_no_template_is_compiled_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages()
    monkeypatch.setattr(PackageLoader, "get_source", None)
    report = report_on(a_snapshot(a_root("prod", a_job("a", reading=READING))), NOW)
    assert pages.status(report, Query(), Addresses(()))
    assert pages.job(report, report.rows[0], "../", Addresses(()))
    assert pages.missing(report, "../")


def test_the_policy_allows_the_style_and_the_script_that_are_in_the_page() -> None:
    page = page_of(a_root("prod"))
    for kind in ("style", "script"):
        (source,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in CONTENT_SECURITY_POLICY


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
