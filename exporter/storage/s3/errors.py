"""Classifies what s3fs and botocore raise.

This module does no I/O.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import aiohttp
import botocore.exceptions
import botocore.parsers

from exporter.errors import Reason, StorageError
from exporter.storage import errors

# Credentials that are wrong, or no longer valid.
_CREDENTIALS_CODES = (
    "ExpiredToken ExpiredTokenException InvalidAccessKeyId InvalidToken SignatureDoesNotMatch"
    " TokenRefreshRequired"
)
_REFUSING_STATUS = ("400", "405", "501")
# A server may send the status as its error code.
_REASON_BY_CODE = errors.REASON_BY_STATUS | errors.reasons_by_word(
    {
        "not_found": "NoSuchBucket NoSuchKey",
        "throttled": "SlowDown Throttling ThrottlingException TooManyRequests RequestLimitExceeded",
        "timeout": "RequestTimeout GatewayTimeout",
        "unavailable": "InternalError ServiceUnavailable BadGateway",
        "denied": "AccessDenied AllAccessDisabled AccountProblem Forbidden InvalidSecurity"
        f" NotSignedUp RequestTimeTooSkewed UnauthorizedAccess {_CREDENTIALS_CODES}",
    }
)
_GIVEN = " (environment, ~/.aws, storage_options)"
_CREDENTIALS_ERRORS: errors.ErrorTypes = (
    (botocore.exceptions.NoCredentialsError, "denied", "no credentials found" + _GIVEN),
    (botocore.exceptions.PartialCredentialsError, "denied", "incomplete credentials"),
    (botocore.exceptions.CredentialRetrievalError, "denied", "credentials could not be fetched"),
    (botocore.exceptions.ProfileNotFound, "denied", "the AWS profile does not exist"),
    (botocore.exceptions.TokenRetrievalError, "denied", "the SSO token could not be fetched"),
    (botocore.exceptions.SSOError, "denied", "single sign-on failed"),
)

_REASON_BY_TYPE: errors.ErrorTypes = (
    (botocore.exceptions.ReadTimeoutError, "timeout", "no answer within the read timeout"),
    (botocore.exceptions.ConnectTimeoutError, "timeout", "no connection within the timeout"),
    (TimeoutError, "timeout", "no complete answer in time"),
    *_CREDENTIALS_ERRORS,
    (
        botocore.exceptions.MissingDependencyException,
        "invalid",
        "access points of several regions need the package awscrt",
    ),
    (botocore.parsers.ResponseParserError, "partial", "the answer is not S3's"),
    (botocore.exceptions.ParamValidationError, "invalid", "not a valid bucket or key name"),
    (botocore.exceptions.HTTPClientError, "unavailable", "connection failed"),
    (botocore.exceptions.InvalidRegionError, "invalid", "no valid name of a region"),
    (aiohttp.ClientPayloadError, "partial", "the answer ended too early"),
    (ConnectionError, "unavailable", "connection failed"),
)

_BY_WORD: Sequence[tuple[str, Reason, str]] = (
    ("timestamp", "partial", "the answer holds a time that is none"),
    ("Invalid endpoint", "invalid", "the endpoint is no URL such as https://HOST:PORT"),
)


class RefusedError(Exception):
    """A request was refused that has a parameter which not all servers take. `error` is what it
    means if that was not the reason. Unless `is_certain`, an outage looks the same."""

    def __init__(self, error: StorageError, *, is_certain: bool) -> None:
        super().__init__(error)
        self.error = error
        self.is_certain = is_certain


def refusal(error: BaseException) -> RefusedError | None:
    """The refusal, if the answer can be one: not of credentials, nor for load."""
    code, status = _answer_in(error) or ("", "")
    if status == "500":
        return RefusedError(storage_error(error), is_certain=False)
    if status in _REFUSING_STATUS and code not in _REASON_BY_CODE:
        return RefusedError(storage_error(error), is_certain=True)
    return None


def storage_error(error: BaseException) -> StorageError:
    """The error by the service's error code, else by type, also of the errors it came from."""
    if isinstance(error, StorageError | RefusedError):
        return error if isinstance(error, StorageError) else error.error
    if (answer := _answer_in(error)) is not None:
        code, status = answer
        if code in _REASON_BY_CODE:
            return StorageError(_REASON_BY_CODE[code], f"S3 answered {_word(code)}")
        reason = _REASON_BY_CODE.get(status, "other")
        return StorageError(reason, f"S3 answered {_word(code)} (HTTP {_word(status)})")
    for find in (errors.error_of_address, _error_of_type):
        if (known := next(filter(None, map(find, _chain(error))), None)) is not None:
            return known
    return errors.from_os_error(error) if isinstance(error, OSError) else _error_of_words(error)


def _error_of_type(error: BaseException) -> StorageError | None:
    return errors.error_of_type(error, _REASON_BY_TYPE)


def _error_of_words(error: BaseException) -> StorageError:
    """The error by words of botocore, which has no types for some."""
    words = str(error) if isinstance(error, ValueError) else ""
    known = (StorageError(reason, said) for word, reason, said in _BY_WORD if word in words)
    return next(known, None) or errors.unexpected(error)


def is_about_credentials(error: BaseException) -> bool:
    """The credentials themselves were refused, or could not be found."""
    if (answer := _answer_in(error)) is not None:
        return answer[0] in _CREDENTIALS_CODES.split()
    return any(errors.error_of_type(link, _CREDENTIALS_ERRORS) for link in _chain(error))


def is_empty_range(error: BaseException) -> bool:
    """The object has none of the bytes that were asked for."""
    answer = _answer_in(error)
    return answer is not None and "InvalidRange" in answer


def _answer_in(error: BaseException) -> tuple[str, str] | None:
    """Error code and HTTP status of the answer that led to the error; None if none did."""
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, Mapping):
            code = str(response.get("Error", {}).get("Code", ""))
            return code, str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from: s3fs wraps botocore's."""
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _word(text: str) -> str:
    """A server's word, without characters that could harm logs and pages."""
    return re.sub(r"[^A-Za-z0-9]", "", text)[:40] or "nothing"
