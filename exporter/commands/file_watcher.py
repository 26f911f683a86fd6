"""Tells when files change, by polling them once a second.

Polling works where notifications do not: on NFS, and for Kubernetes' volumes, where not
the file changes but a link above it. It has a thread of its own: if the file system hangs,
nothing else waits.

A change is told once the next poll finds nothing changed any more, so that a file is not
read while it is being written. A file that joins those watched is told as a change: it may
have changed between being read and the first poll of it.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence

_INTERVAL_SECONDS = 1.0


class FileWatcher:
    """Calls `on_change`, on a thread of its own, after one of `files()` has changed since
    this was created. Polls from `start` on."""

    def __init__(
        self,
        files: Callable[[], Sequence[str]],
        on_change: Callable[[], object],
        interval_seconds: float = _INTERVAL_SECONDS,
    ) -> None:
        self._files = files
        self._on_change = on_change
        self._interval_seconds = interval_seconds
        self._told = self._poll()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _run(self) -> None:
        before = self._told
        while True:
            time.sleep(self._interval_seconds)
            now = self._poll()
            if now == before != self._told:
                self._told = now
                self._on_change()
            before = now

    def _poll(self) -> list[tuple[int, ...]]:
        """A value that is another one when one of the files has changed."""
        return [_version(file) for file in self._files()]


def _version(file: str) -> tuple[int, ...]:
    try:
        found = os.stat(file)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
