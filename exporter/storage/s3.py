"""S3 and everything that speaks its protocol, through s3fs.

Only ``ListObjectsV2``, ``HeadObject`` and ``GetObject`` are sent, through s3fs'
``call_s3``: credentials, signing, regions and connections stay s3fs' work, while its
file-system layer, which caches listings for the life of the process and shortens them
on some errors, is not used. Requests for a job: one HEAD, one LIST per 1,000 markers,
and one GET when ``executor.json`` changed. Times come with the listing.

s3fs and botocore both retry, and the products multiply: with their defaults one call to
a hung server takes 25 attempts and seven minutes. Here a call is tried twice and ends
within `_CALL_SECONDS`, whatever the server does.

A page is trusted only when it says whether it is the last one: an empty or foreign body
with status 200 would otherwise read as "no objects".
"""

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import aiohttp
import botocore.exceptions
import botocore.parsers
import s3fs
from fsspec.asyn import sync

from exporter.jobfolder import COMPLETIONS, EXECUTOR_FILE, LOGS, rank_of
from exporter.markers import Markers
from exporter.storage.base import (
    Folder,
    Look,
    Path,
    Reason,
    Requests,
    StorageError,
    Version,
    from_os_error,
)

_CALL_SECONDS = 20
_LISTING_SECONDS = 600  # a server that never stops sending pages ends here
_CLIENT_DEFAULTS = {
    "connect_timeout": 5,
    "read_timeout": 15,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}


