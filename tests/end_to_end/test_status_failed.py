"""``status --failed``, ``--missing`` and ``--strict`` on what real launches left."""

import json
import os
import re
import time
from pathlib import Path

import pytest
from support.jobs.folders import FAILED_LOG, LAUNCH, write_job, write_marker
from support.jobs.task_states import STATES, unpack
from support.status import status

from exporter.commands.status.logs.failed import _tail as tail_of
from exporter.storage.base import PART_BYTES


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("launches"))


def test_each_failed_task_is_told_with_its_log_class_place_and_age(launches: Path) -> None:
    run = status("--failed", launches / "local/failfast")
    log = launches / "local/failfast/logs/task_00002.log"
    assert run.code == 0
    assert ". 1 failed · 4 silent · 7 not started\n" in run.out
    assert re.search(rf"^  {log}  ValueError at steps.py:fault:40  .* ago$", run.out, re.MULTILINE)
    assert "  Nothing of this launch can finish it: mend the cause first." in run.out
    assert "bad document" not in run.out
    assert run.err == ""


def test_logs_that_nobody_may_read_are_said_to_be_so(tmp_path: Path) -> None:
    """Where they are another user's: the job would be failed, and is taken for stalled."""
    now = time.time()
    for name in ("a", "b", "done"):
        job = write_job(tmp_path / f"logs/{name}", tasks=2, launch=now - 9000)
        write_marker(job, "00000", now - 8000)
        (job / "logs").mkdir(mode=0)
    write_marker(tmp_path / "logs/done", "00001", now - 8000)
    ends = "; which of the tasks failed is not known\n"
    two = f"{tmp_path}/logs: logs of 2 jobs cannot be read, such as a{ends}"
    assert status(tmp_path / "logs").err == two
    one = f"{tmp_path}/logs: logs of 1 job cannot be read: a{ends}"
    assert status(tmp_path / "logs", "-p", "a").err == one
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"roots": [f"{tmp_path}/logs"], "jobs": {"watch_logs": "never"}}))
    assert status(config).err == ""


def test_every_failure_is_told_in_json(launches: Path) -> None:
    (job,) = status("--failed", "--json", launches / "local/kinds").json["jobs"]
    told = {str(task["rank"]): task["type"] for task in job["failed_tasks"]}
    known = {r: t for r, t in STATES["local/kinds"]["exceptions"].items() if " " not in t}
    assert told == {**known, "15": None}
    assert {task["rank"]: task["where"] for task in job["failed_tasks"]}[0] == "steps.py:fault:40"
    assert all(task["lines"] == [] for task in job["failed_tasks"])
    assert job["failed_tasks_error"] is None


def test_show_errors_is_for_others_and_not_for_who_may_read_the_log(
    launches: Path, tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    roots = [{"name": "kinds", "url": str(launches / "local/kinds"), "show_errors": "none"}]
    config.write_text(json.dumps({"roots": roots}))
    (job,) = status("--failed", "--json", config).json["jobs"]
    assert {failure["type"] for failure in job["failures"]} == {None}
    assert "MemoryError" in {task["type"] for task in job["failed_tasks"]}


def test_last_lines_are_told_escaped_without_variables_and_with_a_warning(launches: Path) -> None:
    run = status("--failed", "--tail", "3", launches / "local/failfast")
    assert "    | ValueError: bad document 2/3\n" in run.out
    assert "may hold secrets" in run.err
    everything = status("--failed", "--tail", "200", launches / "local/kinds")
    assert not re.search("[│└├\x1b\x07]", everything.out)
    logs = (launches / "local/kinds/logs").glob("*.log")
    assert any("│" in log.read_text(errors="replace") for log in logs)


def test_a_line_of_which_the_beginning_was_not_read_is_not_shown() -> None:
    begun = b"value\n" + b"y" * (PART_BYTES - len("value\n"))
    assert tail_of(begun, 200)[0].startswith("y")
    assert tail_of(b"value\nlast\n", 200) == ("value", "last")


def test_a_line_has_a_thousand_characters_and_says_that_it_is_cut() -> None:
    assert tail_of(b"x" * 1000 + b"\n" + b"y" * 1001, 2) == ("x" * 1000, "y" * 1000 + "…")


def test_logs_of_this_launch_and_its_ranks_alone_are_told_also_those_just_written(
    tmp_path: Path,
) -> None:
    launch = time.time() - 3600
    job = write_job(tmp_path / "j", tasks=4, completed=[0], launch=launch)
    (job / "logs").mkdir()
    ages = {0: 60, 1: 7200, 2: 1800, 3: 1, 4: 60}  # 0 is done, 1 is of before, 4 no task
    for rank, age in ages.items():
        log = job / f"logs/task_{rank:05d}.log"
        log.write_text(FAILED_LOG)
        os.utime(log, (time.time() - age, time.time() - age))
    (found,) = status("--failed", "--missing", "--json", tmp_path).json["jobs"]
    assert [task["rank"] for task in found["failed_tasks"]] == [2, 3]
    assert [log["rank"] for log in found["missing_logs"]] == [1, 2, 3]


def test_of_a_job_that_slices_run_no_log_is_too_old(tmp_path: Path) -> None:
    """Each process of a slice writes executor.json anew."""
    now = time.time()
    job = write_job(tmp_path / "j", tasks=4, launch=now - 60, local_tasks=2, local_rank_offset=2)
    (job / "logs").mkdir()
    log = job / "logs/task_00001.log"
    log.write_text(FAILED_LOG)
    os.utime(log, (now - 900, now - 900))
    (found,) = status("--failed", "--json", tmp_path).json["jobs"]
    assert [task["rank"] for task in found["failed_tasks"]] == [1]


def test_a_log_longer_than_what_is_read_and_odd_bytes_are_no_trouble(tmp_path: Path) -> None:
    job = write_job(tmp_path / "j", tasks=2, completed=[0])
    (job / "logs").mkdir(exist_ok=True)
    error = (
        "2026-01-01 00:00:00.000 | ERROR    | datatrove.executor.local:_run_for_rank:1 - x\n"
        'Traceback\n  File "/a/s.py", line 3, in run\nKeyError: 1\n\\ \x01\u202e\n'
    )
    (job / "logs/task_00001.log").write_bytes(b"\xff" * 200_000 + b"\n" + error.encode())
    run = status("--failed", "--tail", "1", tmp_path)
    assert "KeyError at s.py:run:3" in run.out
    assert "    | \\\\ \\x01\\u202e\n" in run.out


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ("local/chain", 0),
        ("local/relaunched", 0),
        ("local/two_pipelines", 3),  # all done, half of it by another pipeline
        ("local/noskip", 3),  # 4 markers of 4, and the last launch failed
        ("local/failfast", 3),
        ("live/running", 3),
        ("nosuch", 3),
    ],
)
def test_strict_lets_the_next_stage_begin_only_after_everything_is_done(
    launches: Path, job: str, code: int
) -> None:
    assert status("--strict", launches / job).code == code


