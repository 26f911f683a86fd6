"""Replaces single operations of an fsspec filesystem, and reads what its listings show."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.datatrove.ranks import told_ns
from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES, Version

Entries = list[dict[str, Any]]
Count = Callable[[], None]

_TIME_KEYS = ("mtime", "modified", "LastModified", "last_modified", "updated", "modify", "created")
_VERSION_KEYS = ("ETag", "etag", "md5", "checksum", "generation", "ino")


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    count()
    listed: Entries = filesystem.ls(folder, detail=True)
    return listed


def read_opened(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    """The content of a file by the filesystem's own ``open``."""
    with filesystem.open(file, "rb") as stream:
        data: bytes = stream.read(limit_bytes + 1)
    return data


def read_part_opened(filesystem: Any, file: str, of_end: bool) -> bytes:  # noqa: FBT001
    """The first or the last `PART_BYTES` of a file by the filesystem's own ``open``."""
    # What is read ahead is of this size as well.
    with filesystem.open(file, "rb", block_size=PART_BYTES) as stream:
        if of_end:
            size: int = stream.seek(0, os.SEEK_END) or stream.tell()
            stream.seek(max(0, size - PART_BYTES))
        data: bytes = stream.read(PART_BYTES)
    return data


@dataclass(frozen=True, slots=True)
class Adapter:
    """The operations that `GenericStorage` uses, and how it may use them. The defaults are
    fsspec's own operations, which work on every filesystem.

    `ls` takes the filesystem, an absolute folder without a slash at its end, and a function to
    call before each request. It returns entries as fsspec does; that of a folder may have a
    ``tree``, a token that changes with anything below the folder. `read` takes the filesystem, a
    file and a limit. It returns the whole content, or at least one byte more than the limit if
    the file is larger. `read_part` takes the filesystem, a file, and whether its end is wanted;
    it may return the whole file instead. `error_of` classifies errors that only this filesystem
    raises; None for any other. `close` ends the connections; the default leaves that to the
    garbage collector. `options` are keyword arguments of the filesystem; they override those of
    the root. In an object store a folder exists while anything lies below it, several threads may
    call the filesystem at once, and a call is tried twice if the store is unavailable. What
    was written shows after `lag_seconds`.
    """

    ls: Callable[[Any, str, Count], Entries] = _ls
    read: Callable[[Any, str, int], bytes] = read_opened
    read_part: Callable[[Any, str, bool], bytes] = read_part_opened
    error_of: Callable[[Exception], StorageError | None] = lambda _: None
    close: Callable[[Any], None] = lambda _: None
    options: Mapping[str, Any] = field(default_factory=lambda: {"use_listings_cache": False})
    is_object_store: bool = False
    lag_seconds: float = 0.0


ADAPTER = Adapter()


def bucket_and_prefix(folder: str) -> tuple[str, str]:
    """The bucket, and the prefix of all keys below the folder ``bucket/path``."""
    bucket, _, path = folder.partition("/")
    return bucket, f"{path}/" if path else ""


def entries_of(bucket: str, prefix: str, folders: Sequence[str], files: Entries) -> Entries:
    """Entries as fsspec's, from common prefixes and objects (whose ``name`` is the key) that a
    listing of `prefix` showed. An object with the name of a folder is left out: some tools mark a
    folder so. An object that lies deeper shows the folder it lies in."""
    cut = len(prefix)
    keys = [file["name"] for file in files]
    if not all(name.startswith(prefix) for name in (*folders, *keys)):
        raise StorageError("partial", "a listing page shows names that were not asked for")
    names = dict.fromkeys(folder.removesuffix("/") for folder in folders)
    names |= dict.fromkeys(prefix + key[cut:].partition("/")[0] for key in keys if "/" in key[cut:])
    if any("/" in name[cut:] for name in names):
        raise StorageError("partial", "a listing page shows folders that were not asked for")
    entries: Entries = [{"name": f"{bucket}/{name}", "type": "directory"} for name in names]
    entries += (
        {"type": "file", **file, "name": f"{bucket}/{file['name']}"}
        for file in files
        if file["name"] not in names and "/" not in file["name"][cut:]
    )
    return entries


class Entry:
    """A file or folder as a listing shows it, by keys that differ between filesystems. `path`
    and `name` have no slash at their end; `modified_ns` is None where no times are told. `tree`
    is a token that changes with anything below a folder; None for files, and where there is none.
    """

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.path = str(item["name"]).rstrip("/")
        self.name = self.path.rpartition("/")[2]
        self.is_folder = item.get("type") == "directory"
        self.is_file = item.get("type") == "file" and not str(item["name"]).endswith("/")
        self.modified_ns = _modified_ns(item)
        self.version_token = tuple(str(item[key]) for key in _VERSION_KEYS if item.get(key))
        size = item.get("size")
        self.size: int | None = int(size) if size is not None and str(size).isdecimal() else None
        self.tree = item.get("tree") if self.is_folder else None


def executor_version(entries: Mapping[str, Entry]) -> Version:
    """The version of ``executor.json`` in the listing of its folder (entries by name);
    StorageError("not_found") if it is not there."""
    entry = entries.get(EXECUTOR_FILE)
    if entry is None or not entry.is_file:
        raise StorageError("not_found", "no executor.json")
    if entry.modified_ns is None and not entry.version_token:
        return Version(None, None)
    return Version((entry.modified_ns, entry.size, entry.version_token), entry.modified_ns)


def _modified_ns(item: Mapping[str, Any]) -> int | None:
    """The modification time, from whichever key this filesystem uses."""
    for key in _TIME_KEYS:
        value = item.get(key)
        if isinstance(value, str):
            value = _parse_time(value)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                value = value.replace(tzinfo=UTC)
            value = value.timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return told_ns(int(value * 1_000_000) * 1000) if math.isfinite(value) else None
    return None


def _parse_time(text: str) -> datetime | None:
    """A time in ISO 8601, or in the ``YYYYMMDDHHMMSS`` of FTP (RFC 3659)."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007 - made UTC by the caller
    except ValueError:
        return None
