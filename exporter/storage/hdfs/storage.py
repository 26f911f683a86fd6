"""HDFS as a storage, whichever way its NameNode is reached.

One listing of a job folder tells all that a scan of an unchanged job needs: when
``executor.json`` and ``completions/`` were last changed, to the millisecond. So an
unchanged job costs one request, and its markers are listed (with their times, 1,000 to a
request) only when ``completions/`` has another modification time.

The NameNode sets a folder's modification time by its own clock while it holds its lock, so
two changes with the same time lie within one millisecond. Hence a changed folder is listed
`_SETTLING_SECONDS` after its modification time was seen: any later change gets a later time.
(If the clock is set back, as when a NameNode with a slow clock takes over, modification
times stand still until it has caught up. Thorough looks are for that.)

Listings are consistent: the NameNode sends up to 1,000 entries in one answer, under its lock.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, marker_name, rank_of
from exporter.datatrove.ranks import UNKNOWN, Markers, told_ns
from exporter.errors import StorageError
from exporter.storage.base import (
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
from exporter.storage.errors import reasons_by_word

_SETTLING_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class FileStatus:
    """One entry of a listed folder, as Hadoop's FileStatus."""

    name: str
    is_folder: bool
    size: int
    modified_ms: int

    @property
    def modified_ns(self) -> int | None:
        """The modification time; None where there is none, as below file systems that keep no
        time of folders."""
        return told_ns(self.modified_ms * 1_000_000)


class NameNode(Protocol):
    """A NameNode, reached in one way. Paths are absolute; only StorageError is raised."""

    requests: Requests

    def list_status(self, path: str) -> list[FileStatus]:
        """The entries of a folder; of a file, itself under an empty name."""

    def read(self, path: str, limit_bytes: int) -> bytes:
        """Content of a file; "too_large" beyond the limit, before it is read."""

    def read_part(self, path: str, *, of_end: bool) -> bytes:
        """The first or the last `PART_BYTES` of a file."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _FolderState:
    """The entries that matter in a job's folder, and when they were listed (monotonic seconds)."""

    entries: dict[str, FileStatus]
    seen: float


@dataclass(frozen=True, slots=True)
class _LookState:
    """Modification times of the inner folders from before they were listed; None for one that
    did not exist, or was not listed."""

    completions_ms: int | None
    logs_ms: int | None


