"""One job folder -> one reading, on real folders."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_executor, write_marker
from support.scans import read, scan, scan_with

from exporter.scanning.job_scan import scan_job
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]


@pytest.mark.parametrize("is_seen_before", [True, False])
def test_a_complete_job_that_is_run_again_as_a_whole_is_not_complete_until_it_has_done_all(
    make_job: MakeJob, is_seen_before: bool
) -> None:
    job = make_job("j", tasks=3, completed=[0, 1, 2])
    memory = scan(job).memory if is_seen_before else None
    write_executor(job, tasks=3, launch=LAUNCH + 10_000, skip_completed=False, local_tasks=3)
    for rank, left in ((0, 2), (2, 1), (1, 0)):
        result = scan(job, memory)
        assert result.reading is not None
        assert (result.reading.is_complete, result.is_settled) == (False, False)
        write_marker(job, f"{rank:05d}", LAUNCH + 10_300)
        result = scan(job, result.memory)
        assert result.reading is not None
        assert (result.reading.tasks_completed, result.reading.tasks_left) == (3, left)
        memory = result.memory
    assert (result.reading.is_complete, result.is_settled) == (True, True)


def test_a_job_of_which_slices_are_run_again_is_complete_by_its_markers(make_job: MakeJob) -> None:
    job = make_job("j", tasks=3, completed=[0, 1, 2])
    write_executor(job, tasks=3, launch=LAUNCH + 10_000, skip_completed=False, local_tasks=1)
    reading = read(job)
    assert (reading.tasks_completed_since_launch, reading.is_complete) == (0, True)


def test_a_folder_that_is_gone_is_neither_read_nor_an_error(make_job: MakeJob) -> None:
    job = make_job("j", completed=[0])
    memory = scan(job).memory
    for file in (job / "completions").iterdir():
        file.unlink()
    (job / "completions").rmdir()
    (job / "executor.json").unlink()
    assert scan(job, memory).is_gone


def test_an_invalid_file_is_read_once_and_reported_each_time(make_job: MakeJob) -> None:
    job = make_job("j", tasks="four")
    storage = LocalStorage(str(job.parent))
    first = scan_with(storage, job)
    second = scan_with(storage, job, first.memory)
    for result in (first, second):
        assert result.error is not None
        assert result.error.reason == "invalid"
    assert dict(storage.requests.totals())["read"] == 1
    write_executor(job, tasks=4)
    assert read(job, second.memory).tasks == 4


def test_a_file_that_is_too_large_to_parse_is_read_once_and_told_as_such(
    make_job: MakeJob,
) -> None:
    job = make_job("j", tasks=4)
    good = scan(job)
    write_on_one_line(job, tasks=4)
    storage = LocalStorage(str(job.parent))
    first = scan_with(storage, job, good.memory)
    second = scan_with(storage, job, first.memory)
    for result in (first, second):
        assert result.error is not None
        assert result.error.reason == "too_large"
    assert dict(storage.requests.totals())["read"] == 1
    write_executor(job, tasks=5)
    assert read(job, second.memory).tasks == 5


def write_on_one_line(job: Path, tasks: int) -> None:
    """A file of 5 MB, not laid out as datatrove does."""
    content = {"pipeline": ["x" * 5_000_000], "world_size": tasks}
    (job / "executor.json").write_text(json.dumps(content))


@pytest.mark.parametrize("documents", [[], ["x" * 5_000_000]], ids=["small", "large"])
def test_a_file_that_is_being_written_is_waited_for(
    make_job: MakeJob, documents: list[str]
) -> None:
    job = make_job("j", tasks=6, pipeline=documents)
    whole = (job / "executor.json").read_bytes()
    (job / "executor.json").write_bytes(whole[: len(whole) // 2])
    writer = threading.Timer(0.04, (job / "executor.json").write_bytes, (whole,))
    writer.start()
    assert read(job).tasks == 6
    writer.join()


def test_the_last_good_pace_survives_a_file_that_is_broken_for_a_while(make_job: MakeJob) -> None:
    job = make_job("j", tasks=6, completed=[0, 1])
    good = scan(job)
    whole = (job / "executor.json").read_bytes()
    (job / "executor.json").write_bytes(b"{")
    broken = scan(job, good.memory)
    assert broken.error is not None
    (job / "executor.json").write_bytes(whole)
    os.utime(job / "executor.json", (LAUNCH, LAUNCH))
    assert read(job, broken.memory) == good.reading


def test_completions_that_is_no_folder_is_an_error(make_job: MakeJob) -> None:
    job = make_job("j")
    (job / "completions").write_text("")
    result = scan(job)
    assert result.error is not None
    assert result.error.reason == "invalid"


@pytest.mark.parametrize("with_link", [False, True], ids=["counted", "not to be told by the count"])
def test_a_folder_among_the_markers_is_stray(make_job: MakeJob, with_link: bool) -> None:
    """However the storage finds out what is a folder: the quick way, by link counts, too."""
    job = make_job("j", tasks=3, completed=[0], logs=[0])
    if with_link:
        (job / "link").symlink_to(job / "logs")
    storage = LocalStorage(str(job.parent))

    def seen() -> tuple[int, int]:
        folder = storage.list_folder(("j",), with_subfolders=True)
        assert len(folder.subfolders) == 2 + with_link
        reading = scan_job(storage, ("j",), folder).reading
        assert reading is not None
        return reading.tasks_completed, reading.stray_markers

    assert seen() == (1, 0)
    (job / "completions" / "00001").mkdir()
    assert seen() == (1, 1)
    (job / "completions" / "00002").symlink_to(job / "logs")
    assert seen() == (2, 1)
