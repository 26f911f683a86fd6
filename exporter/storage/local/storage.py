"""Folders of the operating system as a storage.

Plain system calls, counted. A listing asks nothing per entry: its kind comes with its name.
Times cost one stat each, so they are asked for only when needed. ``exists``, ``isfile`` and
``isdir`` are not used: they answer "no" when they mean "not allowed to look".

What did not change (by its `fingerprint`) is not listed again, where the file system is known to
keep folders' times (`trust`): neither folders that may hold jobs (`folders`) nor markers. These
are listed whenever ``executor.json`` changed, too.

Most file systems count sub-folders in a folder's link count, so that a folder with two links has
none. Where such a file system is trusted, and the job folder's own link count proves that it does
so, only names are listed of ``completions/``, not kinds.

``executor.json`` is opened without blocking and checked then: a FIFO would block for ever. It is
read at every scan where its status may say nothing, and is as before if its content is.
"""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from exporter.datatrove.executor_file import EXECUTOR_FILE_LIMIT_BYTES
from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, marker_name
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import (
    Choose,
    File,
    Folder,
    Look,
    NameRange,
    Path,
    Requests,
    T,
    Version,
)
from exporter.storage.errors import from_os_error
from exporter.storage.local import file_system, fingerprint
from exporter.storage.local.completions import last_written_ns, list_markers
from exporter.storage.local.fingerprint import Fingerprint, Listed
from exporter.storage.local.folders import Folders, state_of
from exporter.storage.local.opened import read_part, read_whole, statuses_of, times_of
from exporter.storage.local.trust import Trust