class HdfsStorage:
    """The root at the absolute path `root`."""

    is_object_store = False
    is_local = False
    lag_seconds = 0.0

    def __init__(self, namenode: NameNode, root: str) -> None:
        self._namenode = namenode
        self._root = root.rstrip("/")
        self.requests = namenode.requests
        self.notes: tuple[str, ...] = ()

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,  # noqa: ARG002 - there is no cheaper question
        *,
        with_subfolders: bool,
        thorough: bool = False,  # noqa: ARG002
    ) -> Folder:
        folder = self._list(path)
        executor = folder.get(EXECUTOR_FILE)
        is_job = executor is not None and not executor.is_folder
        subfolders = tuple(s.name for s in folder.values() if s.is_folder)
        wanted = (EXECUTOR_FILE, COMPLETIONS, LOGS)
        state = _FolderState({n: folder[n] for n in wanted if n in folder}, time.monotonic())
        return Folder(subfolders if with_subfolders else (), is_job, state=state)

    def some_subfolders(self, path: Path) -> tuple[str, ...]:
        raise NotImplementedError("list_folder tells all of them")

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        assert isinstance(folder.state, _FolderState)  # list_folder lists at each call
        entries = folder.state.entries
        executor = _version(entries)
        completions_ms = entries[COMPLETIONS].modified_ms if COMPLETIONS in entries else None
        logs_ms = entries[LOGS].modified_ms if LOGS in entries else None
        before = last.state if last is not None and not thorough else None
        if last is not None and isinstance(before, _LookState):
            # A time of 0 does not show what changes.
            is_same = before.completions_ms == completions_ms != 0
            markers = last.markers if is_same else None
            has_logs = last.has_logs if before.logs_ms == logs_ms != 0 else None
        else:
            markers = has_logs = None
        if markers is None:
            markers = self._list_markers(path, folder.state)
        if markers.ranks or logs_ms is None:
            has_logs, logs_ms = False, None
        elif has_logs is None:
            has_logs = self._has_logs(path, folder.state)
        look = Look(executor, markers, has_logs, state=_LookState(completions_ms, logs_ms))
        return last if last is not None and markers is last.markers and look == last else look

    def _list_markers(self, path: Path, folder: _FolderState) -> Markers:
        completions = folder.entries.get(COMPLETIONS)
        if completions is None:
            return Markers()
        if not completions.is_folder:
            raise StorageError("invalid", "completions is not a folder")
        _wait_to_settle(folder)
        listed = or_none(lambda: self._list((*path, COMPLETIONS)), "not_found")
        if listed is None:
            _version(self._list(path))  # not_found if the job itself is gone
            raise StorageError("partial", "completions/ went while being listed")
        times: dict[int, int] = {}
        for status in listed.values():
            if not status.is_folder and (rank := rank_of(status.name)) is not None:
                times[rank] = status.modified_ns or UNKNOWN
        return Markers.of_times(times, len(listed) - len(times))

    def _has_logs(self, path: Path, folder: _FolderState) -> bool:
        if not folder.entries[LOGS].is_folder:
            return False
        _wait_to_settle(folder)
        listed = or_none(lambda: self._list((*path, LOGS)), "not_found")
        return bool(listed)  # None if deleted since the job folder was listed

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        return seen, self._namenode.read(self._absolute((*path, EXECUTOR_FILE)), limit_bytes)

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        """For looks whose times the caller no longer has: one listing tells all."""
        listed = self._list((*path, COMPLETIONS))
        statuses = (listed.get(marker_name(rank)) for rank in ranks)
        return [s.modified_ns if s is not None else None for s in statuses]

    def list_files(
        self,
        path: Path,
        inner: str,
        wanted: Choose | None = None,
        *,
        between: Sequence[NameRange] = (),  # noqa: ARG002 - one listing tells all
        at_most: int | None = None,
    ) -> list[File]:
        listed = or_none(lambda: self._list((*path, inner)), "not_found", "invalid") or {}
        files = {s.name: s for s in islice(listed.values(), at_most) if not s.is_folder}
        chosen = files if wanted is None else wanted(list(files))
        return [File(n, files[n].modified_ns, files[n].size) for n in chosen]

    def inner_state(self, path: Path, inner: str, last: object = None) -> object:
        raise NotImplementedError("only a listing tells")

    def stat_files(self, path: Path, inner: str, names: Sequence[str]) -> list[File | None]:
        raise NotImplementedError("a listing tells all of it")

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        return self._namenode.read_part(self._absolute((*path, file)), of_end=of_end)

    def read_file(self, path: Path, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        return None, self._namenode.read(self._absolute((*path, file)), limit_bytes)

    def close(self) -> None:
        self._namenode.close()

    def _list(self, path: Path) -> dict[str, FileStatus]:
        """The entries of a folder by name."""
        entries = {s.name: s for s in self._namenode.list_status(self._absolute(path))}
        if "" in entries:
            raise StorageError("invalid", "not a folder")
        return entries

    def _absolute(self, path: Path) -> str:
        return "/".join([self._root, *path]) or "/"


def _version(entries: Mapping[str, FileStatus]) -> Version:
    """Version of ``executor.json`` from the listing of its folder."""
    status = entries.get(EXECUTOR_FILE)
    if status is None or status.is_folder:
        raise StorageError("not_found", "no executor.json")
    if status.modified_ns is None:
        return Version(None, None)
    return Version((status.modified_ms, status.size), status.modified_ns)


def _wait_to_settle(folder: _FolderState) -> None:
    """Wait until any change gets a later modification time than the one that was seen."""
    time.sleep(max(0.0, folder.seen + _SETTLING_SECONDS - time.monotonic()))


_REASON_BY_EXCEPTION = reasons_by_word(
    {
        "not_found": "FileNotFoundException",
        "denied": "AccessControlException AuthenticationException AuthorizationException"
        " InvalidToken SecurityException",
        "invalid": "IllegalArgumentException InvalidPathException NotDirectoryException"
        " ParentNotDirectoryException PathIsNotDirectoryException",
        "unavailable": "NoRouterException ObserverRetryOnActiveException RetriableException"
        " RouterSafeModeException SafeModeException ServerNotRunningYetException StandbyException",
        "throttled": "ServerTooBusyException RejectedExecutionException",
    }
)


def error_of_exception(java_class: str) -> StorageError:
    """The error that a NameNode's exception stands for. Its message is not kept: it quotes
    paths and users."""
    name = re.sub(r"[^A-Za-z0-9]", "", re.split(r"[.$]", java_class)[-1])[:60]
    return StorageError(_REASON_BY_EXCEPTION.get(name, "other"), f"HDFS answered {name}")
