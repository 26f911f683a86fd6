"""A file system in user space that shows a folder, and lies about it.

``lying_file_system.py SOURCE MOUNTPOINT LIE...``, each lie being one that file systems were seen
to tell:

* ``times=still``: no folder is ever modified (goofys #219, s3fs-fuse #2048);
* ``times=branch``: a folder has the times it had when it was first seen, as if all that came later
  lay on another branch (mergerfs #261);
* ``times=none``: nothing has times (s3mock #65);
* ``files=still``: no file is ever modified (``rclone mount --no-modtime``);
* ``links=N``: every folder has N links (google-drive-ocamlfuse #595);
* ``links=leaf``: ``completions/`` has two, whatever is in it (fuse-overlayfs #193);
* ``inode=one``, ``inode=few``: all folders have one inode number, or share sixteen (mergerfs #692,
  nydus #851);
* ``names=twice``: a listing has every name twice.
"""

import os
import stat
import sys
import zlib
from typing import Any

import mfusepy

_STILL_NS = 10**18
_TIMES = ("st_mtime", "st_ctime", "st_atime")


class LyingFileSystem(mfusepy.Operations):
    """All calls that a reader makes, passed on to the folder `source`."""

    use_ns = True

    def __init__(self, source: str, lies: dict[str, str]) -> None:
        self._source = source
        self._lies = lies
        self._first_seen: dict[str, list[int]] = {}

    def _at(self, path: str) -> str:
        return os.path.join(self._source, path.lstrip("/"))

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._at(path))
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_ino")
        shown = {name: getattr(found, name) for name in names}
        times = [getattr(found, f"{name}_ns") for name in _TIMES]
        if stat.S_ISDIR(found.st_mode):
            shown["st_size"] = 4096
            times = self._folder_times(path, times)
            self._lie_about_numbers(path, shown)
        elif self._lies.get("files") == "still":
            times = [_STILL_NS] * 3
        if self._lies.get("times") == "none":
            times = [0, 0, 0]
        return shown | dict(zip(_TIMES, times, strict=True))

    def _folder_times(self, path: str, times: list[int]) -> list[int]:
        match self._lies.get("times"):
            case "still":
                return [_STILL_NS] * 3
            case "branch":
                return self._first_seen.setdefault(path, times)
        return times

    def _lie_about_numbers(self, path: str, shown: dict[str, Any]) -> None:
        links = self._lies.get("links", "")
        if links == "leaf" and os.path.basename(path) == "completions":
            shown["st_nlink"] = 2
        elif links.isdigit():
            shown["st_nlink"] = int(links)
        match self._lies.get("inode"):
            case "one":
                shown["st_ino"] = 7
            case "few":
                shown["st_ino"] = 100 + zlib.crc32(path.encode()) % 16

    def readdir(self, path: str, fh: int) -> list[Any]:
        names = os.listdir(self._at(path))
        if self._lies.get("names") == "twice":
            names += names
        shown = [(name, self.getattr(os.path.join(path, name)), 0) for name in names]
        return [".", "..", *shown]

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))


if __name__ == "__main__":
    source, mountpoint, *lies = sys.argv[1:]
    mfusepy.FUSE(
        LyingFileSystem(source, dict(lie.split("=", 1) for lie in lies)),
        mountpoint,
        foreground=True,
        ro=True,
        attr_timeout=0,
        entry_timeout=0,
        use_ino=True,
        fsname="liar",
    )
