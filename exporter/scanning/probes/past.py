"""Finds out roughly when the tasks were completed of a job that was done before it was first seen.

On disks a complete job costs no call for each marker, so their times are unknown, and after a
restart nobody could say how much was completed this week. A few markers, one in every so many
ranks, tell about when the others came. What a scan may spend on that is limited; what was left
comes with later looks.
"""

import threading
import time

from exporter.datatrove.throughput import HOUR_SECONDS, KEPT_HOURS, NOTHING, Hourly
from exporter.errors import StorageError
from exporter.storage.base import Path, Storage

_SAMPLES = 16
_JOBS = 1000


class Past:
    """Looks into the past of the jobs of one root. `look` is for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs_left = 0

    def begin(self) -> None:
        """A scan begins, after which others will follow: one that stays alone asks nothing."""
        with self._lock:
            self._jobs_left = _JOBS

    def look(self, storage: Storage, path: Path, tasks: int, last: float) -> Hourly | None:
        """About when all of so many tasks were completed, the last one at the Unix time `last`;
        None if that cannot be found out now."""
        if last <= time.time() - KEPT_HOURS * HOUR_SECONDS:
            return NOTHING
        if not self._may_look():
            return None
        samples = min(_SAMPLES, tasks)
        chosen = [at * tasks // samples for at in range(samples)]
        try:
            times = storage.marker_times(path, chosen)
        except StorageError:  # the scan of the job is not to fail of this
            return None
        known = [time_ns for time_ns in times if time_ns is not None]
        return Hourly.of_sample(known, tasks, time.time_ns()) if known else None

    def _may_look(self) -> bool:
        with self._lock:
            self._jobs_left -= 1
            return self._jobs_left >= 0
