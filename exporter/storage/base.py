"""What the exporter asks of a storage, and nothing more.

A *storage* is one root, seen through one backend. The contract:

* Paths are relative to the root: a tuple of folder names, ``()`` for the root itself.
  Names are as the storage has them; a name may be empty on an object store whose
  keys hold a double slash.
* Every method may be called from several threads at once, and every call looks
  afresh: no listing, existence or instance cache may hide a new marker.
* Expected trouble is raised as StorageError and as nothing else. An answer is whole
  or it is an error: never a short listing, never "no" for "could not look".
* A call may block for as long as the storage does. The caller sets deadlines and
  does not wait for a call that missed its own.
* Requests are counted in `requests` when they are sent, not when they succeed.
"""

import errno
import os
import threading
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Path = tuple[str, ...]

Reason = Literal[
    "timeout",
    "denied",
    "not_found",
    "throttled",
    "unavailable",
    "partial",
    "invalid",
    "too_large",
    "other",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class StorageError(Exception):
    """The storage, or what lies in it, could not be read.

    `reason` is the class of trouble that metrics count. `detail` is one line for
    people, made of our own words, system error texts and error codes only: never of
    data, options or library messages, which may hold secrets.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Folder:
    """One listed folder.

    `subfolders` holds names, not paths, and is empty when it was not asked for.
    `identity` is equal for two paths that are the same folder (through a symbolic
    link); None where the storage has no such links.
    """

    subfolders: tuple[str, ...]
    has_executor_file: bool
    identity: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """Which writing of a file this is. Equal tokens mean the same content; a token
    None is equal to nothing, for storage that cannot tell."""

    token: Hashable | None
    modified_ns: int | None

    def is_same(self, other: "Version | None") -> bool:
        return other is not None and self.token is not None and self.token == other.token


@dataclass(frozen=True, slots=True)
class MarkerListing:
    """All entries of ``completions/``, in no particular order.

    A name that cannot be a marker file ends in ``/`` (sub-folders, directory-marker
    keys). `modified_ns` is parallel to `names`, or None where each time costs a
    request of its own (see JobReader.marker_times). `folder_modified_ns` is the
    folder's own modification time, where it has one.
    """

    names: Sequence[str]
    modified_ns: Sequence[int | None] | None
    folder_modified_ns: int | None


class JobReader(Protocol):
    """Reads one job folder during one scan; used by one thread, then thrown away."""

    def executor_version(self) -> Version:
        """Version of ``executor.json``; StorageError("not_found") when there is none."""

    def read_executor(self, limit_bytes: int) -> tuple[Version, bytes]:
        """Content of ``executor.json`` and the version it has; "too_large" beyond the
        limit, before reading it."""

    def list_markers(self) -> MarkerListing:
        """Entries of ``completions/``; an empty listing when the folder does not exist
        yet, StorageError("not_found") when the whole job is gone."""

    def marker_times(self, names: Iterable[str]) -> list[int | None]:
        """Modification times, one per name; None for a marker that is gone. Only for
        listings that came without times."""

    def has_logs(self) -> bool:
        """Whether ``logs/`` holds anything."""


class Storage(Protocol):
    """One root. See the module's docstring for what every backend promises."""

    @property
    def requests(self) -> "Requests": ...

    def list_folder(self, path: Path, *, with_subfolders: bool) -> Folder:
        """Is there an ``executor.json``, and (if asked) which sub-folders? A root that
        cannot be told from a missing one, as on object stores, lists as empty."""

    def job(self, path: Path) -> JobReader:
        """A reader for the job folder at `path`; asks the storage nothing by itself."""

    def close(self) -> None:
        """Give up connections. Calls in flight may fail."""


class Requests:
    """Thread-safe counts of the requests sent to one storage, by operation."""

    def __init__(self, *operations: str) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(operations, 0)

    def add(self, operation: str, count: int = 1) -> None:
        with self._lock:
            self._counts[operation] += count

    def totals(self) -> tuple[tuple[str, int], ...]:
        """(operation, requests so far), in a fixed order."""
        with self._lock:
            return tuple(self._counts.items())


_REASON_BY_ERRNO: dict[int, Reason] = {
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "invalid",
    errno.EISDIR: "invalid",
    errno.ELOOP: "invalid",
    errno.ENXIO: "invalid",
    errno.EFBIG: "too_large",
    errno.ETIMEDOUT: "timeout",
    errno.EBUSY: "unavailable",
    errno.EIO: "unavailable",
    errno.ESTALE: "unavailable",
    errno.ENOTCONN: "unavailable",
    errno.ESHUTDOWN: "unavailable",
    errno.EHOSTDOWN: "unavailable",
    errno.EHOSTUNREACH: "unavailable",
    errno.ENETUNREACH: "unavailable",
    errno.ECONNREFUSED: "unavailable",
    errno.ECONNRESET: "unavailable",
    errno.ECONNABORTED: "unavailable",
    errno.EPIPE: "unavailable",
    errno.EREMOTEIO: "unavailable",
}


def from_os_error(error: OSError) -> StorageError:
    """Classify an error of the operating system, or one that a library dressed as such.

    Only the system's own text for the number is kept: library messages quote paths,
    and worse.
    """
    if error.errno in _REASON_BY_ERRNO:
        return StorageError(_REASON_BY_ERRNO[error.errno], os.strerror(error.errno))
    by_type: tuple[tuple[type[OSError], Reason, str], ...] = (
        (FileNotFoundError, "not_found", "no such file or folder"),
        (PermissionError, "denied", "permission denied"),
        (NotADirectoryError, "invalid", "not a folder"),
        (IsADirectoryError, "invalid", "a folder, not a file"),
        (TimeoutError, "timeout", "timed out"),
        (ConnectionError, "unavailable", "connection failed"),
    )
    for kind, reason, detail in by_type:
        if isinstance(error, kind):
            return StorageError(reason, detail)
    if error.errno is not None:
        return StorageError("other", os.strerror(error.errno))
    return StorageError("other", type(error).__name__)
