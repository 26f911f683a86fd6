"""Jobs of all roots connected, on folders as scans find them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import real_jobs, slurm_jobs
from support.jobs import LAUNCH, write_executor, write_marker

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import RootConfig
from exporter.model.snapshot import Job, Latest
from exporter.model.stages.upstream import Upstream
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

MakeJob = Callable[..., Path]
ORDER = {
    "labels": (parse_label_pattern("{pipeline}/{dump}/{stage}"),),
    "stage_order": ("first", "second", "third"),
}


def folder_of(path: str) -> str:
    """As datatrove writes a job's folder into executor.json."""
    return f"DataFolder(path={path!r}, fs=<fsspec.implementations.local.LocalFileSystem at 0x7>)"


def names_itself(path: str) -> dict[str, object]:
    return {"logging_dir": folder_of(path)}


def waits_for(path: str) -> dict[str, object]:
    return {"depends": {"logging_dir": folder_of(path)}}


class Exporter:
    """What it says of some roots over scans that remember one another."""

    def __init__(self, *roots: RootConfig) -> None:
        self._workers = Workers(4)
        self.scheduler = Scheduler(roots, Latest(), self._workers)

    def scan(self) -> dict[str, Job]:
        """Jobs by root and name, joined by a colon."""
        snapshot = self.scheduler.run_once()
        return {f"{root.name}:{job.name}": job for root in snapshot.roots for job in root.jobs}

    def upstreams(self) -> dict[str, Upstream]:
        jobs = self.scan().items()
        return {name: job.upstream for name, job in jobs if job.upstream is not None}

    def close(self) -> None:
        self._workers.close()


@pytest.fixture
def watch() -> Iterator[Callable[..., Exporter]]:
    made: list[Exporter] = []

    def make(*roots: Path, **options: object) -> Exporter:
        defaults = {"max_depth": 5, "completed_scan_interval_seconds": 0.0}
        configs = [RootConfig(root.name, str(root), **{**defaults, **options}) for root in roots]
        made.append(Exporter(*configs))
        return made[-1]

    yield make
    for exporter in made:
        exporter.close()


Watch = Callable[..., Exporter]


def found_in(exporter: Exporter) -> dict[str, tuple[str, str, int | None]]:
    """For each job that has one: its upstream, by what it was found, how many tasks that lacks."""
    return {
        name: (upstream.job_name, upstream.via, upstream.remaining)
        for name, upstream in exporter.upstreams().items()
    }


def test_what_a_real_slurm_cluster_left(tmp_path: Path, watch: Watch) -> None:
    """In ``arrays`` a task of the first of three arrays failed, and the next stage ran: it waited
    for the last one only."""
    folder = slurm_jobs.unpack(tmp_path) / "jobs"
    assert found_in(watch(folder)) == {
        "jobs:arrays/buckets": ("arrays/signatures", "slurm", 1),
        "jobs:chain_failed/buckets": ("chain_failed/signatures", "slurm", 0),
        "jobs:chain_failed/filter": ("chain_failed/buckets", "slurm", 0),
        "jobs:chain_ok/buckets": ("chain_ok/signatures", "slurm", 0),
        "jobs:chain_ok/cluster": ("chain_ok/buckets", "slurm", 0),
        "jobs:chain_ok/filter": ("chain_ok/cluster", "slurm", 0),
    }


def test_what_waits_for_a_dead_stage_on_a_real_cluster_is_not_known_until_it_ran(
    tmp_path: Path, watch: Watch
) -> None:
    """The stage that waits knows the array of the one that failed; the third, that of the second,
    which has written nothing yet."""
    folder = slurm_jobs.unpack(tmp_path) / "before_relaunch"
    found = {n: f for n, f in found_in(watch(folder)).items() if "chain_failed" in n}
    assert found == {
        "before_relaunch:chain_failed/buckets": ("chain_failed/signatures", "slurm", 1)
    }


def test_what_real_runs_left(tmp_path: Path, watch: Watch) -> None:
    folder = real_jobs.unpack(tmp_path)
    assert set(found_in(watch(folder, max_depth=8)).values()) == {
        ("slurm_run/signatures", "slurm", 0),
        ("hf_jobs_executor/signatures", "depends", 50),
    }


