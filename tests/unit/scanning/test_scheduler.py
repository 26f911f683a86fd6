"""When scans run and end: on real folders, with storage that hangs where it must."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from support.jobs.folders import write_job, write_marker
from support.snapshots.readings import a_snapshot, an_unreadable_job
from support.storages.hanging_storage import HangingStorage, opener

from exporter.config.settings import RootConfig
from exporter.config.shard import Shard
from exporter.errors import Reason, StorageError
from exporter.model.job import Job
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import Folder
from exporter.storage.base import Path as StoragePath
from exporter.storage.local.storage import LocalStorage
from exporter.workers import Workers

MakeJob = Callable[..., Path]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.01)


def scan_once(folder: Path, **options: object) -> Root:
    config = RootConfig("r", str(folder), **options)
    return Scheduler([config], Latest(), Workers(4)).run_once().roots[0]


def names_in(root: Root) -> list[str]:
    return [job.name for job in root.jobs]


def job_in(root: Root, name: str) -> Job:
    return next(job for job in root.jobs if job.name == name)


class Running:
    """A scheduler on a thread of its own, over roots whose storage can hang."""

    def __init__(self, folders: list[Path], workers: int = 4, **options: object) -> None:
        self.latest = Latest()
        self.workers = Workers(workers, patience_seconds=0.2)
        self.storages = {str(f): HangingStorage(str(f)) for f in folders}
        defaults = {"scan_interval_seconds": 0.2, "scan_timeout_seconds": 1.0}
        configs = [RootConfig(f.name, str(f), **{**defaults, **options}) for f in folders]
        self.scheduler = Scheduler(configs, self.latest, self.workers, opener(self.storages))
        self._thread = threading.Thread(target=self.scheduler.run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.scheduler.stop()
        for storage in self.storages.values():
            storage.release()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.workers.close()

    def root(self, folder: Path) -> Root:
        return next(root for root in self.latest.read().roots if root.name == folder.name)

    def storage(self, folder: Path) -> HangingStorage:
        return self.storages[str(folder)]


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Makes schedulers and stops them in the end."""
    made: list[Running] = []

    def make(*folders: Path, **options: object) -> Running:
        made.append(Running(list(folders), **options))
        return made[-1]

    yield make
    for running in made:
        running.stop()


def test_jobs_are_found_at_every_depth_up_to_the_maximum(root: Path, make_job: MakeJob) -> None:
    for name in ("a", "p/b", "p/q/c", "p/q/r/d", "a/merged", "a/logs/hidden"):
        make_job(name)
    assert names_in(scan_once(root)) == ["a", "a/merged", "p/b", "p/q/c"]
    assert names_in(scan_once(root, max_depth=1)) == ["a"]
    assert "p/q/r/d" in names_in(scan_once(root, max_depth=4))
    assert names_in(scan_once(root / "a", max_depth=0)) == ["."]


def test_folders_at_the_maximum_depth_that_hold_more_are_counted_and_named(
    root: Path, make_job: MakeJob
) -> None:
    for name in ("a", "p/job", "p/job/inner/x", "q/r/s"):
        make_job(name)
        (root / name / "stats").mkdir()
    (root / "p" / "empty").mkdir()
    found = scan_once(root, max_depth=2)
    assert (names_in(found), found.folders_unsearched) == (["a", "p/job"], 2)
    (sentence,) = found.missed
    assert sentence.endswith("such as p/job")
    assert scan_once(root, max_depth=1).folders_unsearched == 2
    assert scan_once(root, max_depth=0).folders_unsearched == 1
    assert scan_once(root, max_depth=4).missed == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prefix": "CC-"}, "prefix leaves out every folder found (2)"),
        ({"prefix": "p/CC-"}, "prefix leaves out 2 folders, and the rest holds no job"),
        ({"include": ("*/x",)}, "include leaves out all 2 jobs found"),
        (
            {"prefix": "p/", "exclude": ("*/job",)},
            "prefix and exclude leave out the one job found",
        ),
    ],
)
def test_filters_that_leave_out_everything_are_told(
    root: Path, make_job: MakeJob, options: dict[str, object], sentence: str
) -> None:
    make_job("a")
    make_job("p/job")
    assert scan_once(root, **options).missed == (sentence,)
    assert scan_once(root, prefix="p/").missed == ()


