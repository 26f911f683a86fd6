"""What the shipped rules say of jobs as they are in life: what fires, when, and what does not.

Each story has real folders scanned by the program as its time goes by (``support.jobs.stories``).
"""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.jobs.stories import DAY, HOUR, MINUTE, Clock, Fired, TextFile, Watcher, World, told

from exporter.config.settings import RootConfig

STALLED, FAILED = "DatatroveJobStalled", "DatatroveJobFailed"
SOON = 25 * MINUTE
"""Two scans, two evaluations and the rule's `for`, at steps of ten minutes."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with monkeypatch.context() as patch:
        yield Clock(patch)


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "root").mkdir()
    return World(tmp_path / "root")


def root(world: World, name: str = "prod", **options: object) -> RootConfig:
    return RootConfig(name, str(world.folder), **options)


def stalls(after: float, job_name: str = "job", **more: object) -> Fired:
    """It is told an hour after this time, and a scan or two."""
    begins = (after + HOUR, after + HOUR + SOON)
    return Fired(STALLED, begins, labels={"job_name": job_name}, **more)


def test_a_job_that_queued_for_two_days_and_dies_an_hour_later(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    job = world.job("job")
    job.launched(0, tasks=10_000)
    job.works(48 * HOUR, 49 * HOUR, seconds=120)
    told(tmp_path, world, [Watcher(clock, (root(world),))], [stalls(49 * HOUR)], until=51 * HOUR)


def test_a_chain_of_stages_whose_last_one_dies(tmp_path: Path, clock: Clock, world: World) -> None:
    """The stages were all launched at once; healthy ones start after 31 and 35 hours."""
    for name, begin, end, tasks in (("a", 1, 31, 120), ("b", 31, 35, 16), ("c", 35, 36, 400)):
        job = world.job(name)
        job.launched(0, tasks=tasks)
        job.works(begin * HOUR, end * HOUR + 60, seconds=HOUR if name != "c" else 300, tasks=tasks)
    fired = [stalls(36 * HOUR, "c")]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=38 * HOUR)


def test_an_array_in_parts_that_queue_for_five_hours(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    job, rank = world.job("job"), 0
    job.launched(0, tasks=144)
    for begin in (HOUR, 8 * HOUR, 15 * HOUR):
        rank = job.works(begin, begin + 9 * HOUR, seconds=600, first=rank, tasks=48)
    first_gap = 3 * HOUR
    ends = (8 * HOUR, 8 * HOUR + 40 * MINUTE)
    fired = [stalls(first_gap, ends=ends)]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=19 * HOUR)


def test_a_cluster_that_was_preempted_for_half_a_day(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    """All twenty jobs are told at once; afterwards one that dies is told as soon as ever."""
    for number in range(20):
        job = world.job(f"job-{number}")
        job.launched(0, tasks=10_000, local=True)
        options = {"seconds": 600, "workers": 1, "logging": None}
        rank = job.works(number, 3 * HOUR, **options)
        dies = 18 * HOUR if number == 0 else DAY
        job.works(15 * HOUR + number, dies, first=rank, **options)
    fired = [
        stalls(3 * HOUR, f"job-{number}", times=2 if number == 0 else 1) for number in range(20)
    ]
    watcher = Watcher(clock, (root(world, watch_logs="never"),))
    told(tmp_path, world, [watcher], fired, until=19 * HOUR + 40 * MINUTE)


def test_a_complete_job_that_is_run_again_and_dies(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    job = world.job("job")
    job.launched(-3 * DAY, tasks=100)
    for rank in range(100):
        job.completes(rank, -2 * DAY + rank)
    job.launched(0, tasks=100, skip_completed=False)
    job.works(HOUR, 2 * HOUR, seconds=600)
    told(tmp_path, world, [Watcher(clock, (root(world),))], [stalls(2 * HOUR)], until=4 * HOUR)


def test_the_last_two_of_four_hundred_tasks_fail(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    job = world.job("job")
    job.launched(0, tasks=400)
    job.works(60, HOUR, seconds=60, workers=40, tasks=398, logging=None)
    for rank in (398, 399):
        job.logs(rank, 600)
        job.fails(rank, HOUR)
    fired = [Fired(FAILED, (HOUR, HOUR + SOON), labels={"job_name": "job"})]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=12 * HOUR)


def test_a_fast_job_that_dies_in_its_last_tenth(tmp_path: Path, clock: Clock, world: World) -> None:
    """Where no logs tell."""
    job = world.job("job")
    job.launched(0, tasks=100, local=True)
    job.works(0, 2 * HOUR, seconds=60, tasks=95, logging=None)
    dies = 25 * MINUTE
    fired = [Fired(STALLED, (dies + 8 * HOUR - 120, dies + 8 * HOUR + SOON))]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=10 * HOUR)


def test_jobs_that_were_abandoned_weeks_ago(tmp_path: Path, clock: Clock, world: World) -> None:
    for number in range(50):
        job = world.job(f"old-{number}")
        job.launched(-30 * DAY, tasks=10, local=True)
        job.works(-30 * DAY, -20 * DAY, seconds=HOUR, tasks=5, logging=None)
    fired = [Fired("DatatroveJobsAbandoned", (HOUR, HOUR + SOON))]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=6 * HOUR)


@pytest.mark.parametrize("loses_storage", [False, True])
def test_a_root_that_cannot_be_reached_for_three_hours(
    tmp_path: Path, clock: Clock, world: World, *, loses_storage: bool
) -> None:
    """One page, over when it is back, and nothing after that. Jobs run on, or lose it, too."""
    begin, back = 5 * HOUR, 8 * HOUR
    for number in range(6):
        job = world.job(f"job-{number}")
        job.launched(0, tasks=10_000, local=True)
        rank = job.works(0, begin if loses_storage else DAY, seconds=600, workers=1)
        if loses_storage:
            job.works(back + 40 * MINUTE, DAY, seconds=600, workers=1, first=rank - 1)
    link = tmp_path / "mount"
    link.symlink_to(world.folder)
    world.at(begin, link.unlink)
    world.at(back, lambda: link.symlink_to(world.folder))
    watcher = Watcher(clock, (RootConfig("prod", str(link)),))
    ends = (back - 600, back + 600)
    fired = [Fired("DatatroveScanStale", (begin + 600, begin + 50 * MINUTE), ends=ends)]
    told(tmp_path, world, [watcher], fired, until=12 * HOUR)


def two_jobs(world: World, dies: float) -> None:
    """One that goes on, and one that dies."""
    for name, until in (("lives", 3 * DAY), ("job", dies)):
        job = world.job(name)
        job.launched(0, tasks=10_000)
        job.works(HOUR, until, seconds=1800, workers=3)


def test_an_exporter_that_restarts_every_hour(tmp_path: Path, clock: Clock, world: World) -> None:
    two_jobs(world, 6 * HOUR)
    watcher = Watcher(clock, (root(world),), restarts_every=HOUR)
    last = 6 * HOUR - 1800  # its last completion
    fired = [Fired(STALLED, (last + 3 * 1800, 7 * HOUR + SOON))]
    told(tmp_path, world, [watcher], fired, until=12 * HOUR)


def test_replicas_whose_clocks_differ_and_storage_whose_clock_is_ahead(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    world.markers_ahead = 600.0
    two_jobs(world, 6 * HOUR)
    labels = {"job": "datatrove-exporter"}
    watchers = [
        Watcher(clock, (root(world),), {**labels, "instance": "a:1"}, ahead=300),
        Watcher(clock, (root(world),), {**labels, "instance": "b:1"}, ahead=-300),
    ]
    fired = [Fired(STALLED, (6 * HOUR + 1800, 7 * HOUR + 2 * SOON))]
    told(tmp_path, world, watchers, fired, until=12 * HOUR, step=300)


def test_the_one_exporters_clock_is_slow(tmp_path: Path, clock: Clock, world: World) -> None:
    """So much that nothing would be said of jobs."""
    two_jobs(world, 2 * HOUR)
    watcher = Watcher(clock, (root(world),), ahead=-11 * MINUTE)
    fired = [Fired("DatatroveScanStale", (0, SOON), ends=(6 * HOUR, 6 * HOUR))]
    told(tmp_path, world, [watcher], fired, until=6 * HOUR)


@pytest.mark.parametrize("tasks", [1, 40])
def test_tasks_that_take_days_and_log(
    tmp_path: Path, clock: Clock, world: World, tasks: int
) -> None:
    """One task of three days; forty whose first completion comes after thirty hours."""
    job = world.job("job")
    job.launched(0, tasks=tasks)
    seconds = 3 * DAY if tasks == 1 else 30 * HOUR
    job.works(HOUR, 5 * DAY, seconds=seconds, tasks=tasks, workers=min(4, tasks), logging=1800)
    told(tmp_path, world, [Watcher(clock, (root(world),))], [], until=3 * DAY, step=1200)


def test_tasks_that_take_much_longer_than_those_before_and_log(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    job = world.job("job")
    job.launched(0, tasks=1000)
    rank = job.works(HOUR, 2 * HOUR, seconds=120)
    job.works(2 * HOUR, DAY, seconds=7 * HOUR, first=rank)
    told(tmp_path, world, [Watcher(clock, (root(world),))], [], until=8 * HOUR)


@pytest.mark.parametrize("done", [0, 95])
def test_a_job_whose_logs_fall_silent(
    tmp_path: Path, clock: Clock, world: World, done: int
) -> None:
    """Before its first completion, and in its last tenth: by its pace it would have hours."""
    job = world.job("job")
    job.launched(0, tasks=100)
    rank = job.works(60, 2 * HOUR, seconds=60, workers=10, tasks=done)
    job.works(HOUR, 3 * HOUR, seconds=DAY, first=rank, workers=4)
    last_write = 3 * HOUR - 10 * MINUTE
    told(tmp_path, world, [Watcher(clock, (root(world),))], [stalls(last_write)], until=6 * HOUR)


@pytest.mark.parametrize("every", [300, HOUR])
def test_metrics_that_come_from_a_text_file(
    tmp_path: Path, clock: Clock, world: World, every: int
) -> None:
    two_jobs(world, 2 * HOUR)
    roots = (root(world, scan_interval_seconds=float(every)),)
    cron = TextFile(clock, roots, tmp_path / "datatrove.prom", every)
    fired = [Fired(STALLED, (3 * HOUR, 3 * HOUR + every + SOON), ends=(8 * HOUR, 8 * HOUR))]
    told(tmp_path, world, [cron], fired, until=8 * HOUR, step=300)


def test_a_scan_that_takes_forty_minutes(tmp_path: Path, clock: Clock, world: World) -> None:
    two_jobs(world, 4 * HOUR)
    roots = (root(world, scan_timeout_seconds=3.0 * HOUR),)
    watcher = Watcher(clock, roots, takes=40 * MINUTE)
    late = 80 * MINUTE + SOON
    fired = [Fired(STALLED, (4 * HOUR + 1800, 5 * HOUR + late), ends=(14 * HOUR, 14 * HOUR))]
    told(tmp_path, world, [watcher], fired, until=14 * HOUR)


def test_a_job_that_waits_in_the_queue_again(tmp_path: Path, clock: Clock, world: World) -> None:
    job = world.job("job")
    job.launched(0, tasks=100)
    rank = job.works(HOUR, 2 * HOUR, seconds=300)
    job.launched(2 * HOUR + 60, tasks=100)
    job.works(32 * HOUR, 40 * HOUR, seconds=300, first=rank, tasks=100 - rank)
    told(tmp_path, world, [Watcher(clock, (root(world),))], [], until=38 * HOUR)


def test_a_job_that_fails_at_once_however_often_it_is_launched(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    """It is told again each time, until its logs show an end."""
    job = world.job("job")
    for launch in (0, 20 * HOUR, 40 * HOUR):
        job.launched(launch, tasks=10, local=True)
        job.logs(0, launch + 60)
        job.fails(0, launch + 90)
    fired = [Fired(FAILED, (0, SOON), times=3, ends=(48 * HOUR, 48 * HOUR))]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=48 * HOUR)


def named(path: str) -> str:
    """A job's folder as datatrove writes it into executor.json."""
    return f"DataFolder(path={path!r}, fs=<fsspec.implementations.local.LocalFileSystem at 0x7>)"


