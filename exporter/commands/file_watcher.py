"""Tells when files change, by looking at them once a second.

Looking works where notifications do not: on NFS, and for Kubernetes' volumes, where not
the file changes but a link above it. It has a thread of its own, which alone waits if the
file system hangs.

A change is told when the files stayed as they are for one more look, so that a file is
not read while it is being written. A file that joins those watched is told as a change,
since it may have changed between being read and the first look at it.
"""

import os
import threading
from collections.abc import Callable, Sequence

_INTERVAL_SECONDS = 1.0

_Look = tuple[tuple[int, ...] | int, ...]


class Watch:
    """Calls `changed`, on a thread of its own, after one of `files()` has changed. Until
    `start`, changes since its creation are only noted."""

    def __init__(self, files: Callable[[], Sequence[str]], changed: Callable[[], object]) -> None:
        self._files = files
        self._changed = changed
        self._told = _look(files())
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        """Do not look again; does not wait."""
        self._stopping.set()

    def _run(self) -> None:
        before = self._told
        while not self._stopping.wait(_INTERVAL_SECONDS):
            now = _look(self._files())
            if now == before != self._told:
                self._told = now
                self._changed()
            before = now


def _look(files: Sequence[str]) -> _Look:
    """What changes when one of the files does."""
    return tuple(_look_at(file) for file in files)


def _look_at(file: str) -> tuple[int, ...] | int:
    try:
        found = os.stat(file)
    except OSError as error:
        return error.errno or 0
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
