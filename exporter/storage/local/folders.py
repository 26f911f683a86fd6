"""Lists the folders of a root, those that changed.

A folder that did not change (by its `fingerprint`) is not listed again, where the file system is
known to keep folders' times (`trust`). A thorough listing does not rely on that at all, and what
it finds tells whom to trust.
"""

import os
from dataclasses import dataclass, replace

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.storage.base import Folder, Path, Requests
from exporter.storage.local import fingerprint
from exporter.storage.local.completions import LINKS_WITHOUT_SUBFOLDERS
from exporter.storage.local.entries import list_entries, real_path
from exporter.storage.local.fingerprint import ExecutorFile, Listed
from exporter.storage.local.trust import Trust

_NO_FILE = ExecutorFile(is_file=False)
_UNSEEN_FILE = ExecutorFile(is_file=True)  # there, but not to be looked at: reading it says why


@dataclass(frozen=True, slots=True)
class FolderState:
    """`listed` is None if only ``executor.json`` was looked for. `link_counting_device` is the
    folder's device, if the folder's link count was seen to count its sub-folders."""

    listed: Listed | None
    executor: ExecutorFile
    link_counting_device: int | None = None


_NOTHING_SEEN = FolderState(None, _NO_FILE)


class Folders:
    """The folders of the root at `root`, an absolute path; for any thread."""

    def __init__(self, root: str, trust: Trust, requests: Requests) -> None:
        self._root = root
        self._trust = trust
        self._requests = requests

    def list(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        """The folder at `path`; the very same as `last` where it shows nothing else. Raises
        OSError."""
        folder, before = "/".join((self._root, *path)), state_of(last)
        if with_subfolders:
            return self._list_if_changed(folder, last, before, thorough=thorough)
        if not path:  # looking for executor.json alone would not tell that the root is missing
            self._requests.add("stat")
            return replace(self._list(folder, os.stat(folder), before), subfolders=())
        executor = self._find_executor_file(folder, before)
        return Folder((), executor.is_file, state=FolderState(None, executor))

    def _list_if_changed(
        self, folder: str, last: Folder | None, before: FolderState, *, thorough: bool
    ) -> Folder:
        self._requests.add("stat")
        found = os.stat(folder)
        status, listed = fingerprint.of(found), before.listed
        if last is None or listed is None:
            return self._list(folder, found, before)
        is_same = listed.still_holds(status)
        if is_same and not thorough and self._trust.believes_times(found.st_dev, folder):
            if not last.has_executor_file:  # a new one would have changed the folder
                return last
            executor = self._find_executor_file(folder, before)
            if executor is before.executor:
                return last
            return replace(
                last, has_executor_file=executor.is_file, state=replace(before, executor=executor)
            )
        anew = self._list(folder, found, before)
        if _own_subfolders(anew) != _own_subfolders(last):
            after = fingerprint.of(os.stat(folder)) if is_same else status
            self._trust.content_changed(listed, after)
        elif is_same and anew == last and state_of(anew).executor is before.executor:
            return last
        return anew

    def _list(self, folder: str, found: os.stat_result, before: FolderState) -> Folder:
        listed = Listed.now(fingerprint.of(found), before.listed)
        self._requests.add("readdir")
        found_in = list_entries(folder)
        executor = _NO_FILE
        if found_in.has_executor_entry:
            executor = self._find_executor_file(folder, before)
        links_if_counted = LINKS_WITHOUT_SUBFOLDERS + len(found_in.subfolders)
        counts_links = found_in.subfolders and found.st_nlink == links_if_counted
        state = FolderState(listed, executor, found.st_dev if counts_links else None)
        is_root = folder == self._root
        if is_root:
            self._trust.root_listed(found.st_dev)
        return Folder(
            found_in.subfolders,
            executor.is_file,
            (found.st_dev, found.st_ino),
            state,
            links=found_in.links,
            real_path=real_path(folder) if is_root else None,
        )

    def _find_executor_file(self, folder: str, before: FolderState) -> ExecutorFile:
        self._requests.add("stat")
        try:
            found = os.stat(f"{folder}/{EXECUTOR_FILE}")
        except (FileNotFoundError, NotADirectoryError):  # or the folder became a file
            return _NO_FILE
        except OSError:
            return _UNSEEN_FILE
        return ExecutorFile.now(found, before.executor)


def state_of(folder: Folder | None) -> FolderState:
    """What a listing of this storage kept for the next; as of a folder never seen without one."""
    state = folder.state if folder is not None else None
    return state if isinstance(state, FolderState) else _NOTHING_SEEN


def _own_subfolders(folder: Folder) -> set[str]:
    """Those that come and go with a change of the folder. What a link leads to does not."""
    return set(folder.subfolders).difference(name for name, _ in folder.links)
