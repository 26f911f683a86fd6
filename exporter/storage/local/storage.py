"""Folders of the operating system: local disks, NFS, Lustre, FUSE.

Plain system calls, counted: a listing asks nothing per entry (the kind of an entry
comes with its name), and times cost one stat each, so they are asked for only when
needed. ``exists``/``isfile``/``isdir`` are not used: they answer "no" when they mean
"not allowed to look".

A folder whose status did not change is not listed again. Its times may be as coarse as
two seconds (Lustre, old NFS servers, FAT), so two changes can leave the same status; and
clocks need not agree. Hence the rule, by our own monotonic clock alone: "not changed" is
believed only if the last listing began at least `_SETTLING_SECONDS` after this status was
first seen. A thorough listing does not believe it at all (some Lustre versions were seen
not to update a folder's times).

A listing gives the kind of each entry along with its name, at a price: a Python object
each. Most file systems count in a folder's link count the folders in it, so that one with
two links holds none. Where the job folder's own count shows that they do, the names of
``completions/`` are listed alone.

``executor.json`` is opened without blocking and checked after opening: a FIFO in its
place would hold the thread for ever.
"""

import os
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, marker_name
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import Folder, Look, Path, Requests, Version, from_os_error

_SETTLING_SECONDS = 2.0
_LINKS_OF_A_FOLDER = 2  # its name, and its own "."

_Status = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """Which status a folder had when it was listed (None: it did not exist), when that
    status was first seen, and when the listing began (monotonic)."""

    status: _Status | None
    first_seen: float
    began: float

    def still_holds(self, status: _Status | None) -> bool:
        return status == self.status and self.began - self.first_seen >= _SETTLING_SECONDS

    @classmethod
    def now(cls, status: _Status | None, last: "_Listed | None") -> "_Listed":
        now = time.monotonic()
        is_same = last is not None and last.status == status
        return cls(status, last.first_seen if last is not None and is_same else now, now)


@dataclass(frozen=True, slots=True)
class _FolderState:
    """`listed` is None if the folder was not; `executor` if there is no ``executor.json``,
    or it cannot be looked at. `executor_since` is when that version was first seen.
    `counts_folders` tells the device on which a folder's link count is seen to tell how many
    folders are in it."""

    listed: _Listed | None
    executor: Version | None
    executor_since: float
    counts_folders: int | None = None


