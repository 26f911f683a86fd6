"""How much a scan of one root may spend on logs, all its jobs together.

Each limit is for one scan. A limit that was too low for all delays what is looked at and hides
nothing: what was left is counted, and later scans come to it.
"""

import math
import threading
import zlib
from dataclasses import dataclass

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
        self._asked = 0
        self._share = 1
        self._renew()

    def _renew(self) -> None:
        self._reads, self._stats = self.limits.reads, self.limits.stats
        self._learned = self.limits.learned

    def begin(self) -> None:
        """A scan begins."""
        with self._lock:
            self._share = max(1, math.ceil(self._asked / self.limits.stats))
            self._scan += 1
            self._asked = 0
            self._renew()

    def is_turn(self, path: Path) -> bool:
        """Whether the logs of this job may be looked at in this scan. Where all jobs together
        ask for more than there is, they take turns."""
        with self._lock:
            if self._share == 1:
                return True
            number = zlib.crc32("/".join(path).encode("utf-8", "surrogateescape"))
            return (number + self._scan) % self._share == 0

    def reads(self, wanted: int) -> int:
        """How many of so many files may be read, of one job."""
        with self._lock:
            granted = min(wanted, self.limits.reads_of_job, self._reads)
            self._reads -= granted
            return granted

    def stats(self, wanted: int, *, is_turn: bool = True) -> int:
        """How many of so many files may be asked for their status."""
        with self._lock:
            self._asked += wanted
            granted = min(wanted, self._stats) if is_turn else 0
            self._stats -= granted
            return granted

    def learned(self, wanted: int) -> int:
        """Of how many of so many completed tasks the log may be read."""
        with self._lock:
            granted = min(wanted, self._learned)
            self._learned -= granted
            return granted
