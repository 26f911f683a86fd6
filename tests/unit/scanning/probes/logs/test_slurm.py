"""What Slurm wrote of the elements of a job's arrays, in folders made by hand."""

import json
import os
import time
from pathlib import Path

import pytest
from support.costs import asked
from support.jobs.task_states import Scans, open_tasks_of

from exporter.datatrove.layout import log_name, marker_name
from exporter.storage.base import Path as JobPath
from exporter.storage.local.storage import LocalStorage

HOUR = 3600.0
LINE = "2026-11-26 16:13:41.349 | {} | datatrove.{}:76 - {}\n"
ATTEMPT = "Starting data processing job x\n+ srun -l launch_pickled_pipeline y\n"
RUNS = "0: " + LINE.format(
    "INFO", "utils.logging:add_task_logger", "Launching pipeline for rank={}"
)
FAILED = (
    LINE.format("ERROR", "executor.base:_run_for_rank", "oh")
    + '  File "/a/steps.py", line 7, in run\nKeyError: 1\n'
)
EXIT = "srun: error: n1: task 0: Exited with exit code 1\n"
OOM = "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=56.0.\n"
LOST = (
    "slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-26T16:15:11 DUE TO PREEMPTION ***\n"
)
CANCELLED = "slurmstepd-n1: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-26T16:15:11 ***\n"
MERGE = "+ merge_stats /a/stats -o /a/stats.json\n"


class Job:
    """A job folder of a Slurm launch two hours ago, whose files fell quiet since."""

    def __init__(self, root: Path, tasks: int, **keys: object) -> None:
        self.root, self.tasks = root, tasks
        self.keys = {"partition": "cpu", "skip_completed": True, **keys, "world_size": tasks}
        self.launch(range(tasks), 2 * HOUR)

    def write(self, name: str, data: str = "", seconds_ago: float = HOUR) -> None:
        file = self.root / "job" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(data)
        at = time.time() - seconds_ago
        os.utime(file, (at, at))

    def launch(self, ranks: range | list[int], seconds_ago: float) -> None:
        self.write("executor.json", json.dumps(self.keys), seconds_ago)
        self.write("ranks_to_run.json", json.dumps(list(ranks)), seconds_ago - 1)

    def element(
        self, array: int, index: int, rank: int | None, end: str = "", ago: float = HOUR
    ) -> None:
        text = ATTEMPT + (RUNS.format(rank) if rank is not None else "") + end
        self.write(f"slurm_logs/{array}_{index}.out", text, ago)

    def log(
        self, rank: int, data: str = LINE.format("INFO", "a:b", "x"), ago: float = HOUR
    ) -> None:
        self.write(f"logs/{log_name(rank)}", data, ago)

    def done(self, rank: int, ago: float = HOUR) -> None:
        self.write(f"completions/{marker_name(rank)}", "", ago)

    def states(self) -> dict[int, str]:
        tasks = open_tasks_of(Scans(LocalStorage(str(self.root)), "job").read())
        assert tasks is not None
        return dict(tasks.states)


class CountedStorage(LocalStorage):
    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.read: list[str] = []

    def read_part(self, path: JobPath, file: str, *, of_end: bool = False) -> bytes:
        self.read.append(file)
        return super().read_part(path, file, of_end=of_end)


def test_an_element_that_ended_badly_fails_all_its_ranks_for_the_reason_of_the_one_that_did(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, 6, tasks_per_job=3)
    job.element(5, 0, 0, EXIT)
    job.done(0)
    job.log(1, FAILED)
    job.element(5, 1, 3)
    job.log(3)
    tasks = open_tasks_of(Scans(LocalStorage(str(tmp_path)), "job").read())
    assert tasks is not None
    assert dict(tasks.states) == {1: "failed", 2: "failed", 3: "running"}
    assert {rank: f.cause.type for rank, f in tasks.failures.items()} == {
        1: "KeyError",
        2: "KeyError",
    }


def test_of_a_rank_that_was_launched_twice_the_newer_array_counts(tmp_path: Path) -> None:
    """The older element goes on after the job was launched again, and is cancelled then."""
    job = Job(tmp_path, 2)
    job.element(9, 0, 0, OOM)
    job.element(9, 1, 1, OOM)
    job.launch([0, 1], 1.5 * HOUR)
    job.element(10, 1, 1)
    assert job.states() == {0: "failed"}
    job.element(10, 0, 0)
    assert job.states() == {}
    job.log(0)
    job.log(1)
    assert job.states() == {0: "running", 1: "running"}


def test_a_rank_that_an_older_array_still_runs_has_not_failed_with_the_newer_one(
    tmp_path: Path,
) -> None:
    """The job was launched twice, and the second launch was cancelled."""
    job = Job(tmp_path, 2)
    job.launch([0, 1], 1.5 * HOUR)
    for rank in range(2):
        job.element(9, rank, rank, ago=1.2 * HOUR)
        job.element(10, rank, rank, CANCELLED, ago=1.1 * HOUR)
    job.log(0, ago=1.1 * HOUR)
    job.log(1, ago=HOUR)
    assert job.states() == {0: "failed", 1: "running"}


