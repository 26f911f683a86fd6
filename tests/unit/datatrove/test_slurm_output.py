"""How elements of Slurm arrays end, by lines as real clusters wrote them."""

import pytest

from exporter.datatrove.slurm_output import (
    ElementEnd,
    end_of_element,
    is_merge_of_stats,
    rank_of_element,
)

_BEGIN = "Starting data processing job oom\n+ srun -l -n 1 launch_pickled_pipeline x\n"
_RUNS = "0: 2026-11-26 16:13:43.162 | INFO     | datatrove.utils.logging:add_task_logger:76 - "
_RUNS += "Launching pipeline for rank=7\n"
_AT = "CANCELLED AT 2026-11-26T16:15:11"


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (f"slurmstepd-n1: error: *** JOB 73 ON n1 {_AT} DUE TO TIME LIMIT ***", "time_limit"),
        (f"0: slurmstepd-n1: error: *** STEP 7.0 ON n1 {_AT} DUE TO TIME LIMIT ***", "time_limit"),
        ("0: slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=56.0.", "out_of_memory"),
        ("srun: error: n1: task 0: Out Of Memory", "out_of_memory"),
        (f"slurmstepd-n1: error: *** JOB 75 ON n1 {_AT} ***", "cancelled"),
        ("srun: error: n1: task 0: Exited with exit code 1", "stopped"),
        ("srun: error: n1: task 0: Killed", "stopped"),
        ("srun: error: n1: tasks 0-1: Segmentation fault (core dumped)", "stopped"),
        ("/var/spool/job/slurm_script: line 12:  4711 Killed   launch_pickled", "stopped"),
    ],
)
def test_an_element_that_ended_badly_tells_why(lines: str, end: str) -> None:
    output = f"{_BEGIN}{_RUNS}{lines}\n".encode()
    assert end_of_element(output) == ElementEnd("failed", end)  # type: ignore[arg-type]


@pytest.mark.parametrize("why", ["PREEMPTION", "JOB REQUEUE", "NODE FAILURE"])
def test_an_element_that_lost_its_node_is_queued_again_whatever_follows(why: str) -> None:
    """In the queue its output still ends as that of one that was killed."""
    lines = f"slurmstepd-n1: error: *** JOB 7 ON n1 {_AT} DUE TO {why} ***\n"
    lines += "srun: error: n1: task 0: Terminated\n"
    output = (_BEGIN + _RUNS + lines).encode()
    assert end_of_element(output) == ElementEnd("requeued")
    assert end_of_element(output, may_requeue=False) == ElementEnd("failed", "cancelled")


def test_an_earlier_attempt_does_not_count() -> None:
    first = _BEGIN + _RUNS + f"slurmstepd-n1: error: *** JOB 7 ON n1 {_AT} DUE TO PREEMPTION ***\n"
    assert end_of_element((first + _BEGIN + _RUNS).encode()) == ElementEnd("open")


def test_an_element_that_never_ran_datatrove_failed_by_its_launcher() -> None:
    output = f"{_BEGIN}srun: error: n1: task 0: Exited with exit code 2\n".encode()
    assert end_of_element(output) == ElementEnd("failed", "launcher")


def test_the_rank_is_the_one_that_the_output_names() -> None:
    assert rank_of_element((_BEGIN + _RUNS).encode()) == 7
    assert rank_of_element(_BEGIN.encode()) is None


def test_the_job_that_sums_up_statistics_is_known_by_its_command() -> None:
    assert is_merge_of_stats(b"+ merge_stats /data/stats -o /data/stats.json\n")
    assert not is_merge_of_stats((_BEGIN + _RUNS).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 16_384, b"slurmstepd" * 1_600, b"0: " * 5_000, b"\n" * 16_384]
)
def test_what_is_no_output_is_open(data: bytes) -> None:
    assert end_of_element(data) == ElementEnd("open")
