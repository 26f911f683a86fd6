"""What the exporter asks of a storage, and nothing more.

A *storage* is one root, seen through one backend. The contract:

* Paths are relative to the root: a tuple of folder names, ``()`` for the root itself.
  Names are as the storage has them; a name may be empty on an object store whose
  keys hold a double slash.
* What a call returned is handed back to the next one as `last`, so that a backend can
  ask for what changed instead of for everything, and can return the very same object
  when nothing did. Backends keep nothing about folders and jobs themselves.
* Every answer is true at some moment between call and return, as far as a change can be
  told at all: no listing, existence or instance cache may hide a new marker. What a
  backend takes on trust, because to ask would cost a request, it asks for when the call
  is `thorough`; its docstring says what that is.
* Expected trouble is raised as StorageError and as nothing else. An answer is whole
  or it is an error: never a short listing, never "no" for "could not look".
* Every method may be called from several threads at once.
* A call may block for as long as the storage does. The caller sets deadlines and
  does not wait for a call that missed its own.
* Requests are counted in `requests` when they are sent, not when they succeed.
"""

import errno
import os
import threading
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from exporter.datatrove.ranks import Markers
from exporter.errors import Reason, StorageError

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """One listed folder.

    `subfolders` holds names, not paths, and is empty when it was not asked for.
    `identity` is equal for two paths that are the same folder (through a symbolic
    link); None where the storage has no such links. `state` is the backend's own.
    """

    subfolders: tuple[str, ...]
    has_executor_file: bool
    identity: Hashable | None = None
    state: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Version:
    """Which writing of a file this is. Equal tokens mean the same content; a token
    None is equal to nothing, for storage that cannot tell."""

    token: Hashable | None
    modified_ns: int | None

    def is_same(self, other: "Version | None") -> bool:
        return other is not None and self.token is not None and self.token == other.token


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a job folder saw.

    `markers` are all entries of ``completions/``, with their times where the storage
    gives them for nothing. `completions_modified_ns` is that folder's own modification
    time, where it has one. `has_logs` tells whether ``logs/`` holds anything; it may be
    False without a look once there is a marker. `state` is the backend's own.
    `world_size` is what ``executor.json`` of this version says, 0 if it cannot say;
    whoever read it adds it, so that a backend can ask for the ranks that are missing.
    """

    executor: Version
    markers: Markers
    has_logs: bool
    completions_modified_ns: int | None = None
    state: object = field(default=None, compare=False, repr=False)
    world_size: int | None = field(default=None, compare=False)


class Storage(Protocol):
    """One root. See the module's docstring for what every backend promises."""

    @property
    def requests(self) -> "Requests": ...

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        """Is there an ``executor.json``, and (if asked) which sub-folders? A root that
        cannot be told from a missing one, as on object stores, lists as empty."""

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        """Look at the job in a folder that was just listed; a first look may use what that
        listing showed. `last` may come with marker times that were added since. Returns
        `last` itself if nothing changed. StorageError("not_found") when the job is
        gone."""

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        """Content of ``executor.json`` and the version it has, which is `seen` where the
        storage does not tell it with the content; "too_large" beyond the limit, before
        reading it; "not_found" when there is none."""

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        """Modification times of markers, one per rank; None for a marker that is gone.
        Only for looks that came without times."""

    def list_logs(self, path: Path) -> list[str]:
        """Names of the files in the job's ``logs/``; none if there is no such folder."""

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
