"""Jobs live at random; after each scan every number is compared with a count by hand.

What may be late is told in storage/s3/storage.py, and is here in `Checker.assert_late_at_most`:
on S3, between two thorough looks and while executor.json stays as it is, an entry that
was deleted may still count if it counted before, a marker that was written again may keep
its time, and a new entry that is no rank of the job may not count yet. A marker of a rank
of the job never goes unseen, and everywhere else nothing is ever late.
"""

import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Protocol

import pytest
from support.servers import BUCKET, HttpServer
from support.storages.backends import OBJECT_STORES, Backend
from support.storages.in_memory_s3 import QUIRKS, Objects
from support.storages.mounts import lying

from exporter.config.settings import RootConfig
from exporter.datatrove.layout import marker_name, rank_of
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.model.job import Reading
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.probes.logs.watch import LogWatch
from exporter.scanning.probing import with_logs
from exporter.storage import open_storage
from exporter.storage.base import Folder, Storage
from exporter.storage.s3.storage import S3Storage

STEPS = 8
HISTORIES = {
    "s3, 3": 80,
    "s3, 7": 80,
    "s3, 1000": 60,
    "quirks": 1,
    "local": 900,
    "lying": 10,
    "memory": 1000,
    "ftp": 100,
    "sftp": 30,
    "hdfs": 50,
    "webhdfs": 40,
    "gs": 60,
    "az": 40,
    "hf": 100,
    "hf repository": 100,
    "s3": 80,
    "moto": 40,
}
"""How many histories each backend gets; ``make histories`` sets another number."""
_APART = ("local", "lying", "quirks")
BACKENDS = [name for name in HISTORIES if name not in _APART and "," not in name]
"""Those of the contract suite, each on its server."""
TIMEOUT_SECONDS = 0 if "HISTORIES" in os.environ else 900
COARSE_SECONDS = 2
AT_ONCE = 8  # histories on one server, which waits more than it works
SLACK_SECONDS = 0.002  # times come in milliseconds, cut or rounded


class Writer(Protocol):
    """Where a history happens. Paths are below a root."""

    is_trusting: bool
    """Whether the backend takes on trust what S3's does."""

    def write(self, path: str, data: bytes = b"") -> None: ...
    def delete(self, paths: list[str]) -> None: ...
    def wait(self, seconds: float) -> None:
        """Let time pass, as far as it is ours."""

    def second(self) -> object:
        """Writings with the same content differ if this does."""


class S3Writer:
    """Our own S3 server, with few keys on a page."""

    is_trusting = True

    def __init__(self, objects: Objects, url: str) -> None:
        self.objects = objects
        self._url = url

    def open(self) -> S3Storage:
        options = {"endpoint_url": self._url, "key": "any", "secret": "any"}
        options["config_kwargs"] = {"retries": {"total_max_attempts": 1}}  # with pauses
        return S3Storage(f"s3://{BUCKET}/histories", options, 8, self.objects.page_keys)

    def write(self, path: str, data: bytes = b"") -> None:
        self.objects.put(f"histories/{path}", data)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self.objects.delete(f"histories/{path}")

    def wait(self, seconds: float) -> None:
        self.objects.now = round(self.objects.now + seconds, 3)

    def second(self) -> object:
        return int(self.objects.now)


class LocalWriter:
    """A local folder whose times are as coarse as two seconds and never tell the order of
    changes; the clock is ours. It may be `shown` at another place."""

    is_trusting = False

    def __init__(self, root: Path, shown: Path | None = None) -> None:
        self.root = root
        self.now = 1_700_000_000.0
        self._shown = shown or root

    def open(self) -> Storage:
        return open_storage(str(self._shown), {}, 8)

    def write(self, path: str, data: bytes = b"") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        self._touch(file)
        self._touch_parents(file)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            (self.root / path).unlink()
            self._touch_parents(self.root / path)
        for folder, folders, files in os.walk(self.root, topdown=False):
            if not folders and not files and folder != str(self.root):
                shutil.rmtree(folder)
                self._touch_parents(Path(folder))

    def _touch_parents(self, file: Path) -> None:
        for folder in file.parents:
            if folder == self.root.parent:
                return
            if folder.exists():
                self._touch(folder)

    def _touch(self, path: Path) -> None:
        coarse = self.now // COARSE_SECONDS * COARSE_SECONDS
        os.utime(path, (coarse, coarse))

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def second(self) -> object:
        return self.now // COARSE_SECONDS