def test_the_order_of_stages_finds_upstreams_among_jobs_with_the_same_other_labels(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("minhash/a/first", tasks=3, completed=[0])
    make_job("minhash/a/second")
    make_job("minhash/b/second")
    make_job("minhash/b/third")
    make_job("sentence/a/second")
    make_job("minhash/a/extra")
    assert found_in(watch(root, **ORDER)) == {
        "root:minhash/a/second": ("minhash/a/first", "order", 2),
        "root:minhash/b/third": ("minhash/b/second", "order", 4),
    }


def test_an_upstream_is_found_in_another_root_by_the_folder_it_recorded_of_itself(
    tmp_path: Path, root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("next", **names_itself("bucket/logs/next"), **waits_for("bucket/logs/before"))
    make_job("moved", tasks=12, completed=range(11), **names_itself("bucket/logs/before"))
    other = tmp_path / "other"
    shutil.move(root / "moved", other / "moved")
    exporter = watch(root, other)
    assert exporter.upstreams() == {
        "root:next": Upstream("other", "moved", "depends", tasks=12, completed=11)
    }
    shutil.copytree(other / "moved", other / "copy")
    assert exporter.upstreams() == {}, "of a folder and its copy neither is the upstream"


def test_a_job_in_which_nothing_changed_is_the_very_same_object(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    """A complete one is hidden here, and so is shown by a copy."""
    make_job("a", tasks=2, completed=[0, 1], **names_itself("/a"))
    make_job("b", tasks=2, completed=[0], **names_itself("/b"), **waits_for("/a"))
    make_job("c", **waits_for("/b"))
    exporter = watch(root, hide_completed_after_seconds=0.0, abandoned_after_seconds=1e12)
    before = exporter.scan()
    assert before["root:a"].hidden
    assert exporter.scan() == before
    assert all(job is before[name] for name, job in exporter.scan().items())
    write_marker(root / "b", "00001", LAUNCH + 500)
    after = exporter.scan()
    assert after["root:a"] is before["root:a"]
    assert after["root:c"].upstream == Upstream("root", "b", "depends", tasks=2, completed=2)
    assert after["root:b"].hidden
    assert after["root:b"].upstream == before["root:b"].upstream


def test_an_upstream_that_cannot_be_read_is_known_and_its_numbers_are_not(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("a", **names_itself("/a"))
    make_job("b", **waits_for("/a"))
    exporter = watch(root)
    assert exporter.upstreams()["root:b"].remaining == 4
    (root / "a" / "executor.json").write_text("[]")
    assert exporter.upstreams() == {"root:b": Upstream("root", "a", "depends")}
    write_executor(root / "a", **names_itself("/a"))
    assert exporter.upstreams()["root:b"].remaining == 4


def test_a_deleted_upstream_is_none(root: Path, make_job: MakeJob, watch: Watch) -> None:
    make_job("a", **names_itself("/a"))
    make_job("b", **waits_for("/a"))
    exporter = watch(root)
    assert "root:b" in exporter.upstreams()
    shutil.rmtree(root / "a")
    assert exporter.upstreams() == {}


def test_a_launch_that_waits_for_another_job_has_another_upstream(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("a", **names_itself("/a"))
    make_job("b", **names_itself("/b"))
    make_job("c", **waits_for("/a"))
    exporter = watch(root)
    assert exporter.upstreams()["root:c"].job_name == "a"
    write_executor(root / "c", launch=LAUNCH + 9, **waits_for("/b"))
    assert exporter.upstreams()["root:c"].job_name == "b"


def test_jobs_that_wait_for_each_other_hang_nobody(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("a", **names_itself("/a"), **waits_for("/b"))
    make_job("b", **names_itself("/b"), **waits_for("/a"))
    make_job("self", **names_itself("/self"), **waits_for("/self"))
    assert {name: up.job_name for name, up in watch(root).upstreams().items()} == {
        "root:a": "b",
        "root:b": "a",
    }


def test_depends_of_depends_forty_deep_is_read(root: Path, make_job: MakeJob, watch: Watch) -> None:
    """The file holds all that came before, each in the one that waits for it."""
    nested: dict[str, object] = {}
    for n in range(40):
        keys = {**names_itself(f"/{n}"), "depends": nested or None}
        make_job(f"j{n:02}", **keys)
        nested = json.loads(json.dumps(keys))
    found = watch(root).upstreams()
    assert len(found) == 39
    assert found["root:j39"].job_name == "j38"


def test_after_a_reload_upstreams_are_those_of_the_roots_there_are_now(
    tmp_path: Path, root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("b", **waits_for("/a"))
    make_job("a", **names_itself("/a"))
    other = tmp_path / "other"
    shutil.move(root / "a", other / "a")
    exporter = watch(root, other)
    assert exporter.upstreams()["root:b"].root == "other"
    here, there = (
        RootConfig(f.name, str(f), max_depth=5, completed_scan_interval_seconds=0.0)
        for f in (root, other)
    )
    exporter.scheduler.reconfigure([here])
    assert exporter.upstreams() == {}
    exporter.scheduler.reconfigure([here, there])
    assert exporter.upstreams()["root:b"].root == "other"