class LocalStorage:
    """The root at `root`, an absolute path."""

    is_object_store = False
    is_local = True
    lag_seconds = 0.0

    def __init__(self, root: str) -> None:
        self._root = root
        self._trust = Trust(root, file_system.type_of)
        self.requests = Requests("stat", "readdir", "read")
        self._folders = Folders(root, self._trust, self.requests)

    @property
    def notes(self) -> tuple[str, ...]:
        return self._trust.notes

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        try:
            return self._folders.list(
                path, last, with_subfolders=with_subfolders, thorough=thorough
            )
        except OSError as error:
            raise from_os_error(error) from None

    def some_subfolders(self, path: Path) -> tuple[str, ...]:
        raise NotImplementedError("list_folder tells all of them")

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        job = "/".join((self._root, *path))
        try:
            return self._look(job, folder, last, thorough=thorough)
        except OSError as error:
            raise from_os_error(error) from None

    def _look(self, job: str, folder: Folder, last: Look | None, *, thorough: bool) -> Look:
        state = state_of(folder)
        executor = state.executor.version or self._executor_version(job)
        if not self._tells_content(executor, job):
            executor = self._read_executor(f"{job}/{EXECUTOR_FILE}", EXECUTOR_FILE_LIMIT_BYTES)[0]
        look = self._look_at_markers(
            f"{job}/{COMPLETIONS}", executor, last, state.link_counting_device, thorough=thorough
        )
        if last is not None and last.markers.ranks and not look.markers.ranks:
            again = self._executor_version(job)  # not_found if the job itself is gone
            if self._tells_content(again, job) and not fingerprint.is_same_file(executor, again):
                executor = again
        has_logs = look.has_logs or (not look.markers.ranks and self._has_logs(job))
        is_same_executor = executor is look.executor or executor == look.executor
        if look is last and has_logs == look.has_logs and is_same_executor:
            return look
        return replace(look, executor=executor, has_logs=has_logs)

    def _look_at_markers(
        self,
        completions: str,
        executor: Version,
        last: Look | None,
        link_counting_device: int | None,
        *,
        thorough: bool,
    ) -> Look:
        """The last look if it still shows the markers; else a new one."""
        status = self._fingerprint_of(completions)
        before = last.state if last is not None and isinstance(last.state, Listed) else None
        is_same = before is not None and before.still_holds(status) and not thorough
        is_believed = status is None or self._trust.believes_times(status[0], completions)
        if last is not None and is_same and is_believed and executor.is_same(last.executor):
            return last
        listed, markers, after = Listed.now(status, before), Markers(), None
        if status is not None:
            markers, after = self._list_markers(completions, status, link_counting_device)
        if last is not None and before is not None:
            if markers.has_same_entries(last.markers):
                if is_same:
                    return last
            elif after is not None:
                self._trust.content_changed(before, after)
        modified_ns = None
        if after is not None and is_believed:
            modified_ns = last_written_ns(
                completions, markers, after, executor=executor, last=last, requests=self.requests
            )
        had_logs = last is not None and last.has_logs
        return Look(executor, markers, had_logs, modified_ns, listed)

    def _list_markers(
        self, completions: str, status: Fingerprint, link_counting_device: int | None
    ) -> tuple[Markers, Fingerprint]:
        links_count = status[0] == link_counting_device
        links_count = links_count and self._trust.believes_links(status[0], completions)
        return list_markers(completions, status, self.requests, links_count=links_count)

    def _executor_version(self, job: str) -> Version:
        self.requests.add("stat")
        return fingerprint.version_of(os.stat(f"{job}/{EXECUTOR_FILE}"))

    def _tells_content(self, executor: Version, job: str) -> bool:
        """The status of ``executor.json`` changes with its content."""
        token = executor.token
        return isinstance(token, tuple) and self._trust.believes_times(
            token[0][0], f"{job}/{EXECUTOR_FILE}"
        )

    def _fingerprint_of(self, folder: str) -> Fingerprint | None:
        """None if there is no such entry. A link to what is not there says nothing of it."""
        self.requests.add("stat")
        try:
            return fingerprint.of(os.stat(folder))
        except FileNotFoundError:
            pass
        self.requests.add("stat")
        try:
            found = os.lstat(folder)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            inner = folder.rpartition("/")[2]
            raise StorageError("invalid", f"{inner}/ is a link that leads nowhere")
        return fingerprint.of(found)  # it came meanwhile

    def _has_logs(self, job: str) -> bool:
        self.requests.add("readdir")
        try:
            with os.scandir(f"{job}/{LOGS}") as entries:
                return next(entries, None) is not None
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False  # without logs a job is readable, too

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        file = "/".join((self._root, *path, EXECUTOR_FILE))
        try:
            version, data = self._read_executor(
                file, limit_bytes, by_content=fingerprint.is_of_content(seen)
            )
        except OSError as error:
            raise from_os_error(error) from None
        return (seen if fingerprint.is_same_file(seen, version) else version), data

    def _read_executor(
        self, file: str, limit_bytes: int, *, by_content: bool = True
    ) -> tuple[Version, bytes]:
        self.requests.add("read")
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0):
            found, data = read_whole(descriptor, limit_bytes)
        if by_content:
            return fingerprint.version_of_content(found, data), data
        # The version from before reading: the next scan sees another if the file changed meanwhile.
        return fingerprint.version_of(found), data

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        names = [marker_name(rank) for rank in ranks]
        self.requests.add("stat", len(names))
        try:
            return times_of("/".join((self._root, *path, COMPLETIONS)), names)
        except FileNotFoundError:  # there is no such folder
            return [None for _ in names]
        except OSError as error:
            raise from_os_error(error) from None

    def list_files(
        self,
        path: Path,
        inner: str,
        wanted: Choose | None = None,
        *,
        between: Sequence[NameRange] = (),  # noqa: ARG002 - one listing tells all
        at_most: int | None = None,
    ) -> list[File]:
        self.requests.add("readdir")
        try:
            with os.scandir("/".join((self._root, *path, inner))) as entries:
                names = [e.name for e in islice(entries, at_most) if not e.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise from_os_error(error) from None
        names = list(dict.fromkeys(names))  # a file system may list a name twice
        if wanted is None:
            return [File(name) for name in names]
        chosen = self.stat_files(path, inner, list(wanted(names)))
        return [file for file in chosen if file is not None]

    def inner_state(self, path: Path, inner: str, last: object = None) -> object:
        folder = "/".join((self._root, *path, inner))
        before = last if isinstance(last, Listed) else None
        try:
            status = self._fingerprint_of(folder)
        except OSError as error:
            raise from_os_error(error) from None
        is_believed = status is None or self._trust.believes_times(status[0], folder)
        if before is not None and is_believed and before.still_holds(status):
            return before
        return Listed.now(status, before)

    def stat_files(self, path: Path, inner: str, names: Sequence[str]) -> list[File | None]:
        self.requests.add("stat", len(names))
        try:
            statuses = statuses_of("/".join((self._root, *path, inner)), names)
        except (FileNotFoundError, NotADirectoryError):
            return [None for _ in names]
        except OSError as error:
            raise from_os_error(error) from None
        modified_ns = fingerprint.modified_ns
        return [
            None if status is None else File(name, modified_ns(status), status.st_size)
            for name, status in zip(names, statuses, strict=True)
        ]

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        return self._read_opened(path, file, partial(read_part, of_end=of_end))

    def read_file(self, path: Path, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        found, data = self._read_opened(path, file, partial(read_whole, limit_bytes=limit_bytes))
        return fingerprint.modified_ns(found), data

    def _read_opened(self, path: Path, file: str, read: Callable[[int], T]) -> T:
        """What `read` returns for the open file, which is no link."""
        self.requests.add("read")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
        try:
            descriptor = os.open("/".join((self._root, *path, file)), flags)
            try:
                return read(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise from_os_error(error) from None

    def close(self) -> None:
        """Nothing is held open."""
