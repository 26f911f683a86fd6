"""Storage backends: interchangeable siblings behind the Protocol in ``base``.

Backends are imported when a root needs them: s3fs alone takes longer to import than
everything else together, and a user of local folders never pays for it.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from exporter.errors import StorageError
from exporter.storage.base import Storage

_S3_SCHEMES = frozenset({"s3", "s3a"})
_HDFS_SCHEMES = frozenset({"hdfs", "viewfs"})
_WEBHDFS_SCHEMES = frozenset({"webhdfs"})
# scheme: (package to import, extra of ours that installs it)
_EXTRAS = {
    **dict.fromkeys(_HDFS_SCHEMES, ("hdfs_native", "hdfs")),
    **dict.fromkeys(_WEBHDFS_SCHEMES, ("requests", "hdfs")),
    "hf": ("huggingface_hub", "hf"),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("az", "abfs", "abfss"), ("adlfs", "azure")),
    **dict.fromkeys(("sftp", "ssh"), ("paramiko", "sftp")),
}


def scheme_of(url: str) -> str:
    """The scheme of a root's URL; ``file`` for a bare path."""
    scheme, separator, _ = url.partition("://")
    return scheme if separator else "file"


def open_storage(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    """A storage for the root at `url` (an absolute path, or a URL that fsspec knows).

    Opening asks the storage nothing; it may take a second to import the backend.
    `options` go to fsspec, `connections` bounds the requests in flight.
    StorageError if `problem_with` the URL there is something.
    """
    scheme = scheme_of(url)
    if scheme == "file":
        from exporter.storage.local import LocalStorage

        return LocalStorage(url.removeprefix("file://"))
    if scheme in _S3_SCHEMES:
        from exporter.storage.s3.storage import S3Storage

        return S3Storage(url, options, connections)
    if (problem := problem_with(url)) is not None:
        raise StorageError("other", problem)
    if scheme in _HDFS_SCHEMES | _WEBHDFS_SCHEMES:
        return _open_hdfs(scheme, url, options, connections)
    from exporter.storage.filesystems.generic import GenericStorage

    return GenericStorage(url, options)


def _open_hdfs(scheme: str, url: str, options: Mapping[str, Any], connections: int) -> Storage:
    from exporter.storage.hdfs.storage import HdfsStorage, NameNode

    authority, _, path = url.partition("://")[2].partition("/")
    namenode: NameNode
    if scheme in _WEBHDFS_SCHEMES:
        from exporter.storage.hdfs.webhdfs import WebNameNode

        namenode = WebNameNode(authority, options, connections)
    else:
        from exporter.storage.hdfs.rpc import RpcNameNode

        namenode = RpcNameNode(f"{scheme}://{authority}", options, connections)
    return HdfsStorage(namenode, f"/{path}")


def problem_with(url: str) -> str | None:
    """Why no storage can be opened for `url`, or None: the scheme is unknown to fsspec,
    or the package behind it is not installed."""
    scheme = scheme_of(url)
    if scheme == "file" or scheme in _S3_SCHEMES:
        return None
    if scheme in _EXTRAS:
        package, extra = _EXTRAS[scheme]
        if find_spec(package) is None:
            return (
                f"{scheme}:// needs a package that is not installed:"
                f" pip install 'datatrove-exporter[{extra}]'"
            )
        return None
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ValueError:
        return f"no storage is known for {scheme}://"
    except ImportError as error:
        return f"{scheme}:// needs a package that is not installed ({error})"
    return None
