"""When not to believe what a scan sees: its root went away, or its storage breaks down.

If folders went during a scan, or visit after visit fails, the root is looked at once more
(a *check*). A folder that went because the whole root did is no result, and a storage that
breaks down in the middle of a scan is not asked for each of thousands of folders.

No I/O, no clock, and it knows nothing of folders: it is told how visits ended.
"""

from collections.abc import Hashable

from exporter.errors import Reason, StorageError
from exporter.storage.base import Folder

_FAILURES_IN_A_ROW = 16
_OVERLOADED: frozenset[Reason] = frozenset({"timeout", "throttled", "unavailable"})
# What says of the storage, and not of one folder in it, that it is better left alone.


class RootCheck:
    """What speaks against the results of one scan."""

    def __init__(self) -> None:
        self.root_error: StorageError | None = None
        """Why the root counts as unread; nothing else the scan finds matters then."""
        self.has_lost_folders = False
        self.identity: Hashable | None = None
        """That of the root when it was listed."""
        self._is_checking = False
        self._failures_in_a_row = 0
        self._was_throttled = False

    @property
    def is_overloaded(self) -> bool:
        """Whether the storage is better left alone for a while."""
        error = self.root_error
        return self._was_throttled or (error is not None and error.reason in _OVERLOADED)

    @property
    def wants_check_at_once(self) -> bool:
        """Whether the root must be looked at before anything else is visited."""
        return self._failures_in_a_row >= _FAILURES_IN_A_ROW and not self._is_checking

    @property
    def wants_check_at_end(self) -> bool:
        """Whether the root must be looked at before the results count."""
        return self.has_lost_folders and self.root_error is None

    def visit_ended(self, error: StorageError | None) -> None:
        """A visit is over, with or without an error."""
        is_overload = error is not None and error.reason in _OVERLOADED
        self._failures_in_a_row = self._failures_in_a_row + 1 if is_overload else 0
        self._was_throttled |= error is not None and error.reason == "throttled"

    def check_begins(self) -> None:
        """What gave rise to a check does not count again."""
        self._is_checking = True
        self.has_lost_folders = False
        self._failures_in_a_row = 0

    def check_ended(self, folder: Folder | None, error: StorageError | None) -> None:
        """The root was looked at once more, with this result."""
        self._is_checking = False
        if error is not None:
            self.root_error = error
        elif folder is not None and folder.identity != self.identity:
            self.root_error = StorageError("partial", "the root was replaced during the scan")
