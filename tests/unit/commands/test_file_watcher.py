"""Noticing that files change: replaced, written in parts, or behind a changed link."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.servers import wait_until

from exporter.commands.file_watcher import FileWatcher


class Told:
    """What a file held each time that a change was told."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.seen: list[str | None] = []

    def __call__(self) -> None:
        try:
            self.seen.append(self._file.read_text())
        except OSError:
            self.seen.append(None)

    def wait_for(self, text: str | None) -> None:
        wait_until(lambda: self.seen[-1:] == [text], f"{text!r} is told")


def polled(file: Path, told: Told, seconds: float = 0.2) -> FileWatcher:
    return FileWatcher(lambda: [str(file)], told, seconds)


@pytest.fixture
def watch() -> Callable[[Path], Told]:
    def start(file: Path) -> Told:
        told = Told(file)
        polled(file, told).start()
        return told

    return start


def test_each_way_to_change_a_file_is_told(tmp_path: Path, watch: Callable[[Path], Told]) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    told = watch(file)
    file.write_text("two, in its place")
    told.wait_for("two, in its place")
    (tmp_path / "new").write_text("three, by a rename")
    (tmp_path / "new").rename(file)
    told.wait_for("three, by a rename")
    file.unlink()
    told.wait_for(None)
    file.write_text("four")
    told.wait_for("four")
    os.truncate(file, 2)
    told.wait_for("fo")
    assert len(told.seen) == 5


def test_a_change_before_the_start_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    told = Told(file)
    watch = polled(file, told)
    file.write_text("changed")
    watch.start()
    told.wait_for("changed")


def test_a_link_above_the_file_may_change(tmp_path: Path, watch: Callable[[Path], Told]) -> None:
    """As Kubernetes updates a volume."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "file").write_text(version)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "file").symlink_to("..data/file")
    told = watch(tmp_path / "file")
    (tmp_path / "..new").symlink_to("2")
    os.rename(tmp_path / "..new", tmp_path / "..data")
    told.wait_for("2")


def test_a_file_is_not_read_while_it_is_being_written(tmp_path: Path) -> None:
    """Its writer pauses for shorter than a poll, by far: a busy machine makes pauses longer."""
    file = tmp_path / "file"
    file.write_text("old")
    told = Told(file)
    polled(file, told, seconds=0.5).start()
    with file.open("w") as writing:
        for number in range(12):
            writing.write(f"{number}\n")
            writing.flush()
            time.sleep(0.1)
    told.wait_for("".join(f"{number}\n" for number in range(12)))
    assert len(told.seen) == 1


def test_a_file_that_stays_is_not_told(tmp_path: Path, watch: Callable[[Path], Told]) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    told = watch(file)
    threading.Event().wait(1)  # five polls
    assert told.seen == []
