"""Replaces single operations of an fsspec filesystem where its own will not do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import Reason, StorageError

Entries = list[dict[str, Any]]
Count = Callable[[], None]


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    """The filesystem's own ``ls``."""
    count()
    listed: Entries = filesystem.ls(folder, detail=True)
    return listed


def read_opened(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    """The content of a file by the filesystem's own ``open``."""
    with filesystem.open(file, "rb") as stream:
        data: bytes = stream.read(limit_bytes + 1)
    return data


def _keep_open(_: Any) -> None:
    pass


def _not_mine(_: Exception) -> StorageError | None:
    return None


@dataclass(frozen=True, slots=True)
class Adapter:
    """The operations that `GenericStorage` uses, and how it may use them. The defaults are
    fsspec's own operations, which work on every filesystem.

    `ls` takes the filesystem, an absolute folder without a slash at its end, and a function
    to call before each request. It returns entries as fsspec does. The entry of a folder
    may have a ``tree``: a token that changes with anything below that folder.
    `read` takes the filesystem, a file and a limit. It returns the whole content, or at
    least one byte more than the limit if the file is larger.
    `error_of` classifies errors that only this filesystem raises; None for any other.
    `close` ends the filesystem's connections; the default leaves that to the garbage
    collector.

    `options` are keyword arguments of the filesystem; they override those of the root.
    `has_folders` is False for object stores, where a folder exists while anything lies
    below it. `is_concurrent` tells that several threads may call the filesystem at once.
    `attempts` is how often a call is tried in all while the storage is unavailable.
    """

    ls: Callable[[Any, str, Count], Entries] = _ls
    read: Callable[[Any, str, int], bytes] = read_opened
    error_of: Callable[[Exception], StorageError | None] = _not_mine
    close: Callable[[Any], None] = _keep_open
    options: Mapping[str, Any] = field(default_factory=lambda: {"use_listings_cache": False})
    has_folders: bool = True
    is_concurrent: bool = False
    attempts: int = 1


ErrorTypes = Sequence[tuple[type[Exception], Reason, str]]


def error_of_type(error: Exception, types: ErrorTypes) -> StorageError | None:
    """The error for the first of the types that `error` has; None if it has none of them."""
    for kind, reason, detail in types:
        if isinstance(error, kind):
            return StorageError(reason, detail)
    return None


_REASON_BY_STATUS: dict[int, Reason] = {
    401: "denied",
    403: "denied",
    404: "not_found",
    408: "timeout",
    429: "throttled",
    500: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
}


def error_of_status(status: int) -> StorageError:
    """The error that an HTTP status stands for."""
    return StorageError(_REASON_BY_STATUS.get(status, "other"), f"HTTP status {status}")


def bucket_and_prefix(folder: str) -> tuple[str, str]:
    """The bucket, and the prefix of all keys below the folder ``bucket/path``."""
    bucket, _, path = folder.partition("/")
    return bucket, f"{path}/" if path else ""


def entries_of(bucket: str, folders: Sequence[str], files: Entries) -> Entries:
    """Entries as fsspec's, from common prefixes (with their slash) and objects (whose
    ``name`` is the key). An object that has the name of a prefix is left out: some tools
    mark a folder so."""
    names = dict.fromkeys(folder.removesuffix("/") for folder in folders)
    entries: Entries = [{"name": f"{bucket}/{name}", "type": "directory"} for name in names]
    entries += (
        {"type": "file", **file, "name": f"{bucket}/{file['name']}"}
        for file in files
        if file["name"] not in names
    )
    return entries
