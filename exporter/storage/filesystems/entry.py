"""One entry of an fsspec listing, whose keys differ between filesystems.

This module does no I/O.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.errors import StorageError
from exporter.storage.base import Version

_TIME_KEYS = ("mtime", "modified", "LastModified", "last_modified", "updated", "modify", "created")
_VERSION_KEYS = ("ETag", "etag", "md5", "checksum", "generation", "ino")


class Entry:
    """A file or folder as a listing shows it. `path` and `name` have no slash at their end;
    `modified_ns` is None where the filesystem tells no times. `tree` is a token that changes
    with anything below a folder; None for files, and where the filesystem has none."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.path = str(item["name"]).rstrip("/")
        self.name = self.path.rpartition("/")[2]
        self.is_folder = item.get("type") == "directory"
        self.is_file = item.get("type") == "file" and not str(item["name"]).endswith("/")
        self.modified_ns = _modified_ns(item)
        self.version_token = tuple(str(item[key]) for key in _VERSION_KEYS if item.get(key))
        self.size = item.get("size")
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
            return int(value * 1_000_000) * 1000
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
