"""Job folders that datatrove itself wrote: an archive of past runs, and runs of now.

What the exporter says is compared with what was made to happen, with a count by brute
force over the files, and with datatrove's own command ``jobs_status``.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from support.jobs.pipelines import Datatrove, datatrove_process, jobs_status
from support.jobs.real import COMPLETE, KINDS, READABLE, TRUTH, UNREADABLE, unpack
from support.scans import Watch, jobs_of
from support.servers import BUCKET, S3Server

from exporter.config.settings import (
    StorageOptions,
)
from exporter.datatrove.ranks import Ranks
from exporter.model.job import Reading
from exporter.model.snapshot import Root


@pytest.fixture(scope="module")
def watch() -> Iterator[Callable[..., Watch]]:
    """Starts watches; their threads end with the module."""
    started: list[Watch] = []

    def start(root: Path | str, **options: object) -> Watch:
        started.append(Watch(root, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def count_by_hand(folder: Path) -> dict[str, object]:
    """Those values of a Reading that follow from names and times, found the long way."""
    executor = json.loads((folder / "executor.json").read_bytes())
    world_size = executor["world_size"]
    is_whole = executor.get("local_tasks", world_size) == world_size
    launch = (folder / "executor.json").stat().st_mtime_ns
    markers = {file.name: file.stat().st_mtime_ns for file in folder.glob("completions/*")}
    names = (f"{rank:05d}" for rank in range(world_size))
    times = sorted(markers[name] for name in names if name in markers)
    since_launch = [time for time in times if time >= launch]
    of_one_time = (name for name in sorted(markers) if [markers[name]] == since_launch[:1])
    first = next(of_one_time, None)
    start = launch if "start_method" in executor else start_by_log(folder, launch, first)
    waits = [*([] if start is None else [start]), *since_launch]
    gaps = [later - earlier for earlier, later in pairwise(waits)]
    return {
        "tasks": world_size,
        "tasks_completed": len(times),
        "stray_markers": len(markers) - len(times),
        "launch_timestamp": launch / 1e9,
        "last_completion_timestamp": times[-1] / 1e9 if times else None,
        "tasks_completed_since_launch": len(since_launch),
        "longest_completion_gap_seconds": max(gaps) / 1e9 if gaps else None,
        "started": bool(markers) or any(folder.glob("logs/*")),
        "start_timestamp": None if start is None else start / 1e9,
        "repeats_completed": is_whole and executor["skip_completed"] is False,
        "is_slice": not is_whole,
        "ranks": Ranks(int(name) for name in markers if name.isdecimal()),
    }


def start_by_log(folder: Path, launch: int, marker: str | None) -> int | None:
    """When the task with this marker began, by the times in its log; a launch at the earliest."""
    log = folder / f"logs/task_{marker}.log"
    if marker is None or not log.exists():
        return None
    text = log.read_text(errors="replace")
    times = [
        datetime.fromisoformat(time) for time in re.findall(r"^(2\S+ \S+) \| ", text, re.MULTILINE)
    ]
    covered = round((times[-1] - times[0]).total_seconds() * 1e9)
    return max(launch, (folder / "completions" / marker).stat().st_mtime_ns - covered)


def values_of(reading: Reading, *, without: tuple[str, ...] = ()) -> dict[str, object]:
    """The values that `count_by_hand` finds, as the exporter has them."""
    untold = {"executor", "slurm_job_name", "history", "waits", "logs", "needs_relaunch", *without}
    untold |= {"by_hour", "stats", "mixed_pipelines"}
    return {name: getattr(reading, name) for name in Reading.__slots__ if name not in untold}


# --- The archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive; tests leave it as it is."""
    return unpack(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def archived(archive: Path, watch: Callable[..., Watch]) -> Root:
    """What the first scan of the archive says."""
    return watch(archive).scan()


def test_exactly_the_jobs_of_the_archive_are_found(archived: Root) -> None:
    assert [job.name for job in archived.jobs] == sorted(TRUTH)


@pytest.mark.parametrize("name", READABLE)
def test_an_archived_job_is_read_as_what_it_is(archived: Root, archive: Path, name: str) -> None:
    truth, job = TRUTH[name], jobs_of(archived)[name]
    assert job.error is None
    assert job.reading is not None
    assert job.reading.tasks == truth["world_size"]
    assert job.reading.tasks_completed == truth["completed"]
    assert job.reading.stray_markers == truth["stale"]
    assert job.reading.is_complete == truth["complete"]
    assert job.reading.executor == KINDS.get(truth["kind"], truth["kind"])
    by_hand = count_by_hand(archive / name)
    completions = archive / name / "completions"
    is_dated = (
        completions.exists()
        and all(  # the folder's time is that of its last marker
            abs(completions.stat().st_mtime - marker.stat().st_mtime) < 2
            for marker in sorted(completions.iterdir())[-1:]
        )
    )
    if truth["complete"] and not truth["stale"] and is_dated:  # no marker is asked for its time
        of_times = ["tasks_completed_since_launch", "longest_completion_gap_seconds"]
        assert [getattr(job.reading, value) for value in of_times] == [None, None]
        if job.reading.start_timestamp is None:  # the start of a launch of Slurm is in its logs
            assert truth["kind"] == "slurm"
            of_times.append("start_timestamp")
        assert values_of(job.reading, without=tuple(of_times)) == {
            value: by_hand[value] for value in by_hand if value not in of_times
        }
    else:
        assert job.reading.tasks_completed_since_launch == truth["markers_newer_than_executor_json"]
        # The logs of Slurm's jobs that ended long ago are not asked when they began.
        is_old = truth["complete"] and truth["kind"] == "slurm"
        unknown = ("start_timestamp", "longest_completion_gap_seconds") if is_old else ()
        assert {getattr(job.reading, value) for value in unknown} <= {None}
        known = {value: by_hand[value] for value in by_hand if value not in unknown}
        assert values_of(job.reading, without=unknown) == known


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_archived_job_that_cannot_be_parsed_is_invalid(archived: Root, name: str) -> None:
    job = jobs_of(archived)[name]
    assert job.error == "invalid"
    assert job.reading is None


def test_the_sums_of_the_archive_are_those_of_its_readable_jobs(archived: Root) -> None:
    assert archived.totals is not None
    assert archived.totals.jobs == len(TRUTH)
    assert archived.totals.jobs_unreadable == len(UNREADABLE)
    assert archived.totals.jobs_completed == len(COMPLETE)
    assert archived.totals.tasks == sum(TRUTH[name]["world_size"] for name in READABLE)
    assert archived.totals.tasks_completed == sum(TRUTH[name]["completed"] for name in READABLE)


def test_an_archived_job_seen_before_its_end_shows_its_whole_pace(
    tmp_path: Path, watch: Callable[..., Watch]
) -> None:
    """Jobs that are complete now were not when the exporter first saw them: their newest
    marker comes between two scans."""
    root = unpack(tmp_path / "root")
    watched = watch(root)
    held_back = tmp_path / "held back"
    held_back.mkdir()
    newest: dict[str, Path] = {}
    for number, name in enumerate(COMPLETE):
        counted = (root / name / f"completions/{r:05d}" for r in range(TRUTH[name]["world_size"]))
        newest[name] = max(counted, key=lambda marker: marker.stat().st_mtime_ns)
        newest[name].rename(held_back / str(number))
    before = jobs_of(watched.scan())
    for number, name in enumerate(COMPLETE):
        (held_back / str(number)).rename(newest[name])
    after = jobs_of(watched.scan())
    for name in COMPLETE:
        truth, was, now = TRUTH[name], before[name].reading, after[name].reading
        assert was is not None
        assert now is not None
        assert was.tasks_completed == truth["completed"] - 1
        assert now.tasks_completed_since_launch == truth["markers_newer_than_executor_json"], name
        assert values_of(now) == count_by_hand(root / name)


# --- Runs of now


@pytest.fixture(scope="session")
def datatrove(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datatrove]:
    """One process of datatrove for all launches: it is slow to start."""
    with datatrove_process(tmp_path_factory.mktemp("datatrove") / "log") as process:
        yield process


@pytest.mark.parametrize("workers", [1, 3])
def test_a_launch_that_succeeds_is_complete(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove, workers: int
) -> None:
    launch = datatrove.launch(root / "job", tasks=5, workers=workers)
    assert launch.succeeded
    reading = watch(root).reading("job")
    assert (reading.tasks, reading.tasks_completed, reading.stray_markers) == (5, 5, 0)
    assert (reading.is_complete, reading.started, reading.executor) == (True, True, "local")
    assert launch.before <= reading.launch_timestamp
    assert reading.launch_timestamp <= reading.last_completion_timestamp <= launch.after


def test_a_launch_whose_second_half_fails_is_half_complete(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    launch = datatrove.launch(root / "job", tasks=6, failing=[3, 4, 5])
    assert not launch.succeeded
    reading = watch(root).reading("job")
    assert (reading.tasks, reading.tasks_completed, reading.is_complete) == (6, 3, False)
    assert reading.tasks_completed_since_launch == 3
    assert values_of(reading) == count_by_hand(root / "job")
    assert launch.before <= reading.launch_timestamp
    assert reading.launch_timestamp <= reading.last_completion_timestamp <= launch.after


def test_a_launch_whose_first_rank_fails_has_started(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """It has a log and no completions folder."""
    datatrove.launch(root / "job", tasks=2, failing=[0])
    reading = watch(root).reading("job")
    assert (reading.tasks_completed, reading.started) == (0, True)
    assert reading.last_completion_timestamp is None
    assert values_of(reading) == count_by_hand(root / "job")


def test_a_relaunch_that_completes_the_job_counts_what_it_did_itself(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    watched = watch(root)
    first = datatrove.launch(root / "job", tasks=5, failing=[3])
    assert watched.reading("job").tasks_completed == 3
    second = datatrove.launch(root / "job", tasks=5)
    reading = watched.reading("job")
    assert (reading.tasks_completed, reading.is_complete) == (5, True)
    assert reading.tasks_completed_since_launch == 2
    assert values_of(reading) == count_by_hand(root / "job")
    assert first.after <= reading.launch_timestamp
    assert second.before <= reading.last_completion_timestamp <= second.after


def test_a_relaunch_that_has_nothing_to_do_is_no_launch(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """datatrove then does not write executor.json, not even with fewer tasks."""
    watched = watch(root)
    datatrove.launch(root / "job", tasks=4)
    before = watched.reading("job")
    assert datatrove.launch(root / "job", tasks=2).succeeded
    assert watched.reading("job") == before


def test_a_relaunch_with_fewer_tasks_leaves_stray_markers(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """All but rank 0 were done; the relaunch does rank 0 and none of the others."""
    for rank in range(1, 7):
        datatrove.launch(root / "job", tasks=7, local_tasks=1, local_rank_offset=rank)
    watched = watch(root)
    before = watched.reading("job")
    assert (before.tasks, before.tasks_completed, before.stray_markers) == (7, 6, 0)
    assert datatrove.launch(root / "job", tasks=3).succeeded
    after = watched.reading("job")
    assert (after.tasks, after.tasks_completed, after.stray_markers) == (3, 3, 4)
    assert after.tasks_completed_since_launch == 1
    assert values_of(after) == count_by_hand(root / "job")


def test_a_relaunch_with_more_tasks_is_incomplete_until_they_are_done(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    watched = watch(root)
    datatrove.launch(root / "job", tasks=2)
    assert watched.reading("job").is_complete
    datatrove.launch(root / "job", tasks=6, failing=[4])
    reading = watched.reading("job")
    assert (reading.tasks, reading.tasks_completed, reading.is_complete) == (6, 4, False)
    assert reading.tasks_completed_since_launch == 2
    assert values_of(reading) == count_by_hand(root / "job")


def test_some_ranks_of_many_processes_fail(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """One process per rank, as on many nodes: each writes executor.json again."""
    launches = [
        datatrove.launch(
            root / "job", tasks=6, failing=[1, 4], local_tasks=1, local_rank_offset=rank
        )
        for rank in range(6)
    ]
    assert [launch.succeeded for launch in launches] == [True, False, True, True, False, True]
    reading = watch(root).reading("job")
    assert (reading.tasks, reading.tasks_completed, reading.stray_markers) == (6, 4, 0)
    assert reading.tasks_completed_since_launch == 1
    assert launches[-1].before <= reading.launch_timestamp <= launches[-1].after
    assert values_of(reading) == count_by_hand(root / "job")


def test_a_run_that_repeats_completed_ranks_counts_those_it_did(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """With skip_completed=False every marker is there from the beginning and is written
    anew; rank 1 of the second run fails."""
    watched = watch(root)
    datatrove.launch(root / "job", tasks=4, failing=[3])
    watched.scan()
    datatrove.launch(root / "job", tasks=4)
    assert watched.reading("job").tasks_completed_since_launch == 1
    again = datatrove.launch(root / "job", tasks=4, skip_completed=False, failing=[1])
    assert not again.succeeded
    reading = watched.reading("job")
    assert (reading.tasks_completed, reading.tasks_completed_since_launch) == (4, 1)
    assert (reading.is_complete, reading.tasks_left) == (False, 3)
    assert again.before <= reading.launch_timestamp
    assert reading.launch_timestamp <= reading.last_completion_timestamp <= again.after
    assert values_of(reading) == count_by_hand(root / "job")


def test_a_run_that_repeats_a_complete_job_is_never_dated_too_early(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """First seen when all markers were there: the newest of them, or nothing at all."""
    datatrove.launch(root / "job", tasks=3)
    datatrove.launch(root / "job", tasks=3, skip_completed=False)
    newest = count_by_hand(root / "job")["last_completion_timestamp"]
    assert watch(root).reading("job").last_completion_timestamp in (newest, None)


def test_jobs_deep_below_the_root_and_inside_one_another_are_found(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """Also below folders whose names datatrove gives a meaning inside of jobs."""
    tasks = {"minhash/CC-MAIN-2024-10/stage": 3, "logs/stats": 2, "outer": 2, "outer/merged": 1}
    for name, count in tasks.items():
        datatrove.launch(root / name, tasks=count)
    found = jobs_of(watch(root, max_depth=3).scan())
    assert {name: job.reading.tasks_completed for name, job in found.items()} == tasks
    assert set(jobs_of(watch(root, max_depth=2).scan())) == set(tasks) - {
        "minhash/CC-MAIN-2024-10/stage"
    }


def test_a_pipeline_over_documents_in_memory_is_read_although_its_file_is_big(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """datatrove writes the documents into executor.json; theirs may look like its end."""
    text = '\n    "world_size": 99\n}\n' + "x" * 400
    datatrove.launch(root / "job", tasks=3, failing=[1], documents=1000, text=text)
    assert (root / "job" / "executor.json").stat().st_size > 500_000
    reading = watch(root).reading("job")
    assert (reading.tasks, reading.tasks_completed, reading.executor) == (3, 1, "local")


def test_jobs_that_log_to_s3_are_read_there(
    watch: Callable[..., Watch], s3_server: S3Server, tmp_path: Path
) -> None:
    url = f"s3://{BUCKET}/datatrove"
    environment = {
        "AWS_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
    }
    watched = watch(url, storage_options=StorageOptions(s3_server.options))
    with datatrove_process(tmp_path / "log", environment) as datatrove:
        launch = datatrove.launch(f"{url}/outer/job", tasks=4, failing=[2])
        first = watched.reading("outer/job")
        datatrove.launch(f"{url}/outer/job", tasks=4)
        second = watched.reading("outer/job")
        again = datatrove.launch(f"{url}/outer/job", tasks=3, skip_completed=False)
    assert not launch.succeeded
    assert (first.tasks, first.tasks_completed, first.executor) == (4, 2, "local")
    # Servers tell whole seconds, or milliseconds at best.
    assert int(launch.before) <= first.launch_timestamp <= launch.after
    assert int(launch.before) <= first.last_completion_timestamp <= launch.after
    assert (second.tasks, second.tasks_completed, second.is_complete) == (4, 4, True)
    assert again.succeeded
    third = watched.reading("outer/job")
    assert (third.tasks, third.tasks_completed, third.stray_markers) == (3, 3, 1)


# --- jobs_status


def our_status(root: Root) -> tuple[dict[str, tuple[bool, int, int]], tuple[int, ...]]:
    """The same numbers, as the exporter has them."""
    jobs = {
        job.name: (job.reading.is_complete, job.reading.tasks_completed, job.reading.tasks)
        for job in root.jobs
        if job.reading is not None
    }
    totals = root.totals
    assert totals is not None
    return jobs, (totals.jobs_completed, totals.jobs, totals.tasks_completed, totals.tasks)


FOLDERS = sorted({str(Path(name).parent) for name in READABLE})
MISCOUNTED = [name for name in READABLE if TRUTH[name]["stale"]]


@pytest.mark.parametrize("folder", FOLDERS)
def test_jobs_status_says_the_same_about_archived_jobs(
    tmp_path: Path, watch: Callable[..., Watch], folder: str
) -> None:
    """It looks one folder deep, ends at the first file that cannot be parsed and counts
    stray markers as tasks, so such jobs are taken away."""
    root = unpack(tmp_path / "root")
    for name in (*UNREADABLE, *MISCOUNTED):
        shutil.rmtree(root / name)
    jobs, summary = jobs_status(root / folder)
    here = {Path(n).name for n in READABLE if str(Path(n).parent) == folder} - set(MISCOUNTED)
    assert set(jobs) == here
    assert our_status(watch(root / folder, max_depth=1).scan()) == (jobs, summary)


def test_jobs_status_with_a_prefix_says_the_same(
    archive: Path, watch: Callable[..., Watch]
) -> None:
    status = jobs_status(archive / "nested/minhash/CC-MAIN-2024-18", "-p", "b")
    watched = watch(archive / "nested/minhash/CC-MAIN-2024-18", max_depth=1, prefix="b")
    assert our_status(watched.scan()) == status == ({"buckets": (True, 2, 2)}, (1, 1, 2, 2))


def test_jobs_status_says_the_same_about_runs_of_now(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    datatrove.launch(root / "done", tasks=3)
    datatrove.launch(root / "failed", tasks=4, failing=[2])
    datatrove.launch(root / "relaunched", tasks=3, failing=[1])
    datatrove.launch(root / "relaunched", tasks=3)
    datatrove.launch(root / "never succeeded", tasks=2, failing=[0])
    assert our_status(watch(root).scan()) == jobs_status(root)


def test_stray_markers_are_tasks_to_jobs_status_and_not_to_us(
    root: Path, watch: Callable[..., Watch], datatrove: Datatrove
) -> None:
    """Of 3 tasks 2 are done, whatever the launch with 7 tasks left behind."""
    for rank in (1, 3, 4, 5, 6):
        datatrove.launch(root / "job", tasks=7, local_tasks=1, local_rank_offset=rank)
    datatrove.launch(root / "job", tasks=3, failing=[2])
    (done, theirs, tasks) = jobs_status(root)[0]["job"]
    assert (done, theirs, tasks) == (False, 6, 3)
    reading = watch(root).reading("job")
    assert (reading.tasks_completed, reading.tasks, reading.stray_markers) == (2, 3, 4)
    assert theirs == reading.tasks_completed + reading.stray_markers
