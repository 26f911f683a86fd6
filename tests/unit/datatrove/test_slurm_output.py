"""How elements of Slurm arrays end, by lines as real clusters wrote them."""

import pytest

from exporter.datatrove.executor_file import SlurmArray
from exporter.datatrove.failure import Cause
from exporter.datatrove.slurm_output import (
    ArrayMap,
    ElementEnd,
    element_of,
    end_of_element,
    is_merge_of_stats,
    output_name,
    rank_of_element,
    ranks_from,
    ranks_to_run,
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
        ("srun: error: n1: task 0: Interrupt", "stopped"),
        ("srun: error: n1: task 0: User defined signal 2", "stopped"),
        ("/var/spool/job/slurm_script: line 12:  4711 Killed   launch_pickled", "stopped"),
    ],
)
def test_an_element_that_ended_badly_tells_why(lines: str, end: str) -> None:
    output = f"{_BEGIN}{_RUNS}{lines}\n".encode()
    assert end_of_element(output) == ElementEnd("failed", Cause(end))  # type: ignore[arg-type]


@pytest.mark.parametrize("why", ["PREEMPTION", "JOB REQUEUE", "NODE FAILURE"])
def test_an_element_that_lost_its_node_is_queued_again_whatever_follows(why: str) -> None:
    """In the queue its output still ends as that of one that was killed."""
    lines = f"slurmstepd-n1: error: *** JOB 7 ON n1 {_AT} DUE TO {why} ***\n"
    lines += "srun: error: n1: task 0: Terminated\n"
    output = (_BEGIN + _RUNS + lines).encode()
    assert end_of_element(output) == ElementEnd("requeued")
    reason = "node_failure" if why == "NODE FAILURE" else "cancelled"
    assert end_of_element(output, may_requeue=False) == ElementEnd("failed", Cause(reason))


def test_an_earlier_attempt_does_not_count() -> None:
    first = _BEGIN + _RUNS + f"slurmstepd-n1: error: *** JOB 7 ON n1 {_AT} DUE TO PREEMPTION ***\n"
    assert end_of_element((first + _BEGIN + _RUNS).encode()) == ElementEnd("open")


@pytest.mark.parametrize(
    "line",
    [
        "srun: error: n1: task 0: Exited with exit code 2",
        "srun: error: Unable to create step for job 3: Memory required by task is not available",
        "srun: unrecognized option '--nosuch=1'",
        "srun: fatal: No command given to execute.",
    ],
)
def test_an_element_that_never_ran_datatrove_failed_by_its_launcher(line: str) -> None:
    output = f"{_BEGIN}{line}\n".encode()
    assert end_of_element(output) == ElementEnd("failed", Cause("launcher"))


def test_an_element_whose_step_waits_for_its_turn_is_open() -> None:
    line = "srun: Job 3 step creation temporarily disabled, retrying (Requested nodes are busy)\n"
    assert end_of_element(f"{_BEGIN}{line}".encode()) == ElementEnd("open")


@pytest.mark.parametrize(
    "said", ["warning: setlocale: LC_ALL: cannot change locale (C)", "module: command not found"]
)
def test_what_bash_says_before_it_starts_the_task_ended_nothing(said: str) -> None:
    first, rest = _BEGIN.split("\n", 1)
    line = f"/var/spool/job/slurm_script: line 9: {said}\n"
    assert end_of_element(f"{first}\n{line}{rest}{_RUNS}".encode()) == ElementEnd("open")


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


@pytest.mark.parametrize("name", ["7_0.out", "123456_1000.out"])
def test_a_name_tells_the_element_and_the_element_its_name(name: str) -> None:
    element = element_of(name)
    assert element is not None
    assert output_name(element) == name


@pytest.mark.parametrize("name", ["7.out", "07_0.out", "7_00.out", "7_0.err", "x_0.out", "٧_0.out"])
def test_other_names_are_of_no_element(name: str) -> None:
    assert element_of(name) is None


@pytest.mark.parametrize(
    ("data", "ranks"),
    [
        (b"[0, 1, 2]", (0, 1, 2)),
        (b"[5,\n 7]\n", (5, 7)),
        (b"[0, 1, 12", (0, 1)),  # the first part of a longer file: 12 may be 123
        (b"[]", ()),
        (b"{}", ()),
        (b"[0, -1]", ()),
        (b"[0, x]", ()),
        ("[٠]".encode(), ()),
        (b"", ()),
    ],
)
def test_ranks_to_run_are_those_that_are_told_whole(data: bytes, ranks: tuple[int, ...]) -> None:
    assert ranks_to_run(data) == ranks


def test_one_element_that_names_its_rank_tells_of_its_whole_array() -> None:
    ranks, array = tuple(range(100, 130)), SlurmArray(tasks_per_job=3, max_size=4)
    mapped = ArrayMap.of_element(1, 115, ranks, array)
    assert mapped is not None
    assert mapped.ranks_of(0) == (112, 113, 114)
    assert mapped.ranks_of(3) == (121, 122, 123)
    assert mapped.ranks_of(9) == ()


@pytest.mark.parametrize(
    ("index", "first"),
    [(0, 99), (0, 101), (1, 100), (0, 103)],
    ids=["no rank of it", "within an element", "before the first", "not at the begin of an array"],
)
def test_an_element_of_another_launch_maps_nothing(index: int, first: int) -> None:
    ranks, array = tuple(range(100, 130)), SlurmArray(tasks_per_job=3, max_size=4)
    assert ArrayMap.of_element(index, first, ranks, array) is None


def test_the_other_ranks_of_an_element_follow_the_one_it_names() -> None:
    ranks = (2, 5, 7, 11)
    assert ranks_from(5, ranks, SlurmArray(tasks_per_job=2)) == (5, 7)
    assert ranks_from(11, ranks, SlurmArray(tasks_per_job=2)) == (11,)
    assert ranks_from(3, ranks, SlurmArray(tasks_per_job=2)) == (3,)
