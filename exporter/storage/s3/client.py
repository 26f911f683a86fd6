"""Sends requests to one S3 bucket, through s3fs.

Only ``ListObjectsV2`` and ``GetObject`` are sent, through s3fs' ``call_s3``: credentials,
signing, regions and connections stay s3fs' work. Its file-system layer is not used: it
caches listings for the life of the process, and shortens them on some errors.

s3fs and botocore both retry, and the attempts multiply: with their defaults one call to a
hung server takes 25 attempts and seven minutes. Here a request is tried twice and ends
within `_CALL_SECONDS`, whatever the server does.

`listing_page` reads listings before botocore's parser gets them, in a handler of the event
``before-parse``. botocore's own handler of that event parses each body once more, only to
find errors that came with status 200, and is called only for bodies that `listing_page` cannot
read. If botocore renames that handler, or drops the event, botocore reads listings, slowly.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import aiobotocore.session
import botocore.handlers
import botocore.loaders
import s3fs
from fsspec.asyn import sync

from exporter import __version__
from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES, Requests, Version, part_range
from exporter.storage.errors import too_large
from exporter.storage.s3 import listing_page
from exporter.storage.s3.capabilities import Capabilities
from exporter.storage.s3.errors import (
    RefusedError,
    is_about_credentials,
    is_empty_range,
    refusal,
    storage_error,
)
from exporter.storage.s3.listed_job import executor_on, executor_version
from exporter.storage.s3.listing_page import ListingPage, etag_of, modified_ns

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
    """The requests that can be sent over a connection. Its methods run on fsspec's event loop."""

    def __init__(
        self,
        filesystem: s3fs.S3FileSystem,
        bucket: str,
        slots: asyncio.Semaphore,
        capabilities: Capabilities,
    ) -> None:
        self._filesystem = filesystem
        self._bucket = bucket
        self._slots = slots
        self.capabilities = capabilities

    async def list_page(
        self, prefix: str, *, after: str = "", keys: int = 0, token: str = "", delimiter: str = ""
    ) -> ListingPage:
        """List one page of the keys that start with `prefix` and come after the key `after`:
        `keys` at most, or as many as the server sends. `token` is that of the page before.
        RefusedError if it may be that the server does not take such a prefix or start."""
        options = {"StartAfter": after, "MaxKeys": keys, "ContinuationToken": token}
        options |= {"Delimiter": delimiter}
        parameters = {name: value for name, value in options.items() if value}
        async with self._slots:
            call = self._filesystem._call_s3(  # noqa: SLF001 - the documented call_s3, awaitable
                "list_objects_v2", Bucket=self._bucket, Prefix=prefix, **parameters
            )
            try:
                response = await asyncio.wait_for(call, _CALL_SECONDS)
            except Exception as error:
                may_be_refused = after or (prefix and not prefix.endswith("/"))
                if may_be_refused and (refused := refusal(error)) is not None:
                    raise refused from None
                raise
        page = listing_page.of_response(response, response.get(_CONTENTS), EXECUTOR_FILE)
        names = [*page.keys, *page.folders]
        # The first and the last in order prove it for those between them.
        if names and not (min(names).startswith(prefix) and max(names).startswith(prefix)):
            raise StorageError("partial", "a listing page shows keys that were not asked for")
        self.capabilities.saw(prefix, page)
        if not delimiter:
            return page
        level = listing_page.of_level(page, prefix)
        if len(level.keys) < len(page.keys) and not page.folders:
            self.capabilities.found("no_delimiter")
        return level

    async def list_pages(self, prefix: str, delimiter: str = "") -> list[ListingPage]:
        """List all pages of the keys that start with `prefix`, one after the other."""
        pages = [await self.list_page(prefix, delimiter=delimiter)]
        tokens, shown = {""}, set(pages[0].keys)
        while pages[-1].is_truncated:
            token = pages[-1].token
            if token in tokens:
                raise StorageError("partial", "a listing page does not say where the next begins")
            tokens.add(token)
            page = await self.list_page(prefix, delimiter=delimiter, token=token)
            if not shown.isdisjoint(page.keys):
                raise StorageError("partial", "a listing page shows keys of the page before")
            shown.update(page.keys)
            pages.append(page)
        return pages

    async def find_executor(self, prefix: str) -> Version | None:
        """The version of the ``executor.json`` in the folder with this prefix, if it has one."""
        executor_file = prefix + EXECUTOR_FILE
        if not self.capabilities.takes_any_prefix:
            return executor_on(await self.list_pages(prefix, "/"), executor_file)
        try:
            return executor_on([await self.list_page(executor_file, keys=1)], executor_file)
        except RefusedError as refused:
            # In an outage this fails as well.
            found = executor_on(await self.list_pages(prefix, "/"), executor_file)
            if refused.is_certain:
                self.capabilities.found("slash_only")
            return found

    async def get(self, key: str, limit_bytes: int) -> tuple[Version, bytes]:
        """The version and the content of an object of at most `limit_bytes`."""
        response, content = await self._get(key, limit_bytes)
        return executor_version(etag_of(response), modified_ns(response)), content

    async def get_part(self, key: str, *, of_end: bool) -> bytes:
        """The first `PART_BYTES` of an object, or the last."""
        try:
            return (await self._get(key, PART_BYTES, **part_range(of_end=of_end)))[1]
        except Exception as error:
            if is_empty_range(error):  # an empty object has no first byte
                return b""
            raise

    async def _get(
        self, key: str, limit_bytes: int, **part: str
    ) -> tuple[Mapping[str, Any], bytes]:
        """The answer to one GET, and its content of at most `limit_bytes`."""

        async def read() -> tuple[Mapping[str, Any], bytes]:
            response = await self._filesystem._call_s3(  # noqa: SLF001
                "get_object", Bucket=self._bucket, Key=key, **part
            )
            async with response["Body"] as body:
                if response["ContentLength"] > limit_bytes:
                    raise too_large(limit_bytes)
                return response, await body.read()

        async with self._slots:
            return await asyncio.wait_for(read(), _CALL_SECONDS)


