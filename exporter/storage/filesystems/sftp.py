"""SSH servers, through fsspec's SFTP filesystem.

It hands every option on to paramiko, so none of ours is added, and it caches nothing.
"""

from typing import Any

import paramiko

from exporter.storage.base import ErrorTypes, error_of_type
from exporter.storage.filesystems.adapter import Adapter, read_opened

_REASON_BY_TYPE: ErrorTypes = (
    (paramiko.AuthenticationException, "denied", "the server does not accept the credentials"),
    (paramiko.BadHostKeyException, "denied", "the server's key is not the one that is known"),
    (paramiko.ssh_exception.NoValidConnectionsError, "unavailable", "connection failed"),
    (paramiko.SSHException, "unavailable", "the SSH connection failed"),
)


def _read(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    try:
        return read_opened(filesystem, file, limit_bytes)
    except OSError as error:
        if error.errno is None and filesystem.isdir(file):  # the server says no more than "Failure"
            raise IsADirectoryError from None
        raise


ADAPTER = Adapter(
    read=_read,
    error_of=lambda error: error_of_type(error, _REASON_BY_TYPE),
    close=lambda filesystem: filesystem.client.close(),
    options={},
)