def test_another_shard_having_the_jobs_is_nothing_missed(root: Path, make_job: MakeJob) -> None:
    make_job("a")
    shards = [scan_once(root, shard=Shard(number, 2), include=("a",)) for number in range(2)]
    assert sorted(len(found.jobs) for found in shards) == [0, 1]
    assert [found.missed for found in shards] == [(), ()]


def test_symlinked_jobs_count_and_loops_end(root: Path, make_job: MakeJob) -> None:
    make_job("real", completed=[0])
    (root / "link").symlink_to(root / "real")
    (root / "real" / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "nowhere").symlink_to(root / "missing")
    assert names_in(scan_once(root, max_depth=8)) == ["link", "real"]


def test_left_out_jobs_are_not_read(root: Path, make_job: MakeJob) -> None:
    make_job("keep/a")
    make_job("keep/b-test", tasks="unreadable")
    found = scan_once(root, prefix="keep", exclude=("*-test",))
    assert names_in(found) == ["keep/a"]
    assert not any(count for _, count in found.errors)


def test_one_bad_folder_is_counted_and_everything_else_is_exact(
    root: Path, make_job: MakeJob
) -> None:
    make_job("good", tasks=4, completed=[0, 1, 2])
    make_job("bad", tasks=None)
    found = scan_once(root)
    assert found.up
    assert job_in(found, "bad") == an_unreadable_job("bad", error="invalid")
    reading = job_in(found, "good").reading
    assert reading is not None
    assert (reading.tasks, reading.tasks_completed) == (4, 3)
    assert dict(found.errors)["job", "invalid"] == 1


def test_a_file_too_large_to_parse_is_counted_as_such_and_its_job_keeps_its_last_values(
    root: Path, make_job: MakeJob
) -> None:
    job = make_job("j", tasks=4, completed=[0])
    scheduler = Scheduler([RootConfig("r", str(root))], Latest(), Workers(4))
    (before,) = scheduler.run_once().roots
    (job / "executor.json").write_text(json.dumps({"a": "x" * 5_000_000, "world_size": 4}))
    (found,) = scheduler.run_once().roots
    assert found.jobs == (Job("j", before.jobs[0].reading, "too_large"),)
    errors = dict(found.errors)
    assert (errors["job", "too_large"], errors["job", "invalid"]) == (1, 0)


def test_a_root_that_does_not_exist_is_down_and_has_no_jobs(root: Path) -> None:
    found = scan_once(root / "missing")
    assert (found.up, found.attempted, found.totals) == (False, True, None)
    assert dict(found.errors)["root", "not_found"] == 1


def test_each_scan_sees_what_changed(root: Path, make_job: MakeJob) -> None:
    job = make_job("j", tasks=4, completed=[0])
    scheduler = Scheduler([RootConfig("r", str(root))], Latest(), Workers(4))
    scheduler.run_once()
    write_marker(job, "00001", 1_700_000_500)
    make_job("new")
    (found,) = scheduler.run_once().roots
    reading = job_in(found, "j").reading
    assert reading is not None
    assert reading.tasks_completed == 2
    assert names_in(found) == ["j", "new"]
    assert found.scans == 2


def test_scans_repeat_on_schedule(
    root: Path, make_job: MakeJob, run: Callable[..., Running]
) -> None:
    make_job("j")
    running = run(root)
    running.start()
    wait_until(lambda: running.root(root).scans >= 3)
    assert running.latest.read().is_ready


def test_a_slow_scan_is_not_started_twice_and_missed_ticks_are_counted(
    root: Path, make_job: MakeJob, run: Callable[..., Running]
) -> None:
    make_job("slow")
    running = run(root, scan_timeout_seconds=60)
    running.storage(root).hanging = {("slow",)}
    running.start()
    wait_until(lambda: running.root(root).scans_skipped >= 3)
    assert running.root(root).scans == 0
    running.storage(root).release()
    wait_until(lambda: running.root(root).scans >= 2)
    assert running.root(root).up


