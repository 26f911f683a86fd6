"""What the log says of a root's jobs: which can no longer be read, and which again."""

import logging
from collections.abc import Sequence

from exporter.errors import StorageError
from exporter.log import event

_LOG = logging.getLogger("exporter.jobnews")
_JOBS_LOGGED_AT_A_TIME = 10


class JobLog:
    """Collects what a scan of the root brought and logs it: some jobs one by one, of the
    others how many they are."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._failed: list[dict[str, str]] = []
        self._recovered: list[dict[str, str]] = []

    def failed(self, job_name: str, error: StorageError) -> None:
        """A job cannot be read, for another reason than before if it could not before."""
        self._failed.append({"job_name": job_name, "reason": error.reason, "detail": error.detail})

    def recovered(self, job_name: str) -> None:
        """A job of which this was told can be read again."""
        self._recovered.append({"job_name": job_name})

    def tell(self) -> None:
        """Log what was collected, and forget it."""
        self._log(logging.WARNING, "cannot be read", self._failed)
        self._log(logging.INFO, "can be read again", self._recovered)
        self._failed, self._recovered = [], []

    def _log(self, level: int, what: str, jobs: Sequence[dict[str, str]]) -> None:
        for job in jobs[:_JOBS_LOGGED_AT_A_TIME]:
            event(_LOG, level, f"job {what}", root=self._root, **job)
        if (more := len(jobs) - _JOBS_LOGGED_AT_A_TIME) > 0:
            event(_LOG, level, f"more jobs {what}", root=self._root, jobs=more)
