"""Whether one job's tasks were run by different pipelines, on real folders."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_executor
from support.jobs.stats import FILTER, WRITER, Scanned, a_pipeline, a_step, complete

from exporter.config.settings import RootConfig
from exporter.scanning.probes import mixed
from exporter.scanning.probes.mixed import MixedWatch

MakeJob = Callable[..., Path]
OTHER = [a_step(FILTER), a_step(WRITER)]


def relaunched(make_job: MakeJob, since: object = None, tasks: int = 4, **keys: object) -> Path:
    """Two tasks before a launch, and one since that counted this."""
    job = make_job("job", tasks=tasks, **keys)
    for rank in (0, 1):
        complete(job, rank, LAUNCH + 60)
    write_executor(job, tasks=tasks, launch=LAUNCH + 1000, **keys)
    complete(job, 2, LAUNCH + 1100, since)
    return job


def scan(job: Path, **options: object) -> Scanned:
    scanned = Scanned.on_disk(job, **{"read_stats": "never", **options})
    scanned.scan()
    return scanned


@pytest.mark.parametrize(
    ("since", "is_mixed"),
    [
        (a_pipeline(read=99), False),
        (OTHER, True),
        ([], True),
        (list(reversed(a_pipeline())), True),
        (b"[", None),
        (b" " * 300_000, None),
    ],
    ids=["the same", "other steps", "none", "another order", "half a file", "too large"],
)
def test_steps_before_and_since_the_launch_are_compared(
    make_job: MakeJob, since: object, is_mixed: bool | None
) -> None:
    assert scan(relaunched(make_job, since)).scan().mixed_pipelines is is_mixed


def test_a_task_of_the_second_of_the_launch_may_be_of_the_launch_before(
    make_job: MakeJob,
) -> None:
    """Where times are whole seconds, it tells nothing of this launch; the next one does."""
    job = make_job("job")
    complete(job, 0, LAUNCH + 60)
    complete(job, 1, LAUNCH + 1000)
    write_executor(job, launch=LAUNCH + 1000)
    scanned = scan(job)
    assert scanned.scan().mixed_pipelines is None
    complete(job, 2, LAUNCH + 1100, OTHER)
    assert scanned.scan().mixed_pipelines is True


def test_it_costs_two_reads_a_launch(make_job: MakeJob) -> None:
    job = relaunched(make_job, OTHER)
    scanned = Scanned.on_disk(job, read_stats="never")
    assert scanned.requests()["read"] == 2 + 1  # and executor.json
    assert scanned.requests()["read"] == 0
    complete(job, 3, LAUNCH + 1200)
    assert scanned.requests()["read"] == 0


def test_it_stays_once_the_job_is_complete_and_is_found_out_anew_after_a_launch(
    make_job: MakeJob,
) -> None:
    job = relaunched(make_job, OTHER, tasks=5)
    scanned = scan(job)
    complete(job, 3, LAUNCH + 1200, OTHER)
    complete(job, 4, LAUNCH + 1200, OTHER)
    assert scanned.scan().mixed_pipelines is True
    write_executor(job, tasks=6, launch=LAUNCH + 2000)
    assert scanned.scan().mixed_pipelines is None  # nothing completed since
    complete(job, 5, LAUNCH + 2100, OTHER)
    assert scanned.scan().mixed_pipelines is True  # than the first of all: it still counts


def test_a_launch_that_completes_the_job_between_two_scans_is_compared(make_job: MakeJob) -> None:
    job = make_job("job", tasks=3)
    complete(job, 0, LAUNCH + 60)
    scanned = scan(job)
    write_executor(job, tasks=3, launch=LAUNCH + 1000)
    for rank in (1, 2):
        complete(job, rank, LAUNCH + 1100, OTHER)
    reading = scanned.scan()
    assert reading.is_complete
    assert reading.mixed_pipelines is True


def test_of_a_complete_job_markers_are_asked_only_where_somebody_waits_for_it(
    make_job: MakeJob,
) -> None:
    job = relaunched(make_job, OTHER, tasks=3)
    served = Scanned.on_disk(job, read_stats="never")
    asked = Scanned.on_disk(job, read_stats="never", asked=("pipelines",))
    assert served.requests()["stat"] + 3 == asked.requests()["stat"]
    assert served.scan().mixed_pipelines is None
    assert asked.scan().mixed_pipelines is True


def test_one_launch_alone_has_nothing_to_compare(make_job: MakeJob) -> None:
    job = make_job("job", tasks=3)
    complete(job, 0, LAUNCH + 60)
    complete(job, 1, LAUNCH + 70, OTHER)
    scanned = Scanned.on_disk(job, read_stats="never")
    assert scanned.requests()["read"] == 1  # executor.json
    assert scanned.scan().mixed_pipelines is None


def test_where_somebody_waits_for_it_one_launch_alone_is_known_to_be_not_mixed(
    make_job: MakeJob,
) -> None:
    job = make_job("job", tasks=2)
    for rank in (0, 1):
        complete(job, rank, LAUNCH + 60)
    served = scan(job).scan()
    asked = Scanned.on_disk(job, read_stats="never", asked=("pipelines",)).scan()
    assert (served.mixed_pipelines, served.may_be_mixed) == (None, True)
    assert (asked.mixed_pipelines, asked.may_be_mixed) == (False, False)


def test_without_stats_nothing_can_be_told(make_job: MakeJob) -> None:
    job = make_job("job", tasks=4, completed=[0, 1])
    write_executor(job, tasks=4, launch=LAUNCH + 1000)
    complete(job, 2, LAUNCH + 1100)
    scanned = scan(job)
    assert scanned.scan().mixed_pipelines is None
    assert scanned.scan().may_be_mixed
    assert scanned.requests()["read"] == 0


def done_lately(make_job: MakeJob, *, hours_ago: float, since: object = None) -> Path:
    """A complete job: two tasks before its launch, and one since that counted this."""
    launch = int(time.time() - hours_ago * 3600)
    job = make_job("job", tasks=3)
    for rank in (0, 1):
        complete(job, rank, launch - 900)
    write_executor(job, tasks=3, launch=launch)
    complete(job, 2, launch + 100, since)
    return job


@pytest.mark.parametrize(("since", "is_mixed"), [(OTHER, True), (None, False)])
def test_after_a_restart_the_answer_comes_back_once_the_job_is_complete(
    make_job: MakeJob, since: object, *, is_mixed: bool
) -> None:
    """The times of its markers are asked for once, and two tasks are read, as before."""
    job = done_lately(make_job, hours_ago=9, since=since)
    scanned = Scanned.on_disk(job, read_stats="never")
    asked = scanned.requests()
    assert scanned.scan().mixed_pipelines is is_mixed
    alone = Scanned.on_disk(job, read_stats="never")
    alone.mixed.is_followed = False
    assert asked["stat"] == alone.requests()["stat"] + 3
    assert asked["read"] == alone.requests()["read"] + 2 + 1  # and executor.json
    assert scanned.requests()["read"] == 0
    assert alone.scan().mixed_pipelines is None, "a scan that stays alone asks nothing"


def test_what_was_done_long_ago_or_by_one_launch_is_not_asked(make_job: MakeJob) -> None:
    job = done_lately(make_job, hours_ago=15 * 24, since=OTHER)
    assert scan(job).scan().mixed_pipelines is None
    job = done_lately(make_job, hours_ago=9, since=OTHER)
    write_executor(job, tasks=3, launch=int(time.time()))  # and nothing was done since
    scanned = Scanned.on_disk(job, read_stats="never")
    assert scanned.scan().mixed_pipelines is None
    assert scanned.requests()["stat"] < 9


def test_a_scan_asks_so_many_markers_and_the_next_ones_go_on(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixed, "_LIMITS", replace(mixed._LIMITS, stats=4))
    job = done_lately(make_job, hours_ago=9, since=OTHER)
    other = shutil.copytree(job, job.parent / "other")
    first = Scanned.on_disk(job, read_stats="never")
    second = Scanned.on_disk(other, read_stats="never")
    second.mixed = first.mixed
    found = [s.scan(begins=s is first).mixed_pipelines for s in (first, second)]
    assert sorted(found, key=bool) == [None, True]
    for _ in range(4):
        found = [s.scan(begins=s is first).mixed_pipelines for s in (first, second)]
    assert found == [True, True]


def test_an_answer_that_had_to_wait_comes_though_the_times_were_forgotten(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody keeps the times of a complete job."""
    monkeypatch.setattr(mixed, "_LIMITS", replace(mixed._LIMITS, reads=1))
    job = done_lately(make_job, hours_ago=9, since=OTHER)
    marker = job / "completions" / "00002"
    kept = marker.rename(job / "kept")
    scanned = scan(job)
    kept.rename(marker)
    assert scanned.scan().mixed_pipelines is None
    monkeypatch.undo()
    scanned.mixed = MixedWatch(RootConfig("root", "/unused"))
    assert scanned.scan().mixed_pipelines is True


def test_a_launch_that_repeats_all_tasks_mixes_nothing(make_job: MakeJob) -> None:
    """What the other pipeline did is done again."""
    job = make_job("job", tasks=4)
    for rank in range(4):
        complete(job, rank, LAUNCH + 60)
    write_executor(job, tasks=4, launch=LAUNCH + 1000, skip_completed=False)
    scanned = scan(job)
    for rank in range(4):
        complete(job, rank, LAUNCH + 1100, OTHER)
        assert scanned.scan().mixed_pipelines is None
    write_executor(job, tasks=5, launch=LAUNCH + 2000)
    complete(job, 4, LAUNCH + 2100, OTHER)
    assert scanned.scan().mixed_pipelines is False


def test_a_pipeline_is_mixed_however_often_the_changed_script_was_launched(
    make_job: MakeJob,
) -> None:
    job = relaunched(make_job, OTHER, tasks=5)
    write_executor(job, tasks=5, launch=LAUNCH + 2000)
    complete(job, 3, LAUNCH + 2100, OTHER)
    assert scan(job).scan().mixed_pipelines is True