class S3Storage:
    """The root ``s3://bucket/prefix``.

    `options` are s3fs' keyword arguments; `connections` is how many requests may be
    in flight at once (botocore's own default of 10 would leave threads waiting).
    """

    def __init__(self, url: str, options: Mapping[str, Any], connections: int) -> None:
        bucket, _, prefix = url.partition("://")[2].partition("/")
        self._bucket = bucket
        self._prefix = prefix
        self._options = options
        self._connections = connections
        self._lock = threading.Lock()
        self._filesystem: s3fs.S3FileSystem | None = None
        self.requests = Requests("list", "head", "get")

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,  # noqa: ARG002
        *,
        with_subfolders: bool,
        thorough: bool = False,  # noqa: ARG002
    ) -> Folder:
        prefix = self._key(path, "")
        if not with_subfolders:
            return Folder((), self._has_executor_file(path, prefix + EXECUTOR_FILE))
        subfolders: list[str] = []
        has_executor_file = False
        for page in self._pages(prefix, Delimiter="/"):
            prefixes = page.get("CommonPrefixes", ())
            subfolders += (item["Prefix"][len(prefix) : -1] for item in prefixes)
            for item in page.get("Contents", ()):
                has_executor_file |= item["Key"] == prefix + EXECUTOR_FILE
        return Folder(tuple(subfolders), has_executor_file)

    def look(
        self,
        path: Path,
        folder: Folder,  # noqa: ARG002
        last: Look | None = None,
        *,
        thorough: bool = False,  # noqa: ARG002
    ) -> Look:
        executor = self._head(self._key(path, EXECUTOR_FILE))
        prefix = self._key(path, f"{COMPLETIONS}/")
        times: dict[int, int] = {}
        others = 0
        for item in self._objects(prefix):
            # What is left of the directory-marker key `prefix` itself is "", and the keys
            # of sub-folders keep their slash: neither can be a marker.
            rank = rank_of(item["Key"][len(prefix) :])
            modified_ns = _modified_ns(item)
            if rank is None or modified_ns is None:
                others += 1
            else:
                times[rank] = modified_ns
        if not times and last is not None and last.markers.ranks:
            self._head(self._key(path, EXECUTOR_FILE))  # is the job itself gone?
        has_logs = not times and self._has_logs(self._key(path, f"{LOGS}/"))
        return Look(executor, Markers.of_times(times, others), has_logs)

    def _has_logs(self, prefix: str) -> bool:
        return any(item["Key"] != prefix for item in self._first_objects(prefix, 2))

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:  # noqa: ARG002
        return self._get(self._key(path, EXECUTOR_FILE), limit_bytes)

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        raise NotImplementedError("a look at S3 has the times")

    def list_logs(self, path: Path) -> list[str]:
        prefix = self._key(path, f"{LOGS}/")
        names = (item["Key"][len(prefix) :] for item in self._objects(prefix))
        return [name for name in names if name and "/" not in name]

    def close(self) -> None:
        with self._lock:
            filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None and filesystem.s3 is not None:
            filesystem.close_session(filesystem.loop, filesystem.s3)

    def _head(self, key: str) -> Version:
        """Version of one object; StorageError("not_found") when there is none."""
        return _version(self._call("head_object", Key=key))

    def _get(self, key: str, limit_bytes: int) -> tuple[Version, bytes]:
        """Version and content of one object of at most `limit_bytes`."""
        filesystem = self._connected()

        async def read() -> tuple[Version, bytes]:
            response = await filesystem._call_s3(  # noqa: SLF001 - the documented call_s3, awaitable
                "get_object", Bucket=self._bucket, Key=key
            )
            async with response["Body"] as body:
                if response["ContentLength"] > limit_bytes:
                    raise StorageError("too_large", f"larger than {limit_bytes} bytes")
                return _version(response), await body.read()

        try:
            return sync(filesystem.loop, read, timeout=_CALL_SECONDS)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._failed(filesystem, error) from None

    def _objects(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        """Every object whose key starts with `prefix`."""
        for page in self._pages(prefix):
            yield from page.get("Contents", ())

    def _first_objects(self, prefix: str, count: int) -> list[Mapping[str, Any]]:
        """At most `count` objects whose keys start with `prefix`: one request."""
        page = self._call("list_objects_v2", Prefix=prefix, MaxKeys=count)
        _check_page(page)
        return list(page.get("Contents", ()))

    def _has_executor_file(self, path: Path, key: str) -> bool:
        if not path:  # a HEAD says 404 for a bucket that does not exist, too
            return any(item["Key"] == key for item in self._first_objects(key, 1))
        try:
            self._head(key)
        except StorageError as error:
            if error.reason == "not_found":
                return False
            raise
        return True

    def _key(self, path: Path, name: str) -> str:
        parts = [self._prefix, *path] if self._prefix else list(path)
        return "/".join([*parts, name])

    def _pages(self, prefix: str, **parameters: str) -> Iterator[Mapping[str, Any]]:
        deadline = time.monotonic() + _LISTING_SECONDS
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **parameters)
            _check_page(page)
            yield page
            if not page["IsTruncated"]:
                return
            token = page.get("NextContinuationToken")
            if not token or token == parameters.get("ContinuationToken"):
                raise StorageError("partial", "a listing page does not say where the next begins")
            parameters["ContinuationToken"] = token
            if time.monotonic() > deadline:
                raise StorageError("timeout", f"a listing took over {_LISTING_SECONDS} s")

    def _call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        filesystem = self._connected()
        try:
            response: Mapping[str, Any] = filesystem.call_s3(
                method, Bucket=self._bucket, timeout=_CALL_SECONDS, **parameters
            )
        except Exception as error:  # botocore raises many kinds, most of them not OSError
            raise self._failed(filesystem, error) from None
        return response

    def _failed(self, filesystem: s3fs.S3FileSystem, error: Exception) -> StorageError:
        """Classify; and connect anew next time if the credentials were refused: new ones
        may come, and are read from disk only then."""
        if _is_about_credentials(error):
            with self._lock:
                if self._filesystem is filesystem:
                    self._filesystem = None
        return _storage_error(error)

    def _connected(self) -> s3fs.S3FileSystem:
        with self._lock:
            if self._filesystem is None:
                try:
                    self._filesystem = self._connect()
                except Exception as error:
                    raise _storage_error(error) from None
            return self._filesystem

    def _connect(self) -> s3fs.S3FileSystem:
        options = dict(self._options)
        config = {
            **_CLIENT_DEFAULTS,
            "max_pool_connections": self._connections,
            **options.pop("config_kwargs", {}),
        }
        filesystem = s3fs.S3FileSystem(
            **{**options, "use_listings_cache": False},
            config_kwargs=config,
            skip_instance_cache=True,
        )
        filesystem.retries = 1
        filesystem.connect(timeout=_CALL_SECONDS)
        # Emitted for every attempt, so retries are counted too.
        filesystem.s3.meta.events.register("before-send.s3", self._count)
        return filesystem

    def _count(self, event_name: str, **_: object) -> None:
        operation = event_name.rpartition(".")[2]
        for prefix, counted in (("List", "list"), ("Head", "head"), ("Get", "get")):
            if operation.startswith(prefix):
                self.requests.add(counted)


def _check_page(page: Mapping[str, Any]) -> None:
    if "IsTruncated" not in page:
        raise StorageError("partial", "a listing page does not say whether it is the last")


