"""How much a scan of one root may spend on logs, all its jobs together.

Each limit is for one scan. A limit that was too low for all delays what is looked at and hides
nothing: what was left is counted, and later scans come to it.
"""

import math
import threading
from dataclasses import dataclass

from exporter.scanning.discovery import number_of
from exporter.storage.base import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """Files that a scan may read of one job and of all, and those of all that it may ask for
    their status; completed tasks from whose logs it may learn how long tasks take."""

    reads_of_job: int
    reads: int
    stats: int = 5000
    learned: int = 200


OF_LOCAL = Limits(50, 500)
OF_REMOTE = Limits(20, 100)


class Budget:
    """What is left of the limits in this scan. For any thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._scan = 0
        self._asked_stats = self._asked_reads = 0
        self._stats_share = self._reads_share = 1
        self._renew()

    def _renew(self) -> None:
        self._reads, self._stats = self.limits.reads, self.limits.stats
        self._learned = self.limits.learned

    def begin(self) -> None:
        """A scan begins."""
        with self._lock:
            self._stats_share = max(1, math.ceil(self._asked_stats / self.limits.stats))
            self._reads_share = max(1, math.ceil(self._asked_reads / self.limits.reads))
            self._scan += 1
            self._asked_stats = self._asked_reads = 0
            self._renew()

    def reads(self, wanted: int, path: Path) -> int:
        """How many of so many files of this job may be read."""
        with self._lock:
            wanted = min(wanted, self.limits.reads_of_job)
            self._asked_reads += wanted
            granted = min(wanted, self._reads) if self._is_turn(path, self._reads_share) else 0
            self._reads -= granted
            return granted

    def stats(self, wanted: int, path: Path) -> int:
        """How many of so many files of this job may be asked for their status."""
        with self._lock:
            self._asked_stats += wanted
            granted = min(wanted, self._stats) if self._is_turn(path, self._stats_share) else 0
            self._stats -= granted
            return granted

    def _is_turn(self, path: Path, share: int) -> bool:
        """Where all jobs together asked for more than there is, they take turns."""
        if share == 1:
            return True
        return (number_of(path) + self._scan) % share == 0

    def learned(self, wanted: int) -> int:
        """Of how many of so many completed tasks the log may be read."""
        with self._lock:
            granted = min(wanted, self._learned)
            self._learned -= granted
            return granted
