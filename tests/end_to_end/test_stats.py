"""What the tasks of real jobs counted, and what datatrove itself merged of it."""

from pathlib import Path

import pytest
from support import archives
from support.scans import Watch, jobs_of

from exporter.datatrove.stats import Stats, parse_stats
from exporter.model.snapshot import Reading

ARCHIVES = ("real_jobs", "task_states", "slurm_stats")
UNTRUSTED = {
    "real_jobs/stale_fewer_tasks",
    "slurm_stats/relaunch_fewer",
    "task_states/local/relaunched",
    "task_states/local/two_pipelines",
}
"""Complete jobs whose ``stats.json`` does not hold all of their tasks: all were launched again."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: archives.unpack(f"{name}.tar.gz", tmp_path_factory.mktemp(name)) for name in ARCHIVES
    }


@pytest.fixture(scope="module")
def jobs(roots: dict[str, Path]) -> dict[str, tuple[Path, Reading]]:
    """Each readable job of the archives, first seen: its folder and its reading."""
    found: dict[str, tuple[Path, Reading]] = {}
    for name, root in roots.items():
        watch = Watch(root, read_stats="steps")
        for job in jobs_of(watch.scan()).values():
            if job.reading is not None:
                found[f"{name}/{job.name}"] = (root / job.name, job.reading)
        watch.close()
    return found


def numbers(stats: Stats) -> list[object]:
    steps = [(step.name, *step.outcomes()) for step in stats.steps()]
    return [stats.documents_read, stats.documents_written, stats.tokens, *steps]


def added_by_hand(folder: Path, reading: Reading) -> list[object]:
    """Over the ranks whose marker counts."""
    sums: Stats | None = None
    for rank in reading.ranks:
        file = folder / "stats" / f"{rank:05d}.json"
        if rank < reading.tasks:
            stats = parse_stats(file.read_bytes())
            sums = stats if sums is None else sums.plus(stats)
    assert sums is not None
    return numbers(sums)


def test_no_merged_stats_are_trusted_that_lack_tasks(
    jobs: dict[str, tuple[Path, Reading]],
) -> None:
    complete = {
        name: reading
        for name, (folder, reading) in jobs.items()
        if reading.is_complete and (folder / "stats.json").exists()
    }
    assert len(complete) > 25
    assert {name for name, reading in complete.items() if reading.stats is None} == UNTRUSTED


def test_sums_are_those_that_datatrove_merged_where_these_are_trusted(
    jobs: dict[str, tuple[Path, Reading]],
) -> None:
    compared = 0
    for name, (folder, reading) in jobs.items():
        stats = reading.stats
        if stats is None or stats.stats is None:
            continue
        if reading.is_complete:
            assert stats.tasks == reading.tasks, name
            assert numbers(stats.stats) == added_by_hand(folder, reading), name
            merged = parse_stats((folder / "stats.json").read_bytes())
            assert numbers(stats.stats) == numbers(merged), name
            compared += 1
        elif not reading.repeats_completed:
            assert stats.tasks == reading.tasks_completed, name
            assert numbers(stats.stats) == added_by_hand(folder, reading), name
    assert compared > 20


def test_ranks_that_a_new_run_did_not_complete_again_are_not_in_the_sums(
    jobs: dict[str, tuple[Path, Reading]],
) -> None:
    """Four of four have a marker; one of them is of the run before."""
    _, reading = jobs["task_states/local/noskip"]
    assert reading.tasks_completed == 4
    assert reading.stats is not None
    assert reading.stats.tasks == 3


def test_two_pipelines_in_one_folder_are_found(roots: dict[str, Path]) -> None:
    """A real run: all six tasks are done, three by each of two pipelines."""
    job = roots["task_states"] / "local/two_pipelines"
    last = max((job / "completions").iterdir(), key=lambda marker: marker.stat().st_mtime_ns)
    kept = last.rename(job / last.name)
    watch = Watch(roots["task_states"], include=("local/two_pipelines",))
    assert watch.reading("local/two_pipelines").mixed_pipelines is True
    kept.rename(last)
    reading = watch.reading("local/two_pipelines")
    watch.close()
    assert reading.is_complete
    assert reading.mixed_pipelines is True


def test_relaunches_of_one_pipeline_are_not_mixed(jobs: dict[str, tuple[Path, Reading]]) -> None:
    told = {name: r.mixed_pipelines for name, (_, r) in jobs.items()}
    assert [name for name, is_mixed in told.items() if is_mixed] == []
    assert [name for name, is_mixed in told.items() if is_mixed is False]
