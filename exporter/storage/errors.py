"""Tells the reason of an error, whichever library or system raised it. Texts of libraries are not
kept: they quote paths, and worse."""

import errno
import os
import re
from collections.abc import Mapping, Sequence

from exporter.errors import Reason, StorageError

ErrorTypes = Sequence[tuple[type[BaseException], Reason, str]]


def error_of_type(error: BaseException, types: ErrorTypes) -> StorageError | None:
    """The error for the first of the types that `error` has; None if it has none of them."""
    for kind, reason, detail in types:
        if isinstance(error, kind):
            return StorageError(reason, detail)
    return None


def reasons_by_word(words: Mapping[Reason, str]) -> dict[str, Reason]:
    """The reason for each word; `words` holds those of each reason, between spaces."""
    return {word: reason for reason, text in words.items() for word in text.split()}


def too_large(limit_bytes: int) -> StorageError:
    """The error for a file of more than so many bytes."""
    return StorageError("too_large", f"larger than {limit_bytes} bytes")


REASON_BY_STATUS = reasons_by_word(
    {
        "denied": "401 403",
        "not_found": "404",
        "timeout": "408 504",
        "throttled": "429",
        "unavailable": "500 502 503",
    }
)


def error_of_status(status: int) -> StorageError:
    """The error that an HTTP status stands for."""
    return StorageError(REASON_BY_STATUS.get(str(status), "other"), f"HTTP status {status}")


_REASON_BY_ERRNO = reasons_by_word(
    {
        "denied": "EACCES EPERM",
        "not_found": "ENOENT",
        "invalid": "ENOTDIR EISDIR ELOOP ENXIO",
        "too_large": "EFBIG",
        "timeout": "ETIMEDOUT",
        "unavailable": "EBUSY EIO ESTALE ENOTCONN ESHUTDOWN EHOSTDOWN EHOSTUNREACH ENETUNREACH"
        " ECONNREFUSED ECONNRESET ECONNABORTED EPIPE EREMOTEIO",
    }
)
_REASON_BY_TYPE: ErrorTypes = (
    (FileNotFoundError, "not_found", "no such file or folder"),
    (PermissionError, "denied", "permission denied"),
    (NotADirectoryError, "invalid", "not a folder"),
    (IsADirectoryError, "invalid", "a folder, not a file"),
    (TimeoutError, "timeout", "timed out"),
    (ConnectionError, "unavailable", "connection failed"),
)


def from_os_error(error: OSError) -> StorageError:
    """The StorageError for an OSError, of the operating system or of a library. Only the system's
    own text for the error number is kept: messages of libraries quote paths, and worse."""
    number = error.errno
    if number is not None and (name := errno.errorcode.get(number)) in _REASON_BY_ERRNO:
        return StorageError(_REASON_BY_ERRNO[name], os.strerror(number))
    if (known := error_of_type(error, _REASON_BY_TYPE)) is not None:
        return known
    return unexpected(error) if number is None else StorageError("other", os.strerror(number))


def error_of_address(error: BaseException) -> StorageError | None:
    """The error for one that says that what is configured is no such server; None for others.
    Both kinds are OSErrors whose numbers mean something else."""
    import socket  # a scan of local folders needs neither of them
    import ssl

    types: ErrorTypes = (
        (socket.gaierror, "unavailable", "the host name cannot be resolved"),
        (ssl.SSLCertVerificationError, "unavailable", "the server's certificate is not trusted"),
        (ssl.SSLError, "unavailable", "no TLS with this server; does it speak plain HTTP?"),
    )
    return error_of_type(error, types)


_UNKNOWN_OPTION = re.compile(r"got an unexpected keyword argument '(\w{1,60})'$", re.IGNORECASE)


def unexpected(error: BaseException) -> StorageError:
    """The error for one that no backend knows. Of its text nothing is kept, but for the name of an
    option that the library does not have."""
    match = _UNKNOWN_OPTION.search(str(error)) if isinstance(error, TypeError) else None
    if match is not None:
        return StorageError("invalid", f"storage_options: unknown option {match[1]}")
    return StorageError("other", f"an unknown error ({type(error).__name__})")