async def run_concurrently(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all calls, in their order; the first failure cancels the rest."""
    if len(calls) == 1:
        return [await calls[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


class Client:
    """Connections to one bucket. `options` are s3fs' keyword arguments; `connections` bounds
    the requests in flight. (botocore's default of 10 connections would leave threads waiting.)"""

    def __init__(self, bucket: str, options: Mapping[str, Any], connections: int) -> None:
        self._bucket = bucket
        self.capabilities = Capabilities(bucket)
        self._options = options
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._lock = threading.Lock()
        self._filesystem: s3fs.S3FileSystem | None = None
        self.requests = Requests("list", "get")

    def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """What `work` returns on fsspec's event loop; any failure is a StorageError."""
        filesystem = None
        try:
            filesystem = self._connected()
            session = Session(filesystem, self._bucket, self._slots, self.capabilities)
            result: T = sync(filesystem.loop, work, session, timeout=_LISTING_SECONDS)
        except Exception as error:  # botocore raises many kinds, most of them not OSError
            if is_about_credentials(error):
                # New ones may have come, which only a new connection reads from disk.
                with self._lock:
                    if self._filesystem is filesystem:
                        self._filesystem = None
            raise storage_error(error) from None
        return result

    def close(self) -> None:
        with self._lock:
            filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None and filesystem.s3 is not None:
            filesystem.close_session(filesystem.loop, filesystem.s3)

    def _connected(self) -> s3fs.S3FileSystem:
        with self._lock:
            if self._filesystem is None:
                self._filesystem = self._connect()
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
        options |= {"config_kwargs": config, "use_listings_cache": False}
        filesystem = s3fs.S3FileSystem(**options, skip_instance_cache=True)
        filesystem.retries = 1
        filesystem.session = _session(filesystem.kwargs)
        filesystem.connect(timeout=_CALL_SECONDS)
        events = filesystem.s3.meta.events
        # Emitted for every attempt, so retries are counted too.
        events.register("before-send.s3", self._count)
        events.register("before-call.s3.HeadBucket", _follow_no_redirect)
        read_listings_fast(events)
        return filesystem

    def _count(self, event_name: str, **_: object) -> None:
        operation = event_name.rpartition(".")[2]
        for prefix, counted in (("List", "list"), ("Get", "get")):
            if operation.startswith(prefix):
                self.requests.add(counted)


def _follow_no_redirect(context: dict[str, Any], **_: object) -> None:
    """Take a HEAD of a bucket for one that was redirected once already.

    botocore sends it to find the region of a bucket whose server answered with a redirect, and did
    not say where to. To one that answers the same to the HEAD it would send another for that, and
    so on to the end of Python's stack, which on 3.13 left the event loop spinning."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _session(arguments: Mapping[str, Any]) -> aiobotocore.session.AioSession:
    """A session as s3fs makes it, but with the loader of the descriptions of S3 that the whole
    process shares: they take some 10 MB and half a second of CPU each time they are loaded."""
    session = aiobotocore.session.AioSession(**arguments)
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


@cache
def _loader(search_path: str | None) -> botocore.loaders.Loader:
    return botocore.loaders.create_loader(search_path)


def read_listings_fast(events: Any) -> None:
    """Have `listing_page` read the objects of each listing; botocore's parser gets the rest."""
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
