"""Parts of files on disks: of regular files only, and never more than asked for."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from support.storages.backends import failure

from exporter.storage.base import PART_BYTES
from exporter.storage.local.storage import LocalStorage


def a_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(file))  # the whole path may be too long for a socket


@pytest.mark.parametrize("of_end", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        Path.mkdir,
        a_socket,
        lambda file: file.symlink_to("/dev/zero"),
        lambda file: file.symlink_to("/etc/passwd"),
        lambda file: file.symlink_to(file.name),
    ],
    ids=["FIFO", "folder", "socket", "link to a device", "link to a file", "link to itself"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object], of_end: bool
) -> None:
    (tmp_path / "logs").mkdir()
    make(tmp_path / "logs" / "task_00000.log")
    storage = LocalStorage(str(tmp_path))
    error = failure(lambda: storage.read_part((), "logs/task_00000.log", of_end=of_end))
    assert error.reason == "invalid"


def test_of_a_file_of_ten_gigabytes_only_the_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "task_00000.log"
    with file.open("wb") as stream:
        stream.truncate(10 * 2**30)
        stream.seek(0, os.SEEK_END)
        stream.write(b"the end\n")
    storage = LocalStorage(str(tmp_path))
    end = storage.read_part((), file.name, of_end=True)
    assert len(end) == PART_BYTES
    assert end.endswith(b"\0the end\n")
    assert storage.read_part((), file.name) == bytes(PART_BYTES)
