"""A look at a folder and what ``executor.json`` says -> one reading, on real folders."""

import os
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_executor, write_marker
from support.scans import read, scan, scan_with
from support.snapshots.readings import a_reading

from exporter.datatrove.ranks import UNKNOWN, Markers, Ranks
from exporter.datatrove.throughput import HOUR_SECONDS, NOTHING
from exporter.model.job import Reading
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_reading import (
    with_known_times,
    without_needless_times,
    without_old_times,
)
from exporter.scanning.probes.times import Times
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]


def memory_of(folder: Path, before: Memory | None = None) -> Memory:
    memory = scan(folder, before).memory
    assert memory is not None
    return memory


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


def test_one_node_whose_clock_is_far_ahead_does_not_keep_a_job_alive(make_job: MakeJob) -> None:
    """Its task is done, and counts for this launch; when, nobody knows. Ten minutes ahead are."""
    now = time.time()
    job = make_job("j", tasks=5, completed=[0, 1], launch=now - 7200, skip_completed=False)
    write_marker(job, "00002", now + 365 * 86_400)
    reading = read(job)
    assert (reading.tasks_completed, reading.tasks_completed_since_launch) == (3, 3)
    assert reading.last_completion_timestamp == pytest.approx(now - 7200 + 120)
    assert reading.longest_completion_gap_seconds == pytest.approx(60)
    write_marker(job, "00003", now + 600)
    assert read(job).last_completion_timestamp == pytest.approx(now + 600)


def test_no_completions_folder_is_no_task_done_and_a_log_is_a_start(make_job: MakeJob) -> None:
    queued, started = read(make_job("queued")), read(make_job("started", logs=[0]))
    assert (queued.tasks_completed, queued.started) == (0, False)
    assert (started.tasks_completed, started.started) == (0, True)
    assert queued.last_completion_timestamp is None
    assert queued.longest_completion_gap_seconds is None


def test_the_time_of_a_completions_folder_without_markers_is_no_completion(
    make_job: MakeJob,
) -> None:
    job = make_job("j")
    (job / "completions").mkdir()
    assert read(job).last_completion_timestamp is None


def test_a_look_is_told_how_many_tasks_there_are(make_job: MakeJob) -> None:
    """A backend asks for missing ranks by it."""
    assert memory_of(make_job("j", tasks=7)).look.world_size == 7


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


@pytest.mark.parametrize("tasks", [50_000_000, 2**53])
def test_a_huge_world_is_no_more_work(make_job: MakeJob, tasks: int) -> None:
    reading = read(make_job("j", tasks=tasks, completed=[99_999, 100_000, 7]))
    assert (reading.tasks, reading.tasks_completed) == (tasks, 3)


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


def markers_of(*ranks: int, times: list[int] | None = None) -> Markers:
    return Markers(Ranks(ranks), modified_ns=None if times is None else array("q", times))


def test_times_that_were_known_are_those_of_the_same_ranks() -> None:
    known = markers_of(1, 3, 4, times=[10, 30, 40])
    assert with_known_times(markers_of(3, 5), known) == markers_of(3, 5, times=[30, UNKNOWN])
    since = with_known_times(markers_of(1, 3, 4), known, since_ns=30)
    assert since == markers_of(1, 3, 4, times=[UNKNOWN, 30, 40])


def test_times_that_come_with_the_look_are_not_replaced_by_known_ones() -> None:
    known = markers_of(1, times=[10])
    for markers in (markers_of(1, times=[11]), markers_of()):
        assert with_known_times(markers, markers_of(1)) is markers
    listed = markers_of(1, times=[11])
    assert with_known_times(listed, known) is listed


def test_only_a_complete_job_forgets_the_times_of_its_markers(make_job: MakeJob) -> None:
    job = make_job("j", tasks=3, completed=[0, 1])
    open_still = memory_of(job)
    assert open_still.look.markers.modified_ns is not None
    assert without_needless_times(open_still) is open_still
    write_marker(job, "00002", LAUNCH + 1000)
    complete = memory_of(job, open_still)
    assert complete.look.markers.ranks == Ranks(range(3))
    assert complete.look.markers.modified_ns is None
    assert without_needless_times(complete) is complete


@pytest.mark.parametrize("what", ["nothing", "a marker", "the launch"])
def test_times_that_were_asked_for_hold_until_a_marker_may_have_another(
    make_job: MakeJob, what: str
) -> None:
    job = make_job("j", tasks=2, completed=[0, 1])
    asked = Times(2, LAUNCH * 10**9, array("q", [LAUNCH * 10**9] * 2))
    before = replace(memory_of(job), times=asked)
    if what == "a marker":
        write_marker(job, "00007", LAUNCH + 120)
    elif what == "the launch":
        write_executor(job, tasks=2, launch=LAUNCH + 10_000)
    after = memory_of(job, before)
    assert after.times == (asked if what == "nothing" else None)
    assert without_old_times(before, None) is before
