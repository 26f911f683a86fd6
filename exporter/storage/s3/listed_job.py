"""Collects what listing pages show of one job folder.

This module does no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, rank_of
from exporter.errors import StorageError
from exporter.storage.base import Version
from exporter.storage.s3.listing_page import ListingPage
from exporter.storage.s3.listing_plan import Window

_AFTER_SLASH = "0"  # the character after "/": a folder's name with it sorts after all its keys


@dataclass(frozen=True, slots=True)
class ExecutorToken:
    """The token of a Version of ``executor.json``. `content` holds the file's content where
    it was read before the scan asked for it, until the scan takes it."""

    etag: str
    modified_ns: int
    content: list[bytes] = field(default_factory=list, compare=False, repr=False)

    def is_answered_by(self, version: Version) -> bool:
        """A GET with this version read this very file. (A GET tells whole seconds only.)"""
        other = version.token
        if not isinstance(other, ExecutorToken):
            return False
        return (other.etag, other.modified_ns // 10**9) == (self.etag, self.modified_ns // 10**9)


def executor_version(etag: str | None, time_ns: int | None) -> Version:
    """The version of an ``executor.json`` with this entity tag and modification time."""
    if etag is None or time_ns is None:
        return Version(None, time_ns)
    return Version(ExecutorToken(etag, time_ns), time_ns)


def executor_on(pages: Iterable[ListingPage], key: str) -> Version | None:
    """The version of the ``executor.json`` with this key; None if no page shows it."""
    for page in pages:
        if key in page.keys:
            return executor_version(page.etags.get(key), page.modified_ns[page.keys.index(key)])
    return None


class JobKeys:
    """The keys of one job folder, whose `prefix` ends with a slash. `beyond` and
    `beyond_logs` sort after all keys in ``completions/`` and ``logs/``."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.completions = f"{prefix}{COMPLETIONS}/"
        self.beyond = f"{prefix}{COMPLETIONS}{_AFTER_SLASH}"
        self.executor = prefix + EXECUTOR_FILE
        self.logs = f"{prefix}{LOGS}/"
        self.beyond_logs = f"{prefix}{LOGS}{_AFTER_SLASH}"


@dataclass(slots=True)
class ListedJob:
    """What the pages listed so far have shown: `times` of markers by rank, `others` (names
    in ``completions/`` that are no markers), the version of ``executor.json``, and whether
    ``logs/`` holds anything. `reached` is the last key listed; `is_whole` tells that no key
    comes after it."""

    job: JobKeys
    times: dict[int, int] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    executor: Version | None = None
    has_logs: bool = False
    reached: str = ""
    is_whole: bool = False

    @property
    def has_all_markers(self) -> bool:
        """The pages reached the end of ``completions/``."""
        return self.is_whole or self.reached >= self.job.beyond

    def add_page(self, page: ListingPage, window: Window | None = None) -> None:
        """Add what a page shows; of ``completions/`` only names in the window, if given."""
        job = self.job
        start = len(job.completions)
        for key, time_ns in zip(page.keys, page.modified_ns, strict=True):
            if key.startswith(job.completions):
                name = key[start:]
                if window is not None and not window.holds(name):
                    continue
                # Neither can be a marker: "", which is what is left of the directory-marker key
                # of completions/ itself, and the keys of sub-folders, which keep their slash.
                rank = rank_of(name)
                if rank is None:
                    self.others.add(name)
                elif time_ns is None:
                    raise StorageError("partial", "a listing page does not tell times")
                else:
                    self.times[rank] = time_ns
            elif key == job.executor:
                self.executor = executor_version(page.etags.get(key), time_ns)
            elif key != job.logs and key.startswith(job.logs):
                self.has_logs = True
        self.reached = page.keys[-1] if page.keys else self.reached
        self.is_whole = not page.is_truncated

    def add(self, other: "ListedJob") -> None:
        """Add what was listed after this."""
        self.times.update(other.times)
        self.others |= other.others
        self.executor = other.executor or self.executor
        self.has_logs |= other.has_logs
        self.reached, self.is_whole = other.reached, other.is_whole
