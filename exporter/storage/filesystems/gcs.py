"""Google Cloud Storage.

gcsfs makes the connection, with its credentials and sessions; its listings are not used.
Its ``ls`` caches what it saw, asks for every attribute of every object, and tries six times
with growing pauses. Here a request asks for four attributes of 1,000 objects and is tried
once. gcsfs is told not to probe for hierarchical buckets: it does that by gRPC, which takes
a minute to fail where gRPC is blocked.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import aiohttp
import google.auth.exceptions
import requests
from fsspec.asyn import sync

from exporter.errors import StorageError
from exporter.storage.base import part_range
from exporter.storage.errors import ErrorTypes, error_of_status, error_of_type
from exporter.storage.filesystems.adapter import (
    Adapter,
    Count,
    Entries,
    bucket_and_prefix,
    entries_of,
)

os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read at the import

from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError

_CALL_SECONDS = 20
_FIELDS = "items(name,updated,size,generation),prefixes,nextPageToken"


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    bucket, prefix = bucket_and_prefix(folder)
    parameters = {"prefix": prefix, "delimiter": "/", "maxResults": "1000", "fields": _FIELDS}
    folders: list[str] = []
    files: Entries = []
    tokens: set[str] = set()
    while True:
        count()
        page = json.loads(_get(filesystem, "b/{}/o", bucket, **parameters))
        if not (isinstance(page, dict) and all("name" in item for item in page.get("items", ()))):
            raise ValueError
        folders += page.get("prefixes", ())
        files += page.get("items", ())
        if not (token := page.get("nextPageToken")):
            return entries_of(bucket, prefix, folders, files)
        if token in tokens:
            raise StorageError("partial", "a listing page does not say where the next begins")
        tokens.add(token)
        parameters["pageToken"] = token


def _read(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    return _read_range(filesystem, file, {"Range": f"bytes=0-{limit_bytes}"})


def _read_part(filesystem: Any, file: str, of_end: bool) -> bytes:  # noqa: FBT001
    return _read_range(filesystem, file, part_range(of_end=of_end))


def _read_range(filesystem: Any, file: str, headers: Mapping[str, str]) -> bytes:
    bucket, _, key = file.partition("/")
    try:
        return _get(filesystem, "b/{}/o/{}", bucket, key, headers=headers, alt="media")
    except HttpError as error:
        if str(error.code) == "416":  # an empty object has no first byte
            return b""
        raise


def _get(filesystem: Any, path: str, *arguments: str, **parameters: Any) -> bytes:
    """The body of the answer to one request, tried once."""
    request = GCSFileSystem._request  # noqa: SLF001 - the only way past its six attempts
    send_once = getattr(request, "__wrapped__", request)

    async def request_once() -> bytes:
        *_, content = await send_once(filesystem, "GET", path, *arguments, **parameters)
        return bytes(content)

    return sync(filesystem.loop, request_once, timeout=_CALL_SECONDS)  # type: ignore[no-any-return]


def _close(filesystem: Any) -> None:
    if filesystem.session is not None:
        sync(filesystem.loop, filesystem.session.close, timeout=_CALL_SECONDS)


_REASON_BY_TYPE: ErrorTypes = (
    (requests.exceptions.ProxyError, "unavailable", "HTTP status 502"),  # gcsfs' word for it
    (google.auth.exceptions.TransportError, "unavailable", "credentials could not be fetched"),
    (google.auth.exceptions.GoogleAuthError, "denied", "no valid credentials"),
    (TimeoutError, "timeout", f"no complete answer within {_CALL_SECONDS} s"),
    (aiohttp.ClientPayloadError, "partial", "the answer ended too early"),
    (aiohttp.ClientError, "unavailable", "connection failed"),
    (ValueError, "partial", "the answer is not Google's"),
)


def _error_of(error: Exception) -> StorageError | None:
    if isinstance(error, HttpError):
        return error_of_status(int(error.code or 0))
    if type(error) is OSError and str(error).startswith("Forbidden"):
        return error_of_status(403)
    return error_of_type(error, _REASON_BY_TYPE)


ADAPTER = Adapter(
    ls=_ls,
    read=_read,
    read_part=_read_part,
    error_of=_error_of,
    close=_close,
    is_object_store=True,
)
