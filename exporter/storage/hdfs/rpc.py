"""A NameNode reached by HDFS' RPC protocol, through hdfs-native (a library in Rust, no Java).

hdfs-native reads Hadoop's own files (``core-site.xml`` and ``hdfs-site.xml`` in
``HADOOP_CONF_DIR``), logs in with Kerberos where they say so, and finds the active one of
several NameNodes. It has no time limit for a call and would wait for a silent NameNode
without end, so `call_timeout` sets one. After a call was given up, the client is thrown
away with its silent connection. hdfs-native tries a refused connection 15 times, over
three minutes; here it tries twice.
"""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import hdfs_native

from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES, Requests
from exporter.storage.errors import from_os_error, reasons_by_word, too_large, unexpected
from exporter.storage.hdfs.call_timeout import TimedCalls
from exporter.storage.hdfs.storage import FileStatus, error_of_exception

_CALL_SECONDS = 20
_READ_SECONDS = 60
_ENTRIES_PER_REQUEST = 1000  # dfs.ls.limit, unless the cluster was configured otherwise
_DEFAULTS = {"dfs.client.failover.max.attempts": "2"}
_CLIENT_OPTIONS = ("config_dir", "kerberos_principal", "kerberos_keytab", "kerberos_cache")

T = TypeVar("T")


class RpcNameNode:
    """The NameNode (or name service, or view) at `url`, which has no path. With no host it is
    the one that Hadoop's files call ``fs.defaultFS``. `options` are Hadoop's configuration
    properties, which override those in files, and the client's own `_CLIENT_OPTIONS`.
    `connections` is how many calls may be in flight."""

    def __init__(self, url: str, options: Mapping[str, Any], connections: int) -> None:
        self._url = url
        self._options = {name: options[name] for name in _CLIENT_OPTIONS if name in options}
        self._properties = _DEFAULTS | {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in options.items()
            if name not in _CLIENT_OPTIONS
        }
        self._lock = threading.Lock()
        self._client: hdfs_native.Client | None = None
        self._calls = TimedCalls(connections)
        self.requests = Requests("list", "read")

    def list_status(self, path: str) -> list[FileStatus]:
        def status_of(entry: hdfs_native.FileStatus) -> FileStatus:
            is_path_itself = entry.path == path and not entry.isdir
            name = "" if is_path_itself else entry.path.rstrip("/").rpartition("/")[2]
            return FileStatus(name, entry.isdir, entry.length, entry.modification_time)

        def list_all(client: hdfs_native.Client) -> list[FileStatus]:
            return list(map(status_of, client.list_status(path)))

        self.requests.add("list")
        listed = self._call(list_all, _CALL_SECONDS)
        self.requests.add("list", max(0, len(listed) - 1) // _ENTRIES_PER_REQUEST)
        return listed

    def read(self, path: str, limit_bytes: int) -> bytes:
        def read_all(client: hdfs_native.Client) -> bytes:
            reader = client.read(path)
            if len(reader) > limit_bytes:
                raise too_large(limit_bytes)
            return reader.read()

        self.requests.add("read")
        return self._call(read_all, _READ_SECONDS)

    def read_part(self, path: str, *, of_end: bool) -> bytes:
        def read(client: hdfs_native.Client) -> bytes:
            reader = client.read(path)
            size = min(len(reader), PART_BYTES)
            return reader.read_range(len(reader) - size if of_end else 0, size)

        self.requests.add("read")
        return self._call(read, _READ_SECONDS)

    def close(self) -> None:
        with self._lock:
            self._client = None
        self._calls.close()

    def _call(self, run: Callable[[hdfs_native.Client], T], seconds: float) -> T:
        used: list[hdfs_native.Client] = []

        def run_connected() -> T:
            used.append(self._connected())
            return run(used[0])

        try:
            return self._calls.call(run_connected, seconds)
        except BaseException as error:  # a panic in Rust is no Exception
            failure = _storage_error(error)
            if failure is None:
                raise
            if failure.reason not in ("not_found", "denied", "invalid", "too_large"):
                with self._lock:
                    if used and self._client is used[0]:
                        self._client = None
            raise failure from None

    def _connected(self) -> hdfs_native.Client:
        with self._lock:
            if self._client is None:
                self._client = hdfs_native.Client(self._url, self._properties, **self._options)
            return self._client


# What hdfs-native's RuntimeErrors begin with.
_REASON_BY_KIND = reasons_by_word(
    {
        "invalid": "InvalidArgument InvalidPath UrlParseError IsADirectoryError",
        "denied": "GSSAPIError SASLError NoSASLMechanism",
        "unavailable": "BlocksNotFound DataTransferError",
        "partial": "ChecksumError InvalidRPCResponse",
    }
)
_DETAIL_BY_KIND = {
    "InvalidArgument": "the configuration of Hadoop names no such NameNode",
    "GSSAPIError": "Kerberos refused, or there is no ticket",
    "SASLError": "authentication failed",
    "NoSASLMechanism": "no way to authenticate that both sides know",
}


def _storage_error(error: BaseException) -> StorageError | None:
    """The error by what hdfs-native's text begins with; nothing else of the text is kept.
    None for what is no error of the storage (it ends the process)."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, OSError):
        return _error_of_os_error(error)
    if not isinstance(error, Exception):
        is_panic = type(error).__name__ == "PanicException"
        return StorageError("other", "hdfs-native failed inside") if is_panic else None
    if exception := re.match(r"(?:Fatal)?RPCError\(\"([\w.$]+)\"", str(error)):
        return error_of_exception(exception[1])
    kind = re.split(r"\W", str(error), maxsplit=1)[0]
    if kind in _REASON_BY_KIND:
        return StorageError(_REASON_BY_KIND[kind], _DETAIL_BY_KIND.get(kind, kind))
    return unexpected(error)


def _error_of_os_error(error: OSError) -> StorageError:
    """The error of an OSError that Rust made: its number stands in its text, if anywhere."""
    if number := re.search(r"\(os error (\d+)\)", str(error)):
        return from_os_error(OSError(int(number[1]), ""))
    known = isinstance(error, FileNotFoundError | PermissionError | TimeoutError)
    if known or error.errno is not None:
        return from_os_error(error)
    detail = "the host name cannot be resolved" if "lookup" in str(error) else "connection failed"
    return StorageError("unavailable", detail)
