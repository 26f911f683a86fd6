"""How many folders of one root to visit at a time.

A storage that makes one wait is asked by as many threads as there are. Where visits are
system calls of microseconds, as on a local disk, the interpreter lock is the limit, and
threads that fight for it take several times as long as one. To wait for that lock looks
like waiting for the storage. What tells them apart: the process is busy then, and how long
the lock can keep a visit waiting follows from how many threads there are to wait for.

So it is measured, a moment at a time: how long visits waited, and how much processor time
the whole process took. No clock here: both come in as arguments, in seconds.
"""

_MOMENT_SECONDS = 0.05
_FEW_VISITS = 4  # are no basis for a judgement
_LONG_MOMENT_SECONDS = 0.1  # unless there are no more
_SLOW_VISIT_SECONDS = 0.002
_BUSY = 0.9  # of one processor
_LOCK_SECONDS = 0.005
# What one other thread may keep a visit waiting: some system calls, each for as long as a
# thread may hold the interpreter lock.


class Concurrency:
    """Decides for one root, from what its visits were like; used by one thread."""

    def __init__(self) -> None:
        self._limit = 1
        self._waited = self._worked = 0.0
        self._visits = 0
        self._began = self._cpu = 0.0

    def begin(self, now: float, cpu: float) -> None:
        """A scan begins; what was between it and the last one does not matter."""
        self._waited, self._worked, self._visits = 0.0, 0.0, 0
        self._began, self._cpu = now, cpu

    def visit_ended(self, waited: float, worked: float) -> None:
        """A visit is over, and spent so long waiting and so long working."""
        self._waited += waited
        self._worked += worked
        self._visits += 1

    def limit(self, most: int, threads: int, now: float, cpu: float) -> int:
        """How many visits to make at a time, up to `most`, while `threads` visit any root."""
        passed = now - self._began
        moment = _MOMENT_SECONDS if self._visits >= _FEW_VISITS else _LONG_MOMENT_SECONDS
        if passed >= moment and self._visits:
            waited = self._waited / self._visits
            if cpu - self._cpu < _BUSY * passed:
                # One who works for long also waits, for a processor.
                is_slow = waited > _SLOW_VISIT_SECONDS and self._waited > self._worked
                self._limit = most if is_slow else 1
            elif waited > _LOCK_SECONDS * max(1, threads):
                self._limit = 2 * self._limit
            else:
                self._limit = self._limit // 2
            self._limit = max(1, min(self._limit, most))
            self.begin(now, cpu)
        return min(self._limit, most)
