"""Storage backends: interchangeable siblings behind the Protocol in ``base``.

Backends are imported when a root needs them: s3fs alone takes longer to import than
everything else together, and a user of local folders never pays for it.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from exporter.storage.base import Storage

_S3_SCHEMES = frozenset({"s3", "s3a"})
# Those that fsspec asks for only when a file system is used.
_PACKAGES = {"hdfs": "pyarrow", "viewfs": "pyarrow"}


def scheme_of(url: str) -> str:
    """The scheme of a root's URL; ``file`` for a bare path."""
    scheme, separator, _ = url.partition("://")
    return scheme if separator else "file"


def open_storage(url: str, options: Mapping[str, Any], connections: int) -> Storage:
    """A storage for the root at `url` (an absolute path, or a URL that fsspec knows).

    Opening asks the storage nothing; it may take a second to import the backend.
    `options` go to fsspec, `connections` bounds the requests in flight.
    """
    scheme = scheme_of(url)
    if scheme == "file":
        from exporter.storage.local import LocalStorage

        return LocalStorage(url.removeprefix("file://"))
    if scheme in _S3_SCHEMES:
        from exporter.storage.s3 import S3Storage

        return S3Storage(url, options, connections)
    from exporter.storage.generic import GenericStorage

    return GenericStorage(url, options)


def problem_with(url: str) -> str | None:
    """Why no storage can be opened for `url`, or None: the scheme is unknown to fsspec,
    or the package behind it is not installed."""
    scheme = scheme_of(url)
    if scheme == "file" or scheme in _S3_SCHEMES:
        return None
    from fsspec import get_filesystem_class

    if (package := _PACKAGES.get(scheme)) and find_spec(package) is None:
        return f"{scheme}:// needs a package that is not installed ({package})"
    try:
        get_filesystem_class(scheme)
    except ValueError:
        return f"no storage is known for {scheme}://"
    except ImportError as error:
        return f"{scheme}:// needs a package that is not installed ({error})"
    return None
