"""Any fsspec filesystem as a storage: correct everywhere, with no shortcuts.

A filesystem is used only by the operations of its `Adapter`: by default its own ``ls`` and
``open``. Every cache that fsspec can switch off is off; the others are emptied before each
call. Most fsspec filesystems are written for one thread (an FTP connection carries one
command at a time), so but for object stores the calls to one root are made one after another.
After a failure other than "no such file" or "not allowed" the filesystem object is thrown
away, because a broken connection does not mend itself. What a filesystem does not tell
(modification times, on some) is left out.

A repository tells with each folder a token of everything below it (`Entry.tree`). There
markers are listed only when that token changed, or when a look is thorough. (The markers
are listed after the token. A change between these two requests that is undone before the
next scan goes unnoticed, which is what thorough looks are for.)
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

import fsspec
from fsspec.core import url_to_fs

from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, rank_of
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import (
    PART_BYTES,
    Choose,
    File,
    Folder,
    Look,
    NameRange,
    Path,
    Requests,
    Version,
    or_none,
)
from exporter.storage.errors import (
    ErrorTypes,
    error_of_address,
    error_of_type,
    from_os_error,
    too_large,
    unexpected,
)
from exporter.storage.filesystems.adapter import Adapter, Entries, Entry, executor_version

_REASON_BY_TYPE: ErrorTypes = (
    (EOFError, "unavailable", "the server closed the connection"),
    (ImportError, "other", "the package for this kind of storage is not installed"),
)
_FAILURES_OF_THE_CONNECTION = ("unavailable", "timeout", "partial", "other")

T = TypeVar("T")


class GenericStorage:
    """The root at `url`; `options` are the keyword arguments of its filesystem."""

    is_local = False

    def __init__(self, url: str, options: Mapping[str, Any], adapter: Adapter) -> None:
        self._url = url
        self._options = options
        self._adapter = adapter
        self.is_object_store = adapter.is_object_store
        self.lag_seconds = adapter.lag_seconds
        self._turn = nullcontext() if adapter.is_object_store else threading.Lock()
        self._opening = threading.Lock()
        self._filesystem: fsspec.AbstractFileSystem | None = None
        self._root = ""
        self.requests = Requests("list", "read")
        self.notes: tuple[str, ...] = ()

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

    def some_subfolders(self, path: Path) -> tuple[str, ...]:
        return tuple(entry.name for entry in self._list(path) if entry.is_folder)

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        assert isinstance(folder.state, dict)  # list_folder lists afresh at each call
        entries: dict[str, Entry] = folder.state
        version = executor_version(entries)
        tree = entries[COMPLETIONS].tree if COMPLETIONS in entries else None
        if last is not None and tree is not None and tree == last.state and not thorough:
            markers = last.markers
        else:
            markers = self._list_markers(path, entries)
        has_logs = not markers.ranks and self._has_logs(path, entries)
        look = Look(version, markers, has_logs, state=tree)
        return last if last is not None and markers is last.markers and look == last else look

    def _list_markers(self, path: Path, entries: Mapping[str, Entry]) -> Markers:
        folder = entries.get(COMPLETIONS)
        if folder is None:
            return Markers()
        if not folder.is_folder:
            raise StorageError("invalid", "completions is not a folder")
        listed = or_none(lambda: self._list((*path, COMPLETIONS)), "not_found")
        if listed is None:
            self._check_gone(path)
            return Markers()
        names = [e.name for e in listed if e.is_file]
        times = {
            rank: e.modified_ns
            for e in listed
            if e.is_file and e.modified_ns is not None and (rank := rank_of(e.name)) is not None
        }
        markers = Markers.of_names(names, others=len(listed) - len(names))
        has_times = len(times) == len(markers.ranks)
        return Markers.of_times(times, markers.others) if has_times else markers

    def _has_logs(self, path: Path, entries: Mapping[str, Entry]) -> bool:
        folder = entries.get(LOGS)
        if folder is None or not folder.is_folder:
            return False
        if folder.tree is not None:  # a repository has no empty folders
            return True
        listed = or_none(lambda: self._list((*path, LOGS)), "not_found")
        return bool(listed)  # None if deleted since the job folder was listed

    def _check_gone(self, path: Path) -> None:
        """StorageError if the job is gone; or if ``completions/``, which showed nothing, is not: in
        an object store a folder is there because something lies in it."""
        entries = {e.name: e for e in self._list(path)}
        executor_version(entries)
        if self._adapter.is_object_store and COMPLETIONS in entries:
            raise StorageError("partial", "completions/ was listed, and shows nothing")

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        size = seen.token[1] if isinstance(seen.token, tuple) else None
        if isinstance(size, int) and size > limit_bytes:
            raise too_large(limit_bytes)
        data = self._read((*path, EXECUTOR_FILE), limit_bytes)
        if not data:  # FTP, for one, reads nothing where there is no file
            executor_version({e.name: e for e in self._list(path)})
        return seen, data

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:  # noqa: ARG002
        """None for each: a filesystem that does not list times is not asked file by file."""
        return [None for _ in ranks]

    def list_files(
        self,
        path: Path,
        inner: str,
        wanted: Choose | None = None,
        *,
        between: Sequence[NameRange] = (),  # noqa: ARG002 - one listing tells all
        at_most: int | None = None,
    ) -> list[File]:
        listed = or_none(lambda: self._list((*path, inner)), "not_found", "invalid") or []
        files = {e.name: e for e in listed[:at_most] if e.is_file}
        chosen = files if wanted is None else wanted(list(files))
        return [File(name, files[name].modified_ns, files[name].size) for name in chosen]

    def inner_state(self, path: Path, inner: str, last: object = None) -> object:
        raise NotImplementedError("only a listing tells")

    def stat_files(self, path: Path, inner: str, names: Sequence[str]) -> list[File | None]:
        raise NotImplementedError("a listing tells all of it")

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        def read(filesystem: fsspec.AbstractFileSystem, name: str) -> bytes:
            self.requests.add("read")
            return self._adapter.read_part(filesystem, name, of_end)

        data = self._proven((*path, *file.split("/")), lambda at: self._call(at, read))
        if of_end and len(data) > PART_BYTES:
            raise StorageError("too_large", "the server sends no parts of files")
        return data[:PART_BYTES]

    def read_file(self, path: Path, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        at = (*path, *file.split("/"))
        return None, self._proven(at, lambda at: self._read(at, limit_bytes))

    def _proven(self, at: Path, read: Callable[[Path], bytes]) -> bytes:
        """What `read` returns for a file that is there. FTP, for one, reads nothing where there
        is none."""
        data = read(at)
        if not data and at[-1] not in {e.name for e in self._list(at[:-1]) if e.is_file}:
            raise StorageError("not_found", "no such file")
        return data

    def close(self) -> None:
        with self._opening:
            filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None:
            self._end(filesystem)

    def _list(self, path: Path) -> list[Entry]:
        """Everything directly below `path`."""
        count = partial(self.requests.add, "list")

        def ls(filesystem: fsspec.AbstractFileSystem, folder: str) -> tuple[str, Entries]:
            return folder.rstrip("/"), self._adapter.ls(filesystem, folder, count)

        folder, listed = self._call(path, ls)
        if not listed and path and self._adapter.is_object_store:
            raise StorageError("not_found", "no such folder")
        entries = [Entry(item) for item in listed]
        if len(entries) == 1 and entries[0].is_file and entries[0].path == folder:
            raise StorageError("invalid", "not a folder")
        # Object stores list a folder's own directory-marker object as an entry of itself.
        return [e for e in entries if e.path != folder]

    def _read(self, path: Path, limit_bytes: int) -> bytes:
        """Content of one file of at most `limit_bytes`."""

        def read(filesystem: fsspec.AbstractFileSystem, file: str) -> bytes:
            self.requests.add("read")
            return self._adapter.read(filesystem, file, limit_bytes)

        data = self._call(path, read)
        if len(data) > limit_bytes:
            raise too_large(limit_bytes)
        return data

    def _call(self, path: Path, run: Callable[[fsspec.AbstractFileSystem, str], T]) -> T:
        """What `run` returns for the filesystem and the absolute name of `path` in it; any
        failure is a StorageError."""
        for _ in range(2 if self._adapter.is_object_store else 1):
            with self._turn:
                filesystem = None
                try:
                    filesystem, name = self._connected(path)
                    return run(filesystem, name)
                except Exception as error:
                    failure = self._failed(error, filesystem)
            if failure.reason not in ("unavailable", "partial"):
                break
        raise failure

    def _connected(self, path: Path) -> tuple[fsspec.AbstractFileSystem, str]:
        """The filesystem, made anew if there is none, and the absolute name of `path`."""
        with self._opening:
            if self._filesystem is None:
                options = {**self._options, **self._adapter.options}
                self._filesystem, self._root = url_to_fs(
                    self._url, **options, skip_instance_cache=True
                )
            filesystem = self._filesystem
        if not self._adapter.is_object_store:
            filesystem.invalidate_cache()
        return filesystem, "/".join([self._root.rstrip("/"), *path]) or "/"

    def _failed(
        self, error: Exception, filesystem: fsspec.AbstractFileSystem | None
    ) -> StorageError:
        """The error, classified. If the connection may be its cause, that is thrown away."""
        failure = self._storage_error(error)
        if failure.reason in _FAILURES_OF_THE_CONNECTION:
            with self._opening:
                if self._filesystem is filesystem:
                    self._filesystem = None
            if filesystem is not None and not self._adapter.is_object_store:
                self._end(filesystem)  # no other thread is using it
        return failure

    def _end(self, filesystem: fsspec.AbstractFileSystem) -> None:
        with suppress(Exception):  # the connection may be what is broken
            self._adapter.close(filesystem)

    def _storage_error(self, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        if (known := self._adapter.error_of(error)) is not None:
            return known
        if (known := error_of_address(error)) is not None:
            return known
        if isinstance(error, OSError):
            return from_os_error(error)
        if "Timeout" in type(error).__name__:
            return StorageError("timeout", "no answer within the time limit")
        return error_of_type(error, _REASON_BY_TYPE) or unexpected(error)
