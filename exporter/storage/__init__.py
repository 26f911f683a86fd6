"""Opens the storage of a root: one table of URL schemes, one package per backend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from exporter.errors import StorageError
from exporter.storage.base import Storage

# A backend is imported by the function that opens it, when a root needs it: s3fs alone takes
# longer to import than everything else together, and a user of local folders never pays for it.


def _open_local(url: str, _options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.local.storage import LocalStorage

    return LocalStorage(url.removeprefix("file://"))


def _open_s3(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    from exporter.storage.s3.storage import S3Storage

    return S3Storage(url, options, connections)


def _open_hdfs(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    from exporter.storage.hdfs.rpc import RpcNameNode
    from exporter.storage.hdfs.storage import HdfsStorage

    scheme, authority, path = _parts(url)
    return HdfsStorage(RpcNameNode(f"{scheme}://{authority}", options, connections), path)


def _open_webhdfs(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    from exporter.storage.hdfs.storage import HdfsStorage
    from exporter.storage.hdfs.webhdfs import WebNameNode

    _, authority, path = _parts(url)
    return HdfsStorage(WebNameNode(authority, options, connections), path)


def _open_azure(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.azure import ADAPTER
    from exporter.storage.filesystems.generic import GenericStorage

    return GenericStorage(url, options, ADAPTER)


def _open_ftp(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.ftp import ADAPTER
    from exporter.storage.filesystems.generic import GenericStorage

    return GenericStorage(url, options, ADAPTER)


def _open_gcs(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.gcs import ADAPTER
    from exporter.storage.filesystems.generic import GenericStorage

    return GenericStorage(url, options, ADAPTER)


def _open_huggingface(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.generic import GenericStorage
    from exporter.storage.filesystems.huggingface import ADAPTER

    return GenericStorage(url, options, ADAPTER)


def _open_sftp(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.generic import GenericStorage
    from exporter.storage.filesystems.sftp import ADAPTER

    return GenericStorage(url, options, ADAPTER)


def _open_other(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.adapter import Adapter
    from exporter.storage.filesystems.generic import GenericStorage

    return GenericStorage(url, options, Adapter())


def _parts(url: str) -> tuple[str, str, str]:
    """(scheme, authority, absolute path)."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    return scheme, authority, f"/{path}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """How roots with one URL scheme are opened. `package` is what that imports and
    `extra` which extra of ours installs it; both are empty where nothing more than the
    exporter itself has to be installed."""

    open: Callable[[str, Mapping[str, Any], int], Storage]
    package: str = ""
    extra: str = ""


SCHEMES = {
    "file": Scheme(_open_local),
    "s3": Scheme(_open_s3),
    "s3a": Scheme(_open_s3),
    "hdfs": Scheme(_open_hdfs, package="hdfs_native", extra="hdfs"),
    "viewfs": Scheme(_open_hdfs, package="hdfs_native", extra="hdfs"),
    "webhdfs": Scheme(_open_webhdfs, package="requests", extra="hdfs"),
    "gs": Scheme(_open_gcs, package="gcsfs", extra="gcs"),
    "gcs": Scheme(_open_gcs, package="gcsfs", extra="gcs"),
    "az": Scheme(_open_azure, package="adlfs", extra="azure"),
    "abfs": Scheme(_open_azure, package="adlfs", extra="azure"),
    "abfss": Scheme(_open_azure, package="adlfs", extra="azure"),
    "hf": Scheme(_open_huggingface, package="huggingface_hub", extra="hf"),
    "sftp": Scheme(_open_sftp, package="paramiko", extra="sftp"),
    "ssh": Scheme(_open_sftp, package="paramiko", extra="sftp"),
    "ftp": Scheme(_open_ftp),
}
"""Any other scheme is left to fsspec, if it knows the scheme."""


def scheme_of(url: str) -> str:
    """The scheme of a root's URL; ``file`` for a bare path."""
    scheme, separator, _ = url.partition("://")
    return scheme if separator else "file"


def open_storage(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    """A storage for the root at `url` (an absolute path, or a URL that fsspec knows).

    Opening sends no request; importing the backend may take a second. `options` go to
    fsspec, `connections` bounds the requests in flight. StorageError if `problem_with` the
    URL there is something.
    """
    if (problem := problem_with(url)) is not None:
        raise StorageError("other", problem)
    scheme = SCHEMES.get(scheme_of(url))
    return (scheme.open if scheme is not None else _open_other)(url, options, connections)


def problem_with(url: str) -> str | None:
    """Why no storage can be opened for `url`, or None: the scheme is unknown to fsspec,
    or the package behind it is not installed."""
    name = scheme_of(url)
    if (scheme := SCHEMES.get(name)) is not None:
        if not scheme.package or find_spec(scheme.package) is not None:
            return None
        return (
            f"{name}:// needs a package that is not installed:"
            f" pip install 'datatrove-exporter[{scheme.extra}]'"
        )
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(name)
    except ValueError:
        return f"no storage is known for {name}://"
    except ImportError as error:
        return f"{name}:// needs a package that is not installed ({error})"
    return None
