"""A circuit breaker for one scan, and the second look at its root.

A *check* looks at the root once more. It is made before the results count if folders went
during the scan: a folder that went because the whole root did is no result. And it is made
at once if visit after visit fails: when the root itself fails as well, the circuit opens, so
a storage that breaks down is not asked for each of thousands of folders.

No I/O, no clock: it is told how visits ended.
"""

from collections.abc import Hashable

from exporter.errors import Reason, StorageError
from exporter.storage.base import Folder

_FAILURES_IN_A_ROW = 16
_OVERLOADED: frozenset[Reason] = frozenset({"timeout", "throttled", "unavailable"})
# These say of the storage, and not of one folder in it, that it is better left alone.


class RootCheck:
    """Decides if the results of one scan count; used by one thread."""

    def __init__(self) -> None:
        self.root_error: StorageError | None = None
        """Why the root counts as unread; nothing else that the scan finds matters then."""
        self._identity: Hashable | None = None
        self._has_lost_folders = False
        self._is_checking = False
        self._failures_in_a_row = 0
        self._was_throttled = False

    @property
    def is_overloaded(self) -> bool:
        """The storage is better left alone for a while."""
        return self._was_throttled or _is_overload(self.root_error)

    @property
    def is_due_at_once(self) -> bool:
        """The root must be looked at before anything else is visited."""
        return self._failures_in_a_row >= _FAILURES_IN_A_ROW and not self._is_checking

    @property
    def is_due_at_end(self) -> bool:
        """The root must be looked at before the results count."""
        return self._has_lost_folders and self.root_error is None

    def root_listed(self, folder: Folder) -> None:
        """The root was listed, for the first time in this scan."""
        self._identity = folder.identity

    def root_failed(self, error: StorageError) -> None:
        """The root could not be read, or not to the end."""
        self.root_error = error

    def folder_lost(self) -> None:
        """A folder went that this scan had been shown."""
        self._has_lost_folders = True

    def visit_ended(self, error: StorageError | None) -> None:
        """A visit is over, with or without an error."""
        self._failures_in_a_row = self._failures_in_a_row + 1 if _is_overload(error) else 0
        self._was_throttled |= error is not None and error.reason == "throttled"

    def began(self) -> None:
        """A check begins; what gave rise to it does not count again."""
        self._is_checking = True
        self._has_lost_folders = False
        self._failures_in_a_row = 0

    def ended(self, folder: Folder | None, error: StorageError | None) -> None:
        """The root was looked at once more, with this result."""
        self._is_checking = False
        if error is not None:
            self.root_error = error
        elif folder is not None and folder.identity != self._identity:
            self.root_error = StorageError("partial", "the root was replaced during the scan")


def _is_overload(error: StorageError | None) -> bool:
    return error is not None and error.reason in _OVERLOADED
