"""Sums over the tasks of a job, from scan to scan, on real folders."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_executor
from support.jobs.stats import (
    FILTER,
    Scanned,
    a_pipeline,
    a_step,
    as_bytes,
    complete,
    uncomplete,
    write_stats,
)
from support.scans import Watch

from exporter.datatrove.ranks import Ranks
from exporter.datatrove.stats import STATS_LIMIT_BYTES, JobStats
from exporter.errors import StorageError
from exporter.scanning.probes import stats as probe
from exporter.scanning.probes import stats_memory
from exporter.scanning.probes.limits import Limits
from exporter.storage.base import Path as JobPath
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]
MINUTE = 60


def documents(stats: JobStats) -> tuple[int, int | None]:
    """Tasks in the sums, and documents that they read."""
    return stats.tasks, None if stats.stats is None else stats.stats.documents_read


def a_job(make_job: MakeJob, tasks: int, completed: int, **options: object) -> Path:
    job = make_job("job", tasks=tasks, **options)
    for rank in range(completed):
        complete(job, rank, LAUNCH + (rank + 1) * MINUTE, a_pipeline(read=10 + rank))
    return job


# Reading once


def test_each_completed_task_is_read_once_when_its_marker_is_new(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    scanned = Scanned.on_disk(job)
    assert scanned.requests()["read"] == 3 + 1  # and executor.json
    assert documents(scanned.sums()) == (3, 33)
    assert scanned.requests() == Scanned.on_disk(job, read_stats="never").requests() | {
        "read": 0
    } | {name: n for name, n in scanned.requests().items() if name != "read"}
    complete(job, 5, LAUNCH + 600, a_pipeline(read=100))
    assert scanned.requests()["read"] == 1
    assert documents(scanned.sums()) == (4, 133)


def test_without_markers_there_are_no_documents_yet(make_job: MakeJob) -> None:
    scanned = Scanned.on_disk(a_job(make_job, 8, 0, logs=[0]))
    assert scanned.sums() == JobStats(0)


def test_stats_of_tasks_without_a_marker_and_of_stray_ranks_do_not_count(make_job: MakeJob) -> None:
    job = a_job(make_job, 4, 2)
    write_stats(job, 3)
    complete(job, 7, LAUNCH + 600)
    assert documents(Scanned.on_disk(job).sums()) == (2, 21)


def test_never_reads_nothing_and_says_nothing(make_job: MakeJob) -> None:
    scanned = Scanned.on_disk(a_job(make_job, 8, 3), read_stats="never")
    assert scanned.scan().stats is None
    assert scanned.requests()["read"] == 0


def test_while_nothing_changes_it_costs_nothing_more_and_the_reading_is_the_same(
    make_job: MakeJob,
) -> None:
    job = a_job(make_job, 8, 3)
    scanned, without = Scanned.on_disk(job), Scanned.on_disk(job, read_stats="never")
    for each in (scanned, without):
        each.scan()
        each.scan()  # folders that just changed are listed again
    before = scanned.scan()
    assert scanned.requests() == without.requests()
    assert scanned.scan() == before


def test_a_scan_reads_two_hundred_files_and_the_next_ones_the_rest(make_job: MakeJob) -> None:
    """As after a restart. The newest come first."""
    scanned = Scanned.on_disk(a_job(make_job, 1000, 450))
    seen = [scanned.sums() for _ in range(4)]
    assert documents(seen[0]) == (200, sum(range(260, 460)))
    assert [(stats.tasks, stats.to_read) for stats in seen] == [
        (200, 250), (400, 50), (450, 0), (450, 0),
    ]  # fmt: skip
    assert documents(seen[-1]) == (450, sum(range(10, 460)))
    assert scanned.requests()["read"] == 0


def test_what_is_new_is_not_forgotten_while_a_backlog_waits(make_job: MakeJob) -> None:
    job = a_job(make_job, 1000, 250)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    complete(job, 999, LAUNCH + 20_000, a_pipeline(read=1000))
    assert documents(scanned.sums()) == (251, sum(range(10, 260)) + 1000)


def test_a_job_that_became_complete_is_looked_at_until_all_is_read(make_job: MakeJob) -> None:
    job = a_job(make_job, 450, 449)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    complete(job, 449, LAUNCH + 40_000)
    assert scanned.sums().to_read == 50
    assert scanned.result is not None
    assert not scanned.result.is_settled
    assert scanned.sums().tasks == 450
    assert scanned.result.is_settled


def test_what_is_read_late_is_not_what_was_done_last(make_job: MakeJob) -> None:
    """A task of another pipeline, done in the middle, is read in the middle."""
    job = a_job(make_job, 1000, 450)
    complete(job, 999, LAUNCH + 100 * MINUTE + 1, a_pipeline()[:2])
    scanned = Scanned.on_disk(job)
    seen = [scanned.sums() for _ in range(4)]
    assert (seen[-1].tasks, seen[-1].of_another_pipeline) == (450, 1)


def test_a_slow_storage_has_so_much_time_for_one_job(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_ENOUGH_SECONDS", 0.0)
    scanned = Scanned.on_disk(a_job(make_job, 8, 3))
    assert [scanned.sums().tasks for _ in range(4)] == [1, 2, 3, 3]


class LateStorage(LocalStorage):
    """Local folders that show files a minute after they were written."""

    lag_seconds = 60.0


def test_a_file_that_a_storage_does_not_show_yet_is_not_missing(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    complete(job, 5, time.time())
    (job / "stats" / "00005.json").unlink()
    scanned = Scanned(LateStorage(str(job.parent)), "job")
    stats = scanned.sums()
    assert (stats.tasks, stats.unusable, stats.to_read) == (3, 0, 1)
    write_stats(job, 5)
    assert scanned.sums().tasks == 4


# Lives of markers


def test_a_deleted_marker_takes_its_documents_along_and_brings_new_ones_when_it_comes_again(
    make_job: MakeJob,
) -> None:
    job = a_job(make_job, 8, 3)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    uncomplete(job, [1], LAUNCH + 900)
    assert documents(scanned.sums()) == (2, 10 + 12)
    complete(job, 1, LAUNCH + 1000, a_pipeline(read=500))
    assert documents(scanned.sums()) == (3, 10 + 12 + 500)


def test_all_markers_deleted_is_a_new_life_of_all_tasks_without_a_read(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    uncomplete(job, range(3), LAUNCH + 900)
    assert scanned.requests()["read"] == 0
    assert documents(scanned.sums()) == (0, None)


def test_a_marker_that_was_written_again_counts_as_it_is_now(make_job: MakeJob) -> None:
    """Where every task is run again, stats of the launches before do not count."""
    job = a_job(make_job, 3, 3)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    write_executor(job, tasks=3, launch=LAUNCH + 1000, skip_completed=False)
    assert documents(scanned.sums()) == (0, None)
    complete(job, 1, LAUNCH + 1000, a_pipeline(read=500))  # at once, as times of storages go
    assert documents(scanned.sums()) == (1, 500)


@pytest.mark.parametrize("skip_completed", [True, False])
def test_a_task_that_is_run_again_between_two_scans_counts_as_it_is_now(
    make_job: MakeJob, skip_completed: bool
) -> None:
    """Nobody saw that its marker was gone."""
    job = a_job(make_job, 8, 3)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    uncomplete(job, [1], LAUNCH + 900)
    write_executor(job, tasks=8, launch=LAUNCH + 1000, skip_completed=skip_completed)
    complete(job, 1, LAUNCH + 1100, a_pipeline(read=500))
    reading = scanned.scan()
    assert reading.tasks_completed_since_launch == 1
    assert reading.stats is not None
    assert documents(reading.stats) == ((3, 522) if skip_completed else (1, 500))


def test_a_task_of_a_complete_job_that_is_run_again_between_two_scans_counts_as_it_is_now(
    make_job: MakeJob,
) -> None:
    """Nobody kept the times of its markers."""
    job = a_job(make_job, 3, 2)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    complete(job, 2, LAUNCH + 800, a_pipeline(read=12))
    assert documents(scanned.sums()) == (3, 33)
    assert scanned.memory is not None
    assert scanned.memory.stats is not None
    assert scanned.memory.stats.seen is scanned.memory.look.markers  # eight bytes a task otherwise
    uncomplete(job, [1], LAUNCH + 900)
    write_executor(job, tasks=3, launch=LAUNCH + 1000)
    complete(job, 1, LAUNCH + 1100, a_pipeline(read=500))
    assert documents(scanned.sums()) == (3, 522)


def test_a_launch_with_fewer_tasks_leaves_the_others_out(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    write_executor(job, tasks=2, launch=LAUNCH + 1000)
    assert documents(scanned.sums()) == (2, 21)


# What is left out


def test_tasks_of_another_pipeline_than_the_newest_are_left_out_and_told(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    other = [a_step(FILTER, total=7, forwarded=7)]
    complete(job, 6, LAUNCH + 1, other)  # the oldest
    scanned = Scanned.on_disk(job)
    stats = scanned.sums()
    assert documents(stats) == (3, 33)
    assert stats.of_another_pipeline == 1
    complete(job, 7, LAUNCH + 5000, other)  # the newest
    stats = scanned.sums()
    assert (stats.tasks, stats.of_another_pipeline) == (2, 3)
    assert stats.stats is not None
    assert stats.stats.documents_read is None
    assert stats.stats.steps()[0].documents_in == 14


def test_a_pipeline_that_is_run_again_after_another_has_all_of_its_tasks(make_job: MakeJob) -> None:
    """A script was changed, and changed back. Nothing is read twice for that."""
    job = a_job(make_job, 9, 3)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    complete(job, 6, LAUNCH + 5000, [a_step(FILTER, total=7, forwarded=7)])
    assert scanned.sums().tasks == 1
    complete(job, 7, LAUNCH + 6000, a_pipeline(read=100))
    assert scanned.requests()["read"] == 1
    stats = scanned.sums()
    assert documents(stats) == (4, 133)
    assert stats.of_another_pipeline == 1
    uncomplete(job, [7], LAUNCH + 7000)
    scanned.scan()
    assert documents(scanned.sums()) == (1, None)  # the other one completed a task last


def test_pipelines_without_end_are_no_sums_without_end(make_job: MakeJob) -> None:
    """Steps that are named after their task."""
    job = make_job("job", tasks=40)
    for rank in range(30):
        complete(job, rank, LAUNCH + rank, [a_step(f"step {rank}", total=rank)])
    scanned = Scanned.on_disk(job)
    stats = scanned.sums()
    assert (stats.tasks, stats.of_another_pipeline, stats.to_read) == (1, 29, 0)
    assert stats.stats is not None
    assert stats.stats.steps()[0].documents_in == 29
    assert scanned.memory is not None
    assert scanned.memory.stats is not None
    assert len(scanned.memory.stats.pipelines) == stats_memory.MOST_PIPELINES
    assert scanned.requests()["read"] == 0
    uncomplete(job, [3], LAUNCH + 900)
    assert scanned.sums().of_another_pipeline == 28


@pytest.mark.parametrize(
    "content",
    [
        b"",
        as_bytes(a_pipeline())[:-100],
        as_bytes([a_step(FILTER, total=float("nan"))]),
        as_bytes([a_step(FILTER, **{f"word-{n}": n for n in range(60_000)})]),
        as_bytes(a_pipeline()) + b" " * STATS_LIMIT_BYTES,
    ],
    ids=["empty", "half", "NaN", "0.9 MB", "too large"],
)
def test_a_file_that_cannot_be_used_is_left_out_told_and_not_read_again(
    make_job: MakeJob, content: bytes
) -> None:
    job = a_job(make_job, 8, 3)
    complete(job, 4, LAUNCH + 600, content)
    scanned = Scanned.on_disk(job)
    stats = scanned.sums()
    assert documents(stats) == (3, 33)
    assert (stats.unusable, stats.to_read) == (1, 0)
    assert scanned.requests()["read"] == 0


@pytest.mark.parametrize(("size", "is_read"), [(262_143, True), (262_144, True), (262_145, False)])
def test_a_file_may_have_256_kib(make_job: MakeJob, size: int, is_read: bool) -> None:
    job = a_job(make_job, 8, 0)
    complete(job, 4, LAUNCH + 600, as_bytes(a_pipeline()).ljust(size))
    stats = Scanned.on_disk(job).sums()
    assert (stats.tasks, stats.unusable) == ((1, 0) if is_read else (0, 1))


def test_a_missing_file_a_folder_and_a_link_are_left_out(make_job: MakeJob, tmp_path: Path) -> None:
    job = a_job(make_job, 8, 3)
    for rank in (4, 5, 6):
        complete(job, rank, LAUNCH + 600)
        (job / "stats" / f"{rank:05d}.json").unlink()
    (job / "stats" / "00005.json").mkdir()
    (tmp_path / "elsewhere").write_bytes(as_bytes(a_pipeline()))
    (job / "stats" / "00006.json").symlink_to(tmp_path / "elsewhere")
    stats = Scanned.on_disk(job).sums()
    assert documents(stats) == (3, 33)
    assert stats.unusable == 3


def test_a_fifo_holds_up_nobody(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    complete(job, 4, LAUNCH + 600)
    (job / "stats" / "00004.json").unlink()
    os.mkfifo(job / "stats" / "00004.json")
    assert Scanned.on_disk(job).sums().unusable == 1


class FailingStorage(LocalStorage):
    """Local folders whose files fail to be read for a while."""

    failure: StorageError | None = None

    def read_file(self, path: JobPath, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        if self.failure is not None:
            self.requests.add("read")
            raise self.failure
        return super().read_file(path, file, limit_bytes)


def test_trouble_that_may_pass_stops_the_reading_is_told_once_and_made_up_for(
    make_job: MakeJob,
) -> None:
    storage = FailingStorage(str(a_job(make_job, 8, 3).parent))
    scanned = Scanned(storage, "job")
    storage.failure = StorageError("throttled", "slow down")
    told = []
    for _ in range(3):
        assert scanned.sums() == JobStats(0, to_read=3)
        assert scanned.result is not None
        told.append(scanned.result.stats_error is not None)
    assert told == [True, False, False]
    assert scanned.requests()["read"] == 1  # one try a scan, not one for each task
    storage.failure = None
    assert documents(scanned.sums()) == (3, 33)


def test_who_may_not_read_stats_is_not_asked_at_every_scan(make_job: MakeJob) -> None:
    storage = FailingStorage(str(a_job(make_job, 8, 3).parent))
    scanned = Scanned(storage, "job")
    storage.failure = StorageError("denied", "no")
    assert scanned.sums().to_read == 3
    assert scanned.requests()["read"] == 0


class ClosedStorage(LocalStorage):
    """Local folders, of whose files some are somebody else's."""

    closed: tuple[int, ...] = ()

    def read_file(self, path: JobPath, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        if file in {f"stats/{rank:05d}.json" for rank in self.closed}:
            self.requests.add("read")
            raise StorageError("denied", "no")
        return super().read_file(path, file, limit_bytes)


def test_one_file_that_nobody_may_read_holds_up_no_others(make_job: MakeJob) -> None:
    storage = ClosedStorage(str(a_job(make_job, 300, 250).parent))
    storage.closed = (249, 7)
    scanned = Scanned(storage, "job")
    assert scanned.sums().tasks == 199
    stats = scanned.sums()
    assert (stats.tasks, stats.unusable, stats.to_read) == (248, 2, 0)
    assert scanned.requests()["read"] == 0


def test_where_nobody_may_read_any_a_few_are_tried(make_job: MakeJob) -> None:
    storage = ClosedStorage(str(a_job(make_job, 300, 250).parent))
    storage.closed = tuple(range(300))
    scanned = Scanned(storage, "job")
    assert scanned.requests()["read"] == 1 + 3  # and executor.json
    assert scanned.sums() == JobStats(0, to_read=250)
    assert scanned.result is not None
    assert scanned.memory is not None
    assert scanned.memory.stats is not None
    assert scanned.memory.stats.error is not None


# Files that come later


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = [0.0] * len(stats_memory.RETRY_PAUSES_SECONDS)
    monkeypatch.setattr(stats_memory, "RETRY_PAUSES_SECONDS", pauses)


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("at_first", [None, b"", as_bytes(a_pipeline())[:-100], b"\xff\xfe["])
def test_a_file_that_is_whole_later_counts_then(make_job: MakeJob, at_first: bytes | None) -> None:
    """As where a folder is copied, in which markers come before stats."""
    job = a_job(make_job, 8, 3)
    complete(job, 4, LAUNCH + 600, at_first)
    if at_first is None:
        (job / "stats" / "00004.json").unlink()
    scanned = Scanned.on_disk(job)
    assert documents(scanned.sums()) == (3, 33)
    write_stats(job, 4, a_pipeline(read=100))
    assert documents(scanned.sums()) == (4, 133)
    assert scanned.sums().unusable == 0
    assert scanned.requests()["read"] == 0


@pytest.mark.usefixtures("without_pauses")
def test_a_file_that_stays_half_is_looked_for_a_few_times_only(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 8)
    (job / "stats" / "00004.json").write_bytes(b"[")
    uncomplete(job, [7], LAUNCH + 900)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    complete(job, 7, LAUNCH + 1000)
    tries, settled = [], []
    for _ in range(8):
        tries.append(scanned.requests()["read"])
        assert scanned.result is not None
        settled.append(scanned.result.is_settled)
    assert tries == [2, 1, 1, 1, 1, 0, 0, 0]  # the first with that of the last task
    assert settled == [False, False, True, True, True, True, True, True]
    assert scanned.sums().unusable == 1


def test_between_two_tries_nothing_is_read(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    (job / "stats" / "00001.json").unlink()
    scanned = Scanned.on_disk(job)
    assert scanned.sums().unusable == 1
    write_stats(job, 1)
    assert [scanned.requests()["read"] for _ in range(3)] == [0, 0, 0]


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("content", [as_bytes([{"name": 1}]), b"[" + b" " * STATS_LIMIT_BYTES])
def test_a_file_that_is_whole_and_wrong_is_read_once(make_job: MakeJob, content: bytes) -> None:
    job = a_job(make_job, 8, 3)
    write_stats(job, 1, content)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    assert [scanned.requests()["read"] for _ in range(3)] == [0, 0, 0]


@pytest.mark.usefixtures("without_pauses")
def test_hope_is_new_and_told_anew_after_a_file_that_was_fine(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    write_stats(job, 1, b"[")
    scanned = Scanned.on_disk(job)
    for _ in range(len(stats_memory.RETRY_PAUSES_SECONDS) + 1):
        scanned.scan()
    uncomplete(job, [1], LAUNCH + 900)
    complete(job, 4, LAUNCH + 910)
    scanned.scan()
    complete(job, 5, LAUNCH + 920, b"[")
    scanned.scan()
    assert scanned.result is not None
    assert scanned.result.stats_fault is not None
    write_stats(job, 5)
    assert (scanned.sums().tasks, scanned.sums().unusable) == (4, 0)


def test_only_what_is_still_done_is_hoped_for(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    (job / "stats" / "00001.json").unlink()
    scanned = Scanned.on_disk(job)
    for markers in (1, 0):
        scanned.scan()
        assert scanned.memory is not None
        assert scanned.memory.stats is not None
        assert len(scanned.memory.stats.hoped) == markers
        uncomplete(job, [1] * markers, LAUNCH + 900)


@pytest.mark.usefixtures("without_pauses")
def test_a_marker_that_goes_takes_the_hope_for_its_file_along(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    (job / "stats" / "00001.json").unlink()
    scanned = Scanned.on_disk(job)
    scanned.scan()
    uncomplete(job, [1], LAUNCH + 900)
    assert scanned.sums() == JobStats(2, scanned.sums().stats)
    assert scanned.requests()["read"] == 0


def test_what_is_wrong_with_a_file_is_told_once_without_what_is_in_it(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 3)
    write_stats(job, 1, b'[{"name": "secret"')
    scanned = Scanned.on_disk(job)
    scanned.scan()
    assert scanned.result is not None
    assert str(scanned.result.stats_fault) == str(
        StorageError("invalid", "stats/00001.json: not JSON")
    )
    complete(job, 5, LAUNCH + 900, b"[")
    scanned.scan()
    assert scanned.result.stats_fault is None
    assert scanned.result.stats_error is None


def test_a_job_with_files_left_out_is_readable_and_logged_once(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    job = a_job(make_job, 8, 3)
    (job / "stats" / "00001.json").unlink()
    watch = Watch(job.parent, read_stats="totals")
    with caplog.at_level("WARNING", "exporter"):
        root = watch.scan()
        complete(job, 5, LAUNCH + 900, b"[")
        root = watch.scan()
    watch.close()
    assert [each.error for each in root.jobs] == [None]
    assert not any(count for _, count in root.errors)
    (record,) = [r for r in caplog.records if r.name == "exporter.jobnews"]
    assert record.getMessage() == "job has stats that are left out"


# Complete when first seen


def merged(job: Path, when: float, read: int = 77) -> None:
    file = job / "stats.json"
    file.write_bytes(as_bytes(a_pipeline(read=read)))
    os.utime(file, (when, when))


@pytest.mark.parametrize(
    ("keys", "launch", "stray", "written", "is_trusted"),
    [
        ({}, LAUNCH, [], 0, True),
        ({}, LAUNCH + 150, [], 9000, False),
        ({"local_tasks": 3}, LAUNCH, [], 9000, False),
        ({"local_tasks": 8}, LAUNCH, [], 9000, True),
        ({"partition": "cpu"}, LAUNCH, [], 9000, True),
        ({"partition": "cpu"}, LAUNCH + 150, [], 9000, True),
        ({"partition": "cpu"}, LAUNCH, [], 300, False),
        ({"partition": "cpu"}, LAUNCH, ["00009"], 9000, False),
        ({"start_method": None, "ray_remote_kwargs": {}}, LAUNCH + 150, ["00009"], 0, True),
        ({"start_method": None, "flavor": "cpu"}, LAUNCH + 150, [], 0, True),
    ],
    ids=[
        "local", "local relaunched", "local slice", "local, all tasks in its slice",
        "slurm", "slurm relaunched", "slurm, older than a marker", "slurm, stray markers",
        "ray", "jobs",
    ],
)  # fmt: skip
def test_of_a_job_that_is_complete_when_first_seen_the_merged_stats_count_if_they_hold_all(
    make_job: MakeJob, keys: dict, launch: float, stray: list[str], written: float, is_trusted: bool
) -> None:
    job = a_job(make_job, 8, 8, launch=launch, stray=stray, **keys)
    if keys.get("start_method", "") is None:
        content = (job / "executor.json").read_text().replace('"start_method": null,', "")
        (job / "executor.json").write_text(content)
        os.utime(job / "executor.json", (launch, launch))
    os.utime(job / "completions", (LAUNCH + 480, LAUNCH + 480))
    merged(job, LAUNCH + written)
    scanned = Scanned.on_disk(job)
    stats = scanned.scan().stats
    if is_trusted:
        assert stats is not None
        assert documents(stats) == (8, 77)
    else:
        assert stats is None
    assert scanned.requests()["read"] == 0
    assert scanned.scan().stats == stats


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("at_first", ["missing", "half", "of the launch before"])
def test_merged_stats_are_written_after_the_last_marker_so_they_are_waited_for(
    make_job: MakeJob, at_first: str
) -> None:
    launch = time.time() - 600
    job = make_job("job", tasks=2, launch=launch)
    for rank in range(2):
        complete(job, rank, launch + 60)
    if at_first != "missing":
        merged(job, launch - 600, read=5)
    if at_first == "half":
        (job / "stats.json").write_text("[")
    scanned = Scanned.on_disk(job)
    assert scanned.scan().stats is None
    assert scanned.result is not None
    assert not scanned.result.is_settled
    merged(job, time.time())
    assert documents(scanned.sums()) == (2, 77)
    assert scanned.result.is_settled
    assert scanned.requests()["read"] == 0


@pytest.mark.usefixtures("without_pauses")
def test_merged_stats_that_never_come_are_looked_for_a_few_times_only(make_job: MakeJob) -> None:
    launch = time.time() - 600
    job = make_job("job", tasks=1, launch=launch)
    complete(job, 0, launch + 60)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    assert [scanned.requests()["read"] for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    assert scanned.scan().stats is None


@pytest.mark.usefixtures("without_pauses")
def test_merged_stats_of_a_job_that_was_done_long_ago_are_looked_for_once(
    make_job: MakeJob,
) -> None:
    scanned = Scanned.on_disk(a_job(make_job, 8, 8))
    scanned.scan()
    assert scanned.result is not None
    assert scanned.result.is_settled
    assert scanned.requests()["read"] == 0


@pytest.mark.parametrize("kind", [{"partition": "cpu"}, {}, {"ray_remote_kwargs": {}}])
@pytest.mark.parametrize(("each", "is_trusted"), [(0.5 / 8, True), (0.5 / 12, False)])
def test_merged_stats_of_another_number_of_tasks_are_not_trusted(
    make_job: MakeJob, kind: dict, each: float, is_trusted: bool
) -> None:
    """Where somebody deletes completions/ and launches with fewer tasks, Slurm merges those of
    before, too. Their times tell."""
    job = a_job(make_job, 8, 8, **kind)
    merged(job, LAUNCH + 9000)
    content = (job / "stats.json").read_text()
    assert content.count('"total": 0.5') == 1
    content = content.replace('"total": 0.5', f'"total": 0.5, "global_mean": {each}')
    (job / "stats.json").write_text(content)
    scanned = Scanned.on_disk(job)
    assert (scanned.scan().stats is not None) == is_trusted
    assert scanned.requests()["read"] == 0


def test_a_job_complete_when_first_seen_costs_one_read(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 8)
    merged(job, LAUNCH + 9000)
    assert Scanned.on_disk(job).requests()["read"] == 1 + 1  # and executor.json


def test_a_job_of_very_many_tasks_is_not_asked_for_the_time_of_each(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_LIMITS", Limits(200, 200, stats=7))
    job = a_job(make_job, 8, 8)
    merged(job, LAUNCH + 9000)
    scanned, without = Scanned.on_disk(job), Scanned.on_disk(job, read_stats="never")
    assert scanned.requests() == without.requests()
    assert scanned.scan().stats is None
    assert scanned.memory is not None
    assert scanned.memory.stats is not None
    assert not scanned.memory.stats.waiting


def test_a_launch_alone_costs_no_look_at_the_time_of_each_marker(make_job: MakeJob) -> None:
    """Where the time of their folder says that nothing was written or deleted since."""
    costs = []
    for markers in (1, 7):
        job = make_job(f"{markers}", tasks=8)
        (job / "completions").mkdir()
        for rank in range(markers):
            (job / "completions" / f"{rank:05d}").touch()
        scanned = Scanned.on_disk(job, read_stats="never")
        scanned.scan()
        write_executor(job, tasks=8, launch=time.time() + 1)
        costs.append(scanned.requests())
    assert costs[0] == costs[1]


def test_complete_jobs_that_wait_for_their_turn_are_looked_at_as_seldom_as_others() -> None:
    waiting = stats_memory.StatsMemory(1, waiting=Ranks([0]), of_all=True)
    assert not waiting.expects_more
    assert replace(waiting, tries=1).expects_more
    assert replace(waiting, of_all=False).expects_more


def test_merged_stats_that_are_missing_or_broken_tell_nothing(make_job: MakeJob) -> None:
    job = a_job(make_job, 8, 8)
    assert Scanned.on_disk(job).scan().stats is None
    (job / "stats.json").write_text("[")
    assert Scanned.on_disk(job).scan().stats is None


def test_a_job_whose_marker_goes_after_it_was_seen_complete_is_read_task_by_task(
    make_job: MakeJob,
) -> None:
    job = a_job(make_job, 8, 8)
    merged(job, LAUNCH + 9000)
    scanned = Scanned.on_disk(job)
    scanned.scan()
    uncomplete(job, [0], LAUNCH + 9999)
    assert documents(scanned.sums()) == (7, sum(range(11, 18)))
