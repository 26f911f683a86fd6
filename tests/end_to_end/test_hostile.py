"""Job folders that mean harm: files that are none, that never end, that cost too much, and
folders with more in them than anybody would put there."""

import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.jobs.folders import write_job, write_marker
from support.processes import Page, serving

from exporter.config.settings import RootConfig
from exporter.datatrove.executor_file import EXECUTOR_FILE_LIMIT_BYTES
from exporter.errors import StorageError
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import Version
from exporter.storage.local.storage import LocalStorage
from exporter.workers import Workers


def scan_once(folder: Path) -> Root:
    return Scheduler([RootConfig("r", str(folder))], Latest(), Workers(4)).run_once().roots[0]


# --- executor.json that is anything but a file of JSON


def fifo(file: Path) -> None:
    os.mkfifo(file)


def unix_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(file.parent)  # its name may have 107 bytes
        try:
            listener.bind(file.name)
        finally:
            os.chdir(before)


def sparse(size: int) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        with file.open("wb") as opened:
            opened.truncate(size)

    return write


def content(data: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(data)


def link_to(target: str) -> Callable[[Path], object]:
    return lambda file: file.symlink_to(target)


DEEP = 1_000_000
LINES = b"{" + b"".join(b'\n    "k%d": 1,' % n for n in range(500_000))

NO_JOBS: dict[str, Callable[[Path], object]] = {
    "a FIFO": fifo,
    "a socket": unix_socket,
    "a folder": Path.mkdir,
    "a link to nowhere": link_to("missing"),
    "a link to an endless device": link_to("/dev/zero"),
    "a link to a device that waits": link_to("/dev/ptmx"),
}
"""No regular file: the folder is no job."""

UNREADABLE: dict[str, tuple[set[str], Callable[[Path], object]]] = {
    "a link to itself": ({"invalid"}, link_to("executor.json")),
    "a file of 10 GB": ({"too_large"}, sparse(10 * 1024**3)),
    "a file one byte too large": ({"too_large"}, sparse(EXECUTOR_FILE_LIMIT_BYTES + 1)),
    "a file of the largest size": ({"too_large"}, sparse(EXECUTOR_FILE_LIMIT_BYTES)),
    "the memory of a process": ({"unavailable", "other"}, link_to("/proc/self/mem")),
    "lists a million deep": ({"invalid"}, content(b"[" * DEEP + b"]" * DEEP)),
    "objects a million deep": ({"too_large"}, content(b'{"a":' * DEEP + b"1" + b"}" * DEEP)),
    "both a million deep": ({"too_large"}, content(b'[{"a":' * DEEP)),
    "half a million members, cut off": ({"too_large"}, content(LINES)),
    "a page of zeros": ({"invalid"}, content(bytes(4096))),
    "gzip": ({"invalid"}, content(b"\x1f\x8b\x08\x00" + bytes(100))),
    "pickle": ({"invalid"}, content(b"\x80\x04\x95\x10\x00\x00\x00.")),
    "HTML": ({"invalid"}, content(b"<!DOCTYPE html><html></html>")),
    "a lone surrogate as world_size": ({"invalid"}, content(b'{"world_size": "\\ud800"}')),
}

STRANGE_BUT_READABLE: dict[str, Callable[[Path], object]] = {
    "a byte order mark": content(b'\xef\xbb\xbf{"world_size": 4}'),
    "UTF-16": content('{"world_size": 4}'.encode("utf-16")),
    "world_size twice": content(b'{"world_size": 9, "world_size": 4}'),
    "half a million members": content(LINES + b'\n    "world_size": 4\n}'),
    "a lone surrogate elsewhere": content(
        b'{"partition": 1, "job_name": "\\ud800", "world_size": 4}'
    ),
    "NaN elsewhere": content(b'{"time": NaN, "world_size": 4}'),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page after three scans of a root of hostile jobs."""
    folder = tmp_path_factory.mktemp("zoo")
    kinds = {**NO_JOBS, **STRANGE_BUT_READABLE, **{k: w for k, (_, w) in UNREADABLE.items()}}
    for name, write in kinds.items():
        job = write_job(folder / "root" / name, tasks=4, completed=[0, 1])
        (job / "executor.json").unlink()
        write(job / "executor.json")
    write_job(folder / "root" / "good", tasks=4, completed=[0, 1])
    roots = [{"name": "zoo", "url": str(folder / "root")}]
    with serving(folder, roots=roots, scan={"interval": "1s"}) as exporter:
        page = exporter.wait_for(
            lambda page: (page.value("datatrove_root_scans_total", root="zoo") or 0) >= 3,
            "three scans ended",
            seconds=60,
        )
        assert page.value("datatrove_exporter_scan_workers_stuck") == 0
        assert "Traceback" not in exporter.output
        return page


@pytest.mark.parametrize("name", NO_JOBS)
def test_what_is_no_file_makes_no_job(zoo: Page, name: str) -> None:
    assert not zoo.having(root="zoo", job_name=name)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_hostile_file_is_an_unreadable_job_and_no_number(zoo: Page, name: str) -> None:
    assert zoo.having(root="zoo", job_name=name) == {
        "datatrove_job_scan_success": 0,
        "datatrove_job_state": 1,
    }


@pytest.mark.parametrize("name", ["good", *STRANGE_BUT_READABLE])
def test_everything_else_beside_hostile_files_is_exact(zoo: Page, name: str) -> None:
    samples = zoo.having(root="zoo", job_name=name)
    assert samples["datatrove_job_tasks"] == 4
    assert samples["datatrove_job_tasks_completed"] == 2
    assert samples["datatrove_job_scan_success"] == 1


def test_hostile_files_are_counted_by_what_is_wrong_with_them(zoo: Page) -> None:
    told = {reason for _, reason in zoo.errors("zoo")}
    assert told <= set.union(*(reasons for reasons, _ in UNREADABLE.values()))
    assert {"invalid", "too_large"} <= told
    assert zoo.value("datatrove_root_up", root="zoo") == 1
    assert zoo.value("datatrove_root_jobs_unreadable", root="zoo") == len(UNREADABLE)


def test_a_file_that_turns_into_a_fifo_and_back_holds_no_thread(tmp_path: Path) -> None:
    """A look at the file and opening it are two calls; anything may happen in between."""
    job = write_job(tmp_path / "job", tasks=4)
    file, other = job / "executor.json", job / "other"
    storage = LocalStorage(str(tmp_path))
    over = threading.Event()

    def swap() -> None:
        data = file.read_bytes()
        while not over.is_set():
            os.mkfifo(other)
            other.replace(file)
            other.write_bytes(data)
            other.replace(file)

    def read() -> None:
        while len(seen) < 2 or sum(seen.values()) < 2000:
            try:
                _, data = storage.read_executor(("job",), Version(None, None), 10_000)
                assert json.loads(data)["world_size"] == 4
                seen["file"] = seen.get("file", 0) + 1
            except StorageError as error:
                seen[error.reason] = seen.get(error.reason, 0) + 1

    seen: dict[str, int] = {}
    threads = [threading.Thread(target=swap, daemon=True), threading.Thread(target=read)]
    threads[1].daemon = True
    for thread in threads:
        thread.start()
    threads[1].join(60)
    blocked = threads[1].is_alive()
    over.set()
    threads[0].join(10)
    assert not blocked
    assert set(seen) == {"file", "invalid"}


# --- completions/ with more in it than markers


def test_only_the_names_that_datatrove_writes_are_markers(tmp_path: Path) -> None:
    names = [
        *("٠٠٠٠٢", "०००३", "００００２", "-0001", "+0001", "0002", "000002", " 00002"),
        *("00002 ", "00002\n", "00002.tmp", ".nfs0002", "2", "0x002", "1e003", "99999", "٣"),
    ]
    job = write_job(tmp_path / "job", tasks=5, completed=[0, 1])
    for name in names:
        write_marker(job, name, 1_700_000_500)
    (job / "completions" / os.fsdecode(b"0000\xb2")).touch()
    (job / "completions" / "00003").mkdir()  # named as one, and no file
    (job / "completions" / "00004").write_text("a marker that is not empty is one")
    reading = scan_once(tmp_path).jobs[0].reading
    assert reading is not None
    assert list(reading.ranks) == [0, 1, 4, 99999]
    assert reading.tasks_completed == 3
    assert reading.stray_markers == len(names) + 2


@pytest.mark.parametrize("count", [int(os.environ.get("HOSTILE_MARKERS", "100000"))])
def test_a_folder_full_of_markers_is_counted(tmp_path: Path, count: int) -> None:
    job = write_job(tmp_path / "job", tasks=count)
    completions = job / "completions"
    completions.mkdir()
    folder = os.open(completions, os.O_RDONLY)
    for rank in range(count - 1):
        os.mknod(f"{rank:05d}", stat.S_IFREG | 0o600, dir_fd=folder)
    os.close(folder)
    reading = scan_once(tmp_path).jobs[0].reading
    assert reading is not None
    assert (reading.tasks, reading.tasks_completed) == (count, count - 1)
    assert list(reading.ranks.missing_runs(count)) == [(count - 1, count - 1)]


@pytest.mark.parametrize("count", [int(os.environ.get("HOSTILE_JOBS", "3000"))])
def test_a_root_full_of_jobs_is_read_to_the_end_or_says_that_it_is_not(
    tmp_path: Path, count: int
) -> None:
    for number in range(count):
        job = tmp_path / f"{number:06d}"
        job.mkdir()
        (job / "executor.json").write_bytes(b'{"world_size": 2}')
    root = scan_once(tmp_path)
    assert root.up
    assert root.totals is not None
    assert (root.totals.jobs, root.totals.tasks) == (count, 2 * count)


def test_completions_deleted_and_made_again_while_it_is_listed_are_never_few(
    tmp_path: Path,
) -> None:
    """Either all markers of one folder, or none yet, or an error: never some of both."""
    old, new = tmp_path / "old", tmp_path / "new"
    job = write_job(tmp_path / "root" / "job", tasks=3000)
    for folder in (old, new):
        folder.mkdir()
        for rank in range(3000):
            (folder / f"{rank:05d}").touch()
    completions = job / "completions"
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for folder in (old, new):
                folder.rename(completions)
                completions.rename(folder)

    swapping = threading.Thread(target=swap, daemon=True)
    swapping.start()
    scheduler = Scheduler([RootConfig("r", str(tmp_path / "root"))], Latest(), Workers(2))
    counts = set()
    for _ in range(100):
        (root,) = scheduler.run_once().roots
        (found,) = root.jobs
        if found.error is None:
            assert found.reading is not None
            counts.add(found.reading.tasks_completed)
        else:
            assert found.error == "partial"
    over.set()
    swapping.join(10)
    assert counts <= {0, 3000}


class Listing(LocalStorage):
    """Local folders in which something happens between a look at a completions folder
    and the listing of it."""

    def __init__(self, root: str, happens: Callable[[], object]) -> None:
        super().__init__(root)
        self._happens = happens
        self.is_armed = False

    def _list_markers(self, *args: Any) -> Any:
        self._happens()
        return super()._list_markers(*args)


@pytest.mark.parametrize("replaced", [False, True])
def test_completions_that_go_or_are_replaced_while_they_are_listed_are_no_count(
    tmp_path: Path, replaced: bool
) -> None:
    job = write_job(tmp_path / "root" / "job", tasks=4, completed=[0, 1])

    def happens() -> None:
        if storage.is_armed:
            (job / "completions").rename(tmp_path / "away")
            if replaced:
                write_marker(job, "00000", 1_700_000_000)

    storage = Listing(str(tmp_path / "root"), happens)
    config = RootConfig("r", str(tmp_path / "root"))
    scheduler = Scheduler([config], Latest(), Workers(2), lambda *_: storage)
    scheduler.run_once()
    storage.is_armed = True
    (found,) = scheduler.run_once().roots[0].jobs
    assert found.error == "partial"
    assert found.reading is not None
    assert found.reading.tasks_completed == 2
