"""Tells of which type the file system is that a file or folder lies on, as the kernel names it.

Its device number will not do: what ``/proc/self/mountinfo`` lists for btrfs is another one. The
mount that an open file belongs to is always listed.
"""

import os

_ONLY_PATH = getattr(os, "O_PATH", None)  # on Linux: neither content nor permission is asked for


def type_of(path: str) -> str:
    """``ext4``, ``nfs4``, ``fuse.s3fs``; empty if it cannot be told, as where there is no /proc."""
    if _ONLY_PATH is None:
        return ""
    try:
        descriptor = os.open(path, _ONLY_PATH)
        try:
            with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
                mount = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
        finally:
            os.close(descriptor)
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            found = next(line for line in lines if line.split(" ", 1)[0] == mount)
        return found.partition(" - ")[2].split(" ", 1)[0]
    except (OSError, StopIteration):
        return ""
