"""A NameNode reached over HTTP: by WebHDFS, or by HttpFS gateways, which speak the same.

fsspec's ``WebHDFS`` makes the session (addresses, users, tokens, Kerberos, certificates).
Its requests are not used: they have no time limit, hide which exception was thrown, and
read answers of any size into memory. Two requests are sent: ``LISTSTATUS`` for a folder,
and ``OPEN`` for ``executor.json`` (a NameNode redirects to a DataNode, a gateway answers
itself). One answer holds a whole folder, at about 250 bytes an entry.
"""

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import requests
import urllib3

try:
    from fsspec.implementations.webhdfs import WebHDFS
except FileNotFoundError:
    # It asks for the folder of temporary files while it is imported, to write to HDFS, and a
    # container may have none.
    tempfile.tempdir = os.devnull
    from fsspec.implementations.webhdfs import WebHDFS

    tempfile.tempdir = None

from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES, Requests
from exporter.storage.errors import (
    ErrorTypes,
    error_of_status,
    error_of_type,
    too_large,
    unexpected,
)
from exporter.storage.hdfs.storage import FileStatus, error_of_exception

_CONNECT_SECONDS = 5
_READ_SECONDS = 15  # between two pieces
_CALL_SECONDS = 60
_LISTING_LIMIT_BYTES = 1 << 30


class WebNameNode:
    """The NameNode or gateway at `authority` (``host:port``); `options` are the keyword
    arguments of fsspec's WebHDFS."""

    def __init__(self, authority: str, options: Mapping[str, Any], connections: int) -> None:
        self._authority = authority
        self._options = options
        self._connections = connections
        self._lock = threading.Lock()
        self._filesystem: WebHDFS | None = None
        self.requests = Requests("list", "read")

    def list_status(self, path: str) -> list[FileStatus]:
        self.requests.add("list")
        with _errors_classified(), self._send("LISTSTATUS", path) as answer:
            text = _content(answer, _LISTING_LIMIT_BYTES)
        try:
            return [
                FileStatus(
                    status["pathSuffix"],
                    status["type"] == "DIRECTORY",
                    status["length"],
                    status["modificationTime"],
                )
                for status in json.loads(text)["FileStatuses"]["FileStatus"]
            ]
        except (ValueError, LookupError, TypeError):
            raise StorageError("partial", "the answer is not WebHDFS's") from None

    def read(self, path: str, limit_bytes: int) -> bytes:
        return self._open(path, limit_bytes)

    def read_part(self, path: str, *, of_end: bool) -> bytes:
        offset = 0
        if of_end:  # WebHDFS counts from the beginning only
            of_file = [status.size for status in self.list_status(path) if not status.name]
            offset = max(0, *of_file, PART_BYTES) - PART_BYTES
        return self._open(path, PART_BYTES, offset=offset, length=PART_BYTES)

    def _open(self, path: str, limit_bytes: int, **part: int) -> bytes:
        self.requests.add("read")
        with _errors_classified(), self._send("OPEN", path, **part) as answer:
            if answer.is_redirect:
                self.requests.add("read")
                url = self._connected()._apply_proxy(answer.headers["Location"])  # noqa: SLF001
                with self._get(url) as content:
                    return _content(content, limit_bytes)
            return _content(answer, limit_bytes)

    def close(self) -> None:
        with self._lock:
            filesystem, self._filesystem = self._filesystem, None
        if filesystem is not None:
            filesystem.session.close()

    def _send(self, operation: str, path: str, **parameters: int) -> requests.Response:
        filesystem = self._connected()
        url = filesystem._apply_proxy(filesystem.url + quote(path, safe="/"))  # noqa: SLF001
        return self._get(url, params={**filesystem.pars, "op": operation, **parameters})

    def _get(self, url: str, params: Mapping[str, Any] | None = None) -> requests.Response:
        timeout = _CONNECT_SECONDS, _READ_SECONDS
        return self._connected().session.get(  # type: ignore[no-any-return]
            url, params=params, allow_redirects=False, stream=True, timeout=timeout
        )

    def _connected(self) -> WebHDFS:
        with self._lock:
            if self._filesystem is None:
                address = WebHDFS._get_kwargs_from_urls(f"webhdfs://{self._authority}")  # noqa: SLF001
                self._filesystem = WebHDFS(**{**address, **self._options}, skip_instance_cache=True)
                adapter = requests.adapters.HTTPAdapter(pool_maxsize=self._connections)
                self._filesystem.session.mount("http://", adapter)
                self._filesystem.session.mount("https://", adapter)
            return self._filesystem


def _content(answer: requests.Response, limit_bytes: int) -> bytes:
    """The whole body of an answer with status 200; StorageError for any other answer."""
    deadline = time.monotonic() + _CALL_SECONDS
    is_ok = answer.status_code == requests.codes.ok
    length = answer.headers.get("Content-Length", "0")
    if is_ok and length.isdecimal() and int(length) > limit_bytes:
        raise too_large(limit_bytes)
    data = bytearray()
    for piece in answer.iter_content(1 << 16):
        data += piece
        if len(data) > (limit_bytes if is_ok else 1 << 16):
            raise too_large(limit_bytes)
        if time.monotonic() > deadline:
            raise StorageError("timeout", f"no complete answer within {_CALL_SECONDS} s")
    if not is_ok:
        raise _refusal(answer.status_code, bytes(data))
    return bytes(data)


def _refusal(status: int, body: bytes) -> StorageError:
    """The error by the exception that the NameNode names, else by the HTTP status."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return error_of_exception(str(json.loads(body)["RemoteException"]["exception"]))
    # With 404 and 500 a NameNode would have named an exception.
    if status == requests.codes.not_found:
        return StorageError("other", "no WebHDFS at this address (HTTP 404)")
    if status == requests.codes.server_error:
        return StorageError("other", f"HTTP status {status}")
    return error_of_status(status)


_REASON_BY_TYPE: ErrorTypes = (
    (requests.ConnectTimeout, "timeout", "no connection within the time limit"),
    (requests.Timeout, "timeout", "no answer within the time limit"),
    (requests.exceptions.SSLError, "unavailable", "the certificate was not accepted"),
    (requests.exceptions.ChunkedEncodingError, "partial", "the answer ended too early"),
    (requests.ConnectionError, "unavailable", "connection failed"),
    (requests.RequestException, "other", "the request failed"),
    (ImportError, "other", "the package for Kerberos (requests-kerberos) is not installed"),
)


@contextlib.contextmanager
def _errors_classified() -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        # The server fell silent in the middle of an answer: requests wraps that in another error.
        if error.args and isinstance(error.args[0], urllib3.exceptions.ReadTimeoutError):
            raise StorageError("timeout", "no answer within the time limit") from None
        known = error_of_type(error, _REASON_BY_TYPE)
        raise known or unexpected(error) from None