def _version(response: Mapping[str, Any]) -> Version:
    etag = response.get("ETag")
    modified_ns = _modified_ns(response)
    if etag is None or modified_ns is None:
        return Version(None, modified_ns)
    return Version((etag.strip('"'), modified_ns), modified_ns)


def _modified_ns(item: Mapping[str, Any]) -> int | None:
    modified = item.get("LastModified")
    if not isinstance(modified, datetime):
        return None
    return int(modified.timestamp() * 1000) * 1_000_000


_REASON_BY_CODE: dict[str, Reason] = {
    **dict.fromkeys(("NoSuchBucket", "NoSuchKey", "404"), "not_found"),
    **dict.fromkeys(
        (
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
            "RequestLimitExceeded",
            "429",
        ),
        "throttled",
    ),
    **dict.fromkeys(("RequestTimeout", "408", "504", "GatewayTimeout"), "timeout"),
    **dict.fromkeys(
        ("InternalError", "ServiceUnavailable", "500", "502", "503", "BadGateway"),
        "unavailable",
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AllAccessDisabled",
            "AccountProblem",
            "ExpiredToken",
            "ExpiredTokenException",
            "Forbidden",
            "InvalidAccessKeyId",
            "InvalidToken",
            "InvalidSecurity",
            "NotSignedUp",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnauthorizedAccess",
            "401",
            "403",
        ),
        "denied",
    ),
}

# Those that say that the credentials themselves are no good (any more).
_CREDENTIALS_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken"}
    | {"SignatureDoesNotMatch", "TokenRefreshRequired"}
)

_ErrorTypes = tuple[tuple[type[BaseException], Reason, str], ...]

_CREDENTIALS_ERRORS: _ErrorTypes = (
    (botocore.exceptions.NoCredentialsError, "denied", "no credentials found"),
    (botocore.exceptions.PartialCredentialsError, "denied", "incomplete credentials"),
    (botocore.exceptions.CredentialRetrievalError, "denied", "credentials could not be fetched"),
    (botocore.exceptions.ProfileNotFound, "denied", "the AWS profile does not exist"),
    (botocore.exceptions.TokenRetrievalError, "denied", "the SSO token could not be fetched"),
    (botocore.exceptions.SSOError, "denied", "single sign-on failed"),
)

_REASON_BY_TYPE: _ErrorTypes = (
    (botocore.exceptions.ReadTimeoutError, "timeout", "no answer within the read timeout"),
    (botocore.exceptions.ConnectTimeoutError, "timeout", "no connection within the timeout"),
    (TimeoutError, "timeout", f"no complete answer within {_CALL_SECONDS} s"),
    *_CREDENTIALS_ERRORS,
    (botocore.parsers.ResponseParserError, "partial", "the answer is not S3's"),
    (botocore.exceptions.ParamValidationError, "invalid", "not a valid bucket or key name"),
    (botocore.exceptions.HTTPClientError, "unavailable", "connection failed"),
    (aiohttp.ClientPayloadError, "partial", "the answer ended too early"),
    (ConnectionError, "unavailable", "connection failed"),
)


def _storage_error(error: BaseException) -> StorageError:
    """Classify by the service's error code, then by type; s3fs wraps both."""
    if isinstance(error, StorageError):
        return error
    if (answer := _answer_in(error)) is not None:
        code, status = answer
        if code in _REASON_BY_CODE:
            return StorageError(_REASON_BY_CODE[code], f"S3 answered {_word(code)}")
        reason = _REASON_BY_CODE.get(status, "other")
        return StorageError(reason, f"S3 answered {_word(code)} (HTTP {_word(status)})")
    for link in _chain(error):
        for kind, reason, detail in _REASON_BY_TYPE:
            if isinstance(link, kind):
                return StorageError(reason, detail)
    if isinstance(error, OSError):
        return from_os_error(error)
    return StorageError("other", type(error).__name__)


def _is_about_credentials(error: BaseException) -> bool:
    if (answer := _answer_in(error)) is not None:
        return answer[0] in _CREDENTIALS_CODES
    kinds = tuple(kind for kind, _, _ in _CREDENTIALS_ERRORS)
    return any(isinstance(link, kinds) for link in _chain(error))


def _answer_in(error: BaseException) -> tuple[str, str] | None:
    """The error code and HTTP status of the answer that led to the error, if one did."""
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, Mapping):
            code = str(response.get("Error", {}).get("Code", ""))
            return code, str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from; s3fs wraps botocore's."""
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _word(text: str) -> str:
    """A server's word, made safe for logs and pages."""
    return re.sub(r"[^A-Za-z0-9]", "", text)[:40] or "nothing"
