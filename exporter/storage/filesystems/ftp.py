"""FTP servers, so that a refusal stays a refusal.

fsspec's FTP filesystem shows a folder that the server does not list, for whatever reason,
as an empty one. Here the same two commands are sent (``MLSD``, and ``LIST`` where the
server does not know ``MLSD``), and a refusal is an error.
"""

import ftplib
from typing import Any

from exporter.errors import Reason, StorageError
from exporter.storage.filesystems.adapter import Adapter, Count, Entries

_UNKNOWN_COMMAND = ("500", "502")
_NO_SUCH_FOLDER_OR_NOT_ALLOWED = ("501", "550")


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    folder = folder.rstrip("/")
    count()
    try:
        return _entries(filesystem.ftp, folder)
    except ftplib.error_perm as refusal:
        parent, _, name = folder.rpartition("/")
        if not name or not str(refusal).startswith(_NO_SUCH_FOLDER_OR_NOT_ALLOWED):
            raise
    types = {entry["name"]: entry["type"] for entry in _ls(filesystem, parent, count)}
    if folder not in types:
        raise FileNotFoundError
    raise PermissionError if types[folder] == "directory" else NotADirectoryError


def _entries(connection: ftplib.FTP, folder: str) -> Entries:
    try:
        lines = list(connection.mlsd(folder or "/"))
    except ftplib.error_perm as error:
        if not str(error).startswith(_UNKNOWN_COMMAND):
            raise
        from fsspec.implementations.ftp import _mlsd2

        lines = _mlsd2(connection, folder or "/")
    entries = []
    for name, facts in lines:
        kind = "directory" if facts["type"] == "dir" else facts["type"]
        if kind not in ("cdir", "pdir"):  # the folder itself, and the one above it
            size = int(facts.get("size", 0))
            entries.append({**facts, "name": f"{folder}/{name}", "type": kind, "size": size})
    return entries


def _error_of(error: Exception) -> StorageError | None:
    if not isinstance(error, ftplib.Error):
        return None
    code = str(error)[:3]
    if not code.isdecimal():
        return StorageError("partial", "the answer is not FTP's")
    if isinstance(error, ftplib.error_temp):
        return StorageError("unavailable", f"FTP answered {code}")
    reason: Reason = "denied" if code in ("530", "532", "550") else "other"
    return StorageError(reason, f"FTP answered {code}")


ADAPTER = Adapter(ls=_ls, error_of=_error_of, close=lambda filesystem: filesystem.ftp.close())
