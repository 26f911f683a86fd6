"""SSH servers, through fsspec's SFTP filesystem.

It hands every option on to paramiko, so none of ours is added, and it caches nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import paramiko

from exporter.storage.errors import ErrorTypes, error_of_type
from exporter.storage.filesystems.adapter import Adapter, read_opened, read_part_opened

_REASON_BY_TYPE: ErrorTypes = (
    (paramiko.AuthenticationException, "denied", "the server does not accept the credentials"),
    (paramiko.BadHostKeyException, "denied", "the server's key is not the one that is known"),
    (paramiko.ssh_exception.NoValidConnectionsError, "unavailable", "connection failed"),
    (paramiko.SSHException, "unavailable", "the SSH connection failed"),
)


def _read(filesystem: Any, file: str, what: Any, read: Callable[[Any, str, Any], bytes]) -> bytes:
    try:
        return read(filesystem, file, what)
    except OSError as error:
        if error.errno is None and filesystem.isdir(file):  # the server says no more than "Failure"
            raise IsADirectoryError from None
        raise


ADAPTER = Adapter(
    read=partial(_read, read=read_opened),
    read_part=partial(_read, read=read_part_opened),
    error_of=lambda error: error_of_type(error, _REASON_BY_TYPE),
    close=lambda filesystem: filesystem.client.close(),
    options={},
)