class BackendWriter:
    """A backend of the contract suite. Where there are folders, one that is empty goes with
    the last file that was in it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._has_folders = not backend.url.startswith((*OBJECT_STORES, "memory:"))
        self._tells_times = not backend.url.startswith("hf://datasets/")
        self._files: dict[str, float] = {}
        self._writes = itertools.count()
        self.is_trusting = backend.url.startswith("s3:")

    def write(self, path: str, data: bytes = b"") -> None:
        self._backend.write(path, data)
        asks = self._tells_times and not self.is_trusting
        self._files[path] = self._backend.modified(path) if asks else 0.0

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self._backend.delete(path)
            del self._files[path]
            empty = [str(folder) for folder in PurePosixPath(path).parents if folder.name]
            empty = [f for f in empty if not any(file.startswith(f"{f}/") for file in self._files)]
            if empty and self._has_folders:
                self._backend.delete_all(empty[-1])

    def wait(self, seconds: float) -> None:
        pass  # the server's clock decides

    def second(self) -> object:
        # On S3 a launch without change may go unseen: its times are whole seconds.
        return None if self.is_trusting else next(self._writes)

    def time_of(self, path: str) -> float | None:
        """When a file was written, as the storage has it; None if it tells no times."""
        return self._files[path] if self._tells_times else None


class History:
    """One job's life: what lies in its folder now, and what happens to it next."""

    LOGS = (
        "logs/task_00000.log",
        "logs/task_00001.log",
        "slurm_logs/7_0.out",
        "slurm_logs/8_0.out",
    )
    OTHERS = ("x.tmp", ".nfs01", "sub/00001", "000001", "7", "zzz")
    LIKE_A_MARKER = "00500/file"  # a folder of that name

    def __init__(self, writer: Writer, name: str, chance: random.Random) -> None:
        self.writer = writer
        self.name = name
        self.chance = chance
        self.files: dict[str, object] = {}
        self.world_size = 0
        self.launch: tuple[bytes, object] = (b"", None)
        self.step_count = 0
        few = list(range(14))
        many = [*range(9_997, 10_004), *range(99_997, 100_006), 1_000_003, 0, 1]
        is_local = isinstance(writer, LocalWriter)
        self.others_to_add = (*self.OTHERS, *([self.LIKE_A_MARKER] * 2 if is_local else []))
        self.pool, self.sizes = chance.choice(
            [(few, [1, 5, 9, 12]), (few, [3, 4, 10]), (many, [10_003, 100_004, 1_000_010])]
        )
        self.actions: list[Callable[[], None]] = [
            *[self.complete] * 6,
            *[self.complete_next] * 4,
            *[self.delete_one] * 2,
            *[self.write_again, self.add_other, self.relaunch, self.relaunch_unchanged],
            *[self.delete_job, self.add_beside, self.delete_markers],
        ]
        self.start()

    def step(self) -> None:
        for _ in range(self.chance.choice([0, 1, 1, 2, 3])):
            if not self.world_size:
                self.start()
            else:
                self.chance.choice(self.actions)()
            self.writer.wait(self.chance.choice([0, 0, 0, 0.4, 1.1]))

    def start(self) -> None:
        self.relaunch()
        for _ in range(self.chance.choice([0, 0, 1, 5, 14])):
            self.complete()

    def complete(self) -> None:
        self._write(f"completions/{marker_name(self.chance.choice(self.pool))}")

    def complete_next(self) -> None:
        missing = [r for r in self.pool if f"completions/{marker_name(r)}" not in self.files]
        if missing:
            self._write(f"completions/{marker_name(min(missing))}")

    def write_again(self) -> None:
        if self.markers():
            self._write(self.chance.choice(self.markers()))

    def add_other(self) -> None:
        self._write("completions/" + self.chance.choice(self.others_to_add))

    def add_beside(self) -> None:
        names = ("checkpoints/1", "d/file", "stats/00000.json", *self.LOGS)
        self._write(self.chance.choice(names))

    def delete_one(self) -> None:
        inside = [name for name in self.files if name.startswith("completions/")]
        if inside:
            self._delete([self.chance.choice(sorted(inside))])

    def delete_markers(self) -> None:
        self._delete(self.markers())

    def delete_job(self) -> None:
        self._delete(sorted(self.files))
        self.world_size = 0

    def relaunch(self) -> None:
        self.world_size = self.chance.choice(self.sizes)
        self.relaunch_unchanged()

    def relaunch_unchanged(self) -> None:
        content = b'{"world_size": %d}' % self.world_size
        self.launch = (content, self.writer.second())
        self._write("executor.json", content)

    def _write(self, name: str, data: bytes = b"") -> None:
        self.writer.write(f"{self.name}/job/{name}", data)
        self.files[name] = self.writer.second()

    def _delete(self, names: list[str]) -> None:
        self.writer.delete([f"{self.name}/job/{name}" for name in names])
        for name in names:
            del self.files[name]

    def markers(self) -> list[str]:
        return sorted(n for n in self.files if rank_of(n.removeprefix("completions/")) is not None)

    def ranks(self) -> set[int]:
        return {int(name.removeprefix("completions/")) for name in self.markers()}

    def others(self, *, folders_are_one: bool) -> set[str]:
        """Entries of completions/ that are no markers; a sub-folder is one of them, or as
        many as there are keys in it."""
        inside = [
            n.removeprefix("completions/") for n in self.files if n.startswith("completions/")
        ]
        found = {name for name in inside if rank_of(name) is None}
        return {name.partition("/")[0] for name in found} if folders_are_one else found


