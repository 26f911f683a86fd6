"""The demo's tree is one that datatrove could have written, and it makes progress."""

import itertools
import os
import re
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.processes import COMMAND
from support.servers import HOST, running, wait_until

from exporter.commands.demo.command import LABELS, root_of
from exporter.commands.demo.tree import DemoTree
from exporter.config.labels import labels_of, parse_label_pattern
from exporter.config.settings import RootConfig
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers


def scan(folder: Path) -> Root:
    return Scheduler([RootConfig("demo", str(folder))], Latest(), Workers(2)).run_once().roots[0]


def completed(root: Root) -> dict[str, tuple[int, int] | None]:
    return {
        job.name: (job.reading.tasks_completed, job.reading.tasks) if job.reading else None
        for job in root.jobs
    }


DUMPS = ("2023-40", "2023-50", "2024-10", "2024-18", "2024-22", "2024-26")
STALLS, FAILS = "extract/2024-18", "minhash/2024-22/signatures"


def stages(dump: str) -> list[str]:
    """The jobs of a dump, in the order in which they run."""
    return [
        f"extract/{dump}",
        *(f"minhash/{dump}/{s}" for s in ("signatures", "buckets", "filter")),
    ]


def run_for(tree: DemoTree, seconds: int) -> None:
    for _ in range(2 * seconds):
        tree.advance(0.5)


def test_it_begins_in_the_midst_of_a_pipeline(root: Path) -> None:
    DemoTree(root).write()
    found = scan(root)
    done = completed(found)
    assert done.keys() == {
        *itertools.chain.from_iterable(map(stages, DUMPS)),
        "corrupt",
        "relaunched-with-fewer-tasks",
    }
    ratios = {name: counted and counted[0] / counted[1] for name, counted in done.items()}
    assert [sum(ratios[stage] == 1 for stage in stages(dump)) for dump in DUMPS] == [
        4,
        3,
        1,
        0,
        1,
        0,
    ]
    assert set(ratios.values()) == {0, 1, None}
    assert done["corrupt"] is None
    assert done["relaunched-with-fewer-tasks"] == (4, 4)
    stray = {job.name: job.reading.stray_markers for job in found.jobs if job.reading}
    assert stray["relaunched-with-fewer-tasks"] == 6
    assert not any(count for name, count in stray.items() if name != "relaunched-with-fewer-tasks")


def test_every_job_of_the_pipeline_has_a_stage_and_a_dump(root: Path) -> None:
    DemoTree(root).write()
    patterns = tuple(map(parse_label_pattern, LABELS))
    found = [dict(labels_of(job.name, patterns)) for job in scan(root).jobs if "/" in job.name]
    assert {labels["dump"] for labels in found} == set(DUMPS)
    assert {labels["stage"] for labels in found} == {"extract", "signatures", "buckets", "filter"}
    assert len({tuple(sorted(labels.items())) for labels in found}) == len(found) == 24


def test_within_a_minute_a_job_stalls_and_another_fails_with_its_cause(root: Path) -> None:
    tree = DemoTree(root)
    tree.write()
    run_for(tree, 60)
    before = completed(scan(root))
    run_for(tree, 10)
    assert completed(scan(root))[STALLS] == before[STALLS] == (23, 32)
    for log in root.glob("*/*/signatures/logs/*"):
        os.utime(log, (time.time() - 90,) * 2)  # they fell quiet
    for file in root.rglob("executor.json"):
        os.utime(file, (time.time() - 300,) * 2)
    job = {job.name: job for job in scan(root).jobs}[FAILS]
    assert job.state == "failed"
    assert job.reading is not None
    assert job.reading.tasks_completed == 31
    assert job.reading.logs is not None
    (group,) = job.reading.logs.tasks.groups()
    assert (group.cause.type, group.cause.where) == ("IndexError", "extract.py:run:88")
    assert group.ranks == (9,)


def test_each_stage_knows_the_one_before_and_one_began_too_early(root: Path) -> None:
    tree = DemoTree(root)
    tree.write()
    run_for(tree, 300)
    found = Scheduler([root_of(root)], Latest(), Workers(2)).run_once().roots[0]
    upstreams = {job.name: job.upstream for job in found.jobs}
    for dump in DUMPS:
        first, *others = stages(dump)
        assert upstreams[first] is None
        for before, after in itertools.pairwise([first, *others]):
            known = upstreams[after]
            assert known is not None
            is_late = after == "minhash/2023-40/filter"
            assert (known.job_name, known.late or 0) == (before, int(is_late))


