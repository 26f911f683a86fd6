"""Requests to S3 and what their failures mean, through s3fs.

Only ``ListObjectsV2`` and ``GetObject`` are sent, through s3fs' ``call_s3``: credentials,
signing, regions and connections stay s3fs' work, while its file-system layer, which
caches listings for the life of the process and shortens them on some errors, is not used.

s3fs and botocore both retry, and the products multiply: with their defaults one call to
a hung server takes 25 attempts and seven minutes. Here a request is tried twice and ends
within `_CALL_SECONDS`, whatever the server does.

Listings are read by `listing_page` before botocore's parser gets them, in a handler of the
event ``before-parse``. botocore's own handler of that event parses each body once more,
only to find errors that came with status 200; it is called for bodies that are not a
listing as it should be. If botocore renames it, or drops the event, listings are read by
botocore, slowly.
"""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import aiobotocore.session
import aiohttp
import botocore.exceptions
import botocore.handlers
import botocore.loaders
import botocore.parsers
import s3fs
from fsspec.asyn import sync

from exporter import __version__
from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.errors import Reason, StorageError
from exporter.storage.base import Requests, from_os_error
from exporter.storage.s3 import listing_page
from exporter.storage.s3.listing_page import Page

T = TypeVar("T")

_CALL_SECONDS = 20
_LISTING_SECONDS = 600  # a server that never stops sending pages ends here
_CLIENT_DEFAULTS = {
    "connect_timeout": 5,
    "read_timeout": 15,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}
_CONTENTS = "ExporterContents"


class Session:
    """What to do with one connection. Its methods are called on fsspec's event loop."""

    def __init__(self, filesystem: s3fs.S3FileSystem, bucket: str, slots: asyncio.Semaphore):
        self._filesystem = filesystem
        self._bucket = bucket
        self._slots = slots

    async def page(
        self, prefix: str, *, after: str = "", keys: int = 0, token: str = "", delimiter: str = ""
    ) -> Page:
        """One page of the keys that start with `prefix`, of those after the key `after`,
        `keys` at most."""
        parameters: dict[str, Any] = {"Prefix": prefix}
        if after and not token:
            parameters["StartAfter"] = after
        if keys:
            parameters["MaxKeys"] = keys
        if token:
            parameters["ContinuationToken"] = token
        if delimiter:
            parameters["Delimiter"] = delimiter
        async with self._slots:
            call = self._filesystem._call_s3(  # noqa: SLF001 - the documented call_s3, awaitable
                "list_objects_v2", Bucket=self._bucket, **parameters
            )
            response = await asyncio.wait_for(call, _CALL_SECONDS)
        page = listing_page.of_response(response, response.get(_CONTENTS), EXECUTOR_FILE)
        if not all(_all_begin_with(prefix, names) for names in (page.keys, page.folders)):
            raise StorageError("partial", "a listing page shows keys that were not asked for")
        return page

    async def pages(self, prefix: str, delimiter: str = "") -> list[Page]:
        """All pages of the keys that start with `prefix`, one after the other."""
        found = [await self.page(prefix, delimiter=delimiter)]
        while found[-1].is_truncated:
            found.append(await self.page(prefix, delimiter=delimiter, token=_next_token(found)))
        return found

    async def get(self, key: str, limit_bytes: int) -> tuple[Mapping[str, Any], bytes]:
        """Answer and content of one object of at most `limit_bytes`."""

        async def read() -> tuple[Mapping[str, Any], bytes]:
            response = await self._filesystem._call_s3(  # noqa: SLF001
                "get_object", Bucket=self._bucket, Key=key
            )
            async with response["Body"] as body:
                if response["ContentLength"] > limit_bytes:
                    raise StorageError("too_large", f"larger than {limit_bytes} bytes")
                return response, await body.read()

        async with self._slots:
            return await asyncio.wait_for(read(), _CALL_SECONDS)


