"""Keeps the folders of one root as they were last listed, and when each is due for what.

No I/O, no clock. What lies in them is told as the last scan that read the whole root saw it.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.model.missed import Seen
from exporter.scanning.discovery import (
    count_pruned,
    is_at_or_below,
    jitter,
    job_name,
    passes_filters,
    wants_subfolders,
)
from exporter.storage.base import Folder, Path


@dataclass(slots=True)
class FolderState:
    """`holds_more`: the folder lies at `max_depth` and holds folders nobody looks into.
    `search_due` is when to ask that again, minus infinity until it was asked once."""

    folder: Folder
    list_due: float
    search_due: float = -math.inf
    holds_more: bool = False


class RootFolders:
    """Used by one thread. Times are monotonic."""

    def __init__(self, config: RootConfig) -> None:
        self._config = config
        self._states: dict[Path, FolderState] = {}
        self._unread: dict[Path, StorageError] = {}
        """Folders that could not be listed and are shown by no job."""

    def get(self, path: Path) -> FolderState | None:
        """What the last scan that succeeded, or the one under way, saw of this folder."""
        return self._states.get(path)

    def is_another(self, path: Path, folder: Folder) -> bool:
        """Where the storage tells: it is not the folder from before that lies at the same
        place."""
        known = self._states.get(path)
        before = None if known is None else known.folder.identity
        return None not in (folder.identity, before) and folder.identity != before

    def forget_below(self, path: Path) -> None:
        """Another folder took the place of this one: what it and those in it looked like says
        nothing of those that have their names now."""
        for below in [known for known in self._states if is_at_or_below(known, path)]:
            del self._states[below]

    def listed(
        self,
        path: Path,
        folder: Folder,
        now: float,
        *,
        thorough: bool,
        holds_more: bool | None = None,
    ) -> None:
        """Take in the listing of a folder, and whether one at `max_depth` holds more, if that was
        seen."""
        known, interval = self._states.get(path), self._config.completed_scan_interval_seconds
        if known is None:
            known = FolderState(folder, now + jitter(path) * interval)
            self._states[path] = known
        elif thorough:
            known.list_due = now + interval
        known.folder = folder
        if holds_more is not None:
            known.holds_more = holds_more
            known.search_due = now + self._config.verify_interval_seconds

    def failed(self, path: Path, error: StorageError) -> None:
        """A folder that may hold jobs could not be listed, and is none by its own name."""
        self._unread[path] = error

    def scan_ended(self, listed: Collection[Path], unlisted: Collection[Path]) -> None:
        """Every folder was visited, these with success; all others are gone."""
        self._states = {path: state for path, state in self._states.items() if path in listed}
        self._unread = {path: e for path, e in self._unread.items() if path in unlisted}

    def seen(self, *, has_jobs: bool) -> Seen:
        """What a scan that came to its end saw beside the jobs; without any, also why that may
        be so."""
        unsearched = [path for path, state in self._states.items() if state.holds_more]
        example = job_name(min(unsearched)) if unsearched else ""
        deepest, never = self._config.max_depth, -math.inf
        has_unasked = any(
            len(path) >= deepest and state.search_due == never
            for path, state in self._states.items()
        )
        seen = Seen(len(self._states), len(unsearched), example, has_unasked)
        if self._unread:
            first = min(self._unread)
            example = f"{job_name(first)} ({self._unread[first]})"
            seen = replace(seen, folders_unread=len(self._unread), unread_example=example)
        return seen if has_jobs else self._why_no_job(seen)

    def _why_no_job(self, seen: Seen) -> Seen:
        left_out = pruned = 0
        for path, state in self._states.items():
            is_job = state.folder.has_executor_file
            left_out += is_job and not passes_filters(job_name(path), self._config)
            if len(path) < self._config.max_depth:
                pruned += count_pruned(path, state.folder, self._config)
        root = self._states.get(())
        is_empty = root is not None and not (root.folder.subfolders or left_out)
        is_empty = is_empty and (len(self._states) == 1 or not self._config.folders)
        return replace(seen, jobs_left_out=left_out, folders_left_out=pruned, is_empty=is_empty)


def shows_empty(folder: Folder, config: RootConfig) -> bool:
    """The listing of the root tells that nothing lies in it."""
    return (
        config.max_depth > 0
        and not folder.subfolders
        and wants_subfolders((), config)
        and not folder.has_executor_file
    )
