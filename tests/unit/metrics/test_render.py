"""Rendered pages: the library's bytes, at a cost that depends on what changed."""

import gzip
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.snapshots.collector import SnapshotCollector
from support.snapshots.readings import (
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unscanned_root,
)

import exporter.metrics.render
from exporter.datatrove.layout import display_name
from exporter.metrics.exposition import CONTENT_TYPES, Format
from exporter.metrics.render import Renderer
from exporter.model.job import Job, Reading
from exporter.model.snapshot import Latest, Root, Snapshot

ERRORS = ((("root", "timeout"), 2), (("job", "invalid"), 5))


def reading_of(number: int) -> Reading:
    return a_reading(
        tasks=10 + number,
        tasks_completed=number,
        tasks_completed_since_launch=number if number % 2 else None,
        stray_markers=number % 3,
        launch_timestamp=1.7e9 + number / 3,
        last_completion_timestamp=1.7e9 + number if number else None,
        longest_completion_gap_seconds=number * 0.1 if number else None,
        started=bool(number),
        executor="slurm" if number % 2 else "local",
        slurm_job_name='a "quoted" name' if number % 2 else "",
    )


def root_of(name: str, *jobs: Job, scans: int = 3) -> Root:
    return a_root(name, *jobs, errors=ERRORS, requests=(("list", 7),), scans=scans)


def jobs_of(count: int, prefix: str = "job") -> tuple[Job, ...]:
    return tuple(
        a_job(
            f"{prefix}-{number:05d}",
            reading=reading_of(number) if number % 7 else None,
            error=None if number % 7 else "denied",
            hidden=number % 11 == 10,
        )
        for number in range(count)
    )


def library_page(snapshot: Snapshot, page_format: Format) -> bytes:
    latest = Latest()
    latest.publish(snapshot)
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(latest))
    if page_format == "text":
        return generate_latest(registry)
    return openmetrics.generate_latest(registry)


def our_page(renderer: Renderer, snapshot: Snapshot, page_format: Format) -> bytes:
    end = b"# EOF\n" if page_format == "openmetrics" else b""
    page = renderer.render(snapshot)[page_format]
    plain = b"".join(page.body(end))
    packed = page.gzip_body(end)
    assert gzip.decompress(b"".join(packed)) == plain
    return plain


SNAPSHOTS = {
    "no roots": a_snapshot(),
    "a root before its first scan": a_snapshot(an_unscanned_root("r", errors=ERRORS)),
    "two roots": a_snapshot(root_of("a", *jobs_of(600)), root_of("b\\", *jobs_of(3))),
    "a root that is lost": a_snapshot(
        root_of("a", *jobs_of(3)), a_root("b", totals=None, jobs_lost=583, up=False)
    ),
    "labels of their own": a_snapshot(
        root_of("a", a_job("x/y", labels=(("dump", "x"), ("zone", 'a"b'))), a_job("z", labels=())),
        root_of("b", a_job("x/y", labels=(("stage", "x"),)), a_job("z")),
    ),
    "names that need escapes": a_snapshot(
        root_of(
            'quo"te\nbreak',
            a_job('<b> "x" \\\\x0a', reading=reading_of(3)),
            a_job("ü😀", reading=None),
        )
    ),
}


