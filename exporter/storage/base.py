"""The contract of a storage: all that the exporter asks of one, and what backends promise.

A *storage* is one root, seen through one backend. The contract:

* Paths are relative to the root: a tuple of folder names, ``()`` for the root itself. Names are
  as the storage has them; a name may be empty on an object store whose keys hold a double slash.
* The caller hands the result of one call to the next as `last`, so a backend can ask only for
  what changed, and return that very object when nothing did. Backends keep nothing about folders
  and jobs themselves.
* Every answer is true at some moment between call and return, as far as the storage tells changes
  at all: no cache (of listings, of existence, of instances) may hide a new marker. What a backend
  takes on trust, because to ask would cost a request, stands in its docstring; it asks for that
  when a call is `thorough`.
* Expected trouble is raised as StorageError and as nothing else. An answer is whole or it is an
  error: never a short listing, never "no" for "could not look".
* Every method may be called from several threads at once.
* A call may block for as long as the storage does; its caller waits no longer than a deadline.
* Requests are counted in `requests` when they are sent, not when they succeed.
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from exporter.datatrove.ranks import Markers
from exporter.errors import Reason, StorageError

Path = tuple[str, ...]
Choose = Callable[[Sequence[str]], Iterable[str]]
"""Picks from file names those that are wanted."""
T = TypeVar("T")

PART_BYTES = 64 * 1024
"""What `Storage.read_part` reads at most."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One listed folder.

    `subfolders` holds names, not paths; it is empty when they were not asked for.
    `identity` tells whether another folder took its place; None where the storage does not tell.
    `links` are those of the sub-folders that are symbolic links, with the path where each really
    leads to; `real_path` is that of the root, None where the storage has no such links. `state` is
    for the backend alone.
    """

    subfolders: tuple[str, ...]
    has_executor_file: bool
    identity: Hashable | None = None
    state: object = field(default=None, compare=False, repr=False)
    links: tuple[tuple[str, str], ...] = ()
    real_path: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """Equal tokens mean the same content. A token None, of a storage that cannot tell
    versions, is equal to nothing."""

    token: Hashable | None
    modified_ns: int | None

    def is_same(self, other: "Version | None") -> bool:
        return other is not None and self.token is not None and self.token == other.token


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a job folder saw.

    `executor` is the version of ``executor.json``. `markers` are all entries of
    ``completions/``, with modification times where these cost no extra request;
    `completions_modified_ns` is that of the folder itself, where it has one. `has_logs`
    tells whether ``logs/`` holds anything; once there is a marker it may be False without
    having been looked up. `state` is for the backend alone. `world_size` is the number in
    this version of ``executor.json``, 0 if that has none; None until the caller, who reads
    the file, adds it. With it a backend can ask for missing ranks only.
    """

    executor: Version
    markers: Markers
    has_logs: bool
    completions_modified_ns: int | None = None
    state: object = field(default=None, compare=False, repr=False)
    world_size: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class File:
    """A file as a listing of its folder shows it; None for what that did not tell."""

    name: str
    modified_ns: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NameRange:
    """The names from `first` to `last` in the order of their bytes; at most `count` are wanted."""

    first: str
    last: str
    count: int


class Storage(Protocol):
    """One root. See the module's docstring for what every backend promises.

    `is_object_store` tells that there are no folders, only names with slashes, and that a file
    is there only once it was closed. Nothing but datatrove itself writes into a job there.
    `is_local` tells that it is the operating system's: a file can show while it is written, its
    time costs a system call, and to look is cheap. What was written shows after `lag_seconds`.
    """

    is_object_store: bool
    is_local: bool
    lag_seconds: float

    @property
    def requests(self) -> "Requests": ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about this storage that costs time or tells less than usual: a
        sentence each, for people. Empty for a storage that is as it should be."""

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        """List a folder: does it have an ``executor.json``, and (if asked) which sub-folders?
        Where a missing root cannot be told from an empty one, as on object stores, it is
        listed as empty."""

    def some_subfolders(self, path: Path) -> tuple[str, ...]:
        """Names of sub-folders, as many as one request tells. Asked of object stores only: to
        list all of them may take many."""

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        """Look at the job in `folder`, which was just listed; a first look may use what that
        listing showed. `last` is the look before, to which the caller may have added marker
        times. Returns `last` itself if nothing changed. StorageError("not_found") when the
        job is gone."""

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        """The content of ``executor.json`` and its version, which is `seen` where the storage
        does not tell the version with the content. StorageError("too_large") for a larger
        file, which is not read whole; "not_found" when there is no such file."""

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        """Modification times of markers, one per rank; None for a marker that is gone.
        Called only for looks whose markers have no times."""

    def list_files(
        self,
        path: Path,
        inner: str,
        wanted: Choose | None = None,
        *,
        between: Sequence[NameRange] = (),
        at_most: int | None = None,
    ) -> list[File]:
        """The files directly in an inner folder of the job, such as ``logs``; none if there is no
        such folder. `wanted` chooses among them; only where it is given do files come with time
        and size, as far as the storage tells these, and for each a system call may be spent. With
        `between`, those in these ranges are enough; with `at_most`, any so many entries of the
        folder are looked at."""

    def inner_state(self, path: Path, inner: str, last: object = None) -> object:
        """The state of an inner folder of the job. It is `last`, the very same object, if surely
        no file came or went since that was returned. Asked of local storages only."""

    def stat_files(self, path: Path, inner: str, names: Sequence[str]) -> list[File | None]:
        """These files of an inner folder, None for those that are gone. Asked of local storages
        only: elsewhere a listing tells as much."""

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        """The first `PART_BYTES` of a regular file of the job, or the last, which may be all of
        it. `file` is its path below the job's folder. StorageError("not_found") if there is no
        such file."""

    def read_file(self, path: Path, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        """A regular file of the job: its modification time, where that comes with the content,
        and the content. StorageError("too_large") for a larger one, "not_found" if there is no
        such file. `file` is its path below the job's folder."""

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


def part_range(*, of_end: bool) -> dict[str, str]:
    """The HTTP header that asks for the first `PART_BYTES` of a file, or the last."""
    return {"Range": f"bytes=-{PART_BYTES}" if of_end else f"bytes=0-{PART_BYTES - 1}"}


def or_none(read: Callable[[], T], *absent: Reason) -> T | None:
    """What `read` returns; None where it raises a StorageError for one of these reasons."""
    try:
        return read()
    except StorageError as error:
        if error.reason not in absent:
            raise
    return None