def test_strict_lets_nothing_begin_after_what_could_not_be_read(tmp_path: Path) -> None:
    write_job(tmp_path / "done", tasks=1, completed=[0])
    assert status("--strict", tmp_path).code == 0
    write_job(tmp_path / "broken", tasks="many")
    assert status("--strict", tmp_path).code == 3
    (tmp_path / "empty").mkdir()
    assert status("--strict", tmp_path / "empty").code == 3


def test_strict_lets_nothing_begin_on_what_was_made_of_incomplete_input(tmp_path: Path) -> None:
    """Both stages are complete; the first had a task launched again after the second began."""
    folder = "DataFolder(path='/x/{}', fs=<fsspec.implementations.local.LocalFileSystem at 0x7>)"
    waits = {"depends": {"logging_dir": folder.format("sig")}}
    write_job(tmp_path / "sig", completed=range(4), logging_dir=folder.format("sig"))
    write_job(tmp_path / "buckets", completed=range(4), launch=LAUNCH + 3600, **waits)
    assert status("--strict", tmp_path).code == 0
    write_marker(tmp_path / "sig", "00002", LAUNCH + 7200)
    run = status("--strict", tmp_path)
    assert run.code == 3
    assert "buckets: began before 1 task of sig was done\n" in run.err
    assert "began before 1 task of sig was done" in run.out
    assert status("--strict", tmp_path / "buckets").code == 0, "nobody read the one before"
    for prefix in ("buckets", "b"):
        part = status("--strict", "-p", prefix, tmp_path)
        assert (part.code, part.err) == (run.code, run.err)
        assert "\nsig " not in part.out
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "executor.json").symlink_to("executor.json")
    assert status("--strict", "-p", "sig", tmp_path).code == 0, "others' trouble is not"
    write_job(tmp_path / "filter", launch=time.time(), partition="cpu", **waits)
    (tmp_path / "sig" / "completions" / "00001").unlink()
    assert "blocked by sig (3/4)" in status(tmp_path).out


def test_missing_ranks_are_told_with_their_states(launches: Path) -> None:
    run = status("--missing", launches / "local/failfast")
    logs = launches / "local/failfast/logs"
    assert f"  {logs}/task_00002.log  failed\n  {logs}/task_00003.log  silent\n" in run.out
    (job,) = status("--missing", "--json", launches / "local/failfast").json["jobs"]
    assert [log["state"] for log in job["missing_logs"]] == [
        "silent", "silent", "failed", "silent", "silent",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [("--tail", "3"), ("--failed", "--tail", "201")])
def test_lines_are_for_failed_tasks_and_not_without_end(wrong: tuple[str, ...]) -> None:
    assert status(*wrong).code == 2
