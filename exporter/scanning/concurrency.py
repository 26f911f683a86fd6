"""Decides how many folders of one root are visited at the same time.

Storage that makes its callers wait is asked by all threads there are. Where a visit is a few
system calls of microseconds, as on a local disk, the interpreter lock is the limit: threads
that compete for it take several times as long as one, and waiting for it looks like waiting
for the storage. Two things tell them apart: the process is busy meanwhile, and the lock can
delay a visit only in proportion to the number of threads that hold it in turn. So how long
visits wait and how much processor time the whole process takes are measured over short
periods. No clock here: both come in as arguments, in seconds.
"""

_PERIOD_SECONDS = 0.05
_FEW_VISITS = 4  # fewer are no basis for a decision
_LONG_PERIOD_SECONDS = 0.1  # unless there are no more by then
_SLOW_VISIT_SECONDS = 0.002
_BUSY = 0.9  # of one processor
_LOCK_SECONDS = 0.005
# The delay that one other thread may cause: some system calls, each for as long as a thread
# may hold the interpreter lock.


class Concurrency:
    """The limit for one root, from measurements of its visits; used by one thread."""

    def __init__(self) -> None:
        self._limit = 1
        self.begin(0.0, 0.0)

    def begin(self, now: float, cpu: float) -> None:
        """Start to measure anew, as at the begin of a scan."""
        self._waited, self._worked, self._visits = 0.0, 0.0, 0
        self._began, self._cpu = now, cpu

    def visit_ended(self, waited: float, worked: float) -> None:
        """A visit is over; it spent so many seconds waiting and working."""
        self._waited += waited
        self._worked += worked
        self._visits += 1

    def limit(self, most: int, threads: int, now: float, cpu: float) -> int:
        """The number of visits to make at a time: up to `most`, while `threads` visit any root."""
        passed = now - self._began
        period = _PERIOD_SECONDS if self._visits >= _FEW_VISITS else _LONG_PERIOD_SECONDS
        if passed >= period and self._visits:
            waited = self._waited / self._visits
            if cpu - self._cpu < _BUSY * passed:
                # A visit that works for long also waits, for a processor.
                is_slow = waited > _SLOW_VISIT_SECONDS and self._waited > self._worked
                self._limit = most if is_slow else 1
            elif waited > _LOCK_SECONDS * max(1, threads):
                self._limit = 2 * self._limit
            else:
                self._limit = self._limit // 2
            self._limit = max(1, min(self._limit, most))
            self.begin(now, cpu)
        return min(self._limit, most)
