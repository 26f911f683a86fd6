"""Lists the entries of a job's ``completions/``, or says that they went meanwhile.

A listing that tells kinds (``scandir``) makes a Python object for each entry. One of names
alone (``listdir``) does not, and will do for a folder without sub-folders.
"""

import os

from exporter.datatrove.layout import marker_name
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import Look, Requests, Version
from exporter.storage.local import fingerprint
from exporter.storage.local.fingerprint import Fingerprint

LINKS_WITHOUT_SUBFOLDERS = 2  # the folder's name, and its own "."


def list_markers(
    completions: str, seen: Fingerprint, requests: Requests, *, links_count: bool
) -> tuple[Markers, Fingerprint]:
    """The markers, and the folder's fingerprint after they were listed; it had the fingerprint
    `seen` before. Where its link count can be believed (`links_count`), two links mean that it
    has no sub-folders."""
    no_folders = links_count and seen[-1] == LINKS_WITHOUT_SUBFOLDERS
    try:
        markers, after = _read_entries(completions, requests, names_only=no_folders)
        if no_folders and after[-1] != LINKS_WITHOUT_SUBFOLDERS:  # one came meanwhile
            markers, after = _read_entries(completions, requests, names_only=False)
    except FileNotFoundError:
        raise StorageError("partial", "completions/ went while being listed") from None
    if after[:2] != seen[:2]:  # another device or inode
        raise StorageError("partial", "completions/ was replaced while being listed")
    return markers, after


def last_written_ns(
    completions: str,
    markers: Markers,
    after: Fingerprint,
    *,
    executor: Version,
    last: Look | None,
    requests: Requests,
) -> int | None:
    """When the newest marker was written, by the time of their folder; None if that need not be
    the time of a marker, so that only the markers tell. What the `last` look told holds while
    there are no others: whatever comes and goes beside them moves the folder's time, too."""
    folder_ns = fingerprint.modified_ns(after)
    if last is None:
        is_as_written = _is_as_written(completions, markers, after, requests)
        return folder_ns if is_as_written else None
    known_ns = last.completions_modified_ns
    is_same = markers.ranks == last.markers.ranks and executor.is_same(last.executor)
    return known_ns if is_same or known_ns == folder_ns else None


def _is_as_written(
    completions: str, markers: Markers, folder: Fingerprint, requests: Requests
) -> bool:
    """Whether the folder's time is that of its newest marker, as far as one marker tells. A copy
    that gives files their times back, and their folder not, leaves it the time of the copy: the
    marker's status changed later than its content. Where the folder's did, too (a copy that gave
    it its time back, or a change of owner or rights, perhaps after such a copy), its time is
    believed if the marker has it."""
    if not markers.ranks:
        return True
    last = len(markers.ranks) - 1  # where all are done
    rank = last if last in markers.ranks else next(iter(markers.ranks))
    requests.add("stat")
    try:
        marker = fingerprint.of(os.stat(f"{completions}/{marker_name(rank)}"))
    except FileNotFoundError:
        return False
    if fingerprint.was_set(folder):
        return fingerprint.have_one_time(folder, marker)
    return not fingerprint.was_set(marker)


def _read_entries(
    completions: str, requests: Requests, *, names_only: bool
) -> tuple[Markers, Fingerprint]:
    """Markers, and the folder's fingerprint after they were listed. No entry costs a system
    call, also not for its kind where the file system tells it with the name."""
    requests.add("readdir")
    requests.add("stat")
    if names_only:
        markers = Markers.of_names(os.listdir(completions))
    else:
        with os.scandir(completions) as entries:
            listed = list(entries)
        names = [entry.name for entry in listed if not entry.is_dir(follow_symlinks=False)]
        others = {entry.name for entry in listed} - set(names) if len(names) < len(listed) else ()
        markers = Markers.of_names(names, others=len(others))
    return markers, fingerprint.of(os.stat(completions))
