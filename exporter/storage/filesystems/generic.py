"""Any other fsspec filesystem: correct everywhere, clever nowhere.

Only ``ls`` and ``open`` are used, with every cache switched off that fsspec lets one
switch off; the rest are emptied before each call. Where a filesystem's own will not do,
its dialect says what to do instead. Most fsspec filesystems are written for one thread
(an FTP connection carries one command at a time), so calls to one root are made one after
another, unless the dialect knows better. After a failure other than "no such file" or
"not allowed" the filesystem object is thrown away: a broken connection does not mend
itself.

What a filesystem does not tell (modification times, on some) is left out. Where it tells
of a folder which `tree` of files it holds, as a repository does, markers are listed when
that changed, or a look is thorough: a tree that was there between two requests and went
again before the next scan would not be noticed.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeVar

import fsspec
from fsspec.core import url_to_fs

from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, rank_of
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import Folder, Look, Path, Requests, Version, from_os_error
from exporter.storage.filesystems.adapter import Dialect, Entries, ls_plainly, read_opened

_DIALECTS = {
    "ftp": "ftp",
    "hf": "huggingface",
    **dict.fromkeys(("sftp", "ssh"), "sftp"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "azure"),
}
_FAILURES_OF_THE_CONNECTION = ("unavailable", "timeout", "partial", "other")

T = TypeVar("T")


class GenericStorage:
    """The root at `url`; `options` are the keyword arguments of its filesystem."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self._dialect = _dialect_of(url.partition("://")[0])
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._filesystem: fsspec.AbstractFileSystem | None = None
        self._root = ""
        self.requests = Requests("list", "read")

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,  # noqa: ARG002 - nothing to compare with
        *,
        with_subfolders: bool,
        thorough: bool = False,  # noqa: ARG002
    ) -> Folder:
        entries = self._list(path)
        subfolders = tuple(e.name for e in entries if e.is_folder) if with_subfolders else ()
        has_executor_file = any(e.name == EXECUTOR_FILE and e.is_file for e in entries)
        return Folder(subfolders, has_executor_file, state={e.name: e for e in entries})

    def look(
        self,
        path: Path,
        folder: Folder,
        last: Look | None = None,
        *,
        thorough: bool = False,
    ) -> Look:
        assert isinstance(folder.state, dict)  # list_folder lists afresh at each call
        entries: dict[str, _Entry] = folder.state
        version = _version(entries)
        tree = entries[COMPLETIONS].tree if COMPLETIONS in entries else None
        is_known = last is not None and tree is not None and tree == last.state
        if last is not None and is_known and not thorough:
            markers = last.markers
        else:
            markers = self._markers(path, entries)
        has_logs = not markers.ranks and self._has_logs(path, entries)
        look = Look(version, markers, has_logs, state=tree)
        return last if last is not None and markers is last.markers and look == last else look

    def _markers(self, path: Path, entries: "Mapping[str, _Entry]") -> Markers:
        folder = entries.get(COMPLETIONS)
        if folder is None:
            return Markers()
        if not folder.is_folder:
            raise StorageError("invalid", "completions is not a folder")
        try:
            listed = self._list((*path, COMPLETIONS))
        except StorageError as error:
            if error.reason != "not_found":
                raise
            _version({e.name: e for e in self._list(path)})  # is the job itself gone?
            return Markers()
        names = [e.name for e in listed if e.is_file]
        others = len(listed) - len(names)
        times = {
            rank: e.modified_ns
            for e in listed
            if e.is_file and e.modified_ns is not None and (rank := rank_of(e.name)) is not None
        }
        markers = Markers.of_names(names, others)
        if len(times) < len(markers.ranks):
            return markers
        return Markers.of_times(times, markers.others)

    def _has_logs(self, path: Path, entries: "Mapping[str, _Entry]") -> bool:
        folder = entries.get(LOGS)
        if folder is None or not folder.is_folder:
            return False
        if folder.tree is not None:  # a repository has no empty folders
            return True
        try:
            return bool(self._list((*path, LOGS)))
        except StorageError as error:
            if error.reason == "not_found":  # deleted since it was listed
                return False
            raise

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        size = seen.token[1] if isinstance(seen.token, tuple) else None
        if isinstance(size, int) and size > limit_bytes:
            raise StorageError("too_large", f"larger than {limit_bytes} bytes")
        data = self._read((*path, EXECUTOR_FILE), limit_bytes)
        if not data:  # FTP, for one, reads nothing where there is no file
            _version({e.name: e for e in self._list(path)})
        return seen, data

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:  # noqa: ARG002
        """None for each: what the listing does not tell is not known."""
        return [None for _ in ranks]

    def list_logs(self, path: Path) -> list[str]:
        try:
            return [e.name for e in self._list((*path, LOGS)) if e.is_file]
        except StorageError as error:
            if error.reason in ("not_found", "invalid"):
                return []
            raise

    def close(self) -> None:
        with self._opening:
            filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None:
            self._end(filesystem)

    def _list(self, path: Path) -> "list[_Entry]":
        """Everything directly below `path`."""

        def count() -> None:
            self.requests.add("list")

        def ls(filesystem: fsspec.AbstractFileSystem, folder: str) -> tuple[str, Entries]:
            return folder, self._dialect.ls(filesystem, folder, count)

        folder, listed = self._ask(path, ls)
        if not listed and path and not self._dialect.has_folders:
            raise StorageError("not_found", "no such folder")
        entries = [_Entry(item) for item in listed]
        if len(entries) == 1 and entries[0].is_file and entries[0].path == folder.rstrip("/"):
            raise StorageError("invalid", "not a folder")
        # Object stores list a folder's own marker object as an entry of itself.
        return [e for e in entries if e.path != folder.rstrip("/")]

    def _read(self, path: Path, limit_bytes: int) -> bytes:
        """Content of one file of at most `limit_bytes`."""

        def read(filesystem: fsspec.AbstractFileSystem, file: str) -> bytes:
            self.requests.add("read")
            return self._dialect.read(filesystem, file, limit_bytes)

        data = self._ask(path, read)
        if len(data) > limit_bytes:
            raise StorageError("too_large", f"larger than {limit_bytes} bytes")
        return data

    def _ask(self, path: Path, question: Callable[[fsspec.AbstractFileSystem, str], T]) -> T:
        """The answer to a question about the file or folder at `path`."""
        for _ in range(self._dialect.attempts):
            with self._alone():
                filesystem = None
                try:
                    filesystem, place = self._open(path)
                    return question(filesystem, place)
                except Exception as error:
                    failure = self._failed(error, filesystem)
            if failure.reason not in ("unavailable", "partial"):
                break
        raise failure

    def _alone(self) -> AbstractContextManager[object]:
        return nullcontext() if self._dialect.is_concurrent else self._lock

    def _open(self, path: Path) -> tuple[fsspec.AbstractFileSystem, str]:
        with self._opening:
            if self._filesystem is None:
                self._filesystem, self._root = url_to_fs(
                    self._url,
                    **{**self._options, **self._dialect.options},
                    skip_instance_cache=True,
                )
            filesystem = self._filesystem
        if not self._dialect.is_concurrent:
            filesystem.invalidate_cache()
        return filesystem, "/".join([self._root.rstrip("/"), *path]) or "/"

    def _failed(
        self, error: Exception, filesystem: fsspec.AbstractFileSystem | None
    ) -> StorageError:
        failure = _storage_error(error, self._dialect)
        if failure.reason in _FAILURES_OF_THE_CONNECTION:
            with self._opening:
                if self._filesystem is filesystem:
                    self._filesystem = None
            if filesystem is not None and not self._dialect.is_concurrent:
                self._end(filesystem)  # nobody else is using it
        return failure

    def _end(self, filesystem: fsspec.AbstractFileSystem) -> None:
        with suppress(Exception):  # it may be what is broken
            self._dialect.close(filesystem)