def a_stage_with_a_failed_task(world: World) -> None:
    """Slurm starts the stage after it all the same where the last of its arrays is through."""
    job = world.job("signatures")
    job.launched(0, tasks=20, logging_dir=named("/signatures"))
    job.works(60, DAY, seconds=600, tasks=19, workers=19)
    job.logs(19, 300)
    job.fails(19, 600)


def test_a_stage_that_begins_before_its_input_is_complete(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    """All is green two hours later, and it goes on being told, until the stage runs once more."""
    a_stage_with_a_failed_task(world)
    before, after = world.job("signatures"), world.job("buckets")
    waits = {"tasks": 4, "depends": {"logging_dir": named("/signatures")}}
    after.launched(0, **waits)
    begins = 15 * MINUTE
    after.works(begins, DAY, seconds=600, tasks=4)
    before.launched(2 * HOUR, tasks=20, logging_dir=named("/signatures"))
    before.works(2 * HOUR + 60, DAY, seconds=600, first=19, tasks=1)
    world.at(6 * HOUR, lambda: shutil.rmtree(after.folder / "completions"))
    after.launched(6 * HOUR, **waits)
    after.works(6 * HOUR + 60, DAY, seconds=600, tasks=4)
    again = 6 * HOUR + 660
    fired = [
        Fired(FAILED, (600, 600 + SOON), labels={"job_name": "signatures"}),
        Fired(
            "DatatroveJobRanOnIncompleteUpstream",
            (begins + 10 * MINUTE, begins + 10 * MINUTE + SOON),
            ends=(6 * HOUR, again + 30 * MINUTE + SOON),
            labels={"job_name": "buckets", "severity": "critical"},
        ),
    ]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=12 * HOUR)


