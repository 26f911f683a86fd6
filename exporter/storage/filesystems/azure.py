"""Azure Blob Storage and Data Lake.

adlfs makes the client, with its credentials and addresses; its listings are not used. Its ``ls``
of ``job1`` walks everything that begins with ``job1``, ``job10`` included, and caches what it
saw. Here only the folder's own prefix is listed, 5,000 entries to a request. Azure's client would
try each request four times, with pauses of up to a minute; here it tries once. With hierarchical
namespaces a folder is also listed as an object, whose metadata say that it is a folder.
"""

from typing import Any

from azure.core import exceptions
from fsspec.asyn import sync

from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES
from exporter.storage.errors import ErrorTypes, error_of_status, error_of_type, too_large
from exporter.storage.filesystems.adapter import (
    Adapter,
    Count,
    Entries,
    bucket_and_prefix,
    entries_of,
)

_CALL_SECONDS = 20
_LISTING_SECONDS = 120
_ATTRIBUTES = ("name", "size", "etag", "last_modified")
_ONCE = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 15}


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    container, prefix = bucket_and_prefix(folder)

    async def list_all() -> Entries:
        folders: list[str] = []
        files: Entries = []
        async with filesystem.service_client.get_container_client(container) as client:
            pages = client.walk_blobs(
                name_starts_with=prefix or None, include=["metadata"], delimiter="/", **_ONCE
            ).by_page()
            count()
            async for page in pages:
                async for blob in page:
                    name = blob.name
                    if name.endswith("/") and not hasattr(blob, "etag"):
                        folders.append(name)
                    elif (blob.metadata or {}).get("hdi_isfolder", "").lower() == "true":
                        folders.append(f"{name}/")
                    else:
                        files.append({attribute: blob[attribute] for attribute in _ATTRIBUTES})
                if pages.continuation_token:
                    count()
        return entries_of(container, prefix, folders, files)

    return sync(filesystem.loop, list_all, timeout=_LISTING_SECONDS)  # type: ignore[no-any-return]


def _read(filesystem: Any, file: str, limit_bytes: int) -> bytes:
    container, _, key = file.partition("/")

    async def download() -> bytes:
        async with filesystem.service_client.get_blob_client(container, key) as client:
            stream = await client.download_blob(max_concurrency=1, **_ONCE)
            if stream.size > limit_bytes:
                raise too_large(limit_bytes)
            return bytes(await stream.readall())

    return sync(filesystem.loop, download, timeout=_CALL_SECONDS)  # type: ignore[no-any-return]


def _read_part(filesystem: Any, file: str, of_end: bool) -> bytes:  # noqa: FBT001
    container, _, key = file.partition("/")

    async def download() -> bytes:
        async with filesystem.service_client.get_blob_client(container, key) as client:
            size = (await client.get_blob_properties(**_ONCE)).size  # there are no suffix ranges
            length = min(size, PART_BYTES)
            if not length:
                return b""
            begin = size - length if of_end else 0
            stream = await client.download_blob(begin, length, max_concurrency=1, **_ONCE)
            return bytes(await stream.readall())

    return sync(filesystem.loop, download, timeout=_CALL_SECONDS)  # type: ignore[no-any-return]


def _close(filesystem: Any) -> None:
    sync(filesystem.loop, filesystem.service_client.close, timeout=_CALL_SECONDS)


_NO_ACCOUNT = (
    "neither storage_options nor AZURE_STORAGE_ACCOUNT_NAME or "
    "AZURE_STORAGE_CONNECTION_STRING name an account"
)
_REASON_BY_TYPE: ErrorTypes = (
    (exceptions.ServiceRequestTimeoutError, "timeout", "no connection within the time limit"),
    (exceptions.ServiceResponseTimeoutError, "timeout", "no answer within the time limit"),
    (exceptions.ClientAuthenticationError, "denied", "no valid credentials"),
    (exceptions.IncompleteReadError, "partial", "the answer ended too early"),
    (exceptions.DecodeError, "partial", "the answer is not Azure's"),
    (exceptions.AzureError, "unavailable", "connection failed"),
    # What azure-storage-blob makes of an answer 200 without a body.
    (AttributeError, "partial", "the answer is not Azure's"),
    (TimeoutError, "timeout", "no complete answer within the time limit"),
    (ValueError, "invalid", _NO_ACCOUNT),
)


def _error_of(error: Exception) -> StorageError | None:
    status = error.status_code if isinstance(error, exceptions.HttpResponseError) else None
    if status is not None and status >= 400:
        return error_of_status(status)
    return error_of_type(error, _REASON_BY_TYPE)


ADAPTER = Adapter(
    ls=_ls,
    read=_read,
    read_part=_read_part,
    error_of=_error_of,
    close=_close,
    is_object_store=True,
)
