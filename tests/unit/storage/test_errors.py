"""Which reason an error has, whoever raised it, and what of its text is kept."""

import errno
import os
import socket
import ssl

import pytest

from exporter.errors import Reason
from exporter.storage.errors import error_of_address, error_of_status, from_os_error, unexpected


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "denied"),
        (errno.EPERM, "denied"),
        (errno.ENOENT, "not_found"),
        (errno.ENOTDIR, "invalid"),
        (errno.ELOOP, "invalid"),
        (errno.EFBIG, "too_large"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.ESTALE, "unavailable"),
        (errno.EIO, "unavailable"),
        (errno.ECONNREFUSED, "unavailable"),
        (errno.ENOSPC, "other"),
    ],
)
def test_an_error_of_the_system_is_told_by_its_number_in_the_systems_words(
    number: int, reason: Reason
) -> None:
    error = from_os_error(OSError(number, "CANARY", "/home/CANARY"))
    assert (error.reason, error.detail) == (reason, os.strerror(number))


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (FileNotFoundError("CANARY"), "not_found"),
        (PermissionError("CANARY"), "denied"),
        (NotADirectoryError("CANARY"), "invalid"),
        (IsADirectoryError("CANARY"), "invalid"),
        (TimeoutError("CANARY"), "timeout"),
        (BrokenPipeError("CANARY"), "unavailable"),
        (OSError("CANARY"), "other"),
    ],
)
def test_an_error_without_a_number_is_told_by_its_type_and_its_text_is_not_kept(
    raised: OSError, reason: Reason
) -> None:
    """Libraries raise these, with paths and worse in their texts."""
    error = from_os_error(raised)
    assert error.reason == reason
    assert "CANARY" not in error.detail


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "denied"), (404, "not_found"), (429, "throttled"), (503, "unavailable"), (418, "other")],
)
def test_a_status_of_http_has_a_reason(status: int, reason: Reason) -> None:
    error = error_of_status(status)
    assert (error.reason, error.detail) == (reason, f"HTTP status {status}")


def test_what_is_configured_and_is_no_such_server_is_told_from_an_outage() -> None:
    told = [
        error_of_address(error)
        for error in (
            socket.gaierror(-2, "CANARY"),
            ssl.SSLCertVerificationError(1, "CANARY"),
            ssl.SSLError(1, "CANARY"),
        )
    ]
    details = [
        error.detail for error in told if error is not None and error.reason == "unavailable"
    ]
    assert len(set(details)) == 3
    assert not any("CANARY" in detail for detail in details)
    assert error_of_address(ConnectionRefusedError(errno.ECONNREFUSED, "refused")) is None


def test_of_what_nobody_knows_the_type_is_told_and_the_name_of_a_wrong_option() -> None:
    assert "ValueError" in unexpected(ValueError("CANARY")).detail
    error = unexpected(TypeError("open() got an unexpected keyword argument 'enpoint_url'"))
    assert (error.reason, "enpoint_url" in error.detail) == ("invalid", True)
    odd = unexpected(TypeError("got an unexpected keyword argument 'CANARY CANARY'"))
    assert (odd.reason, "CANARY" in odd.detail) == ("other", False)