def _all_begin_with(prefix: str, names: Sequence[str]) -> bool:
    """Whether all do: what lies between two that do, does as well."""
    return not names or (min(names).startswith(prefix) and max(names).startswith(prefix))


def _next_token(found: Sequence[Page]) -> str:
    token = found[-1].token
    if len(found) > 1 and found[-2].token == token:
        raise StorageError("partial", "a listing page does not say where the next begins")
    return token


async def side_by_side(calls: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all calls, made at the same time; the first failure ends the rest."""
    if len(calls) == 1:
        return [await calls[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_waited_for(call)) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _waited_for(call: Awaitable[T]) -> T:
    return await call


class Client:
    """Connections to one bucket. `options` are s3fs' keyword arguments; `connections` is
    how many requests may be in flight at once (botocore's own default of 10 would leave
    threads waiting)."""

    def __init__(self, bucket: str, options: Mapping[str, Any], connections: int) -> None:
        self._bucket = bucket
        self._options = options
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._lock = threading.Lock()
        self._filesystem: s3fs.S3FileSystem | None = None
        self.requests = Requests("list", "get")

    def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """The result of `work`; any failure is a StorageError."""
        filesystem = self._connected()
        session = Session(filesystem, self._bucket, self._slots)
        try:
            result: T = sync(filesystem.loop, work, session, timeout=_LISTING_SECONDS)
        except Exception as error:  # botocore raises many kinds, most of them not OSError
            raise self._failed(filesystem, error) from None
        return result

    def close(self) -> None:
        with self._lock:
            filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None and filesystem.s3 is not None:
            filesystem.close_session(filesystem.loop, filesystem.s3)

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
            # For the server's log. (botocore would put its own together for each request.)
            "user_agent": f"datatrove-exporter/{__version__} botocore/{botocore.__version__}",
            **options.pop("config_kwargs", {}),
        }
        filesystem = s3fs.S3FileSystem(
            **{**options, "use_listings_cache": False},
            config_kwargs=config,
            skip_instance_cache=True,
        )
        filesystem.retries = 1
        filesystem.session = _session(filesystem.kwargs)
        filesystem.connect(timeout=_CALL_SECONDS)
        events = filesystem.s3.meta.events
        # Emitted for every attempt, so retries are counted too.
        events.register("before-send.s3", self._count)
        read_listings_fast(events)
        return filesystem

    def _count(self, event_name: str, **_: object) -> None:
        operation = event_name.rpartition(".")[2]
        for prefix, counted in (("List", "list"), ("Get", "get")):
            if operation.startswith(prefix):
                self.requests.add(counted)


def _session(arguments: Mapping[str, Any]) -> aiobotocore.session.AioSession:
    """A session as s3fs makes it, but with the descriptions of S3 read once per process:
    they take some 10 MB and half a second of CPU in each session that reads its own."""
    session = aiobotocore.session.AioSession(**arguments)
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


@cache
def _loader(search_path: str | None) -> botocore.loaders.Loader:
    return botocore.loaders.create_loader(search_path)


def read_listings_fast(events: Any) -> None:
    """Have listings read by `listing_page`, before botocore's parser sees the rest of them."""
    find_error = getattr(botocore.handlers, "_handle_200_error", None)

    def before_parse(
        response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **event: Any
    ) -> None:
        is_listing = str(event.get("event_name", "")).endswith(".ListObjectsV2")
        if is_listing and response_dict["status_code"] == 200:
            read = listing_page.of_body(response_dict["body"], EXECUTOR_FILE)
            if read is not None:
                customized_response_dict[_CONTENTS], response_dict["body"] = read
                return
        if find_error is not None:
            find_error(response_dict=response_dict, **event)

    if find_error is not None:
        events.unregister("before-parse.s3.*", find_error)
    events.register_first("before-parse.s3.*", before_parse)


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
    (TimeoutError, "timeout", "no complete answer in time"),
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
