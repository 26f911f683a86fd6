"""About when a job was completed that was done before it was first seen."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from support.jobs.folders import write_marker

from exporter.datatrove.throughput import HOUR_SECONDS, KEPT_HOURS, NOTHING
from exporter.model.job import Reading
from exporter.scanning.job_memory import Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.probes.past import Past
from exporter.scanning.probing import with_past
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]
DAY = 24


class Watched:
    """A job folder that is scanned again and again."""

    def __init__(self, folder: Path, past: Past | None = None) -> None:
        self._path = (folder.name,)
        self._storage = LocalStorage(str(folder.parent))
        self._memory: Memory | None = None
        self._probes = () if past is None else (partial(with_past, past),)

    def scan(self) -> Reading:
        folder = self._storage.list_folder(self._path, with_subfolders=False)
        result = scan_job(self._storage, self._path, folder, self._memory, self._probes)
        self._memory = result.memory
        assert result.reading is not None
        return result.reading

    @property
    def requests(self) -> dict[str, int]:
        return dict(self._storage.requests.totals())


def complete(make_job: MakeJob, tasks: int, *, hours_ago: Callable[[int], float]) -> Path:
    """A job whose ranks were completed so many hours ago each, and whose folder has the time of
    the last one."""
    job = make_job("j", tasks=tasks)
    now = time.time()
    for rank in range(tasks):
        write_marker(job, f"{rank:05d}", now - hours_ago(rank) * HOUR_SECONDS)
    last = now - min(map(hours_ago, range(tasks))) * HOUR_SECONDS
    os.utime(job / "completions", (last, last))
    launch = now - 100 * DAY * HOUR_SECONDS
    os.utime(job / "executor.json", (launch, launch))
    return job


def begun() -> Past:
    past = Past()
    past.begin()
    return past


def test_a_few_markers_stand_for_the_others(make_job: MakeJob) -> None:
    job = complete(make_job, 1000, hours_ago=lambda rank: 30 if rank < 500 else 5)
    scans = Watched(job, past=begun())
    by_hour = scans.scan().by_hour
    assert by_hour is not None
    now = int(time.time() // HOUR_SECONDS)
    ago = {now - hour: tasks for hour, tasks in by_hour}
    assert sum(ago.values()) == 1000
    assert 430 <= ago.get(4, 0) + ago.get(5, 0) <= 570
    assert scans.requests["stat"] < 30
    before = scans.requests["stat"]
    assert scans.scan().by_hour is by_hour
    assert scans.requests["stat"] - before < 6  # they are not asked for again


def test_all_of_a_small_job_are_asked(make_job: MakeJob) -> None:
    job = complete(make_job, 3, hours_ago=lambda rank: 5 - rank)
    by_hour = Watched(job, past=begun()).scan().by_hour
    assert by_hour is not None
    assert list(by_hour.tasks) == [1, 1, 1]


def test_what_was_done_long_ago_costs_nothing(make_job: MakeJob) -> None:
    job = complete(make_job, 40, hours_ago=lambda _: KEPT_HOURS + 1)
    asking, not_asking = Watched(job, past=begun()), Watched(job)
    assert asking.scan().by_hour is NOTHING
    assert not_asking.scan().by_hour is None
    assert asking.requests == not_asking.requests


def test_a_scan_that_stays_alone_asks_nothing(make_job: MakeJob) -> None:
    job = complete(make_job, 40, hours_ago=lambda _: 5)
    assert Watched(job, past=Past()).scan().by_hour is None


def test_what_a_scan_may_not_ask_comes_with_a_later_one(make_job: MakeJob) -> None:
    job = complete(make_job, 40, hours_ago=lambda _: 5)
    past = begun()
    storage = LocalStorage(str(job.parent))
    while past.look(storage, ("j",), 40, time.time()) is not None:
        pass
    scans = Watched(job, past=past)
    assert scans.scan().by_hour is None
    past.begin()
    assert scans.scan().by_hour is not None


def test_markers_that_cannot_be_asked_for_tell_nothing(make_job: MakeJob) -> None:
    job = complete(make_job, 40, hours_ago=lambda _: 5)
    storage = LocalStorage(str(job.parent))
    assert begun().look(storage, ("nowhere",), 40, time.time()) is None