class LocalStorage:
    """A root at `root`, an absolute path."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.requests = Requests("stat", "readdir", "read")

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        folder = "/".join((self._root, *path))
        before = last.state if last is not None and isinstance(last.state, _FolderState) else None
        try:
            if with_subfolders or not path:  # a look at executor.json sees no missing root
                listed = self._scan_folder(folder, None if thorough else last, before)
                return listed if with_subfolders else replace(listed, subfolders=())
            has_file, version, since = self._find_executor_file(folder, before)
            return Folder((), has_file, state=_FolderState(None, version, since))
        except OSError as error:
            raise from_os_error(error) from None

    def _scan_folder(self, folder: str, last: Folder | None, before: _FolderState | None) -> Folder:
        self.requests.add("stat")
        found = os.stat(folder)
        status = _status(found)
        if last is not None and before and before.listed and before.listed.still_holds(status):
            if not last.has_executor_file:  # to get one would change the folder
                return last
            has_file, version, since = self._find_executor_file(folder, before)
            if has_file and version is before.executor:
                return last
            state = replace(before, executor=version, executor_since=since)
            return Folder(last.subfolders, has_file, last.identity, state)
        listed = _Listed.now(status, before.listed if before else None)
        subfolders = []
        has_file, version, since = False, None, listed.began
        self.requests.add("readdir")
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == EXECUTOR_FILE:
                    has_file, version, since = self._find_executor_file(folder, before)
                elif _is_folder(entry):
                    subfolders.append(entry.name)
        identity = (found.st_dev, found.st_ino)
        counts = subfolders and found.st_nlink == _LINKS_OF_A_FOLDER + len(subfolders)
        state = _FolderState(listed, version, since, found.st_dev if counts else None)
        return Folder(tuple(subfolders), has_file, identity, state)

    def _find_executor_file(
        self, folder: str, before: _FolderState | None
    ) -> tuple[bool, Version | None, float]:
        """Whether there is an ``executor.json``, its version if it can be told, and since
        when."""
        now = time.monotonic()
        self.requests.add("stat")
        try:
            found = os.stat(f"{folder}/{EXECUTOR_FILE}")
        except FileNotFoundError:
            return False, None, now
        except NotADirectoryError:  # the folder became a file
            return False, None, now
        except OSError:
            return True, None, now  # it is there and cannot be seen: reading it says why
        is_file, status = stat.S_ISREG(found.st_mode), _status(found)[:-1]
        if before is not None and before.executor is not None:
            known, since = before.executor, before.executor_since
            if known.token == (status, True):
                return is_file, known, since
            if known.token == (status, False):
                has_settled = now - since >= _SETTLING_SECONDS
                return is_file, Version((status, has_settled), found.st_mtime_ns), since
        return is_file, Version((status, False), found.st_mtime_ns), now

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        job = "/".join((self._root, *path))
        try:
            return self._look(job, folder, last, thorough=thorough)
        except OSError as error:
            raise from_os_error(error) from None

    def _look(self, job: str, folder: Folder, last: Look | None, *, thorough: bool) -> Look:
        state = folder.state if isinstance(folder.state, _FolderState) else None
        executor = state.executor if state is not None else None
        if executor is None:
            executor = self._stat_executor_file(job)
        completions = f"{job}/{COMPLETIONS}"
        before = last.state if last is not None and isinstance(last.state, _Listed) else None
        status = self._status_of(completions)
        if last is not None and before is not None and not thorough and before.still_holds(status):
            look = last
        else:
            counts_folders = state.counts_folders if state is not None else None
            listed = _Listed.now(status, before)
            look = self._list_markers(completions, executor, listed, counts_folders)
            if not look.markers.ranks and last is not None and last.markers.ranks:
                again = self._stat_executor_file(job)  # is the job itself gone?
                executor = executor if _is_same_writing(executor, again) else again
            look = replace(look, has_logs=last.has_logs if last is not None else False)
        has_logs = look.has_logs or (not look.markers.ranks and self._has_logs(job))
        is_known = executor is look.executor or executor == look.executor
        if look is last and has_logs == look.has_logs and is_known:
            return look
        return replace(look, executor=executor, has_logs=has_logs)

    def _stat_executor_file(self, job: str) -> Version:
        self.requests.add("stat")
        return _version(os.stat(f"{job}/{EXECUTOR_FILE}"))

    def _status_of(self, completions: str) -> _Status | None:
        self.requests.add("stat")
        try:
            return _status(os.stat(completions))
        except FileNotFoundError:
            return None

    def _list_markers(
        self, completions: str, executor: Version, listed: _Listed, counts_folders: int | None
    ) -> Look:
        if listed.status is None:
            return Look(executor, Markers(), has_logs=False, state=listed)
        device, *_, links = listed.status
        holds_no_folder = device == counts_folders and links == _LINKS_OF_A_FOLDER
        try:
            markers, after = self._read_entries(completions, names_only=holds_no_folder)
            if holds_no_folder and after.st_nlink != _LINKS_OF_A_FOLDER:  # one came meanwhile
                markers, after = self._read_entries(completions, names_only=False)
        except FileNotFoundError:
            raise StorageError("partial", "completions/ went while being listed") from None
        if _status(after)[:2] != listed.status[:2]:
            raise StorageError("partial", "completions/ was replaced while being listed")
        return Look(
            executor,
            markers,
            has_logs=False,
            completions_modified_ns=after.st_mtime_ns,
            state=listed,
        )

    def _read_entries(
        self, completions: str, *, names_only: bool
    ) -> tuple[Markers, os.stat_result]:
        """Markers, and the folder's status when they were listed; kinds come with the
        names, no entry costs a system call."""
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
            with os.scandir(os.path.join(job, LOGS)) as entries:
                return next(entries, None) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        self.requests.add("read")
        try:
            descriptor = os.open(
                os.path.join(self._root, *path, EXECUTOR_FILE),
                os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
            )
            with open(descriptor, "rb", buffering=0) as file:
                version, data = _read_regular(file.fileno(), limit_bytes)
        except OSError as error:
            raise from_os_error(error) from None
        return (seen if _is_same_writing(seen, version) else version), data

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        names = [marker_name(rank) for rank in ranks]
        try:
            # A name is looked up from there, not each time from the root of the file system.
            folder = os.open(
                os.path.join(self._root, *path, COMPLETIONS),
                os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC,
            )
        except FileNotFoundError:
            return [None for _ in names]
        except OSError as error:
            raise from_os_error(error) from None
        self.requests.add("stat", len(names))
        try:
            return _times_of(names, folder)
        except OSError as error:
            raise from_os_error(error) from None
        finally:
            os.close(folder)

    def list_logs(self, path: Path) -> list[str]:
        self.requests.add("readdir")
        try:
            with os.scandir(os.path.join(self._root, *path, LOGS)) as entries:
                return [entry.name for entry in entries if not entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise from_os_error(error) from None

    def close(self) -> None:
        """Nothing is held open."""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether to descend: folders and links to folders. Costs a system call for links
    only; a link that leads nowhere, or round in circles, is not a folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _times_of(names: Sequence[str], folder: int) -> list[int | None]:
    """Modification times of files in an open folder, None for those that are gone."""
    stat_file = os.stat
    try:
        return [stat_file(name, dir_fd=folder).st_mtime_ns for name in names]
    except FileNotFoundError:  # hardly ever: then with care
        times: list[int | None] = []
        for name in names:
            try:
                times.append(stat_file(name, dir_fd=folder).st_mtime_ns)
            except FileNotFoundError:
                times.append(None)
        return times


def _status(found: os.stat_result) -> _Status:
    """All that changes when a folder's content does, which folder it is first."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_size,
        found.st_nlink,
    )


def _version(found: os.stat_result) -> Version:
    """Of a file that was not seen before: the token's second part is whether it has settled."""
    return Version((_status(found)[:-1], False), found.st_mtime_ns)


def _is_same_writing(one: Version | None, other: Version) -> bool:
    """Whether two versions differ in nothing but whether they have settled."""
    return (
        one is not None
        and isinstance(one.token, tuple)
        and isinstance(other.token, tuple)
        and one.token[0] == other.token[0]
    )


def _read_regular(descriptor: int, limit_bytes: int) -> tuple[Version, bytes]:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise StorageError("invalid", "not a regular file")
    if found.st_size > limit_bytes:
        raise StorageError("too_large", f"larger than {limit_bytes} bytes")
    pieces = []
    remaining = limit_bytes + 1
    while remaining > 0 and (piece := os.read(descriptor, min(remaining, 1 << 20))):
        pieces.append(piece)
        remaining -= len(piece)
    if remaining == 0:
        raise StorageError("too_large", f"larger than {limit_bytes} bytes")
    # The version from before reading: if the file changes meanwhile, the next scan
    # sees another version and reads again.
    return _version(found), b"".join(pieces)