def test_a_hung_root_is_given_up_and_delays_no_other(
    tmp_path: Path, run: Callable[..., Running]
) -> None:
    hung, good = tmp_path / "hung", tmp_path / "good"
    for folder in (hung, good):
        for number in range(20):
            write_job(folder / f"j{number}", completed=[0])
    running = run(hung, good, workers=2)
    running.storage(hung).hanging = {()}
    running.start()
    wait_until(lambda: running.root(hung).attempted)
    assert dict(running.root(hung).errors)["root", "timeout"] == 1
    assert not running.root(hung).up
    assert running.workers.stuck == 1
    before = running.root(good).scans
    wait_until(lambda: running.root(good).scans >= before + 3)
    assert running.workers.stuck == 1  # not tried again while the first try still hangs
    assert running.root(hung).scans == 1
    assert running.root(hung).scans_skipped > 0
    running.storage(hung).release()
    wait_until(lambda: running.root(hung).up)
    wait_until(lambda: running.workers.stuck == 0)
    assert len(running.root(hung).jobs) == 20


def test_many_hung_roots_leave_the_others_on_time(
    tmp_path: Path, run: Callable[..., Running]
) -> None:
    folders = [tmp_path / f"root-{number}" for number in range(12)]
    for folder in folders:
        write_job(folder / "j", completed=[0])
    running = run(*folders, workers=4)
    for folder in folders[:8]:
        running.storage(folder).hanging = {()}
    running.start()
    wait_until(lambda: all(running.root(folder).scans >= 3 for folder in folders[8:]))
    wait_until(lambda: running.latest.read().is_ready)
    assert all(running.root(folder).up for folder in folders[8:])
    assert not any(running.root(folder).up for folder in folders[:8])


def test_one_hung_job_leaves_the_rest_of_its_root_exact(
    root: Path, make_job: MakeJob, run: Callable[..., Running]
) -> None:
    for name in ("a", "b", "hung", "hung/inner"):
        make_job(name, tasks=3, completed=[0, 1])
    running = run(root)
    running.storage(root).hanging_jobs = {("hung",)}
    running.start()
    wait_until(lambda: running.root(root).scans >= 2)  # the second is not held up any more
    found = running.root(root)
    assert found.up
    assert found.last_successful_scan_timestamp is not None
    assert job_in(found, "hung") == an_unreadable_job("hung", error="timeout")
    for name in ("a", "b"):
        reading = job_in(found, name).reading
        assert reading is not None
        assert reading.tasks_completed == 2
    assert running.workers.stuck == 1
    running.storage(root).release()
    wait_until(lambda: job_in(running.root(root), "hung").error is None)


def test_values_of_a_root_that_hangs_are_kept_for_stale_after_and_then_go(
    root: Path, make_job: MakeJob, run: Callable[..., Running]
) -> None:
    make_job("j", completed=[0])
    running = run(root, stale_after_seconds=1.0)
    running.start()
    wait_until(lambda: running.root(root).up)
    running.storage(root).hanging = {()}
    wait_until(lambda: not running.root(root).up)
    kept = running.root(root)
    assert kept.totals is not None
    assert job_in(kept, "j").reading is not None
    assert job_in(kept, "j").as_of == kept.last_successful_scan_timestamp
    wait_until(lambda: running.root(root).totals is None)
    assert running.root(root).jobs == ()
    assert running.root(root).jobs_lost == 1


@pytest.mark.parametrize("replaced", ["root", "root/dump"])
def test_jobs_of_a_folder_that_takes_the_place_of_another_are_read_at_the_next_scan(
    tmp_path: Path, replaced: str
) -> None:
    """Also where a completed job had that name."""
    write_job(tmp_path / "root" / "dump" / "job", tasks=2, completed=[0, 1])
    config = RootConfig("r", str(tmp_path / "root"), completed_scan_interval_seconds=1e6)
    scheduler = Scheduler([config], Latest(), Workers(4))
    for _ in range(2):
        (before,) = scheduler.run_once().roots
    assert before.totals is not None
    assert before.totals.tasks_completed == 2
    (tmp_path / replaced).rename(tmp_path / "before")
    write_job(tmp_path / "root" / "dump" / "job", tasks=2, completed=[0])
    (after,) = scheduler.run_once().roots
    assert after.totals is not None
    assert after.totals.tasks_completed == 1


