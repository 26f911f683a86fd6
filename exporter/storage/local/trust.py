"""Decides of which devices to believe that what a folder's status says holds.

This module does no I/O but the log's.

Two shortcuts of this backend rest on the status of a folder: one whose status did not change
is not listed again, and one with two links has no sub-folders. POSIX promises the first, custom
the second. A file system that has its content from elsewhere keeps neither:

* A mounted bucket (``fuse.s3fs``, ``fuse.rclone``) makes folders up. Their times stand still
  when an object comes by another way (s3fs-fuse #2048, rclone #1460, goofys #219), or are 0. So
  do those of files with ``rclone mount --no-modtime``.
* A union has the times of one branch, and the content of all (mergerfs #261, #375, #718). Its
  merged folders may say 2 links and hold more (fuse-overlayfs #193).
* 9p and virtiofs show whatever the host has, of several file systems on one device.

That the times of one folder there move with a change proves nothing for the next folder, which
may lie on another branch, or change by another way. So those are never believed. File systems
known to keep both are believed from the start. One that is neither is believed once the time of
a folder was seen to move with a change of content; its link counts never are.

Whatever its type: a device on which content changed and the status did not is never believed
again. Lustre and servers of NFS were seen to do that, too.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from exporter.log import event
from exporter.storage.local.fingerprint import Fingerprint, Listed

_LOG = logging.getLogger("exporter.storage.local")

_KEEPS_STATUS = re.compile(
    "ext[234]|xfs|btrfs|bcachefs|zfs|f2fs|jfs|reiserfs|tmpfs|ramfs|ocfs2|gfs2"
    "|nfs4?|lustre|gpfs|beegfs|ceph"
)
_SHOWS_OTHERS = re.compile("fuse.*|overlay|aufs|unionfs|9p|virtiofs|vboxsf", re.DOTALL)


@dataclass(slots=True)
class _Device:
    kind: str
    is_believed: bool
    is_contradicted: bool = False


class Trust:
    """What is known of the devices below the root at `root`; for any thread. `type_of` tells
    the type of the file system that a path leads to, empty if it cannot."""

    def __init__(self, root: str, type_of: Callable[[str], str]) -> None:
        self._root = root
        self._type_of = type_of
        self._lock = threading.Lock()
        self._devices: dict[int, _Device] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each type of file system that is not believed."""
        with self._lock:
            kinds = {known.kind for known in self._devices.values() if not known.is_believed}
        return tuple(
            f"folders on {kind or 'a file system of unknown type'} are listed at every scan:"
            " their times need not show what changes"
            for kind in sorted(kinds)
        )

    def believes_times(self, device: int, path: str) -> bool:
        """A folder or file on the device whose status is as before did not change. `path` is any
        on it; its type is asked for if the device is new."""
        return self._known(device, path).is_believed

    def believes_links(self, device: int, path: str) -> bool:
        """Link counts on the device count sub-folders, if they count anything."""
        known = self._known(device, path)
        return known.is_believed and _KEEPS_STATUS.fullmatch(known.kind) is not None

    def root_listed(self, device: int) -> None:
        """The root was found changed: another file system may be mounted there, which got the
        number of the one before."""
        known = self._devices.get(device)
        if known is not None and known.kind != self._type_of(self._root):
            with self._lock:
                self._devices.clear()

    def content_changed(self, listed: Listed, now: Fingerprint) -> None:
        """A folder does not hold what it did when it was `listed`. It was listed anew, and has
        the fingerprint `now` after that."""
        with self._lock:
            known = self._devices.get(now[0])
            if known is None or known.is_contradicted:
                return
            if listed.still_holds(now):
                if known.is_believed:
                    message = "a folder changed and its times did not; all are listed from now on"
                    self._log(logging.WARNING, message, known)
                known.is_believed, known.is_contradicted = False, True
            elif not _SHOWS_OTHERS.fullmatch(known.kind):
                known.is_believed |= listed.had_other_time(now)

    def _known(self, device: int, path: str) -> _Device:
        known = self._devices.get(device)
        if known is not None:
            return known
        kind = self._type_of(path)
        with self._lock:
            if (known := self._devices.get(device)) is None:
                known = self._devices[device] = _Device(
                    kind, _KEEPS_STATUS.fullmatch(kind) is not None
                )
                if not known.is_believed:
                    message = "folders of this file system are listed at every scan"
                    self._log(logging.INFO, message, known)
            return known

    def _log(self, level: int, message: str, device: _Device) -> None:
        event(_LOG, level, message, root=self._root, file_system=device.kind or "unknown")
