"""Asks an open file or folder: for content, whole or in part, or for the status of files in it."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from exporter.datatrove.ranks import told_ns
from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES
from exporter.storage.errors import too_large


def statuses_of(folder: str, names: Sequence[str]) -> list[os.stat_result | None]:
    """The status of each file in a folder, None for those that are gone."""
    if not names:
        return []
    with _opened(folder) as descriptor:
        return [_status_of(name, descriptor) for name in names]


def times_of(folder: str, names: Sequence[str]) -> list[int | None]:
    """The modification time of each file in a folder, None for those that are gone or have none.
    For very many: their statuses are not kept."""
    times: list[int | None] = []
    with _opened(folder) as descriptor:
        for name in names:
            try:
                times.append(told_ns(os.stat(name, dir_fd=descriptor).st_mtime_ns))
            except FileNotFoundError:
                times.append(None)
    return times


@contextmanager
def _opened(folder: str) -> Iterator[int]:
    """Names are looked up in the open folder, not each from the root of the file system."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _status_of(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _status_of_regular(file: int) -> os.stat_result:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise StorageError("invalid", "not a regular file")
    return found


def read_part(descriptor: int, *, of_end: bool) -> bytes:
    """The first or the last `PART_BYTES` of an open file."""
    found = _status_of_regular(descriptor)
    begin = max(0, found.st_size - PART_BYTES) if of_end else 0
    end = min(begin + PART_BYTES, found.st_size)
    data = b""
    while begin + len(data) < end and (
        piece := os.pread(descriptor, end - begin - len(data), begin + len(data))
    ):
        data += piece
    return data


def read_whole(descriptor: int, limit_bytes: int) -> tuple[os.stat_result, bytes]:
    """The status of an open file before it was read, and its content."""
    found = _status_of_regular(descriptor)
    if found.st_size > limit_bytes:
        raise too_large(limit_bytes)
    data = bytearray()
    while len(data) <= limit_bytes and (piece := os.read(descriptor, 1 << 20)):
        data += piece
    if len(data) > limit_bytes:
        raise too_large(limit_bytes)
    return found, bytes(data)
