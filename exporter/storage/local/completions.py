"""Lists the entries of a job's ``completions/``, or says that they went meanwhile.

A listing that tells kinds (``scandir``) makes a Python object for each entry. One of names
alone (``listdir``) does not, and will do for a folder without sub-folders.
"""

import os

from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import Requests
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
