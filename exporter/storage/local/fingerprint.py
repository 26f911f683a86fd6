"""Tells by their status whether a folder or ``executor.json`` changed.

This module does no I/O but reading the clock.

A fingerprint holds all of a status that changes when the content does. Its times may be as
coarse as two seconds (Lustre, old NFS servers, FAT), so two changes can leave the same
fingerprint; and clocks need not agree. Hence "not changed" is believed only if the last reading
began at least `_SETTLING_SECONDS`, by our own clock, after the fingerprint was first seen.
A time of 0 is none at all: file systems without times show it, and so say nothing of changes.
"""

import os
import stat
import time
from dataclasses import dataclass

from exporter.datatrove.ranks import told_ns
from exporter.storage.base import Version

_SETTLING_SECONDS = 2.0

Fingerprint = tuple[int, ...]


def of(found: os.stat_result) -> Fingerprint:
    """The fingerprint of a folder: device and inode first, the link count last."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_size,
        found.st_nlink,
    )


_MODIFIED, _CHANGED = 2, 3


def _has_times(fingerprint: Fingerprint) -> bool:
    return fingerprint[_MODIFIED] != 0 and fingerprint[_CHANGED] != 0


def modified_ns(found: os.stat_result | Fingerprint) -> int | None:
    """The modification time, None where there is none."""
    return told_ns(found.st_mtime_ns if isinstance(found, os.stat_result) else found[_MODIFIED])


def was_set(found: Fingerprint) -> bool:
    """The modification time was set after the fact, as a copy does that preserves times."""
    return _differ(found[_CHANGED], found[_MODIFIED])


def have_one_time(one: Fingerprint, other: Fingerprint) -> bool:
    """Both were modified at one time, as far as times tell."""
    return not _differ(one[_MODIFIED], other[_MODIFIED])


def _differ(one_ns: int, other_ns: int) -> bool:
    return abs(one_ns - other_ns) > _SETTLING_SECONDS * 1e9


@dataclass(frozen=True, slots=True)
class Listed:
    """The fingerprint a folder had when it was listed (None: it did not exist), when that
    fingerprint was first seen, and when the listing began (monotonic seconds)."""

    fingerprint: Fingerprint | None
    first_seen: float
    began: float

    def still_holds(self, fingerprint: Fingerprint | None) -> bool:
        """A folder that has this fingerprint now did not change since it was listed."""
        return (
            fingerprint == self.fingerprint
            and self.began - self.first_seen >= _SETTLING_SECONDS
            and (fingerprint is None or _has_times(fingerprint))
        )

    def had_other_time(self, fingerprint: Fingerprint) -> bool:
        """The folder was modified at another time than one with this fingerprint."""
        return (
            self.fingerprint is not None and self.fingerprint[_MODIFIED] != fingerprint[_MODIFIED]
        )

    @classmethod
    def now(cls, fingerprint: Fingerprint | None, last: "Listed | None") -> "Listed":
        """For a listing that begins now; `last` is the one before."""
        now = time.monotonic()
        is_same = last is not None and last.fingerprint == fingerprint
        return cls(fingerprint, last.first_seen if last is not None and is_same else now, now)


@dataclass(frozen=True, slots=True)
class ExecutorFile:
    """An ``executor.json`` as its status shows it. `version` is None if there is no such
    file, or its status cannot be read; it was first seen at `first_seen` (monotonic seconds)."""

    is_file: bool
    version: Version | None = None
    first_seen: float = 0.0

    @classmethod
    def now(cls, found: os.stat_result, last: "ExecutorFile") -> "ExecutorFile":
        """The file with the status `found`, which was read now; `last` itself if nothing changed.
        A version that has settled gets another token, so that the file is read once more."""
        fingerprint, is_file, now = of(found)[:-1], stat.S_ISREG(found.st_mode), time.monotonic()
        if last.version is not None and last.is_file == is_file:
            if last.version.token == (fingerprint, True):
                return last
            if last.version.token == (fingerprint, False):
                if now - last.first_seen < _SETTLING_SECONDS:
                    return last
                settled = Version((fingerprint, True), modified_ns(found))
                return cls(is_file, settled, last.first_seen)
        return cls(is_file, version_of(found), now)


def version_of(found: os.stat_result) -> Version:
    """The version of a file that was not seen before. Its token has two parts: the
    fingerprint, without the link count, and whether it has settled; it is None without times."""
    fingerprint = of(found)[:-1]
    return Version((fingerprint, False) if _has_times(fingerprint) else None, modified_ns(found))


def version_of_content(found: os.stat_result, content: bytes) -> Version:
    """The version of a file whose status need not say that it changed. (Where it does say so,
    the same content was written again.)"""
    # Python's own hash is keyed and has 64 bits; hashlib loads OpenSSL, which takes 10 ms.
    return Version(b"%d %d" % (found.st_mtime_ns, hash(content)), modified_ns(found))


def is_of_content(version: Version) -> bool:
    """It is one of `version_of_content`."""
    return isinstance(version.token, bytes)


def is_same_file(seen: Version, found: Version) -> bool:
    """`found`, of `version_of`, differs from `seen` in nothing but whether that has settled."""
    token = found.token
    return isinstance(token, tuple) and seen.token in (token, (token[0], True))
