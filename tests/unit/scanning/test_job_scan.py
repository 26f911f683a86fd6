"""One job folder -> one reading, on real folders."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs import LAUNCH, write_executor, write_marker
from support.readings import a_reading

from exporter.datatrove.ranks import Ranks
from exporter.datatrove.throughput import HOUR_SECONDS, NOTHING
from exporter.model.job import Reading
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]


def scan(folder: Path, memory: Memory | None = None) -> JobScan:
    return scan_with(LocalStorage(str(folder.parent)), folder, memory)


def scan_with(storage: LocalStorage, folder: Path, memory: Memory | None = None) -> JobScan:
    path = (folder.name,)
    return scan_job(storage, path, storage.list_folder(path, with_subfolders=False), memory)


def read(folder: Path, memory: Memory | None = None) -> Reading:
    result = scan(folder, memory)
    assert result.error is None
    assert result.reading is not None
    return result.reading


def test_an_incomplete_job_gives_all_its_numbers(make_job: MakeJob) -> None:
    job = make_job("j", tasks=5, completed=[0, 3, 1], stray=["00009", "x.tmp"], logs=[0, 1, 3, 4])
    reading = read(job)
    assert reading.history is not None
    assert reading.history.points() == [(LAUNCH + n * 60, n) for n in (1, 2, 3)]
    assert replace(reading, history=None) == a_reading(
        tasks=5,
        tasks_completed=3,
        tasks_completed_since_launch=3,
        stray_markers=2,
        launch_timestamp=LAUNCH,
        start_timestamp=LAUNCH,
        last_completion_timestamp=LAUNCH + 180,
        longest_completion_gap_seconds=60,
        started=True,
        executor="local",
        slurm_job_name="",
        ranks=Ranks([0, 1, 3, 9]),
        by_hour=NOTHING,
    )


def test_no_completions_folder_is_no_task_done_and_a_log_is_a_start(make_job: MakeJob) -> None:
    queued, started = read(make_job("queued")), read(make_job("started", logs=[0]))
    assert (queued.tasks_completed, queued.started) == (0, False)
    assert (started.tasks_completed, started.started) == (0, True)
    assert queued.last_completion_timestamp is None
    assert queued.longest_completion_gap_seconds is None


def test_an_empty_logs_folder_is_no_start(make_job: MakeJob) -> None:
    job = make_job("j")
    (job / "logs").mkdir()
    assert not read(job).started


def test_a_job_complete_at_first_sight_costs_no_call_per_marker(make_job: MakeJob) -> None:
    job = make_job("j", tasks=50, completed=range(50))
    storage = LocalStorage(str(job.parent))
    reading = scan_with(storage, job).reading
    assert reading is not None
    assert reading.tasks_completed == 50
    assert reading.tasks_completed_since_launch is None
    assert reading.longest_completion_gap_seconds is None
    assert reading.last_completion_timestamp == LAUNCH + 50 * 60
    assert dict(storage.requests.totals())["stat"] < 10


def test_the_time_of_a_marker_is_asked_for_once(make_job: MakeJob) -> None:
    job = make_job("j", tasks=100, completed=range(40))
    storage = LocalStorage(str(job.parent))

    def stats(memory: Memory | None) -> tuple[int, JobScan]:
        before = dict(storage.requests.totals())["stat"]
        result = scan_with(storage, job, memory)
        return dict(storage.requests.totals())["stat"] - before, result

    first, result = stats(None)
    unchanged, result = stats(result.memory)
    write_marker(job, "00050", LAUNCH + 99_999)
    one_more, result = stats(result.memory)
    assert first - unchanged == 1 + 40  # one tells whether the folder's time is that of a marker
    assert one_more - unchanged == 1
    assert result.reading is not None
    assert result.reading.tasks_completed == 41
    assert result.reading.last_completion_timestamp == LAUNCH + 99_999


def test_a_job_that_completes_while_watched_keeps_its_pace(make_job: MakeJob) -> None:
    job = make_job("j", tasks=3, completed=[0, 1])
    memory = scan(job).memory
    write_marker(job, "00002", LAUNCH + 1000)
    reading = read(job, memory)
    assert reading.is_complete
    assert reading.tasks_completed_since_launch == 3
    assert reading.longest_completion_gap_seconds == 1000 - 120


@pytest.mark.parametrize("time", [0, -5, 3e11])
def test_one_marker_whose_time_is_nobodys_leaves_all_that_follows_from_times_unknown(
    make_job: MakeJob, time: float
) -> None:
    """A count of the others would be published as that of all."""
    job = make_job("j", tasks=5, completed=[0, 1, 2])
    os.utime(job / "completions" / "00001", (time, time))
    reading = read(job)
    assert (reading.tasks_completed, reading.launch_timestamp) == (3, LAUNCH)
    assert reading.tasks_completed_since_launch is None
    assert reading.longest_completion_gap_seconds is None
    assert reading.history is None
    folder = (job / "completions").stat().st_mtime
    assert reading.last_completion_timestamp in (None, pytest.approx(folder))


def test_deleted_markers_no_longer_count(make_job: MakeJob) -> None:
    job = make_job("j", tasks=5, completed=[0, 1, 2])
    memory = scan(job).memory
    (job / "completions" / "00002").unlink()
    reading = read(job, memory)
    assert reading.tasks_completed == 2
    assert reading.last_completion_timestamp == LAUNCH + 120
    assert reading.tasks_completed_since_launch == 2


def test_a_relaunch_with_fewer_tasks_leaves_strays_and_old_markers(make_job: MakeJob) -> None:
    job = make_job("j", tasks=10, completed=range(8))
    memory = scan(job).memory
    write_executor(job, tasks=4, launch=LAUNCH + 10_000)
    (job / "completions" / "00003").unlink()
    write_marker(job, "00003", LAUNCH + 10_500)
    reading = read(job, memory)
    assert (reading.tasks, reading.tasks_completed, reading.stray_markers) == (4, 4, 4)
    assert reading.launch_timestamp == LAUNCH + 10_000


def test_markers_written_again_by_a_launch_that_does_not_skip_are_seen(make_job: MakeJob) -> None:
    job = make_job("j", tasks=5, completed=[0, 1, 2])
    memory = scan(job).memory
    write_executor(job, tasks=5, launch=LAUNCH + 10_000, skip_completed=False)
    result = scan(job, memory)
    assert result.reading is not None
    assert result.reading.tasks_completed_since_launch == 0
    write_marker(job, "00001", LAUNCH + 10_300)
    reading = read(job, result.memory)
    assert reading.tasks_completed_since_launch == 1
    assert reading.longest_completion_gap_seconds == 300


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


@pytest.mark.parametrize("tasks", [50_000_000, 2**53])
def test_a_huge_world_is_no_more_work(make_job: MakeJob, tasks: int) -> None:
    reading = read(make_job("j", tasks=tasks, completed=[99_999, 100_000, 7]))
    assert (reading.tasks, reading.tasks_completed) == (tasks, 3)


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


def hours_ago(reading: Reading) -> dict[int, int]:
    """Tasks completed by how many hours ago."""
    assert reading.by_hour is not None
    now = int(time.time() // HOUR_SECONDS)
    return {now - hour: tasks for hour, tasks in reading.by_hour}


def mark(job: Path, rank: int, *, hours_ago: int) -> None:
    hour = time.time() // HOUR_SECONDS - hours_ago
    write_marker(job, f"{rank:05d}", hour * HOUR_SECONDS + 5)


def launched(job: Path, *, hours_ago: int, tasks: int) -> None:
    write_executor(job, tasks=tasks)
    at = time.time() - hours_ago * HOUR_SECONDS
    os.utime(job / "executor.json", (at, at))


def test_completions_are_counted_by_the_hour(make_job: MakeJob) -> None:
    job = make_job("j", tasks=9)
    for rank, ago in enumerate((5, 5, 3, 0, 400)):
        mark(job, rank, hours_ago=ago)
    mark(job, 9, hours_ago=1)  # is no task's
    assert hours_ago(read(job)) == {5: 2, 3: 1, 0: 1}
    (job / "executor.json").touch()
    assert hours_ago(read(job)) == {5: 2, 3: 1, 0: 1}  # those inherited, too


def test_what_was_completed_stays_so_whatever_becomes_of_the_markers(make_job: MakeJob) -> None:
    job = make_job("j", tasks=9)
    for rank, ago in enumerate((5, 5, 3)):
        mark(job, rank, hours_ago=ago)
    before = scan(job)
    (job / "completions/00000").unlink()
    (job / "executor.json").write_text("{")
    broken = scan(job, before.memory)
    assert broken.reading is None
    launched(job, hours_ago=1, tasks=9)
    again = scan(job, broken.memory)
    assert again.reading is not None
    assert again.reading.tasks_completed == 2
    assert hours_ago(again.reading) == {5: 2, 3: 1}
    mark(job, 0, hours_ago=0)
    assert hours_ago(read(job, again.memory)) == {5: 2, 3: 1, 0: 1}


def test_of_a_job_complete_when_first_seen_nobody_knows_when(make_job: MakeJob) -> None:
    job = make_job("j", tasks=3, completed=[0, 1, 2])
    last = LAUNCH + 180
    os.utime(job / "completions", (last, last))
    assert read(job).last_completion_timestamp == last
    assert read(job).by_hour is None
