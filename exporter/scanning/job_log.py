"""Logs which jobs of a root can no longer be read, and which can again."""

import logging
from collections.abc import Sequence

from exporter.errors import StorageError
from exporter.log import event
from exporter.model.job import Reading

_LOG = logging.getLogger("exporter.jobnews")
_SCANS_LOG = logging.getLogger("exporter.rootstate")
_JOBS_LOGGED_ONE_BY_ONE = 10


class JobLog:
    """Collects a scan's changes for the log, in which a flood of bad jobs is one line."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._failed: list[dict[str, str]] = []
        self._recovered: list[dict[str, str]] = []
        self._logs_failed: list[dict[str, str]] = []
        self._stats_failed: list[dict[str, str]] = []
        self._stats_left_out: list[dict[str, str]] = []

    def scanned(self, job_name: str, reading: Reading) -> None:
        """A job was read; logged at once, for debugging only."""
        if _SCANS_LOG.isEnabledFor(logging.DEBUG):
            event(
                _SCANS_LOG,
                logging.DEBUG,
                "job scanned",
                root=self._root,
                job_name=job_name,
                tasks=reading.tasks,
                tasks_completed=reading.tasks_completed,
            )

    def failed(self, job_name: str, error: StorageError) -> None:
        """A job cannot be read, for another reason than before if it could not before."""
        self._failed.append({"job_name": job_name, "reason": error.reason, "detail": error.detail})

    def recovered(self, job_name: str) -> None:
        """A job whose failure was logged can be read again."""
        self._recovered.append({"job_name": job_name})

    def logs_failed(self, job_name: str, error: StorageError) -> None:
        """Logs of a job cannot be listed or read, so less is known of its open tasks."""
        details = {"job_name": job_name, "reason": error.reason, "detail": error.detail}
        self._logs_failed.append(details)

    def stats_failed(self, job_name: str, error: StorageError) -> None:
        """Stats of a job's tasks cannot be read for now, so less is known of its documents."""
        details = {"job_name": job_name, "reason": error.reason, "detail": error.detail}
        self._stats_failed.append(details)

    def stats_left_out(self, job_name: str, error: StorageError) -> None:
        """A task of a job has no file of stats that can be used, so it is not in the job's sums."""
        details = {"job_name": job_name, "reason": error.reason, "detail": error.detail}
        self._stats_left_out.append(details)

    def write(self) -> None:
        """Log and forget what was collected: the first jobs one by one, then how many more."""
        self._log(logging.WARNING, "cannot be read", self._failed)
        self._log(logging.INFO, "can be read again", self._recovered)
        self._log(logging.WARNING, "has logs that cannot be read", self._logs_failed)
        self._log(logging.WARNING, "has stats that cannot be read", self._stats_failed)
        self._log(logging.WARNING, "has stats that are left out", self._stats_left_out)
        self._failed, self._recovered, self._logs_failed = [], [], []
        self._stats_failed, self._stats_left_out = [], []

    def _log(self, level: int, what: str, jobs: Sequence[dict[str, str]]) -> None:
        for job in jobs[:_JOBS_LOGGED_ONE_BY_ONE]:
            event(_LOG, level, f"job {what}", root=self._root, **job)
        if (more := len(jobs) - _JOBS_LOGGED_ONE_BY_ONE) > 0:
            of_many = what.replace("has ", "have ")
            event(_LOG, level, f"more jobs {of_many}", root=self._root, jobs=more)
