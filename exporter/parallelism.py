"""How many folders of one root to visit at a time.

A storage that makes one wait is asked by as many threads as there are. Where visits are
system calls of microseconds, as on a local disk, the interpreter lock is the limit, and
threads that fight for it take several times as long as one. To wait for that lock looks
like waiting for the storage; what tells them apart is that the process is busy then.

So it is measured, a moment at a time: how long visits waited, and how much processor time
the whole process took. No clock here: both come in as arguments, in seconds.
"""

_MOMENT_SECONDS = 0.05
_SLOW_VISIT_SECONDS = 0.002
_BUSY = 0.9
# of one processor: then more threads gain nothing, whatever they wait for.


class Parallelism:
    """Decides for one root, from what its visits were like; used by one thread."""

    def __init__(self) -> None:
        self._width = 1
        self._waited = 0.0
        self._visits = 0
        self._began = self._cpu = 0.0

    def begin(self, now: float, cpu: float) -> None:
        """A scan begins; what was between it and the last one does not matter."""
        self._waited, self._visits = 0.0, 0
        self._began, self._cpu = now, cpu

    def visit_ended(self, waited: float) -> None:
        """A visit is over, and spent so long waiting and not working."""
        self._waited += waited
        self._visits += 1

    def width(self, most: int, now: float, cpu: float) -> int:
        """How many visits to make at a time, up to `most`."""
        passed = now - self._began
        if passed >= _MOMENT_SECONDS and self._visits:
            if cpu - self._cpu >= _BUSY * passed:
                self._width = max(1, min(self._width, most) // 2)
            else:
                is_slow = self._waited > _SLOW_VISIT_SECONDS * self._visits
                self._width = most if is_slow else 1
            self.begin(now, cpu)
        return min(self._width, most)
