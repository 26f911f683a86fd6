"""Folders of the operating system as a storage.

Plain system calls, counted. A listing asks nothing per entry: its kind comes with its name.
Times cost one stat each, so they are asked for only when needed. ``exists``, ``isfile`` and
``isdir`` are not used: they answer "no" when they mean "not allowed to look".

A folder that did not change (by its `fingerprint`) is not listed again. A thorough listing
does not rely on that at all: some Lustre versions were seen not to update a folder's times.

A listing that tells kinds (``scandir``) makes a Python object for each entry. One of names
alone (``listdir``) does not, and will do for a folder without sub-folders. Most file systems
count sub-folders in a folder's link count, so that a folder with two links has none. Where
the job folder's own link count proves that its file system does so, only the names of
``completions/`` are listed.

``executor.json`` is opened without blocking and checked then: a FIFO would block for ever.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, marker_name
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import (
    Choose,
    File,
    Folder,
    Look,
    Path,
    Requests,
    Version,
    from_os_error,
)
from exporter.storage.local import fingerprint
from exporter.storage.local.fingerprint import ExecutorFile, Fingerprint, Listed
from exporter.storage.local.opened import read_part, read_whole, statuses_of

_LINKS_WITHOUT_SUBFOLDERS = 2  # the folder's name, and its own "."
_NO_FILE = ExecutorFile(is_file=False)
_UNSEEN_FILE = ExecutorFile(is_file=True)  # there, but not to be looked at: reading it says why


@dataclass(frozen=True, slots=True)
class _FolderState:
    """`listed` is None if only ``executor.json`` was looked for. `link_counting_device` is the
    folder's device, if the folder's link count was seen to count its sub-folders."""

    listed: Listed | None
    executor: ExecutorFile
    link_counting_device: int | None = None


_NOTHING_SEEN = _FolderState(None, _NO_FILE)


class LocalStorage:
    """The root at `root`, an absolute path."""

    is_object_store = False

    def __init__(self, root: str) -> None:
        self._root = root
        self.requests = Requests("stat", "readdir", "read")
        self.notes: tuple[str, ...] = ()

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        folder, before = "/".join((self._root, *path)), _state_of(last)
        try:
            # Looking for executor.json alone would not tell that the root is missing.
            if with_subfolders or not path:
                listed = self._list_if_changed(folder, None if thorough else last, before)
                return listed if with_subfolders else replace(listed, subfolders=())
            executor = self._find_executor_file(folder, before)
            return Folder((), executor.is_file, state=_FolderState(None, executor))
        except OSError as error:
            raise from_os_error(error) from None

    def _list_if_changed(self, folder: str, last: Folder | None, before: _FolderState) -> Folder:
        self.requests.add("stat")
        found = os.stat(folder)
        listed = before.listed
        if last is None or listed is None or not listed.still_holds(fingerprint.of(found)):
            return self._list(folder, found, before)
        if not last.has_executor_file:  # a new one would have changed the folder
            return last
        executor = self._find_executor_file(folder, before)
        if executor is before.executor:
            return last
        state = replace(before, executor=executor)
        return replace(last, has_executor_file=executor.is_file, state=state)

    def _list(self, folder: str, found: os.stat_result, before: _FolderState) -> Folder:
        listed = Listed.now(fingerprint.of(found), before.listed)
        subfolders = []
        links = []
        executor = _NO_FILE
        self.requests.add("readdir")
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == EXECUTOR_FILE:
                    executor = self._find_executor_file(folder, before)
                elif _is_folder(entry):
                    subfolders.append(entry.name)
                    if entry.is_symlink():
                        links.append((entry.name, _real_path(entry.path)))
        links = _LINKS_WITHOUT_SUBFOLDERS + len(subfolders)
        counts_subfolders = subfolders and found.st_nlink == links
        state = _FolderState(listed, executor, found.st_dev if counts_subfolders else None)
        return Folder(
            tuple(subfolders),
            executor.is_file,
            (found.st_dev, found.st_ino),
            state,
            links=tuple(links),
            real_path=_real_path(folder) if folder == self._root else None,
        )

    def _find_executor_file(self, folder: str, before: _FolderState) -> ExecutorFile:
        self.requests.add("stat")
        try:
            found = os.stat(f"{folder}/{EXECUTOR_FILE}")
        except (FileNotFoundError, NotADirectoryError):  # or the folder became a file
            return _NO_FILE
        except OSError:
            return _UNSEEN_FILE
        return ExecutorFile.now(found, before.executor)

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        job = "/".join((self._root, *path))
        try:
            return self._look(job, folder, last, thorough=thorough)
        except OSError as error:
            raise from_os_error(error) from None

    def _look(self, job: str, folder: Folder, last: Look | None, *, thorough: bool) -> Look:
        state = _state_of(folder)
        executor = state.executor.version or self._executor_version(job)
        completions = f"{job}/{COMPLETIONS}"
        before = last.state if last is not None and isinstance(last.state, Listed) else None
        status = self._fingerprint_of(completions)
        if last is not None and before is not None and not thorough and before.still_holds(status):
            look = last
        else:
            listed, device = Listed.now(status, before), state.link_counting_device
            markers, modified_ns = self._list_markers(completions, listed, device)
            if not markers.ranks and last is not None and last.markers.ranks:
                again = self._executor_version(job)  # not_found if the job itself is gone
                executor = executor if fingerprint.is_same_file(executor, again) else again
            had_logs = last is not None and last.has_logs
            look = Look(executor, markers, had_logs, modified_ns, listed)
        has_logs = look.has_logs or (not look.markers.ranks and self._has_logs(job))
        is_same_executor = executor is look.executor or executor == look.executor
        if look is last and has_logs == look.has_logs and is_same_executor:
            return look
        return replace(look, executor=executor, has_logs=has_logs)

    def _executor_version(self, job: str) -> Version:
        self.requests.add("stat")
        return fingerprint.version_of(os.stat(f"{job}/{EXECUTOR_FILE}"))

    def _fingerprint_of(self, folder: str) -> Fingerprint | None:
        self.requests.add("stat")
        try:
            return fingerprint.of(os.stat(folder))
        except FileNotFoundError:
            return None

    def _list_markers(
        self, completions: str, listed: Listed, link_counting_device: int | None
    ) -> tuple[Markers, int | None]:
        """The markers, and the modification time of their folder; None if there is none."""
        if listed.fingerprint is None:
            return Markers(), None
        device, *_, links = listed.fingerprint
        no_folders = device == link_counting_device and links == _LINKS_WITHOUT_SUBFOLDERS
        try:
            markers, after = self._read_entries(completions, names_only=no_folders)
            if no_folders and after.st_nlink != _LINKS_WITHOUT_SUBFOLDERS:  # one came meanwhile
                markers, after = self._read_entries(completions, names_only=False)
        except FileNotFoundError:
            raise StorageError("partial", "completions/ went while being listed") from None
        if fingerprint.of(after)[:2] != listed.fingerprint[:2]:  # another device or inode
            raise StorageError("partial", "completions/ was replaced while being listed")
        return markers, after.st_mtime_ns

    def _read_entries(
        self, completions: str, *, names_only: bool
    ) -> tuple[Markers, os.stat_result]:
        """Markers, and the folder's status after they were listed. No entry costs a system
        call, also not for its kind."""
        self.requests.add("readdir")
        self.requests.add("stat")
        if names_only:
            markers = Markers.of_names(os.listdir(completions))
        else:
            with os.scandir(completions) as entries:
                listed = list(entries)
            names = [entry.name for entry in listed if not entry.is_dir(follow_symlinks=False)]
            markers = Markers.of_names(names, others=len(listed) - len(names))
        return markers, os.stat(completions)

    def _has_logs(self, job: str) -> bool:
        self.requests.add("readdir")
        try:
            with os.scandir(f"{job}/{LOGS}") as entries:
                return next(entries, None) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        self.requests.add("read")
        file = "/".join((self._root, *path, EXECUTOR_FILE))
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            with open(descriptor, "rb", buffering=0):
                found, data = read_whole(descriptor, limit_bytes)
        except OSError as error:
            raise from_os_error(error) from None
        # The version from before reading: the next scan sees another if the file changed meanwhile.
        version = fingerprint.version_of(found)
        return (seen if fingerprint.is_same_file(seen, version) else version), data

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        names = [marker_name(rank) for rank in ranks]
        completions = "/".join((self._root, *path, COMPLETIONS))
        try:
            # Names are looked up in the open folder, not each from the root of the file system.
            folder = os.open(completions, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self.requests.add("stat", len(names))
                found = statuses_of(names, folder)
                return [None if status is None else status.st_mtime_ns for status in found]
            finally:
                os.close(folder)
        except FileNotFoundError:  # there is no such folder
            return [None for _ in names]
        except OSError as error:
            raise from_os_error(error) from None

    def list_files(self, path: Path, inner: str, wanted: Choose | None = None) -> list[File]:
        self.requests.add("readdir")
        try:
            folder = os.open("/".join((self._root, *path, inner)), os.O_RDONLY | os.O_DIRECTORY)
            try:
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries if not entry.is_dir()]
                if wanted is None:
                    return [File(name) for name in names]
                chosen = list(wanted(names))
                self.requests.add("stat", len(chosen))
                return [
                    File(name, found.st_mtime_ns, found.st_size)
                    for name, found in zip(chosen, statuses_of(chosen, folder), strict=True)
                    if found is not None
                ]
            finally:
                os.close(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise from_os_error(error) from None

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        self.requests.add("read")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
        try:
            descriptor = os.open("/".join((self._root, *path, file)), flags)
            try:
                return read_part(descriptor, of_end=of_end)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise from_os_error(error) from None

    def close(self) -> None:
        """Nothing is held open."""


def _state_of(folder: Folder | None) -> _FolderState:
    state = folder.state if folder is not None else None
    return state if isinstance(state, _FolderState) else _NOTHING_SEEN


def _real_path(folder: str) -> str:
    """Where it really lies, without a slash at the end."""
    return os.path.realpath(folder).rstrip("/")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """The entry is a folder or a link to one. Only links cost a system call. A link that
    leads nowhere, or round in circles, is no folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False
