"""Logs which jobs of a root can no longer be read, and which can again."""

import logging

from exporter.errors import StorageError
from exporter.log import event
from exporter.model.job import Reading

_LOG = logging.getLogger("exporter.jobnews")
_SCANS_LOG = logging.getLogger("exporter.rootstate")
_JOBS_LOGGED_ONE_BY_ONE = 10
_CHANGES = {
    # What is said of a job -> how loud, in the order in which a scan's changes are logged.
    "cannot be read": logging.WARNING,
    "can be read again": logging.INFO,
    "has logs that cannot be read": logging.WARNING,
    "has stats that cannot be read": logging.WARNING,
    "has stats that are left out": logging.WARNING,
}


class JobLog:
    """Collects a scan's changes for the log, in which a flood of bad jobs is one line."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._jobs: dict[str, list[dict[str, str]]] = {change: [] for change in _CHANGES}

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
        self._add("cannot be read", job_name, error)

    def recovered(self, job_name: str) -> None:
        """A job whose failure was logged can be read again."""
        self._jobs["can be read again"].append({"job_name": job_name})

    def logs_failed(self, job_name: str, error: StorageError) -> None:
        """Logs of a job cannot be listed or read, so less is known of its open tasks."""
        self._add("has logs that cannot be read", job_name, error)

    def stats_failed(self, job_name: str, error: StorageError) -> None:
        """Stats of a job's tasks cannot be read for now, so less is known of its documents."""
        self._add("has stats that cannot be read", job_name, error)

    def stats_left_out(self, job_name: str, error: StorageError) -> None:
        """A task of a job has no file of stats that can be used, so it is not in the job's sums."""
        self._add("has stats that are left out", job_name, error)

    def _add(self, change: str, job_name: str, error: StorageError) -> None:
        details = {"job_name": job_name, "reason": error.reason, "detail": error.detail}
        self._jobs[change].append(details)

    def write(self) -> None:
        """Log and forget what was collected: the first jobs one by one, then how many more."""
        for change, jobs in self._jobs.items():
            level = _CHANGES[change]
            for job in jobs[:_JOBS_LOGGED_ONE_BY_ONE]:
                event(_LOG, level, f"job {change}", root=self._root, **job)
            if (more := len(jobs) - _JOBS_LOGGED_ONE_BY_ONE) > 0:
                of_many = change.replace("has ", "have ")
                event(_LOG, level, f"more jobs {of_many}", root=self._root, jobs=more)
            jobs.clear()
