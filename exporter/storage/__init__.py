"""Opens the storage of a root: one table of URL schemes, one package per backend."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from exporter.config.addresses import scheme_of
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
    from exporter.storage.hdfs.storage import HdfsStorage

    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    if scheme == "webhdfs":
        from exporter.storage.hdfs.webhdfs import WebNameNode

        return HdfsStorage(WebNameNode(authority, options, connections), f"/{path}")
    from exporter.storage.hdfs.rpc import RpcNameNode

    namenode = RpcNameNode(f"{scheme}://{authority}", options, connections)
    return HdfsStorage(namenode, f"/{path}")


def _open_filesystem(url: str, options: Mapping[str, Any], _connections: int) -> Storage:
    from exporter.storage.filesystems.generic import GenericStorage

    match SCHEMES.get(scheme_of(url), _OTHER).package:
        case "gcsfs":
            from exporter.storage.filesystems.gcs import ADAPTER
        case "adlfs":
            from exporter.storage.filesystems.azure import ADAPTER
        case "huggingface_hub":
            from exporter.storage.filesystems.huggingface import ADAPTER
        case "paramiko":
            from exporter.storage.filesystems.sftp import ADAPTER
        case "ftplib":
            from exporter.storage.filesystems.ftp import ADAPTER
        case _:
            from exporter.storage.filesystems.adapter import ADAPTER
    return GenericStorage(url, options, ADAPTER)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How roots with one URL scheme are opened. `package` is what that imports and
    `extra` which extra of ours installs it; empty where the exporter alone is enough."""

    open: Callable[[str, Mapping[str, Any], int], Storage]
    package: str = ""
    extra: str = ""


SCHEMES = {
    "file": Scheme(_open_local),
    "s3": Scheme(_open_s3),
    "s3a": Scheme(_open_s3),
    "hdfs": Scheme(_open_hdfs, package="hdfs_native", extra="hdfs"),
    "viewfs": Scheme(_open_hdfs, package="hdfs_native", extra="hdfs"),
    "webhdfs": Scheme(_open_hdfs, package="requests", extra="hdfs"),
    "gs": Scheme(_open_filesystem, package="gcsfs", extra="gcs"),
    "gcs": Scheme(_open_filesystem, package="gcsfs", extra="gcs"),
    "az": Scheme(_open_filesystem, package="adlfs", extra="azure"),
    "abfs": Scheme(_open_filesystem, package="adlfs", extra="azure"),
    "abfss": Scheme(_open_filesystem, package="adlfs", extra="azure"),
    "hf": Scheme(_open_filesystem, package="huggingface_hub", extra="hf"),
    "sftp": Scheme(_open_filesystem, package="paramiko", extra="sftp"),
    "ssh": Scheme(_open_filesystem, package="paramiko", extra="sftp"),
    "ftp": Scheme(_open_filesystem, package="ftplib"),  # of the standard library
}
_OTHER = Scheme(_open_filesystem)  # left to fsspec, if it knows the scheme


def open_storage(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    """A storage for the root at `url` (an absolute path, or a URL that fsspec knows). Opening
    sends no request; importing the backend may take a second. `options` go to fsspec,
    `connections` bounds the requests in flight. StorageError if there is a `problem_with` it."""
    if (problem := problem_with(url)) is not None:
        raise StorageError("other", problem)
    return SCHEMES.get(scheme_of(url), _OTHER).open(url, options, connections)


def problem_with(url: str) -> str | None:
    """Why no storage can be opened for `url`, or None: the scheme is unknown to fsspec,
    or the package behind it is not installed."""
    name = scheme_of(url)
    if (scheme := SCHEMES.get(name)) is not None:
        if not scheme.package or find_spec(scheme.package) is not None:
            return None
        return (
            f"{name}:// needs a package that is not installed, of the extra {scheme.extra}:"
            f" {_installer()} '.[{scheme.extra}]' in a checkout, EXTRAS={scheme.extra} for an image"
        )
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(name)
    except ValueError:
        return f"no storage is known for {name}://"
    except ImportError as error:
        return f"{name}:// needs a package that is not installed ({error})"
    return None


def _installer() -> str:
    """The command that installs into this environment, by the file that its maker left in it."""
    makers = {"uv-receipt.toml": "uv tool install", "pipx_metadata.json": "pipx install --force"}
    left = (command for file, command in makers.items() if Path(sys.prefix, file).exists())
    return next(left, "pip install")
