"""The schedule of one root's scans, with jitter and backoff.

No clock: monotonic times come in as arguments.

* The first scan is due at once, then one per interval, with a jitter of 5 % so that many
  roots do not stay in step. The interval counts from when the last scan was due, so the
  schedule does not drift. Intervals that were missed altogether (a suspended machine) are
  not made up for.
* Backoff: after the second failure in a row a root waits two intervals, then four, then eight,
  but never more than `_LONGEST_WAIT_SECONDS` unless the interval itself is longer. The jitter
  is 25 % then: roots on the same server fail together and must not come back together. The
  first scan that succeeds ends the backoff.
"""

import random

_JITTER = 0.05
_BACKOFF_JITTER = 0.25
_MOST_INTERVALS = 8
_LONGEST_WAIT_SECONDS = 600.0


class Schedule:
    """The first scan is due at `now`, then one every `interval_seconds`."""

    def __init__(self, interval_seconds: float, now: float) -> None:
        self.due = now
        """Time of the next scan (monotonic); infinity if there is none."""
        self._interval = interval_seconds
        self._failures = 0

    @property
    def backoff_seconds(self) -> float:
        """Seconds for which a root that fails is left alone beyond its interval."""
        intervals = min(_MOST_INTERVALS, 2 ** min(self._failures - 1, 10)) if self._failures else 1
        wait = min(intervals * self._interval, max(self._interval, _LONGEST_WAIT_SECONDS))
        return wait - self._interval

    def change(self, due: float) -> None:
        """Have the next scan due at that time, or none at infinity, whatever the schedule says."""
        self.due = due

    def began(self, now: float) -> None:
        """The scan that was due begins, or is skipped: the next is due an interval later."""
        wait = self._interval * _jitter(_JITTER)
        self.due = self.due + wait if self.due + wait > now else now + wait

    def ended(self, *, failing: bool) -> None:
        """A scan ended; `failing` if its storage should be left alone for a while."""
        self._failures = self._failures + 1 if failing else 0
        self.due += self.backoff_seconds * _jitter(_BACKOFF_JITTER)


def _jitter(spread: float) -> float:
    """A random factor around 1."""
    return random.uniform(1 - spread, 1 + spread)  # noqa: S311 - no secret
