"""When a launch left its queue: on folders that a real Slurm cluster left, and on made ones."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.costs import asked
from support.jobs.folders import LAUNCH, write_executor, write_marker
from support.slurm.jobs import LATE_SECONDS, STARTED, markers_in_order, unpack

from exporter.model.job import Reading
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]
HOUR = 3600
MINUTE = 60


class Watched:
    """A job folder that is scanned again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = LocalStorage(str(folder.parent))
        self.memory: Memory | None = None

    def scan(self) -> Reading:
        path = (self.folder.name,)
        folder = self.storage.list_folder(path, with_subfolders=False)
        result: JobScan = scan_job(self.storage, path, folder, self.memory)
        self.memory = result.memory
        assert result.error is None
        assert result.reading is not None
        return result.reading

    def requests_of_a_scan(self) -> dict[str, int]:
        return asked(self.storage.requests, self.scan)


def in_slurm(make_job: MakeJob, name: str = "job", **options: object) -> Path:
    return make_job(name, partition="cpu", **options)


def write(file: Path, when: float, text: str = "log\n") -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    os.utime(file, (when, when))


def header(seconds: float) -> str:
    """A header of a log so many seconds into an hour."""
    minutes, rest = divmod(seconds, 60)
    return f"2026-11-26 16:{minutes:02.0f}:{rest:06.3f} | INFO     | a.b:c:1 - CANARY\n"


def write_log(job: Path, rank: int, lasted: float, when: float) -> None:
    write(job / "logs" / f"task_{rank:05d}.log", when, header(1) + header(1 + lasted))


# Real folders


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("slurm"))


@pytest.mark.parametrize("name", STARTED)
def test_the_start_of_a_job_under_way_is_that_which_slurm_tells(
    archive: Path, tmp_path: Path, name: str
) -> None:
    """Each job as it was before its last completion, seen for the first time."""
    job = shutil.copytree(archive / "jobs" / name, tmp_path / "job")
    for marker in markers_in_order(job)[1:][-1:]:
        marker.unlink()
    reading, truth = Watched(job).scan(), STARTED[name]
    if reading.is_complete:  # its one task was: nothing more is asked
        assert reading.start_timestamp is None
    elif truth is None:
        assert (reading.started, reading.start_timestamp) == (False, None)
    else:
        assert reading.started
        assert reading.start_timestamp is not None
        assert truth <= reading.start_timestamp <= truth + LATE_SECONDS


@pytest.mark.parametrize("name", [name for name, truth in STARTED.items() if truth])
def test_a_start_that_was_watched_is_between_launch_and_first_completion(
    archive: Path, tmp_path: Path, name: str
) -> None:
    """The files of the last launch come one after the other, in the order of their times, with a
    scan after each; those of the launches before are there from the beginning."""
    source, job = archive / "jobs" / name, tmp_path / "job"
    files = [file for file in source.rglob("*") if file.is_file()]
    files.sort(key=lambda file: (file.stat().st_mtime_ns, file.name != "executor.json"))
    launch = (source / "executor.json").stat().st_mtime_ns
    watched, starts = Watched(job), []
    for file in files:
        copy = job / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
        if file.stat().st_mtime_ns >= launch and (job / "executor.json").exists():
            starts.append(watched.scan().start_timestamp)
    markers = [m.stat().st_mtime_ns for m in markers_in_order(job)]
    first = min((time_ns for time_ns in markers if time_ns >= launch), default=2**63)
    assert starts[0] is None
    found = [start for start in starts if start is not None]
    assert len(set(found)) == 1, "it is found out once"
    assert launch / 1e9 <= found[0] <= first / 1e9


def test_a_launch_whose_tasks_died_before_they_wrote_a_log_has_started(archive: Path) -> None:
    jobs = archive / "jobs"
    assert not (jobs / "broken_env" / "logs").exists()
    assert Watched(jobs / "broken_env").scan().started
    assert not Watched(jobs / "array_too_big").scan().started
    assert not Watched(archive / "before_relaunch" / "chain_failed" / "buckets").scan().started


def test_a_relaunched_job_starts_anew(archive: Path, tmp_path: Path) -> None:
    job = shutil.copytree(archive / "before_relaunch" / "fail_once", tmp_path / "job")
    after = archive / "jobs" / "fail_once"
    watched = Watched(job)
    first = watched.scan().start_timestamp
    shutil.copy2(after / "executor.json", job)
    queued = watched.scan()
    assert (queued.started, queued.start_timestamp) == (True, None)
    assert queued.longest_completion_gap_seconds is None
    shutil.copy2(after / "slurm_logs" / "224_1.out", job / "slurm_logs")
    second = watched.scan().start_timestamp
    assert first is not None
    assert second is not None
    assert first < queued.launch_timestamp <= second


