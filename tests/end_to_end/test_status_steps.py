"""``status --steps`` on what real launches left."""

import json
from pathlib import Path

import pytest
from support.jobs import archives
from support.jobs.folders import LAUNCH, write_job
from support.jobs.stats import complete
from support.status import status


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archives.unpack("task_states.tar.gz", tmp_path_factory.mktemp("launches"))


def test_steps_are_told_with_what_each_dropped(launches: Path) -> None:
    run = status("--steps", launches / "live/running")
    assert (run.code, run.err) == (0, "")
    words = [line.split() for line in run.out.splitlines()]
    assert ["STEP", "IN", "OUT", "DROPPED", "%", "TIME"] in words
    assert ["02_filter_lambda", "240", "180", "60", "25", "<1s"] in words
    assert ["04_filter_sampler", "179", "139", "40", "22", "<1s"] in words
    assert ".  Counted by all 4 completed tasks." in run.out


def test_every_task_of_a_complete_job_is_read_where_its_merged_stats_lack_some(
    launches: Path,
) -> None:
    run = status("--steps", "--json", launches / "local/relaunched")
    (job,) = json.loads(run.out)["jobs"]
    assert (job["tasks"], job["stats_tasks"], job["documents_written"]) == (8, 8, 160)


def test_tasks_of_another_pipeline_are_told(launches: Path) -> None:
    """Those that completed last are the ones in the sums."""
    run = status("--steps", launches / "local/two_pipelines")
    assert "Counted by 3 of the 6 completed tasks (3 of another pipeline)." in run.out
    assert "01_filter_lambda" in run.out


def test_more_than_a_scan_of_the_service_would_read_is_read(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", tasks=300)
    for rank in range(250):
        complete(job, rank, LAUNCH + rank)
    run = status("--steps", tmp_path)
    assert "job  Counted by all 250 completed tasks." in run.out
    assert "2,500" in run.out


def test_a_job_that_counts_nothing_says_so(tmp_path: Path) -> None:
    write_job(tmp_path / "done", tasks=1, completed=[0])
    run = status("--steps", tmp_path)
    assert "done  Counted by 0 of the one completed task (1 without a usable file)." in run.out


@pytest.mark.parametrize("other", [["--by", "state"], ["--watch"]])
def test_steps_go_with_a_line_for_each_job(tmp_path: Path, other: list[str]) -> None:
    assert status("--steps", *other, tmp_path).code == 2