def _dialect_of(scheme: str) -> Dialect:
    """Imported only now: it may take a package that is an extra, and a while."""
    name = _DIALECTS.get(scheme)
    if name is None:
        return Dialect(ls_plainly, read_opened)
    dialect: Dialect = import_module(f"exporter.storage.filesystems.{name}").DIALECT
    return dialect


class _Entry:
    """One entry of an fsspec listing, whose keys differ between filesystems."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.path = str(item["name"]).rstrip("/")
        self.name = self.path.rpartition("/")[2]
        self.is_folder = item.get("type") == "directory"
        self.is_file = item.get("type") == "file" and not str(item["name"]).endswith("/")
        self.modified_ns = _modified_ns(item)
        self.version_token = tuple(
            str(item[key])
            for key in ("ETag", "etag", "md5", "checksum", "generation", "ino")
            if item.get(key)
        )
        self.size = item.get("size")
        self.tree = item.get("tree") if self.is_folder else None


def _version(entries: Mapping[str, _Entry]) -> Version:
    """Version of ``executor.json`` from the listing of its folder."""
    entry = entries.get(EXECUTOR_FILE)
    if entry is None or not entry.is_file:
        raise StorageError("not_found", "no executor.json")
    if entry.modified_ns is None and not entry.version_token:
        return Version(None, None)
    return Version((entry.modified_ns, entry.size, entry.version_token), entry.modified_ns)


_TIME_KEYS = ("mtime", "modified", "LastModified", "last_modified", "updated", "modify", "created")


def _modified_ns(item: Mapping[str, Any]) -> int | None:
    """A listing entry's modification time, from whichever key this filesystem uses."""
    for key in _TIME_KEYS:
        value = item.get(key)
        if isinstance(value, str):
            value = _parse_time(value)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                value = value.replace(tzinfo=UTC)
            return int(value.timestamp() * 1_000_000) * 1000
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value * 1_000_000) * 1000
    return None


def _parse_time(text: str) -> datetime | None:
    """ISO 8601, or the ``YYYYMMDDHHMMSS`` of FTP (RFC 3659)."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007 - made UTC by the caller
    except ValueError:
        return None


def _storage_error(error: Exception, dialect: Dialect) -> StorageError:  # noqa: PLR0911
    if isinstance(error, StorageError):
        return error
    if isinstance(error, ImportError):
        return StorageError("other", "the package for this kind of storage is not installed")
    if isinstance(error, EOFError):
        return StorageError("unavailable", "the server closed the connection")
    if (refusal := dialect.error_of(error)) is not None:
        return refusal
    if isinstance(error, OSError):
        return from_os_error(error)
    name = type(error).__name__
    if "Timeout" in name:
        return StorageError("timeout", name)
    return StorageError("other", name)
