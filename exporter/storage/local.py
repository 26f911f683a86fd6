"""Folders of the operating system: local disks, NFS, Lustre, FUSE.

Plain system calls, counted: a listing asks nothing per entry (the kind of an entry
comes with its name), and times cost one stat each, so they are asked for only when
needed. ``exists``/``isfile``/``isdir`` are not used: they answer "no" when they mean
"not allowed to look".

``executor.json`` is opened without blocking and checked after opening: a FIFO in its
place would hold the thread for ever.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import replace

from exporter.jobfolder import COMPLETIONS, EXECUTOR_FILE, LOGS
from exporter.storage.base import (
    Folder,
    MarkerListing,
    Path,
    Requests,
    StorageError,
    Version,
    from_os_error,
)


class LocalStorage:
    """A root at `root`, an absolute path."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.requests = Requests("stat", "readdir", "read")

    def list_folder(self, path: Path, *, with_subfolders: bool) -> Folder:
        folder = os.path.join(self._root, *path)
        try:
            if with_subfolders:
                return self._scan_folder(folder)
            if not path:  # one look at executor.json cannot tell a missing root
                return replace(self._scan_folder(folder), subfolders=())
            return Folder((), self._has_executor_file(folder))
        except OSError as error:
            raise from_os_error(error) from None

    def _scan_folder(self, folder: str) -> Folder:
        subfolders = []
        has_executor_file = False
        self.requests.add("stat")
        status = os.stat(folder)
        self.requests.add("readdir")
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == EXECUTOR_FILE:
                    has_executor_file = self._has_executor_file(folder)
                elif _is_folder(entry):
                    subfolders.append(entry.name)
        return Folder(tuple(subfolders), has_executor_file, (status.st_dev, status.st_ino))

    def _has_executor_file(self, folder: str) -> bool:
        self.requests.add("stat")
        try:
            status = os.stat(os.path.join(folder, EXECUTOR_FILE))
        except FileNotFoundError:
            return False
        except NotADirectoryError:  # the folder became a file
            return False
        except OSError:
            return True  # it is there and cannot be looked at: reading it says why
        return stat.S_ISREG(status.st_mode)

    def job(self, path: Path) -> "LocalJobReader":
        return LocalJobReader(os.path.join(self._root, *path), self.requests)

    def close(self) -> None:
        """Nothing is held open."""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether to descend: folders and links to folders. Costs a system call for links
    only; a link that leads nowhere, or round in circles, is not a folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


class LocalJobReader:
    """One job folder; see storage.base.JobReader."""

    def __init__(self, folder: str, requests: Requests) -> None:
        self._folder = folder
        self._executor_file = os.path.join(folder, EXECUTOR_FILE)
        self._completions = os.path.join(folder, COMPLETIONS)
        self._requests = requests

    def executor_version(self) -> Version:
        self._requests.add("stat")
        try:
            return _version(os.stat(self._executor_file))
        except OSError as error:
            raise from_os_error(error) from None

    def read_executor(self, limit_bytes: int) -> tuple[Version, bytes]:
        self._requests.add("read")
        try:
            descriptor = os.open(
                self._executor_file,
                os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
            )
            with open(descriptor, "rb", buffering=0) as file:
                return _read_regular(file.fileno(), limit_bytes)
        except OSError as error:
            raise from_os_error(error) from None

    def list_markers(self) -> MarkerListing:
        self._requests.add("readdir")
        self._requests.add("stat", 2)
        try:
            before = os.stat(self._completions)
            with os.scandir(self._completions) as entries:
                names = [_marker_entry(entry) for entry in entries]
            after = os.stat(self._completions)
        except FileNotFoundError:
            self.executor_version()  # the job itself gone? then that is the answer
            return MarkerListing((), None, None)
        except OSError as error:
            raise from_os_error(error) from None
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            raise StorageError("partial", "completions/ was replaced while being listed")
        return MarkerListing(names, None, after.st_mtime_ns)

    def marker_times(self, names: Iterable[str]) -> list[int | None]:
        times: list[int | None] = []
        try:
            for name in names:
                try:
                    times.append(os.stat(os.path.join(self._completions, name)).st_mtime_ns)
                except FileNotFoundError:
                    times.append(None)
        except OSError as error:
            raise from_os_error(error) from None
        finally:
            self._requests.add("stat", len(times))
        return times

    def has_logs(self) -> bool:
        self._requests.add("readdir")
        try:
            with os.scandir(os.path.join(self._folder, LOGS)) as entries:
                return next(entries, None) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise from_os_error(error) from None


def _marker_entry(entry: "os.DirEntry[str]") -> str:
    """The entry's name, with a slash if it is no file (known without a system call)."""
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _version(status: os.stat_result) -> Version:
    token = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return Version(token, status.st_mtime_ns)


def _read_regular(descriptor: int, limit_bytes: int) -> tuple[Version, bytes]:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise StorageError("invalid", "not a regular file")
    if status.st_size > limit_bytes:
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
    return _version(status), b"".join(pieces)