def assert_start_is_possible(reading: Reading, markers: Markers) -> None:
    """A launch that leaves its queue does so before its first completion."""
    launch, start = reading.launch_timestamp, reading.start_timestamp
    if start is not None:
        assert launch is not None
        assert launch <= start
        assert reading.started
        times = (time_ns / 1e9 for time_ns in markers.times_below(reading.tasks))
        assert start <= min((time for time in times if time >= launch), default=start)


class Checker:
    """Scans a job as the scheduler does, and compares. With `may_fail` a scan may say that it
    could not read what is there, and why; what it says of the job must be right all the same."""

    def __init__(self, history: History, storage: Storage, *, may_fail: bool = False) -> None:
        self.history = history
        self.storage = storage
        self.may_fail = may_fail
        self.failures = 0
        self.above: dict[tuple[str, ...], Folder] = {}
        self.folder: Folder | None = None
        self.memory: Memory | None = None
        self.launch_seen: object = None
        self.second_seen: object = None
        self.seen_since = 0.0
        self.log_watch = LogWatch(RootConfig("r", "r", log_scan_interval_seconds=0.0))
        self.reported: set[int] = set()
        self.others_seen: set[str] = set()
        self.late = 0

    def scan(self, *, thorough: bool) -> JobScan:
        list_thoroughly = thorough or self.history.chance.random() < 0.3
        try:
            self.find_job(thorough=list_thoroughly)
            self.folder = self.storage.list_folder(
                (self.history.name, "job"),
                self.folder,
                with_subfolders=True,
                thorough=list_thoroughly,
            )
        except StorageError as error:
            self.folder, self.memory = None, None
            return JobScan(None, None, None if error.reason == "not_found" else error)
        if not self.folder.has_executor_file:
            self.memory = None
            return JobScan(None, None)
        path = (self.history.name, "job")
        self.log_watch.begin()
        result = scan_job(
            self.storage,
            path,
            self.folder,
            self.memory,
            (partial(with_logs, self.log_watch),),
            thorough=thorough,
        )
        self.memory = result.memory
        return result

    def find_job(self, *, thorough: bool) -> None:
        """List the folders above the job, each of which has to show the next one."""
        path = (self.history.name, "job")
        for depth in range(len(path)) if isinstance(self.history.writer, S3Writer) else ():
            at = path[:depth]
            folder = self.storage.list_folder(
                at, self.above.get(at), with_subfolders=True, thorough=thorough
            )
            self.above[at] = folder
            # A root of nothing but deleted keys looks like an empty one.
            is_unknowable = not at and not folder.subfolders and self.may_fail
            assert not self.history.files or path[depth] in folder.subfolders or is_unknowable

    def check(self, *, thorough: bool) -> None:
        history, had_memory = self.history, self.memory is not None
        result = self.scan(thorough=thorough)
        if self.may_fail and result.error is not None:
            assert result.error.reason == "partial", result.error
            self.failures += 1
            return
        assert result.error is None, result.error
        if not history.world_size:
            assert result.is_gone
            self.reported, self.others_seen = set(), set()
            return
        reading = result.reading
        assert reading is not None
        assert result.memory is not None
        world_size = reading.tasks
        if not had_memory:
            self.second_seen = None
        may_read_late = self.may_read_late()
        assert world_size == history.world_size or may_read_late
        markers = result.memory.look.markers
        reported = set(markers.ranks)
        in_world = {rank for rank in reported if rank < world_size}
        assert reading.tasks_completed == len(in_world)
        assert reading.stray_markers == len(reported) - len(in_world) + markers.others
        assert_start_is_possible(reading, markers)
        if reading.logs is not None:
            assert sum(reading.logs.tasks.in_states().values()) == reading.tasks_left

        is_trusting = history.writer.is_trusting
        others = history.others(folders_are_one=not is_trusting)
        is_new = not had_memory or history.launch != self.launch_seen
        if is_trusting and not thorough and not (is_new and self._tells_launches()):
            self.assert_late_at_most(reported, markers.others, others)
        else:
            assert reported == history.ranks()
            assert markers.others == len(others)
            if markers.modified_ns is not None and isinstance(history.writer, S3Writer):
                times = {rank: time_ns // 10**9 for rank, time_ns in markers.by_rank().items()}
                assert times == self.times()
        if isinstance(history.writer, BackendWriter) and not is_trusting:
            self.assert_times_are_right(history.writer, reading)
        if reported == history.ranks() and markers.others == len(others):
            self.others_seen = set(others)
        else:
            self.others_seen |= others
        self.reported, self.launch_seen = reported, history.launch

    def may_read_late(self) -> bool:
        """Whether executor.json was written again, as long as before, at the same coarse
        time: a local folder's is read again once that time is over. (A file that took its
        place at that time is another one, with a time of its own.)"""
        writer = self.history.writer
        if not isinstance(writer, LocalWriter):
            return False
        file = os.stat(writer.root / self.history.name / "job" / "executor.json").st_ino
        seen = (file, self.history.launch[1])
        if seen != self.second_seen:
            self.second_seen, self.seen_since = seen, writer.now
        return writer.now - self.seen_since < COARSE_SECONDS

    def _tells_launches(self) -> bool:
        return self.history.writer.second() is not None or self.memory is None

    def assert_late_at_most(self, reported: set[int], count: int, others: set[str]) -> None:
        ranks = self.history.ranks()
        assert {rank for rank in ranks if rank < self.history.world_size} <= reported
        assert reported - ranks <= self.reported
        unseen = ranks - reported
        assert all(rank >= self.history.world_size for rank in unseen)
        assert not unseen & self.reported
        assert len(others & self.others_seen) - len(self.others_seen) <= count
        assert count <= len(others | self.others_seen)
        self.late += reported != ranks

    def assert_times_are_right(self, writer: BackendWriter, reading: Reading) -> None:
        """What a reading says of times, against those that the storage gave each file."""
        history = self.history
        job = f"{history.name}/job"
        launch = writer.time_of(f"{job}/executor.json")
        ranks = [rank for rank in history.ranks() if rank < history.world_size]
        times = [writer.time_of(f"{job}/completions/{marker_name(rank)}") for rank in ranks]
        ordered = sorted(time for time in times if time is not None)
        if launch is None:
            assert reading.launch_timestamp is None
            assert reading.last_completion_timestamp is None
            assert reading.tasks_completed_since_launch is None
            assert reading.longest_completion_gap_seconds is None
            return
        assert reading.launch_timestamp == pytest.approx(launch, abs=SLACK_SECONDS)
        last = pytest.approx(ordered[-1], abs=SLACK_SECONDS) if ordered else None
        assert reading.last_completion_timestamp == last
        since = [time for time in ordered if time >= launch - SLACK_SECONDS]
        least = sum(time >= launch + SLACK_SECONDS for time in ordered)
        done = reading.tasks_completed_since_launch
        assert done is not None
        assert least <= done <= len(since)
        start = reading.start_timestamp
        counted = since[len(since) - done :]
        began = counted if start is None else [start, *counted]
        gaps = [later - earlier for earlier, later in pairwise(began)]
        gap = pytest.approx(max(gaps), abs=2 * SLACK_SECONDS) if gaps and done else None
        assert reading.longest_completion_gap_seconds == gap

    def times(self) -> dict[int, object]:
        return {
            rank: self.history.files[f"completions/{rank:05d}"] for rank in self.history.ranks()
        }


def live(writer: Writer, storage: Storage, seed: str, *, may_fail: bool = False) -> int:
    """One history; returns how often a scan was late."""
    chance = random.Random(seed)
    history = History(writer, seed.replace(" ", "-"), chance)
    checker = Checker(history, storage, may_fail=may_fail)
    try:
        for _ in range(STEPS):
            checker.check(thorough=chance.random() < 0.2)
            history.step()
        checker.check(thorough=True)
    except AssertionError as error:
        raise AssertionError(f"history {seed}") from error
    history.delete_job()
    return checker.late


def seeds(backend: str) -> Iterator[str]:
    """What the histories on a backend are made from; ``HISTORIES`` sets their number."""
    first = int(os.environ.get("HISTORIES_FROM", "0"))
    count = int(os.environ.get("HISTORIES", HISTORIES[backend]))
    if backend == "quirks":  # a share for each pair
        count = max(1, count // len(PAIRS))
    return (f"{backend} {number}" for number in range(first, first + count))


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("page_keys", [3, 7, 1000])
def test_s3_with_few_keys_on_a_page(page_keys: int) -> None:
    objects = Objects(BUCKET, page_keys)
    with HttpServer(objects.answer) as server:
        writer = S3Writer(objects, server.url)
        with closing(writer.open()) as storage:
            late = sum(live(writer, storage, seed) for seed in seeds(f"s3, {page_keys}"))
            assert not storage.notes
    assert late > 0, "nothing was ever late: the histories are too tame"


UNPROVABLE = {"short pages", "short pages are last", "large pages are last", "no times"}
"""What a server with one of these leaves out may stay unknown, but never unsaid."""
PAIRS = [*((quirk, quirk) for quirk in QUIRKS), *itertools.combinations(QUIRKS, 2)]


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("page_keys", [3, 7, 1000])
@pytest.mark.parametrize("quirks", PAIRS, ids=" and ".join)
def test_s3_servers_with_quirks(quirks: tuple[str, str], page_keys: int) -> None:
    """Each quirk alone, and in pairs."""
    objects = Objects(BUCKET, page_keys, quirks)
    may_fail = quirks[0] != quirks[1] or quirks[0] in UNPROVABLE
    with HttpServer(objects.answer) as server:
        writer = S3Writer(objects, server.url)
        with closing(writer.open()) as storage:
            for seed in seeds("quirks"):
                live(writer, storage, f"{seed} {page_keys} {' '.join(quirks)}", may_fail=may_fail)


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_backend(backend: Backend, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["backend"]
    with closing(open_storage(backend.url, backend.options, AT_ONCE)) as storage:

        def live_there(seed: str) -> int:
            return live(BackendWriter(backend), storage, seed)

        # fsspec's memory is not made for threads that write.
        with ThreadPoolExecutor(1 if name == "memory" else AT_ONCE) as threads:
            sum(threads.map(live_there, seeds(name)))
        if isinstance(storage, S3Storage):
            assert not storage.notes


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_local_folders_with_coarse_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filesystem of this machine tells nanoseconds, so what it tells is cut."""

    def coarse_fingerprint(found: os.stat_result) -> tuple[int, ...]:
        return (found.st_dev, found.st_ino, found.st_mtime_ns, 1, 0, 0)

    monkeypatch.setattr("exporter.storage.local.fingerprint.of", coarse_fingerprint)
    live_in(LocalWriter(tmp_path), "local", monkeypatch)


def live_in(writer: LocalWriter, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories by the writer's clock."""
    clock = SimpleNamespace(monotonic=lambda: writer.now)
    monkeypatch.setattr("exporter.storage.local.fingerprint.time", clock)
    with closing(writer.open()) as storage:
        for seed in seeds(name):
            live(writer, storage, seed)


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize(
    "lies",
    [
        "times=still",
        "times=branch",
        "times=none",
        "files=still",
        "links=0",
        "links=1",
        "links=2",
        "links=5",
        "links=leaf",
        "inode=one",
        "inode=few",
        "names=twice",
        "times=still files=still links=leaf inode=one names=twice",
        "times=branch links=2 inode=few",
        "times=none links=0 inode=one names=twice",
    ],
)
def test_a_file_system_that_lies(
    lies: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, shown = tmp_path / "source", tmp_path / "shown"
    source.mkdir()
    with lying(source, shown, *lies.split()):
        live_in(LocalWriter(source, shown), "lying", monkeypatch)