def test_its_tasks_count_what_fineweb_counts(root: Path) -> None:
    tree = DemoTree(root)
    tree.write()
    run_for(tree, 30)
    scheduler = Scheduler([root_of(root)], Latest(), Workers(2))
    for _ in range(5):  # each reads so many
        found = scheduler.run_once().roots[0]
    counted = {job.name: job.reading.stats for job in found.jobs if job.reading}
    extract, last = counted["extract/2023-40"], counted["minhash/2023-40/filter"]
    assert (extract.tasks, last.tasks) == (32, 48)
    extract, last = extract.stats, last.stats
    first, *filters, writer = extract.steps()
    assert first.name == "00_reader_warc"
    assert [step.name[3:] for step in filters if step.dropped] == [
        "filter_url_filter", "extrac_trafilatura", "filter_language_id",
        "filter_gopher_repetition", "filter_gopher_quality", "filter_fineweb_quality",
    ]  # fmt: skip
    for before, after in itertools.pairwise(filters):
        assert before.documents_out == after.documents_in
    assert writer.documents_in == filters[-1].documents_out == extract.documents_written
    assert extract.documents_read == pytest.approx(32 * 24_000, rel=0.2)
    assert 500 < last.tokens / last.documents_read < 800
    assert 0 < counted["minhash/2023-50/filter"].tasks < 48


def test_all_else_completes_and_then_nothing_more_is_written(root: Path) -> None:
    """So it stays small, and quiet, however long it runs."""
    tree = DemoTree(root)
    tree.write()
    run_for(tree, 1800)
    files = set(root.rglob("*"))
    assert len(files) < 4000
    run_for(tree, 60)
    assert set(root.rglob("*")) == files
    done = completed(scan(root))
    for dump in set(DUMPS) - {"2024-18", "2024-22"}:
        for stage in stages(dump):
            assert done[stage] is not None
            assert done[stage][0] == done[stage][1], stage


def test_a_second_demo_in_the_same_folder_repeats_no_task(root: Path) -> None:
    first = DemoTree(root)
    first.write()
    run_for(first, 30)
    marker = root / "minhash/2023-50/filter/completions/00000"
    os.utime(marker, (1000, 1000))
    second = DemoTree(root)
    second.write()
    run_for(second, 30)
    assert marker.stat().st_mtime == 1000


@pytest.mark.parametrize("seconds", [1, 20, 90])
def test_a_stage_starts_only_when_the_one_before_is_complete(root: Path, seconds: int) -> None:
    tree = DemoTree(root)
    tree.write()
    run_for(tree, seconds)
    done = completed(scan(root))
    for before, after in itertools.pairwise(stage for dump in DUMPS for stage in stages(dump)):
        if after.startswith("extract"):
            continue
        one, next_one = done[before], done[after]
        assert one is not None
        assert next_one is not None
        assert next_one[0] == 0 or one[0] == one[1], after


def test_it_needs_no_place_for_temporary_folders_if_it_is_given_one(tmp_path: Path) -> None:
    """An image that is read-only has none."""
    folder = tmp_path / "jobs"
    command = [*COMMAND, "demo", f"--directory={folder}", f"--web.listen-address={HOST}:0"]
    with running(command, tmp_path / "log", without_temporary_folders(tmp_path)):
        wait_until(lambda: "Open http" in (tmp_path / "log").read_text(), "it serves")


def test_without_any_place_it_says_what_to_do(tmp_path: Path) -> None:
    run = subprocess.run(
        [*COMMAND, "demo"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | without_temporary_folders(tmp_path),
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "there is no place for a temporary directory: use --directory\n"


def without_temporary_folders(folder: Path) -> dict[str, str]:
    """An environment in which Python finds none: it takes whatever can be written."""
    module = folder / "sitecustomize.py"
    module.write_text("import tempfile\ntempfile._candidate_tempdir_list = list\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (":0", "localhost"),
        ("[::]:0", "localhost"),
        ("0.0.0.0:0", "localhost"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "[::1]"),
    ],
)
def test_the_address_to_open_can_be_opened(tmp_path: Path, address: str, host: str) -> None:
    command = [*COMMAND, "demo", f"--web.listen-address={address}"]
    log = tmp_path / "log"
    with running(command, log, {"PYTHONUNBUFFERED": "1"}):
        match = wait_until(lambda: re.search(r"Open (http\S+)", log.read_text()), "it is said")
        assert match[1].rpartition(":")[0] == f"http://{host}"
        assert urlopen(f"{match[1]}api/v1/openapi.json", timeout=30).status == 200