# Made folders


def test_time_in_a_queue_counts_as_no_pace(make_job: MakeJob) -> None:
    """48 hours in the queue, then a task every two minutes."""
    job, began = in_slurm(make_job, tasks=100), LAUNCH + 48 * HOUR
    watched = Watched(job)
    assert watched.scan().start_timestamp is None
    write(job / "slurm_logs" / "7_0.out", began)
    waiting_for_the_first = watched.scan()
    assert waiting_for_the_first.started
    assert waiting_for_the_first.start_timestamp == began
    assert waiting_for_the_first.longest_completion_gap_seconds is None
    for rank in range(5):
        write_marker(job, f"{rank:05d}", began + 2 * MINUTE * (rank + 1))
    under_way = watched.scan()
    assert under_way.start_timestamp == began
    assert under_way.longest_completion_gap_seconds == 2 * MINUTE


def test_a_job_first_seen_under_way_began_before_its_first_completion(make_job: MakeJob) -> None:
    job, began = in_slurm(make_job, tasks=100), LAUNCH + 48 * HOUR
    for rank in range(5):
        done = began + 2 * MINUTE * (rank + 1)
        write_log(job, rank, lasted=2 * MINUTE, when=done)
        write_marker(job, f"{rank:05d}", done)
    watched = Watched(job)
    reading = watched.scan()
    assert reading.start_timestamp == began
    assert reading.longest_completion_gap_seconds == 2 * MINUTE
    assert "CANARY" not in repr(watched.memory), "nothing that a log says is kept"


@pytest.mark.parametrize(("lasted", "start"), [(45 * MINUTE, LAUNCH), (0, LAUNCH + HOUR / 2)])
def test_a_start_is_never_before_the_launch(make_job: MakeJob, lasted: float, start: float) -> None:
    job = in_slurm(make_job, tasks=100)
    write_log(job, 0, lasted=lasted, when=LAUNCH + HOUR / 2)
    write_marker(job, "00000", LAUNCH + HOUR / 2)
    assert Watched(job).scan().start_timestamp == start


@pytest.mark.parametrize(
    "make",
    [
        lambda log: None,
        lambda log: write(log, LAUNCH + HOUR, "no header\n"),
        lambda log: write(log, LAUNCH + HOUR, header(1) + "x" * 200_000),
        os.mkfifo,
        Path.mkdir,
        lambda log: log.symlink_to("/dev/zero"),
    ],
    ids=["no log", "no header", "none at the end", "FIFO", "folder", "device"],
)
def test_a_start_that_no_log_tells_is_not_known_and_not_taken_for_the_launch(
    make_job: MakeJob, make: Callable[[Path], None]
) -> None:
    job = in_slurm(make_job, tasks=100)
    (job / "logs").mkdir()
    make(job / "logs" / "task_00000.log")
    write_marker(job, "00000", LAUNCH + HOUR)
    watched = Watched(job)
    first = watched.scan()
    assert (first.started, first.start_timestamp) == (True, None)
    assert first.longest_completion_gap_seconds is None
    write_marker(job, "00001", LAUNCH + HOUR + 30)
    second = watched.scan()
    assert second.start_timestamp is None
    assert second.longest_completion_gap_seconds == 30


def test_the_log_of_the_first_completion_is_read_once(make_job: MakeJob) -> None:
    job = in_slurm(make_job, tasks=100, completed=[4, 5])
    write_log(job, 4, lasted=20, when=LAUNCH + MINUTE)
    watched = Watched(job)
    assert watched.scan().start_timestamp == LAUNCH + 40
    write_marker(job, "00006", LAUNCH + HOUR)
    assert watched.requests_of_a_scan()["read"] == 0
    assert watched.scan().start_timestamp == LAUNCH + 40


def test_a_large_log_costs_two_reads(make_job: MakeJob) -> None:
    job = in_slurm(make_job, tasks=100, completed=[0])
    log = header(1) + "x" * 99 * 2000 + "\n" + header(31)
    write(job / "logs" / "task_00000.log", LAUNCH + MINUTE, log)
    watched = Watched(job)
    assert watched.scan().start_timestamp == LAUNCH + 30
    assert dict(watched.storage.requests.totals())["read"] == 1 + 2


def test_a_job_of_a_local_executor_starts_with_its_launch_and_no_log_is_read(
    make_job: MakeJob,
) -> None:
    watched = Watched(make_job("job", completed=[0, 1], logs=[0, 1, 2]))
    assert watched.scan().start_timestamp == LAUNCH
    assert dict(watched.storage.requests.totals())["read"] == 1