def test_an_element_of_an_earlier_launch_says_nothing(tmp_path: Path) -> None:
    job = Job(tmp_path, 2)
    job.element(9, 0, 0, OOM, ago=3 * HOUR)
    job.done(1)
    assert job.states() == {}


def test_arrays_that_are_too_long_are_several_and_each_says_which_it_is(tmp_path: Path) -> None:
    """Their numbers need not be in the order of ranks."""
    job = Job(tmp_path, 7, max_array_size=3, max_array_launch_parallel=True)
    job.element(30, 0, 3)
    job.element(30, 2, None, EXIT)  # died before it named a rank
    job.element(31, 0, 0)
    job.element(31, 1, None, EXIT)
    assert job.states() == {5: "failed", 1: "failed"}


@pytest.mark.parametrize(("named", "other"), [(30, 31), (31, 30)])
def test_of_several_arrays_one_that_named_no_rank_stays_unknown(
    tmp_path: Path, named: int, other: int
) -> None:
    job = Job(tmp_path, 7, max_array_size=3)
    job.element(named, 0, 0)
    job.element(other, 1, None, EXIT)
    assert job.states() == {}


def test_where_no_element_names_a_rank_one_array_is_mapped_by_its_order(tmp_path: Path) -> None:
    job = Job(tmp_path, 9)
    for rank in range(6):
        job.done(rank, 3 * HOUR)
    job.launch([6, 7, 8], 2 * HOUR)
    for index in range(3):
        job.element(40, index, None, EXIT)
    assert job.states() == {6: "failed", 7: "failed", 8: "failed"}


def test_once_the_sums_are_made_whatever_is_not_done_has_failed(tmp_path: Path) -> None:
    """`sys.exit(0)` leaves no line, and Slurm takes it for a success."""
    job = Job(tmp_path, 3)
    for rank in range(2):
        job.done(rank)
        job.element(50, rank, rank)
    job.element(50, 2, 2)
    job.log(2)
    assert job.states() == {2: "running"}
    job.write("slurm_logs/51_0.out", MERGE)
    assert job.states() == {2: "failed"}


@pytest.mark.parametrize("array", [49, 48])
def test_sums_of_an_earlier_launch_say_nothing(tmp_path: Path, array: int) -> None:
    job = Job(tmp_path, 1)
    job.write(f"slurm_logs/{array}_0.out", MERGE)
    job.element(50, 0, 0)
    job.log(0)
    assert job.states() == {0: "running"}


def test_arrays_side_by_side_are_not_all_over_with_the_last(tmp_path: Path) -> None:
    job = Job(tmp_path, 4, max_array_size=2, max_array_launch_parallel=True)
    for array, index, rank in ((60, 0, 0), (60, 1, 1), (61, 0, 2), (61, 1, 3)):
        job.element(array, index, rank)
        if rank > 1:
            job.done(rank)
        else:
            job.log(rank)
    job.write("slurm_logs/62_0.out", MERGE)
    assert job.states() == {0: "running", 1: "running"}


def test_without_requeue_an_element_that_lost_its_node_failed(tmp_path: Path) -> None:
    for name, arguments in (("a", {}), ("b", {"no-requeue": ""})):
        job = Job(tmp_path / name, 2, _sbatch_args=arguments)
        job.element(5, 0, 0, LOST)
        job.log(0)
        assert job.states() == {0: "failed" if arguments else "requeued"}


def test_nothing_is_asked_of_elements_whose_ranks_are_done(tmp_path: Path) -> None:
    job = Job(tmp_path, 300)
    for rank in range(300):
        job.element(70, rank, rank)
        if rank >= 2:
            job.done(rank)
    storage = CountedStorage(tmp_path)
    scans = Scans(storage, "job")
    # The markers' times, and some
    assert asked(storage.requests, scans.read)["stat"] < 300 + 30
    outputs = [file for file in storage.read if file.startswith("slurm_logs")]
    assert sorted(set(outputs)) == ["slurm_logs/70_0.out", "slurm_logs/70_1.out"]
    storage.read.clear()
    assert asked(storage.requests, scans.read)["stat"] < 20
    assert storage.read == []


def test_a_log_of_an_earlier_launch_is_asked_for_once_slurm_has_begun_its_element(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, 100)
    for rank in range(100):
        job.log(rank, ago=5 * HOUR)
    job.done(0)
    job.element(80, 0, 0)
    job.element(80, 1, 1)
    storage = CountedStorage(tmp_path)
    scans = Scans(storage, "job")
    for _ in range(3):
        scans.read()
    assert asked(storage.requests, scans.read)["stat"] < 20
    job.log(1)
    tasks = open_tasks_of(scans.read())
    assert tasks is not None
    assert dict(tasks.states) == {1: "running"}