@pytest.mark.parametrize("page_format", ["text", "openmetrics"])
@pytest.mark.parametrize("snapshot", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_page_is_byte_for_byte_what_the_library_writes(
    snapshot: Snapshot, page_format: Format
) -> None:
    assert our_page(Renderer(), snapshot, page_format) == library_page(snapshot, page_format)


def test_labels_are_one_series_for_each_job_of_a_root_that_has_patterns() -> None:
    page = our_page(Renderer(), SNAPSHOTS["labels of their own"], "text").decode().splitlines()
    assert [line for line in page if line.startswith("datatrove_job_labels{")] == [
        r'datatrove_job_labels{dump="x",job_name="x/y",root="a",zone="a\"b"} 1.0',
        'datatrove_job_labels{job_name="z",root="a"} 1.0',
        'datatrove_job_labels{job_name="x/y",root="b",stage="x"} 1.0',
    ]


def test_a_page_stays_right_through_random_changes() -> None:
    generator = random.Random(11)
    renderer = Renderer()
    roots = {name: jobs_of(700, name) for name in "ab"}
    for _ in range(40):
        name = generator.choice("ab")
        jobs = list(roots[name])
        match generator.randrange(4):
            case 0:
                number = generator.randrange(len(jobs))
                jobs[number] = replace(jobs[number], reading=reading_of(generator.randrange(99)))
            case 1:
                del jobs[generator.randrange(len(jobs))]
            case 2:
                jobs.append(a_job(f"{name}-new-{generator.random()}", reading=reading_of(5)))
                jobs.sort(key=lambda job: job.name)
            case 3:
                number = generator.randrange(len(jobs))
                jobs[number] = replace(jobs[number], hidden=not jobs[number].hidden)
        roots[name] = tuple(jobs)
        kept = roots if generator.random() > 0.1 else {name: roots[name]}
        snapshot = a_snapshot(*(root_of(n, *j) for n, j in kept.items()))
        assert our_page(renderer, snapshot, "text") == library_page(snapshot, "text")


def test_unchanged_jobs_are_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[object] = []
    real = exporter.metrics.render._render_lines

    def counting(family: object, labels: object, subject: object) -> bytes:
        if isinstance(subject, Job):
            rendered.append(subject)
        return real(family, labels, subject)

    monkeypatch.setattr(exporter.metrics.render, "_render_lines", counting)
    renderer = Renderer()
    jobs, other = jobs_of(1000), root_of("b", *jobs_of(1000))
    renderer.render(a_snapshot(root_of("a", *jobs), other))
    rendered.clear()
    changed = (*jobs[:500], replace(jobs[500], reading=reading_of(1)), *jobs[501:])
    renderer.render(a_snapshot(root_of("a", *changed, scans=4), other))
    assert {job.name for job in rendered} == {jobs[500].name}


def test_what_is_left_out_of_a_page_is_forgotten() -> None:
    renderer = Renderer()
    renderer.render(a_snapshot(root_of("a", *jobs_of(500)), root_of("b", *jobs_of(5))))
    renderer.render(a_snapshot(root_of("a", *jobs_of(3))))
    assert list(renderer._parts) == ["a"]
    assert len(renderer._parts["a"]._lines) <= 3


def test_live_samples_come_last_and_a_choice_of_names_leaves_out_the_rest() -> None:
    page = Renderer().render(SNAPSHOTS["two roots"])["text"]
    live = b"# HELP up x\n# TYPE up gauge\nup 1.0\n"
    assert b"".join(page.body(live)).endswith(live)
    names = frozenset({"datatrove_jobs", "datatrove_job_tasks", "nonsense"})
    chosen = b"".join(page.body(live, names))
    assert {family.name for family in parse_text(chosen.decode())} == {
        "datatrove_jobs",
        "datatrove_job_tasks",
        "up",
    }
    assert gzip.decompress(b"".join(page.gzip_body(live, names))) == chosen


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5, unique=True))
def test_folder_names_of_any_bytes_come_back_from_both_formats(names: list[bytes]) -> None:
    shown = [display_name(name.decode("utf-8", "surrogateescape")) for name in names]
    jobs = [a_job(name, reading=reading_of(1)) for name in sorted(shown)]
    snapshot = a_snapshot(root_of("r", *jobs))
    renderer = Renderer()
    for page_format, parse in (("text", parse_text), ("openmetrics", parse_openmetrics)):
        page = our_page(renderer, snapshot, page_format).decode("utf-8")
        found = [
            sample.labels["job_name"]
            for family in parse(page)
            if family.name == "datatrove_job_tasks"
            for sample in family.samples
        ]
        assert sorted(found) == sorted(shown)
        assert len(set(found)) == len(names)


def test_a_page_larger_than_many_blocks_is_one_valid_gzip_member() -> None:
    page = Renderer().render(a_snapshot(root_of("r", *jobs_of(5000))))["text"]
    body = b"".join(page.gzip_body(b"live 1.0\n"))
    assert gzip.decompress(body).endswith(b"live 1.0\n")
    assert body.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff") == 1


def test_a_page_that_failed_to_render_is_right_the_next_time() -> None:
    """Whatever a bug leaves in a snapshot: not a wrong page, and not for ever."""
    renderer = Renderer()
    good = a_snapshot(root_of("a", *jobs_of(600)), root_of("b", *jobs_of(3)))
    unreal = replace(reading_of(1), tasks=None, tasks_completed="x")  # type: ignore[arg-type]
    poison = replace(a_job("poison"), reading=unreal)
    our_page(renderer, good, "text")
    bad = replace_root(good, replace(good.roots[0], jobs=(poison, *jobs_of(700))))
    for _ in range(2):
        with pytest.raises(ValueError, match="could not convert"):
            renderer.render(bad)
    for snapshot in (replace_root(good, root_of("a", *jobs_of(500))), good):
        for page_format in CONTENT_TYPES:
            assert our_page(renderer, snapshot, page_format) == library_page(snapshot, page_format)


def replace_root(snapshot: Snapshot, root: Root) -> Snapshot:
    """The snapshot with another first root."""
    return a_snapshot(root, *snapshot.roots[1:])
