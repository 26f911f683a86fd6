"""Replaces single operations of an fsspec filesystem where its own will not do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import StorageError

Entries = list[dict[str, Any]]
Count = Callable[[], None]


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    count()
    listed: Entries = filesystem.ls(folder, detail=True)
    return listed


def read_opened(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    """The content of a file by the filesystem's own ``open``."""
    with filesystem.open(file, "rb") as stream:
        data: bytes = stream.read(limit_bytes + 1)
    return data


@dataclass(frozen=True, slots=True)
class Adapter:
    """The operations that `GenericStorage` uses, and how it may use them. The defaults are
    fsspec's own operations, which work on every filesystem.

    `ls` takes the filesystem, an absolute folder without a slash at its end, and a function to
    call before each request. It returns entries as fsspec does; that of a folder may have a
    ``tree``, a token that changes with anything below the folder. `read` takes the filesystem, a
    file and a limit. It returns the whole content, or at least one byte more than the limit if
    the file is larger. `error_of` classifies errors that only this filesystem raises; None for
    any other. `close` ends the connections; the default leaves that to the garbage collector.
    `options` are keyword arguments of the filesystem; they override those of the root. In an
    object store a folder exists while anything lies below it, several threads may call the
    filesystem at once, and a call is tried twice if the store is unavailable.
    """

    ls: Callable[[Any, str, Count], Entries] = _ls
    read: Callable[[Any, str, int], bytes] = read_opened
    error_of: Callable[[Exception], StorageError | None] = lambda _: None
    close: Callable[[Any], None] = lambda _: None
    options: Mapping[str, Any] = field(default_factory=lambda: {"use_listings_cache": False})
    is_object_store: bool = False


ADAPTER = Adapter()


def bucket_and_prefix(folder: str) -> tuple[str, str]:
    """The bucket, and the prefix of all keys below the folder ``bucket/path``."""
    bucket, _, path = folder.partition("/")
    return bucket, f"{path}/" if path else ""


def entries_of(bucket: str, folders: Sequence[str], files: Entries) -> Entries:
    """Entries as fsspec's, from common prefixes (with their slash) and objects (whose ``name``
    is the key). An object with the name of a prefix is left out: some tools mark a folder so."""
    names = dict.fromkeys(folder.removesuffix("/") for folder in folders)
    entries: Entries = [{"name": f"{bucket}/{name}", "type": "directory"} for name in names]
    entries += (
        {"type": "file", **file, "name": f"{bucket}/{file['name']}"}
        for file in files
        if file["name"] not in names
    )
    return entries
