"""Jobs of all roots connected, on folders as scans find them."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.jobs import archives, real
from support.jobs.folders import LAUNCH, write_executor, write_marker
from support.servers import BUCKET, HttpServer
from support.slurm import jobs as slurm_jobs
from support.snapshots.upstreams import Exporter, names_itself, waits_for
from support.storages.in_memory_s3 import Objects

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import RootConfig, StorageOptions
from exporter.errors import StorageError
from exporter.model.snapshot import Latest, Root
from exporter.model.upstream import Upstream
from exporter.scanning.root import scan
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import Path as JobPath
from exporter.storage.local.storage import LocalStorage
from exporter.workers import Workers

MakeJob = Callable[..., Path]
ORDER = {
    "labels": (parse_label_pattern("{pipeline}/{dump}/{stage}"),),
    "stage_order": ("first", "second", "third"),
}


@pytest.fixture
def watch() -> Iterator[Callable[..., Exporter]]:
    made: list[Exporter] = []

    def make(*roots: Path, **options: object) -> Exporter:
        defaults = {"max_depth": 5, "completed_scan_interval_seconds": 0.0}
        configs = [RootConfig(root.name, str(root), **{**defaults, **options}) for root in roots]
        made.append(Exporter(*configs))
        return made[-1]

    yield make
    for exporter in made:
        exporter.close()


Watch = Callable[..., Exporter]


def found_in(exporter: Exporter) -> dict[str, tuple[str, str, int | None]]:
    """For each job that has one: its upstream, by what it was found, how many tasks that lacks."""
    return {
        name: (upstream.job_name, upstream.via, upstream.remaining)
        for name, upstream in exporter.upstreams().items()
    }


def test_what_a_real_slurm_cluster_left(tmp_path: Path, watch: Watch) -> None:
    """In ``arrays`` a task of the first of three arrays failed, and the next stage ran: it waited
    for the last one only."""
    folder = slurm_jobs.unpack(tmp_path) / "jobs"
    assert found_in(watch(folder)) == {
        "jobs:arrays/buckets": ("arrays/signatures", "slurm", 1),
        "jobs:chain_failed/buckets": ("chain_failed/signatures", "slurm", 0),
        "jobs:chain_failed/filter": ("chain_failed/buckets", "slurm", 0),
        "jobs:chain_ok/buckets": ("chain_ok/signatures", "slurm", 0),
        "jobs:chain_ok/cluster": ("chain_ok/buckets", "slurm", 0),
        "jobs:chain_ok/filter": ("chain_ok/cluster", "slurm", 0),
    }


def test_what_waits_for_a_dead_stage_on_a_real_cluster_is_not_known_until_it_ran(
    tmp_path: Path, watch: Watch
) -> None:
    """The stage that waits knows the array of the one that failed; the third, that of the second,
    which has written nothing yet."""
    folder = slurm_jobs.unpack(tmp_path) / "before_relaunch"
    found = {n: f for n, f in found_in(watch(folder)).items() if "chain_failed" in n}
    assert found == {
        "before_relaunch:chain_failed/buckets": ("chain_failed/signatures", "slurm", 1)
    }


def test_what_real_runs_left(tmp_path: Path, watch: Watch) -> None:
    folder = real.unpack(tmp_path)
    assert set(found_in(watch(folder, max_depth=8)).values()) == {
        ("slurm_run/signatures", "slurm", 0),
        ("hf_jobs_executor/signatures", "depends", 50),
    }


def test_the_order_of_stages_finds_upstreams_among_jobs_with_the_same_other_labels(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("minhash/a/first", tasks=3, completed=[0])
    make_job("minhash/a/second")
    make_job("minhash/b/second")
    make_job("minhash/b/third")
    make_job("sentence/a/second")
    make_job("minhash/a/extra")
    assert found_in(watch(root, **ORDER)) == {
        "root:minhash/a/second": ("minhash/a/first", "order", 2),
        "root:minhash/b/third": ("minhash/b/second", "order", 4),
    }


def test_an_upstream_is_found_in_another_root_by_the_folder_it_recorded_of_itself(
    tmp_path: Path, root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("next", **names_itself("bucket/logs/next"), **waits_for("bucket/logs/before"))
    make_job("moved", tasks=12, completed=range(11), **names_itself("bucket/logs/before"))
    other = tmp_path / "other"
    shutil.move(root / "moved", other / "moved")
    exporter = watch(root, other)
    assert exporter.upstreams() == {
        "root:next": Upstream("other", "moved", "depends", tasks=12, completed=11)
    }
    shutil.copytree(other / "moved", other / "copy")
    assert exporter.upstreams() == {}, "of a folder and its copy neither is the upstream"


def test_a_job_in_which_nothing_changed_is_the_very_same_object(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    """A complete one is hidden here, and so is shown by a copy."""
    make_job("a", tasks=2, completed=[0, 1], **names_itself("/a"))
    make_job("b", tasks=2, completed=[0], **names_itself("/b"), **waits_for("/a"))
    make_job("c", **waits_for("/b"))
    make_job("d", tasks=1, completed=[0], **waits_for("/b"))
    exporter = watch(root, hide_completed_after_seconds=0.0, abandoned_after_seconds=1e12)
    before = exporter.scan()
    assert before["root:a"].hidden
    assert exporter.scan() == before
    assert all(job is before[name] for name, job in exporter.scan().items())
    write_marker(root / "b", "00001", LAUNCH + 500)
    after = exporter.scan()
    assert after["root:a"] is before["root:a"]
    assert after["root:c"].upstream == Upstream("root", "b", "depends", tasks=2, completed=2)
    done = after["root:d"].upstream
    assert (after["root:d"].hidden, done and done.completed) == (True, 2)
    assert after["root:b"].hidden
    assert after["root:b"].upstream == before["root:b"].upstream


def test_an_upstream_that_cannot_be_read_is_known_and_its_numbers_are_not(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("a", **names_itself("/a"))
    make_job("b", **waits_for("/a"))
    exporter = watch(root)
    assert exporter.upstreams()["root:b"].remaining == 4
    (root / "a" / "executor.json").write_text("[]")
    assert exporter.upstreams() == {"root:b": Upstream("root", "a", "depends")}
    write_executor(root / "a", **names_itself("/a"))
    assert exporter.upstreams()["root:b"].remaining == 4


def test_a_deleted_upstream_is_none(root: Path, make_job: MakeJob, watch: Watch) -> None:
    make_job("a", **names_itself("/a"))
    make_job("b", **waits_for("/a"))
    exporter = watch(root)
    assert "root:b" in exporter.upstreams()
    shutil.rmtree(root / "a")
    assert exporter.upstreams() == {}


def test_a_launch_that_waits_for_another_job_has_another_upstream(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("a", **names_itself("/a"))
    make_job("b", **names_itself("/b"))
    make_job("c", **waits_for("/a"))
    exporter = watch(root)
    assert exporter.upstreams()["root:c"].job_name == "a"
    write_executor(root / "c", launch=LAUNCH + 9, **waits_for("/b"))
    assert exporter.upstreams()["root:c"].job_name == "b"


def test_jobs_that_wait_for_each_other_hang_nobody(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("a", **names_itself("/a"), **waits_for("/b"))
    make_job("b", **names_itself("/b"), **waits_for("/a"))
    make_job("self", **names_itself("/self"), **waits_for("/self"))
    assert {name: up.job_name for name, up in watch(root).upstreams().items()} == {
        "root:a": "b",
        "root:b": "a",
    }


def test_depends_of_depends_forty_deep_is_read(root: Path, make_job: MakeJob, watch: Watch) -> None:
    """The file holds all that came before, each in the one that waits for it."""
    nested: dict[str, object] = {}
    for n in range(40):
        keys = {**names_itself(f"/{n}"), "depends": nested or None}
        make_job(f"j{n:02}", **keys)
        nested = json.loads(json.dumps(keys))
    found = watch(root).upstreams()
    assert len(found) == 39
    assert found["root:j39"].job_name == "j38"


def test_after_a_reload_upstreams_are_those_of_the_roots_there_are_now(
    tmp_path: Path, root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_job("b", **waits_for("/a"))
    make_job("a", **names_itself("/a"))
    other = tmp_path / "other"
    shutil.move(root / "a", other / "a")
    exporter = watch(root, other)
    assert exporter.upstreams()["root:b"].root == "other"
    here, there = (
        RootConfig(f.name, str(f), max_depth=5, completed_scan_interval_seconds=0.0)
        for f in (root, other)
    )
    exporter.scheduler.reconfigure([here])
    assert exporter.upstreams() == {}
    exporter.scheduler.reconfigure([here, there])
    assert exporter.upstreams()["root:b"].root == "other"


def late_in(exporter: Exporter) -> dict[str, int | None]:
    return {name: upstream.late for name, upstream in exporter.upstreams().items()}


def exporter_of(folder: Path, tolerance_seconds: float) -> Exporter:
    config = RootConfig(folder.name, str(folder), max_depth=8)
    return Exporter(config, tolerance_seconds=tolerance_seconds)


def test_tasks_that_came_too_late_on_a_real_slurm_cluster(tmp_path: Path) -> None:
    folder = slurm_jobs.unpack(tmp_path) / "jobs"
    late = late_in(exporter_of(folder, 0.0))
    assert {name: n for name, n in late.items() if n} == {"jobs:arrays/buckets": 1}
    assert None not in late.values()


def test_a_task_of_the_stage_before_that_was_launched_again_is_late(tmp_path: Path) -> None:
    """All is green: 12 of 12, and 4 of 4 that ran on 11. These stages lie 14 s apart."""
    folder = real.unpack(tmp_path) / "slurm_run"
    assert late_in(exporter_of(folder, 0.0)) == {"slurm_run:buckets": 1}
    assert late_in(exporter_of(folder, 60.0)) == {"slurm_run:buckets": 0}


def test_a_chain_that_ran_in_order_has_nothing_late(tmp_path: Path) -> None:
    folder = archives.unpack("task_states.tar.gz", tmp_path) / "local" / "chain"
    assert late_in(exporter_of(folder, 0.0)) == {"chain:b": 0, "chain:c": 0}


HOUR = 3600.0


def make_pair(
    make_job: MakeJob, *, done: range = range(3), done_at: float = HOUR, read_at: float = 2 * HOUR
) -> None:
    """Job b reads a, whose tasks are done within a minute, and completes its own soon after."""
    keys = {"tasks": 3, "seconds_between": 20.0}
    make_job("a", completed=done, launch=LAUNCH + done_at, **names_itself("/a"), **keys)
    make_job("b", completed=range(3), launch=LAUNCH + read_at, **waits_for("/a"), **keys)


def test_of_jobs_complete_when_first_seen_times_are_asked_for_at_once(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_pair(make_job)
    assert late_in(watch(root)) == {"root:b": 0}
    write_marker(root / "a", "00002", LAUNCH + 2 * HOUR + 20 + 60)
    assert late_in(watch(root)) == {"root:b": 0}
    write_marker(root / "a", "00001", LAUNCH + 2 * HOUR + 20 + 61)
    assert late_in(watch(root)) == {"root:b": 1}


def requests_of(exporter: Exporter) -> int:
    """Sent by a scan when nothing is new."""
    exporter.scan()
    before = exporter.requests()
    exporter.scan()
    return exporter.requests() - before


def write_log(job: Path, rank: int, done_at: float) -> None:
    """Its last line, in a zone of half an hour."""
    (job / "logs").mkdir(exist_ok=True)
    told = datetime.fromtimestamp(done_at, timezone(timedelta(hours=5, minutes=30)))
    line = f"{told:%Y-%m-%d %H:%M:%S}.349 | SUCCESS  | datatrove.executor.base:_run:85 - done\n"
    (job / "logs" / f"task_{rank:05d}.log").write_text(line + "\n\nStats\n")


def test_a_folder_that_was_copied_without_times_makes_nothing_late(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    """As by ``rsync -r`` or ``aws s3 cp``: its markers are as new as the copy, its logs tell when
    its tasks were done. One of which no log is there is believed its markers."""
    make_pair(make_job, done_at=HOUR)
    for rank in range(3):
        write_log(root / "a", rank, LAUNCH + HOUR + 20 * (rank + 1))
        write_marker(root / "a", f"0000{rank}", LAUNCH + 99 * HOUR + rank)
    assert late_in(watch(root)) == {"root:b": None}
    for rank in range(3):
        write_log(root / "a", rank, LAUNCH + 99 * HOUR + rank)
    assert late_in(watch(root)) == {"root:b": 3}, "it was launched again"
    shutil.rmtree(root / "a" / "logs")
    assert late_in(watch(root)) == {"root:b": 3}


def test_they_are_asked_for_once(root: Path, make_job: MakeJob, watch: Watch) -> None:
    make_pair(make_job, done_at=3 * HOUR)
    exporter = watch(root)
    assert late_in(exporter) == {"root:b": 3}
    steady = requests_of(exporter)
    write_executor(root / "b", tasks=3, launch=LAUNCH + 2 * HOUR)
    unrelated = watch(root)
    assert late_in(unrelated) == {}
    assert requests_of(unrelated) == steady


def test_tasks_of_an_upstream_that_is_launched_again_become_late(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    """Its output is new, and the job that reads it is complete: that is stale."""
    make_pair(make_job)
    exporter = watch(root)
    assert late_in(exporter) == {"root:b": 0}
    write_executor(root / "a", tasks=3, launch=LAUNCH + 9 * HOUR, **names_itself("/a"))
    shutil.rmtree(root / "a" / "completions")
    assert late_in(exporter) == {"root:b": 3}
    for rank in range(3):
        write_marker(root / "a", f"0000{rank}", LAUNCH + 9 * HOUR + rank)
        assert late_in(exporter) == {"root:b": 3}
    assert late_in(watch(root)) == {"root:b": 3}, "and after a restart"


def test_a_launch_of_the_job_itself_does_not_hide_what_was_late_before(
    root: Path, make_job: MakeJob, watch: Watch
) -> None:
    """It skips the tasks that ran too early."""
    make_pair(make_job, done_at=3 * HOUR)
    exporter = watch(root)
    assert late_in(exporter) == {"root:b": 3}
    write_executor(root / "b", tasks=3, launch=LAUNCH + 9 * HOUR, **waits_for("/a"))
    assert late_in(exporter) == {"root:b": 3}
    shutil.rmtree(root / "b" / "completions")
    assert late_in(exporter) == {"root:b": None}
    for rank in range(3):
        write_marker(root / "b", f"0000{rank}", LAUNCH + 9 * HOUR + rank)
    assert late_in(exporter) == {"root:b": 0}, "completions/ was deleted, as the advice says"


def test_a_job_begins_when_a_scan_sees_it_to(root: Path, make_job: MakeJob, watch: Watch) -> None:
    """Its first marker may come hours later, and markers of its upstream before that."""
    make_job("a", completed=[0], **names_itself("/a"))
    make_job("b", partition="cpu", **waits_for("/a"))
    exporter = watch(root)
    assert late_in(exporter) == {"root:b": None}
    (root / "b" / "logs").mkdir()
    (root / "b" / "logs" / "task_00000.log").touch()
    assert late_in(exporter) == {"root:b": 3}
    now = time.time()
    for rank in (1, 2, 3):
        write_marker(root / "a", f"0000{rank}", now + HOUR)
    write_marker(root / "b", "00000", now + 2 * HOUR)
    assert late_in(exporter) == {"root:b": 3}
    assert late_in(watch(root)) == {"root:b": 0}, "nobody else saw it begin"
    shutil.rmtree(root / "b" / "completions")
    assert late_in(exporter) == {"root:b": None}, "all of its tasks run again"
    write_marker(root / "b", "00000", now + 3 * HOUR)
    assert late_in(exporter) == {"root:b": 0}


def test_times_are_asked_for_between_roots_too(
    tmp_path: Path, root: Path, make_job: MakeJob, watch: Watch
) -> None:
    make_pair(make_job, done_at=3 * HOUR)
    other = tmp_path / "other"
    for name in ("a", "b"):
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(root, other)
        shutil.rmtree(other / name)
        moved = tmp_path / f"without-{name}"
        other.rename(moved)
    assert late_in(watch(tmp_path / "without-a", tmp_path / "without-b")) == {"without-a:b": 3}


def lists_of(named: str, done_at: float) -> tuple[dict[str, Upstream], list[int]]:
    """The upstreams of a job in a bucket that waits for `logs/a`, where another job is done whose
    own folder is `named`; and the listings that the server counted of each of three scans."""
    objects = Objects(BUCKET)
    for name, at, keys in (
        ("b", 600.0, waits_for(f"{BUCKET}/logs/a")),
        ("a", done_at, names_itself(f"{BUCKET}/logs/{named}")),
    ):
        objects.now = LAUNCH + at
        content = {"start_method": "spawn", **keys, "world_size": 2}
        objects.put(f"logs/{name}/executor.json", json.dumps(content, indent=4).encode())
        for rank in range(2):
            objects.now += 100
            objects.put(f"logs/{name}/completions/{rank:05d}")
    with HttpServer(objects.answer) as server:
        options = StorageOptions({"endpoint_url": server.url, "key": "any", "secret": "any"})
        exporter = Exporter(RootConfig("s3", f"s3://{BUCKET}/logs", storage_options=options))
        counts = []
        for _ in range(3):
            before = objects.answered["list"]
            found = exporter.upstreams()
            counts.append(objects.answered["list"] - before)
        exporter.close()
    return found, counts


def test_jobs_in_a_bucket_name_each_other_by_bucket_and_key() -> None:
    in_order, costs = lists_of("a", 0.0)
    assert in_order == {"s3:b": Upstream("s3", "a", "depends", tasks=2, completed=2, late=0)}
    unknown, alone = lists_of("other", 0.0)
    assert unknown == {}
    assert costs == alone, "listings tell the times anyway"


def test_in_a_bucket_the_times_of_an_upstream_that_came_too_late_are_listed_once_more() -> None:
    found, costs = lists_of("a", 1200.0)
    assert found == {"s3:b": Upstream("s3", "a", "depends", tasks=2, completed=2, late=2)}
    _, alone = lists_of("other", 1200.0)
    assert (costs[0] > alone[0], costs[1:]) == (True, alone[1:])


class Doubtful(LocalStorage):
    """Local folders of which markers' times cannot be had, after so many calls in which they can
    be; it hangs or fails then."""

    def __init__(self, root: str, calls: int, *, hangs: bool = False) -> None:
        super().__init__(root)
        self.asked: list[tuple[JobPath, int]] = []
        self._calls, self._hangs = calls, hangs
        self.released = threading.Event()

    def marker_times(self, path: JobPath, ranks: Iterable[int]) -> list[int | None]:
        listed = list(ranks)
        self.asked.append((path, len(listed)))
        if len(self.asked) > self._calls:
            if self._hangs:
                self.released.wait(60)
            raise StorageError("unavailable", "no answer")
        return super().marker_times(path, listed)


def scanned(storage: Doubtful, folder: Path, **options: object) -> tuple[Root, Scheduler, Workers]:
    workers = Workers(4, patience_seconds=0.2)
    config = RootConfig("root", str(folder), **options)
    scheduler = Scheduler([config], Latest(), workers, lambda *_: storage)
    return scheduler.run_once().roots[0], scheduler, workers


def lates(root: Root) -> dict[str, int | None]:
    return {job.name: job.upstream.late for job in root.jobs if job.upstream is not None}


@pytest.mark.parametrize("hangs", [False, True])
def test_trouble_with_the_times_of_markers_costs_no_job_and_no_root(
    root: Path, make_job: MakeJob, hangs: bool
) -> None:
    make_pair(make_job, done_at=3 * HOUR)
    storage = Doubtful(str(root), 0, hangs=hangs)
    found, _, workers = scanned(storage, root, scan_timeout_seconds=0.5)
    assert (found.up, found.error) == (True, None)
    assert [(job.name, job.error) for job in found.jobs] == [("a", None), ("b", None)]
    assert lates(found) == {"b": None}
    assert storage.asked == [(("b",), 3)], "once in a scan"
    storage.released.set()
    workers.close()


def test_a_scan_asks_for_ten_thousand_times_at_most_and_the_next_one_goes_on(
    root: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_MOST_ASKED", 4)
    make_pair(make_job, done_at=3 * HOUR)
    storage = Doubtful(str(root), 99)
    found, scheduler, workers = scanned(storage, root)
    assert lates(found) == {"b": None}
    assert storage.asked == [(("b",), 3), (("a",), 1)]
    assert lates(scheduler.run_once().roots[0]) == {"b": 3}
    assert storage.asked[2:] == [(("a",), 2)]
    scheduler.run_once()
    assert len(storage.asked) == 3
    workers.close()
