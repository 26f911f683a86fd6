"""The probes of a root look at a job one after the other, and say once what troubles them."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.folders import FAILED_LOG, LAUNCH, write_executor
from support.jobs.stats import complete, write_stats
from support.jobs.task_states import open_tasks_of

from exporter.config.settings import RootConfig
from exporter.datatrove.layout import log_file
from exporter.errors import Reason, StorageError
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.probes.stats_memory import StatsMemory
from exporter.scanning.probing import Probes, scan_of
from exporter.storage.base import Folder, Version
from exporter.storage.local.storage import LocalStorage

MakeJob = Callable[..., Path]


class Probed:
    """One job that is scanned with all probes of its root."""

    def __init__(self, job: Path, **options: object) -> None:
        config = RootConfig("root", str(job.parent), **{"read_stats": "totals", **options})
        self.storage, self.path = LocalStorage(str(job.parent)), (job.name,)
        self.probes = Probes(config)
        self.memory: Memory | None = None

    def scan(self) -> JobScan:
        self.probes.begin()
        self.probes.begin_of_many()
        result = scan_job(self.storage, self.path, self._folder(), self.memory, self.probes.all)
        self.memory = result.memory
        return result

    def scanned(self) -> Memory:
        self.scan()
        assert self.memory is not None
        return self.memory

    def probe_again(self) -> tuple[Memory, list[Memory]]:
        """What was remembered after a scan, and what each probe makes of it when it looks once
        more."""
        memory = self.scanned()
        self.probes.begin()
        look = (self.storage, self.path, self._folder(), memory)
        return memory, [probe(*look) for probe in self.probes.all]

    def _folder(self) -> Folder:
        return self.storage.list_folder(self.path, with_subfolders=False)


def write_log(job: Path, rank: int, text: str, time: float) -> None:
    file = job / log_file(rank)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    os.utime(file, (time, time))


def failing(make_job: MakeJob, **keys: object) -> Path:
    job = make_job("j", tasks=4, completed=[0], **keys)
    write_log(job, 1, FAILED_LOG, LAUNCH + 90)
    write_log(job, 2, "log\n", LAUNCH + 90)
    write_stats(job, 0)
    return job


@pytest.mark.parametrize("kind", ["waiting", "without logs", "with logs", "complete", "by Slurm"])
def test_where_there_is_nothing_new_each_probe_gives_back_the_very_same_reading(
    make_job: MakeJob, kind: str
) -> None:
    """So the lines of that job are not rendered anew. Of open tasks it is decided anew."""
    if kind == "waiting":
        job = make_job("j")
    elif kind == "complete":
        job = make_job("j", tasks=2)
        complete(job, 0, LAUNCH + 60)
        complete(job, 1, LAUNCH + 120)
    elif kind == "without logs":
        job = make_job("j", tasks=4)
        complete(job, 0, LAUNCH + 60)
    else:
        job = failing(make_job, **({"partition": "cpu"} if kind == "by Slurm" else {}))
    probed = Probed(job)
    for _ in range(3):
        probed.scan()
    memory, after = probed.probe_again()
    assert len(after) == 5
    assert all(each.reading is memory.reading for each in after)
    of_logs, *others = [each is memory for each in after]
    assert (memory.arrays is not None) == (kind == "by Slurm")
    assert all(others)
    assert of_logs == (memory.logs is None) == (kind in ("waiting", "complete"))


def test_what_the_probes_find_is_in_the_reading(make_job: MakeJob) -> None:
    job = failing(make_job, partition="cpu")
    (job / "slurm_logs").mkdir()
    (job / "slurm_logs" / "77_1.out").write_text("")
    memory = Probed(job).scanned()
    reading = memory.reading
    assert reading is not None
    tasks = open_tasks_of(reading)
    assert tasks is not None
    assert list(tasks.failures) == [1]
    assert reading.stats is not None
    assert reading.stats.tasks == 1
    assert reading.mixed_pipelines is None
    assert memory.arrays is not None
    assert memory.arrays.ids == (77,)


def test_a_launch_that_is_done_has_no_logs_and_one_that_nobody_watches_says_nothing(
    make_job: MakeJob,
) -> None:
    job = failing(make_job)
    probed, unwatched = Probed(job), Probed(job, watch_logs="never")
    found = [each.scanned().reading for each in (probed, unwatched)]
    assert [reading and reading.logs is not None for reading in found] == [True, False]
    assert [reading and reading.needs_relaunch for reading in found] == [True, None]
    for rank in (1, 2, 3):
        complete(job, rank, LAUNCH + 1000 + rank)
    memory = probed.scanned()
    assert memory.logs is None
    assert memory.reading is not None
    assert (memory.reading.logs, memory.reading.needs_relaunch) == (None, False)


def test_of_a_launch_that_repeats_tasks_those_done_before_are_open(make_job: MakeJob) -> None:
    job = make_job("j", tasks=3, completed=[0, 1, 2])
    write_executor(job, tasks=3, launch=LAUNCH + 9000, skip_completed=False, local_tasks=3)
    for rank in (0, 1):
        write_log(job, rank, FAILED_LOG, LAUNCH + 9400)
    complete(job, 1, LAUNCH + 9500)
    reading = Probed(job).scanned().reading
    assert reading is not None
    tasks = open_tasks_of(reading)
    assert tasks is not None
    assert list(tasks.failures) == [0]


def stats_with(error: Reason | None = None, fault: Reason | None = None) -> StatsMemory:
    return StatsMemory(
        None,
        error=None if error is None else StorageError(error, "now"),
        fault=None if fault is None else StorageError(fault, "now"),
    )


@pytest.mark.parametrize(
    ("before", "now", "is_told"),
    [
        (None, "denied", True),
        (stats_with(), "denied", True),
        (stats_with("timeout"), "denied", True),
        (stats_with("denied"), "denied", False),
        (stats_with("denied"), None, False),
    ],
)
def test_trouble_is_told_when_it_is_another_than_before(
    make_job: MakeJob, before: StatsMemory | None, now: Reason | None, is_told: bool
) -> None:
    memory = Probed(make_job("j")).scanned()
    found = scan_of(replace(memory, stats=stats_with(now)), replace(memory, stats=before))
    assert (found.stats_error is not None) == is_told
    assert (found.reading, found.log_error) == (memory.reading, None)


def test_what_is_wrong_with_files_is_told_once_whatever_it_is(make_job: MakeJob) -> None:
    memory = Probed(make_job("j")).scanned()
    first, other = (replace(memory, stats=stats_with(fault=r)) for r in ("invalid", "not_found"))
    told = scan_of(first, memory)
    assert told.stats_fault is not None
    assert told.stats_fault.reason == "invalid"
    assert scan_of(other, first).stats_fault is None
    unread = replace(memory, stats=None)
    assert scan_of(unread, first).stats_fault is None
    assert scan_of(unread, unread).stats_fault is None


def test_where_storage_tells_no_times_nobody_knows_whether_a_launch_is_over(
    make_job: MakeJob,
) -> None:
    job = failing(make_job)
    probed = Probed(job)
    memory = replace(probed.scanned(), version=Version("v", None))
    with_logs = probed.probes.all[0]
    folder = probed.storage.list_folder(probed.path, with_subfolders=False)
    found = with_logs(probed.storage, probed.path, folder, memory)
    assert found.reading is not None
    assert (found.logs, found.reading.logs, found.reading.needs_relaunch) == (None, None, None)