def test_a_stage_that_waits_for_one_that_failed(tmp_path: Path, clock: Clock, world: World) -> None:
    """The one after it waits for it, and is not told of."""
    a_stage_with_a_failed_task(world)
    waits = {"logging_dir": named("/buckets"), "depends": {"logging_dir": named("/signatures")}}
    world.job("buckets").launched(0, tasks=4, **waits)
    world.job("filter").launched(0, tasks=4, depends={"logging_dir": named("/buckets")})
    fired = [
        Fired(FAILED, (600, 600 + SOON), labels={"job_name": "signatures"}),
        Fired(
            "DatatroveJobBlocked",
            (600 + 10 * MINUTE, 600 + 10 * MINUTE + SOON),
            labels={"job_name": "buckets", "upstream_job_name": "signatures"},
        ),
    ]
    told(tmp_path, world, [Watcher(clock, (root(world),))], fired, until=6 * HOUR)


def test_a_chain_of_stages_in_order_is_told_of_by_nobody(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        job = world.job(name)
        keys = {"depends": {"logging_dir": named(f"/{'xab'[number]}")}} if number else {}
        job.launched(0, tasks=8, logging_dir=named(f"/{name}"), **keys)
        job.works((2 * number + 1) * HOUR, DAY, seconds=1800, tasks=8)
    told(tmp_path, world, [Watcher(clock, (root(world),))], [], until=10 * HOUR)


def test_one_exporter_is_down_and_another_ones_root_is_stale(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    two_jobs(world, DAY)
    link = tmp_path / "mount"
    link.symlink_to(world.folder)
    world.at(2 * HOUR, link.unlink)
    team_a = {"job": "datatrove-exporter", "instance": "a:1", "team": "a"}
    team_b = {"job": "datatrove-exporter", "instance": "b:1", "team": "b"}
    watchers = [
        Watcher(clock, (root(world),), team_a, is_up=lambda now: now < HOUR),
        Watcher(clock, (RootConfig("other", str(link)),), team_b),
    ]
    fired = [
        Fired("DatatroveExporterDown", (HOUR, HOUR + SOON), labels={"team": "a"}),
        Fired("DatatroveScanStale", (2 * HOUR, 3 * HOUR), labels={"team": "b", "root": "other"}),
    ]
    told(tmp_path, world, watchers, fired, until=6 * HOUR)


def test_one_replica_is_stale_while_the_other_sees_a_stall(
    tmp_path: Path, clock: Clock, world: World
) -> None:
    two_jobs(world, 3 * HOUR)
    link = tmp_path / "mount"
    link.symlink_to(world.folder)
    world.at(2 * HOUR, link.unlink)
    labels = {"job": "datatrove-exporter"}
    watchers = [
        Watcher(clock, (RootConfig("prod", str(link)),), {**labels, "instance": "a:1"}),
        Watcher(clock, (root(world),), {**labels, "instance": "b:1"}),
    ]
    fired = [
        Fired("DatatroveScanStale", (2 * HOUR, 3 * HOUR), labels={"instance": "a:1"}),
        Fired(STALLED, (3 * HOUR + 1800, 4 * HOUR + SOON)),
    ]
    told(tmp_path, world, watchers, fired, until=8 * HOUR)


VANISHED = "DatatroveJobVanished"


def test_a_job_that_is_deleted_is_missed(tmp_path: Path, clock: Clock, world: World) -> None:
    """One that was given up is not: its runbook says to delete it. Nor is one that is complete."""
    lives = {"job": (3 * HOUR, 1000), "done": (3 * HOUR, 4), "old": (HOUR, 1000)}
    for name, (until, tasks) in lives.items():
        job = world.job(name)
        job.launched(0, tasks=tasks)
        job.works(60, until, seconds=300, tasks=tasks)
    for name, at in (("job", 3 * HOUR), ("done", 3 * HOUR), ("old", 4 * HOUR)):
        world.at(at, partial(shutil.rmtree, world.folder / name))
    soon = (3 * HOUR, 3 * HOUR + SOON)
    fired = [
        Fired(VANISHED, soon, (4 * HOUR - SOON, 4 * HOUR), labels={"job_name": "job"}),
        Fired("DatatroveJobsAbandoned", soon),
    ]
    watcher = Watcher(clock, (root(world, abandoned_after_seconds=HOUR),))
    told(tmp_path, world, [watcher], fired, until=6 * HOUR)


@pytest.mark.parametrize("is_full", [False, True])
def test_a_job_that_has_no_series_any_more_has_not_vanished(
    tmp_path: Path, clock: Clock, world: World, *, is_full: bool
) -> None:
    """It is hidden as soon as it is complete; or while it waits in a queue another one is launched,
    and there is no room for both."""
    job, other = world.job("job"), world.job("a")
    job.launched(0, tasks=20)
    if not is_full:
        job.works(60, 6 * HOUR, seconds=300, tasks=20)
    other.launched(2 * HOUR, tasks=1000)
    other.works(2 * HOUR + 60, 6 * HOUR, seconds=300)
    hides = {"max_per_root": 1} if is_full else {"hide_completed_after_seconds": 0.0}
    told(tmp_path, world, [Watcher(clock, (root(world, **hides),))], [], until=5 * HOUR)
