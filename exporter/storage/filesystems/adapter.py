"""How a filesystem of fsspec is used where its own ``ls`` and ``open`` will not do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import Reason, StorageError

Entries = list[dict[str, Any]]
Count = Callable[[], None]


def ls_plainly(filesystem: Any, folder: str, count: Count) -> Entries:
    """Through the filesystem's own ``ls``."""
    count()
    listed: Entries = filesystem.ls(folder, detail=True)
    return listed


def read_opened(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    """Through the filesystem's own ``open``."""
    with filesystem.open(file, "rb") as stream:
        data: bytes = stream.read(limit_bytes + 1)
    return data


def _leave(_: Any) -> None:
    pass


def _no_opinion(_: Exception) -> StorageError | None:
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """`ls` takes the filesystem, an absolute folder without a slash at its end, and what
    to call before each request; it gives entries as fsspec does, of a folder with a ``tree``
    where it can tell: a token that changes with anything below it. `read` takes the
    filesystem, a file and a limit, and gives at least the limit's bytes and one more, if
    there are. `error_of` classifies the errors that this filesystem alone raises.

    `options` are keyword arguments of the filesystem that go before those of the root.
    `close` ends the filesystem's connections; without it they end with the object.
    `has_folders` is False for object stores, where a folder is there if anything lies
    below it. `is_concurrent`: its calls may be
    made from several threads at once. `attempts` is how often a call is tried when the
    storage is unavailable.
    """

    ls: Callable[[Any, str, Count], Entries]
    read: Callable[[Any, str, int], bytes]
    error_of: Callable[[Exception], StorageError | None] = _no_opinion
    options: Mapping[str, Any] = field(default_factory=lambda: {"use_listings_cache": False})
    close: Callable[[Any], None] = _leave
    has_folders: bool = True
    is_concurrent: bool = False
    attempts: int = 1


ErrorTypes = Sequence[tuple[type[Exception], Reason, str]]


def error_of_type(error: Exception, types: ErrorTypes) -> StorageError | None:
    """By the first of the types that the error has."""
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
    """What an HTTP status of an answer stands for."""
    return StorageError(_REASON_BY_STATUS.get(status, "other"), f"HTTP status {status}")


def under(folder: str) -> tuple[str, str]:
    """(bucket, prefix) of everything below the folder ``bucket/path``."""
    bucket, _, path = folder.partition("/")
    return bucket, f"{path}/" if path else ""


def entries_of(bucket: str, folders: Sequence[str], files: Entries) -> Entries:
    """One listing from common prefixes (with their slash) and objects, whose ``name`` is
    the key. An object beside a prefix of the same name is how some tools mark a folder."""
    names = dict.fromkeys(folder.removesuffix("/") for folder in folders)
    entries: Entries = [{"name": f"{bucket}/{name}", "type": "directory"} for name in names]
    entries += (
        {"type": "file", **file, "name": f"{bucket}/{file['name']}"}
        for file in files
        if file["name"] not in names
    )
    return entries