def test_a_folder_that_fails_to_list_keeps_the_jobs_below_it(
    root: Path, make_job: MakeJob, run: Callable[..., Running]
) -> None:
    make_job("p/a", completed=[0])
    make_job("b")
    running = run(root)
    running.start()
    wait_until(lambda: running.root(root).up)
    running.storage(root).failing = {("p",): StorageError("denied", "Permission denied")}
    wait_until(lambda: job_in(running.root(root), "p/a").error == "denied")
    assert job_in(running.root(root), "p/a").reading is not None
    assert running.root(root).up
    running.storage(root).failing = {("p",): StorageError("not_found", "gone")}
    wait_until(lambda: names_in(running.root(root)) == ["b"])


def test_a_bug_is_counted_and_scanning_goes_on(
    root: Path, make_job: MakeJob, run: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    make_job("good")
    make_job("strange")
    running = run(root)
    running.storage(root).failing = {("strange",): ZeroDivisionError()}  # type: ignore[dict-item]
    running.start()
    wait_until(lambda: running.root(root).scans >= 2)
    assert dict(running.root(root).errors)["job", "other"] >= 2
    assert job_in(running.root(root), "good").error is None
    assert "ZeroDivisionError" in caplog.text


def test_five_hundred_roots_are_all_scanned(tmp_path: Path) -> None:
    configs = []
    for number in range(500):
        write_job(tmp_path / str(number) / "j", completed=[0])
        configs.append(RootConfig(str(number), str(tmp_path / str(number))))
    snapshot = Scheduler(configs, Latest(), Workers(4)).run_once()
    assert snapshot.totals.tasks_completed == 500
    assert snapshot.is_ready


def test_a_thousand_jobs_of_a_root_are_read_by_several_threads(
    root: Path, make_job: MakeJob
) -> None:
    for number in range(1000):
        make_job(f"j{number:04d}", tasks=3, completed=range(number % 4))
    found = scan_once(root)
    assert found.totals is not None
    assert found.totals.tasks_completed == sum(number % 4 for number in range(1000))
    assert found.totals.jobs_completed == 250


def test_names_that_differ_only_in_bytes_stay_two_jobs(root: Path) -> None:
    for name in (b"j\xff", b"j\xfe", b"j\\xff", b'q"\n<b>'):
        write_job(Path(os.fsdecode(os.fsencode(root) + b"/" + name)))
    assert names_in(scan_once(root)) == sorted(["j\\xff", "j\\xfe", "j\\\\xff", 'q"\\x0a<b>'])


def test_the_sums_of_all_roots_are_divided_last(tmp_path: Path) -> None:
    write_job(tmp_path / "a" / "j", tasks=1, completed=[0])
    write_job(tmp_path / "b" / "j", tasks=9, completed=[0])
    configs = [RootConfig(name, str(tmp_path / name)) for name in ("a", "b", "missing")]
    totals = Scheduler(configs, Latest(), Workers(4)).run_once().totals
    assert totals.tasks_completed_ratio == 2 / 10
    assert totals.jobs_completed_ratio == 1 / 2
    assert a_snapshot().totals.tasks_completed_ratio is None


# --- New configuration


def test_a_new_configuration_keeps_what_is_the_same(
    root: Path, run: Callable[..., Running]
) -> None:
    first, second = root / "first", root / "second"
    for folder in (first, second):
        write_job(folder / "job", tasks=2, completed=[0])
    running = run(first, second, scan_interval_seconds=3600.0)
    running.start()
    wait_until(lambda: running.latest.read().is_ready)
    before = running.root(first)
    configs = [state.state.config for state in running.scheduler._roots]
    running.scheduler.reconfigure(configs[:1])
    wait_until(lambda: len(running.latest.read().roots) == 1)
    assert running.root(first) is before
    running.scheduler.reconfigure(configs)
    wait_until(lambda: len(running.latest.read().roots) == 2)
    wait_until(lambda: running.root(second).scans == 1)
    assert running.root(first) is before


def test_a_root_that_hangs_can_be_removed(root: Path, run: Callable[..., Running]) -> None:
    """What hangs counts as stuck, in another root's time, until it returns."""
    hung, good = root / "hung", root / "good"
    for folder in (hung, good):
        write_job(folder / "job", tasks=2, completed=[0])
    running = run(hung, good)
    running.storage(hung).hanging.add(())
    running.start()
    wait_until(lambda: running.workers.busy == 1 and running.root(good).scans > 0)
    configs = [state.state.config for state in running.scheduler._roots]
    running.scheduler.reconfigure(configs[1:])
    wait_until(lambda: len(running.latest.read().roots) == 1)
    wait_until(lambda: running.workers.stuck == 1)
    scans = running.root(good).scans
    wait_until(lambda: running.root(good).scans > scans)
    running.storage(hung).release()
    wait_until(lambda: running.workers.stuck == 0)


def test_reloading_a_root_that_hangs_takes_no_more_threads(
    root: Path, run: Callable[..., Running]
) -> None:
    hung = root / "hung"
    write_job(hung / "job", tasks=2, completed=[0])
    running = run(hung)
    running.storage(hung).hanging.add(())
    running.start()
    wait_until(lambda: running.workers.busy == 1)
    (config,) = [state.state.config for state in running.scheduler._roots]
    for timeout in range(10, 20):
        running.scheduler.reconfigure([replace(config, scan_timeout_seconds=float(timeout))])
        wait_until(
            lambda t=float(timeout): (
                running.scheduler._roots[0].state.config.scan_timeout_seconds == t
            )
        )
        skipped = running.root(hung).scans_skipped
        wait_until(lambda s=skipped: running.root(hung).scans_skipped > s)
    assert running.workers.stuck + running.workers.busy == 1
    running.storage(hung).release()
    wait_until(lambda: running.root(hung).up)
    assert running.workers.stuck == 0


def first_listed(folder: Path) -> str:
    """The name of the sub-folder that a listing shows first."""
    with os.scandir(folder) as entries:
        return next(entry.name for entry in entries)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_hung_folder_does_not_keep_the_last_one_from_being_visited(
    root: Path, make_job: MakeJob, run: Callable[..., Running], workers: int
) -> None:
    for name in ("a", "b"):
        make_job(name, tasks=3, completed=[0])
    running = run(root, workers=workers)
    hung = first_listed(root)
    running.storage(root).hanging = {(hung,)}
    running.start()
    wait_until(lambda: running.root(root).scans >= 3)
    found = running.root(root)
    assert found.up
    assert {job.name: job.error for job in found.jobs} == {
        "a": "timeout" if hung == "a" else None,
        "b": "timeout" if hung == "b" else None,
    }
    assert dict(found.errors)["root", "timeout"] == 0  # nor did the first scan


def test_a_root_whose_scans_cannot_begin_is_down_and_its_values_grow_old(
    root: Path, make_job: MakeJob, run: Callable[..., Running]
) -> None:
    names = [f"j{number}" for number in range(4)]
    for name in names:
        make_job(name, completed=[0])
    running = run(root, stale_after_seconds=1.0)
    running.start()
    wait_until(lambda: running.root(root).up)
    for number in range(4):  # one after another: every scan that begins lists the root
        running.storage(root).hanging_jobs |= {(names[number],)}
        wait_until(lambda: running.workers.stuck > number)  # noqa: B023
    wait_until(lambda: not running.root(root).up)
    wait_until(lambda: running.root(root).totals is None)
    before = running.root(root)
    wait_until(lambda: running.root(root).scans_skipped >= before.scans_skipped + 3)
    assert running.root(root).errors == before.errors  # told once
    running.storage(root).release()
    wait_until(lambda: running.root(root).up and len(running.root(root).jobs) == 4)


class Vanishing(HangingStorage):
    """Local folders to which something happens once the folder `after` was listed."""

    def __init__(self, root: str, vanish: Callable[[], object], after: StoragePath = ()) -> None:
        super().__init__(root)
        self._vanish = vanish
        self._after = after
        self.is_armed = False

    def list_folder(self, path: StoragePath, last: Folder | None = None, **options: bool) -> Folder:
        folder = super().list_folder(path, last, **options)
        if path == self._after and self.is_armed:
            self.is_armed = False
            self._vanish()
        return folder


@pytest.mark.parametrize("after", [(), ("a",)], ids=["root", "job"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_root_that_goes_while_it_is_scanned_loses_no_job(
    root: Path, make_job: MakeJob, replaced: bool, after: StoragePath
) -> None:
    """As when a file system is unmounted in the middle of a scan."""
    for name in ("a", "b", "p/c"):
        make_job(name, completed=[0])
    elsewhere = root.with_name("elsewhere")

    def vanish() -> None:
        root.rename(elsewhere)
        if replaced:
            root.mkdir()

    storage = Vanishing(str(root), vanish, after)
    config = RootConfig("r", str(root))
    scheduler = Scheduler([config], Latest(), Workers(4), lambda *_: storage)
    scheduler.run_once()
    storage.is_armed = True
    (found,) = scheduler.run_once().roots
    assert not found.up
    assert dict(found.errors)["root", "partial" if replaced else "not_found"] == 1
    assert names_in(found) == ["a", "b", "p/c"]
    assert all(job.reading is not None for job in found.jobs)
    assert any(job.as_of is not None for job in found.jobs)
    assert not any(job.error for job in found.jobs)
    if replaced:
        root.rmdir()
    elsewhere.rename(root)
    (found,) = scheduler.run_once().roots
    assert found.up
    assert not any(job.error or job.as_of for job in found.jobs)


def test_jobs_that_go_while_the_root_is_scanned_are_no_error(root: Path, make_job: MakeJob) -> None:
    for name in ("a", "b", "p/c"):
        make_job(name, completed=[0])
    storage = Vanishing(str(root), lambda: (root / "a").rename(root.with_name("elsewhere")))
    config = RootConfig("r", str(root))
    scheduler = Scheduler([config], Latest(), Workers(4), lambda *_: storage)
    scheduler.run_once()
    storage.is_armed = True
    (found,) = scheduler.run_once().roots
    assert (found.up, names_in(found)) == (True, ["b", "p/c"])
    assert not any(count for _, count in found.errors)


def test_a_check_that_hangs_makes_the_root_down_and_loses_no_job(
    root: Path, make_job: MakeJob
) -> None:
    """A folder goes, and the storage hangs just when it is asked whether the root is there."""
    for name in ("a", "b"):
        make_job(name, completed=[0])

    def vanish() -> None:
        (root / "a").rename(root.with_name("elsewhere"))
        storage.hanging.add(())

    storage = Vanishing(str(root), vanish)
    config = RootConfig("r", str(root), scan_timeout_seconds=1)
    workers = Workers(4)
    scheduler = Scheduler([config], Latest(), workers, lambda *_: storage)
    scheduler.run_once()
    storage.is_armed = True
    (found,) = scheduler.run_once().roots
    assert not found.up
    assert dict(found.errors)["root", "timeout"] == 1
    assert names_in(found) == ["a", "b"]
    assert workers.stuck == 1
    (found,) = scheduler.run_once().roots
    assert (found.scans_skipped, workers.stuck) == (1, 1), "it is not asked while it hangs"
    storage.release()
    wait_until(lambda: workers.stuck == 0)
    wait_until(lambda: scheduler.run_once().roots[0].up)
    assert names_in(scheduler.run_once().roots[0]) == ["b"]


class Breaking(LocalStorage):
    """Local folders on a storage that breaks down after the root was listed."""

    def __init__(self, root: str, *, for_good: bool, reason: Reason = "unavailable") -> None:
        super().__init__(root)
        self._error = StorageError(reason, "it broke")
        self._for_good = for_good
        self.calls = 0
        self.is_broken = False

    def list_folder(self, path: StoragePath, last: Folder | None = None, **options: bool) -> Folder:
        self.calls += 1
        if path == () and (not self.is_broken or not self._for_good):
            folder = super().list_folder(path, last, **options)
            self.is_broken = True
            return folder
        time.sleep(0.01)  # as any storage that can break down
        raise self._error


@pytest.mark.parametrize("for_good", [True, False])
def test_a_storage_that_breaks_down_is_not_asked_for_every_folder(
    root: Path, make_job: MakeJob, for_good: bool
) -> None:
    for number in range(200):
        (root / str(number)).mkdir()
    storage = Breaking(str(root), for_good=for_good)
    config = RootConfig("r", str(root))
    workers = Workers(4)
    (found,) = Scheduler([config], Latest(), workers, lambda *_: storage).run_once().roots
    if for_good:
        assert storage.calls < 50
        assert not found.up
        assert dict(found.errors)["root", "unavailable"] == 1
    else:  # the storage answers, so the folders are to blame, and each has its chance
        assert storage.calls >= 201
        assert found.up
        assert dict(found.errors)["job", "unavailable"] == 200


@pytest.mark.parametrize("reason", ["timeout", "throttled", "unavailable", "denied"])
def test_a_storage_that_keeps_failing_is_left_alone_for_longer(
    root: Path, run: Callable[..., Running], reason: Reason
) -> None:
    running = run(root)
    running.storage(root).failing = {(): StorageError(reason, "it broke")}
    running.start()
    wait_until(lambda: running.root(root).scans >= 4)
    found = running.root(root)
    backs_off = reason != "denied"
    assert (found.backoff_seconds > 0.19 * 6) == backs_off
    running.storage(root).failing = {}
    wait_until(lambda: running.root(root).up)
    assert running.root(root).backoff_seconds == 0


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, GeneratorExit])
@pytest.mark.filterwarnings("error")
def test_whatever_a_library_raises_no_thread_is_lost(
    root: Path,
    make_job: MakeJob,
    run: Callable[..., Running],
    error: type[BaseException],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_job("good")
    make_job("strange")
    running = run(root, workers=1)
    running.storage(root).failing = {("strange",): error()}  # type: ignore[dict-item]
    running.start()
    wait_until(lambda: running.root(root).scans >= 5)
    found = running.root(root)
    assert found.up
    assert job_in(found, "strange").error == "other"
    assert job_in(found, "good").error is None
    assert running.workers.stuck == 0
    assert error.__name__ in caplog.text


@pytest.mark.parametrize("broken", ["jobs._states", "_oldest_failure", "folders", "elsewhere"])
def test_a_bug_met_with_one_root_stops_no_other(
    tmp_path: Path, run: Callable[..., Running], caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    folders = [tmp_path / name for name in ("bad", "good")]
    for folder in folders:
        write_job(folder / "j", completed=[0])
    running = run(*folders)
    running.start()
    wait_until(lambda: all(running.root(folder).up for folder in folders))
    *owner, name = broken.split(".")
    state = running.scheduler._roots[0].state
    setattr(attrgetter(*owner)(state) if owner else state, name, None)
    wait_until(lambda: not running.root(folders[0]).up or "met a bug" in caplog.text)
    before = running.root(folders[1]).scans
    wait_until(lambda: running.root(folders[1]).scans >= before + 3)
    heartbeat = running.scheduler.last_heartbeat
    wait_until(lambda: running.scheduler.last_heartbeat > heartbeat)


class Faulty(Workers):
    """Workers that fail their scheduler, and no root, when `is_armed`."""

    is_armed = False

    def relieve(self) -> None:
        if self.is_armed:
            self.is_armed = False
            raise ZeroDivisionError
        super().relieve()


def test_a_bug_of_the_scheduler_itself_does_not_end_it(
    root: Path, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job("j", completed=[0])
    workers, latest = Faulty(4), Latest()
    config = RootConfig("r", str(root), scan_interval_seconds=0.2)
    scheduler = Scheduler([config], latest, workers)
    thread = threading.Thread(target=scheduler.run, daemon=True)
    thread.start()
    wait_until(lambda: latest.read().roots[0].up)
    workers.is_armed = True
    wait_until(lambda: not workers.is_armed)
    write_marker(job, "00001", time.time())
    wait_until(lambda: latest.read().roots[0].totals.tasks_completed == 2 or not thread.is_alive())
    assert thread.is_alive()
    assert "ZeroDivisionError" in caplog.text
    scheduler.stop()
    thread.join(10)


NO_THREADS = """
import resource, signal, sys, threading
from exporter.scanning.scheduler import Scheduler
from exporter.config.settings import RootConfig
from exporter.config.shard import Shard
from exporter.model.snapshot import Latest
from exporter.workers import Workers

def lift(*_):
    print("lifted", workers.busy)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

threading.stack_size(1 << 30)
workers = Workers(4)
scheduler = Scheduler([RootConfig("r", sys.argv[1])], Latest(), workers)
signal.signal(signal.SIGALRM, lift)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), resource.RLIM_INFINITY))
signal.setitimer(signal.ITIMER_REAL, 2)
(root,) = scheduler.run_once().roots
print(root.up, len(root.jobs), sum(count for _, count in root.errors))
"""


def test_a_scan_waits_for_threads_that_the_system_does_not_give(
    root: Path, make_job: MakeJob
) -> None:
    make_job("j", completed=[0])
    run = subprocess.run(
        [sys.executable, "-P", "-c", NO_THREADS, root], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split("\n") == ["lifted 0", "True 1 0", ""]


def test_roots_that_are_due_at_once_take_turns_and_none_starves(tmp_path: Path) -> None:
    """Far more slow roots than workers: each scan begins when it can make progress, so
    that none is given up because it had to wait for the others."""
    folders = [tmp_path / f"root-{number}" for number in range(40)]
    for folder in folders:
        for number in range(3):
            write_job(folder / f"j{number}", completed=[0])

    class Slow(LocalStorage):
        def list_folder(self, *args: Any, **options: Any) -> Folder:
            time.sleep(0.05)
            return super().list_folder(*args, **options)

    configs = [RootConfig(f.name, str(f), scan_timeout_seconds=2.0) for f in folders]
    scheduler = Scheduler(configs, Latest(), Workers(2), lambda url, *_: Slow(url))
    snapshot = scheduler.run_once()
    assert all(root.up for root in snapshot.roots)
    assert snapshot.totals.tasks_completed == 120


def test_the_wall_clock_decides_nothing(
    root: Path, make_job: MakeJob, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job("j", completed=[0])
    running = run(root, stale_after_seconds=5.0)
    running.start()
    wait_until(lambda: running.root(root).scans >= 2)
    real = time.time
    for jump in (10 * 365 * 86400, -10 * 365 * 86400, 3600, -3600):
        monkeypatch.setattr(time, "time", lambda: real() + jump)  # noqa: B023
        before = running.root(root).scans
        wait_until(lambda: running.root(root).scans >= before + 3)  # noqa: B023
        found = running.root(root)
        assert found.up
        assert found.jobs[0].reading is not None
        assert found.last_scan_duration_seconds is not None
        assert 0 <= found.last_scan_duration_seconds < 60
        assert found.last_successful_scan_timestamp is not None
        assert abs(found.last_successful_scan_timestamp - real() - jump) < 60


def test_the_connections_of_a_root_that_was_removed_are_closed(
    tmp_path: Path, run: Callable[..., Running]
) -> None:
    folders = [tmp_path / name for name in ("kept", "removed")]
    for folder in folders:
        write_job(folder / "j")
    running = run(*folders)
    closed = []
    for folder in folders:
        running.storage(folder).close = lambda folder=folder: closed.append(folder)  # type: ignore[method-assign,misc]
    running.start()
    wait_until(lambda: all(running.root(folder).up for folder in folders))
    kept = running.scheduler._roots[0].state.config
    running.scheduler.reconfigure([kept])
    wait_until(lambda: closed == folders[1:])
    before = running.root(folders[0]).scans
    wait_until(lambda: running.root(folders[0]).scans >= before + 2)
    assert closed == folders[1:]