def test_a_job_that_was_complete_long_before_it_was_first_seen_costs_nothing_more(
    make_job: MakeJob,
) -> None:
    job = in_slurm(make_job, tasks=2, completed=[0, 1], logs=[0, 1], skip_completed=False)
    watched = Watched(job)
    assert watched.scan().start_timestamp is None
    assert dict(watched.storage.requests.totals())["read"] == 1


def test_a_job_that_completes_while_it_is_watched_keeps_its_start(make_job: MakeJob) -> None:
    job = in_slurm(make_job, tasks=2)
    watched = Watched(job)
    watched.scan()
    write(job / "slurm_logs" / "7_0.out", LAUNCH + HOUR)
    watched.scan()
    for rank in range(2):
        write_marker(job, f"{rank:05d}", LAUNCH + 2 * HOUR + rank)
        assert watched.scan().start_timestamp == LAUNCH + HOUR
    assert watched.scan().is_complete
    assert watched.scan().longest_completion_gap_seconds == HOUR
    assert dict(watched.storage.requests.totals())["read"] == 1, "what was watched is not read"


def test_a_relaunch_in_which_all_is_done_already_has_no_start(make_job: MakeJob) -> None:
    """Nor has it that of the launch before."""
    job = in_slurm(make_job, tasks=2)
    watched = Watched(job)
    watched.scan()
    for rank in range(2):
        write_marker(job, f"{rank:05d}", LAUNCH + HOUR)
    assert watched.scan().start_timestamp == LAUNCH + HOUR
    write_executor(job, tasks=2, launch=LAUNCH + 2 * HOUR, partition="cpu")
    assert watched.scan().start_timestamp is None


def test_a_file_from_the_future_is_a_start_now(make_job: MakeJob) -> None:
    job, now = in_slurm(make_job), time.time()
    write(job / "slurm_logs" / "7_0.out", now + HOUR)
    start = Watched(job).scan().start_timestamp
    assert start is not None
    assert now <= start < now + HOUR


def test_logs_of_a_launch_before_are_listed_once(make_job: MakeJob) -> None:
    job = in_slurm(make_job, logs=range(100))
    for log in (job / "logs").iterdir():
        os.utime(log, (LAUNCH - HOUR, LAUNCH - HOUR))
    watched = Watched(job)
    assert watched.scan().start_timestamp is None
    assert dict(watched.storage.requests.totals())["stat"] < 64 + 10
    assert watched.requests_of_a_scan()["stat"] < 10


def test_old_files_of_slurm_are_no_start_and_few_of_them_are_asked_for_their_time(
    make_job: MakeJob,
) -> None:
    job = in_slurm(make_job, tasks=500)
    for array in range(20):
        for index in range(20):
            write(job / "slurm_logs" / f"{array}_{index}.out", LAUNCH - HOUR)
    watched = Watched(job)
    assert not watched.scan().started
    requests = watched.requests_of_a_scan()
    assert requests["readdir"] == 2
    assert requests["stat"] <= 3 + 8  # executor.json, and twice completions/, which is not there
    write(job / "slurm_logs" / "20_499.out", LAUNCH + HOUR)
    assert watched.scan().start_timestamp == LAUNCH + HOUR


def test_the_first_log_is_a_start_where_slurm_writes_elsewhere(make_job: MakeJob) -> None:
    job = in_slurm(make_job)
    watched = Watched(job)
    watched.scan()
    write(job / "logs" / "task_00000.log", LAUNCH + HOUR)
    assert watched.scan().start_timestamp == LAUNCH + HOUR


def test_a_job_first_seen_before_its_first_completion_is_corrected_by_that(
    make_job: MakeJob,
) -> None:
    """The only sign is a log that was written just now, by a task that runs for long."""
    job = in_slurm(make_job)
    write_log(job, 0, lasted=20 * MINUTE, when=LAUNCH + 48 * HOUR)
    watched = Watched(job)
    assert watched.scan().start_timestamp == LAUNCH + 48 * HOUR
    done = LAUNCH + 48 * HOUR + 10 * MINUTE
    write_log(job, 0, lasted=30 * MINUTE, when=done)
    write_marker(job, "00000", done)
    assert watched.scan().start_timestamp == done - 30 * MINUTE


def test_a_relaunch_forgets_the_sign_of_the_launch_before(make_job: MakeJob) -> None:
    job = in_slurm(make_job)
    write(job / "slurm_logs" / "7_0.out", LAUNCH + HOUR)
    watched = Watched(job)
    assert watched.scan().started
    write_executor(job, launch=LAUNCH + 2 * HOUR, partition="cpu")
    relaunched = watched.scan()
    assert (relaunched.started, relaunched.start_timestamp) == (False, None)
