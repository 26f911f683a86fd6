"""SSH servers, through fsspec's SFTP filesystem, which hands every option on to paramiko
and keeps nothing."""

from typing import Any

import paramiko

from exporter.errors import StorageError
from exporter.storage.filesystems.adapter import (
    Dialect,
    ErrorTypes,
    error_of_type,
    ls_plainly,
    read_opened,
)

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
        if error.errno is None and filesystem.isdir(file):  # "Failure" is all that is said
            raise IsADirectoryError from None
        raise


def _close(filesystem: Any) -> None:
    filesystem.client.close()


def _error_of(error: Exception) -> StorageError | None:
    return error_of_type(error, _REASON_BY_TYPE)


DIALECT = Dialect(ls_plainly, _read, _error_of, options={}, close=_close)
