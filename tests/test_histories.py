"""Jobs live at random; after each scan every number is compared with a count by hand.

What may be late is told in storage/s3.py, and is here in `Checker.assert_late_at_most`:
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
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import fsspec
import pytest
from objects import Objects
from servers import BUCKET, HttpServer, S3Server

from exporter.jobfolder import marker_name, rank_of
from exporter.scan import JobScan, Memory, scan_job
from exporter.storage import open_storage
from exporter.storage.base import Folder, Storage, StorageError
from exporter.storage.s3 import S3Storage

STEPS = 8
HISTORIES = {
    "s3, 3": 60,
    "s3, 7": 60,
    "s3, 1000": 40,
    "local": 700,
    "memory": 300,
    "seaweedfs": 40,
    "moto": 40,
}
COARSE_SECONDS = 2


class Writer(Protocol):
    """Where the histories happen. Paths are below the root that `open` opens."""

    is_trusting: bool
    """Whether the backend takes on trust what S3's does."""

    def open(self) -> Storage: ...
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


class RealS3Writer:
    """A real S3 server."""

    is_trusting = True

    def __init__(self, server: S3Server, client: Any) -> None:
        self._server = server
        self._client = client

    def open(self) -> S3Storage:
        return S3Storage(f"s3://{BUCKET}/histories", self._server.options, 8)

    def write(self, path: str, data: bytes = b"") -> None:
        self._client.put_object(Bucket=BUCKET, Key=f"histories/{path}", Body=data)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self._client.delete_object(Bucket=BUCKET, Key=f"histories/{path}")

    def wait(self, seconds: float) -> None:
        pass

    def second(self) -> object:
        return None  # the server's clock decides: a launch without change may go unseen


class LocalWriter:
    """A local folder whose times are as coarse as two seconds and never tell the order of
    changes; the clock is ours."""

    is_trusting = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 1_700_000_000.0

    def open(self) -> Storage:
        return open_storage(str(self.root), {}, 8)

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


class MemoryWriter:
    """fsspec's memory filesystem."""

    is_trusting = False

    def __init__(self) -> None:
        self._filesystem = fsspec.filesystem("memory")
        self._filesystem.makedirs("/histories", exist_ok=True)
        self._writes = itertools.count()

    def open(self) -> Storage:
        return open_storage("memory://histories", {}, 8)

    def write(self, path: str, data: bytes = b"") -> None:
        self._filesystem.pipe_file(f"/histories/{path}", data)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self._filesystem.rm_file(f"/histories/{path}")
        job = "/histories/" + "/".join(paths[0].split("/")[:2]) if paths else ""
        inner = ("/completions/sub", "/completions", "/logs", "/checkpoints", "/d", "/stats", "")
        for folder in (job + name for name in inner if paths):
            if self._filesystem.isdir(folder) and not self._filesystem.ls(folder):
                self._filesystem.rmdir(folder)

    def wait(self, seconds: float) -> None:
        pass

    def second(self) -> object:
        return next(self._writes)


class History:
    """One job's life: what lies in its folder now, and what happens to it next."""

    OTHERS = ("x.tmp", ".nfs01", "sub/00001", "000001", "7", "zzz")

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
        self._write("completions/" + self.chance.choice(self.OTHERS))

    def add_beside(self) -> None:
        names = ("logs/task_00000.log", "checkpoints/1", "d/file", "stats/00000.json")
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


class Checker:
    """Scans a job as the scheduler does, and compares."""

    def __init__(self, history: History, storage: Storage) -> None:
        self.history = history
        self.storage = storage
        self.folder: Folder | None = None
        self.memory: Memory | None = None
        self.launch_seen: object = None
        self.second_seen: object = None
        self.seen_since = 0.0
        self.reported: set[int] = set()
        self.others_seen: set[str] = set()
        self.late = 0

    def scan(self, *, thorough: bool) -> JobScan:
        try:
            self.folder = self.storage.list_folder(
                (self.history.name, "job"), self.folder, with_subfolders=True, thorough=thorough
            )
        except StorageError as error:
            self.folder, self.memory = None, None
            return JobScan(None, None, None if error.reason == "not_found" else error)
        if not self.folder.has_executor_file:
            self.memory = None
            return JobScan(None, None)
        path = (self.history.name, "job")
        result = scan_job(self.storage, path, self.folder, self.memory, thorough=thorough)
        self.memory = result.memory
        return result

    def check(self, *, thorough: bool) -> None:
        history, had_memory = self.history, self.memory is not None
        result = self.scan(thorough=thorough)
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
        if reported == history.ranks() and markers.others == len(others):
            self.others_seen = set(others)
        else:
            self.others_seen |= others
        self.reported, self.launch_seen = reported, history.launch

    def may_read_late(self) -> bool:
        """Whether executor.json was written again, as long as before, at the same coarse
        time: a local folder's is read again once that time is over."""
        writer = self.history.writer
        if not isinstance(writer, LocalWriter):
            return False
        if self.history.launch[1] != self.second_seen:
            self.second_seen, self.seen_since = self.history.launch[1], writer.now
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

    def times(self) -> dict[int, object]:
        return {
            rank: self.history.files[f"completions/{rank:05d}"] for rank in self.history.ranks()
        }


def live(writer: Writer, storage: Storage, seed: str) -> int:
    """One history; returns how often a scan was late."""
    chance = random.Random(seed)
    history = History(writer, seed.replace(" ", "-"), chance)
    checker = Checker(history, storage)
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
    return (f"{backend} {number}" for number in range(first, first + count))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page_keys", [3, 7, 1000])
def test_s3_with_few_keys_on_a_page(page_keys: int) -> None:
    objects = Objects(BUCKET, page_keys)
    with HttpServer(objects.answer) as server:
        writer = S3Writer(objects, server.url)
        with closing(writer.open()) as storage:
            late = sum(live(writer, storage, seed) for seed in seeds(f"s3, {page_keys}"))
            assert not storage.is_distrusting
    assert late > 0, "nothing was ever late: the histories are too tame"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("server", ["seaweedfs", "moto"])
def test_real_s3(server: str, request: pytest.FixtureRequest) -> None:
    fixture = {"seaweedfs": "s3_server", "moto": "moto_server"}[server]
    s3: S3Server = request.getfixturevalue(fixture)
    with closing(s3.client()) as client:
        writer = RealS3Writer(s3, client)
        with closing(writer.open()) as storage:
            for seed in seeds(server):
                live(writer, storage, seed)
            assert not storage.is_distrusting


@pytest.mark.timeout(900)
def test_local_folders_with_coarse_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filesystem of this machine tells nanoseconds, so what it tells is cut."""

    def coarse_status(found: os.stat_result) -> tuple[int, ...]:
        return (found.st_dev, found.st_ino, found.st_mtime_ns, 0, 0, 0)

    writer = LocalWriter(tmp_path)
    clock = SimpleNamespace(monotonic=lambda: writer.now)
    monkeypatch.setattr("exporter.storage.local._status", coarse_status)
    monkeypatch.setattr("exporter.storage.local.time", clock)
    with closing(writer.open()) as storage:
        for seed in seeds("local"):
            live(writer, storage, seed)


@pytest.mark.timeout(900)
def test_memory() -> None:
    writer = MemoryWriter()
    with closing(writer.open()) as storage:
        for seed in seeds("memory"):
            live(writer, storage, seed)
    fsspec.filesystem("memory").rm("/histories", recursive=True)
