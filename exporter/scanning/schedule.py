"""When a root is due. No clock: monotonic times come in as arguments.

* The first scan is due at once, then one per interval, moved by up to 5 % so that many
  roots do not stay in step. It counts from when the last one was due, so the schedule does
  not drift; intervals that were missed altogether (a suspended machine) are not made up
  for.
* A root whose storage fails scan after scan is left alone for longer: after the second
  failure in a row for two intervals, then four, then eight, but never for more than
  `_LONGEST_WAIT_SECONDS` unless the interval itself is longer. These waits are moved by up
  to 25 %: roots on the same server fail together and must not come back together.
  The first scan that succeeds ends it.
"""

import random

_JITTER = 0.05
_BACKOFF_JITTER = 0.25
_MOST_INTERVALS = 8
_LONGEST_WAIT_SECONDS = 600.0


class Schedule:
    """Due at `now`, then every `interval_seconds`."""

    def __init__(self, interval_seconds: float, now: float) -> None:
        self._interval = interval_seconds
        self._failures = 0
        self.due = now
        """When the next scan is due."""

    @property
    def backoff_seconds(self) -> float:
        """How much longer than the interval a root that fails is left alone."""
        intervals = min(_MOST_INTERVALS, 2 ** min(self._failures - 1, 10)) if self._failures else 1
        wait = min(intervals * self._interval, max(self._interval, _LONGEST_WAIT_SECONDS))
        return wait - self._interval

    def began(self, now: float) -> None:
        """The scan that was due begins, or is skipped: the next is due an interval later."""
        wait = self._interval * _moved(_JITTER)
        self.due = self.due + wait if self.due + wait > now else now + wait

    def ended(self, *, failing: bool) -> None:
        """A scan ended; `failing` if its storage should be left alone for a while."""
        self._failures = self._failures + 1 if failing else 0
        self.due += self.backoff_seconds * _moved(_BACKOFF_JITTER)


def _moved(share: float) -> float:
    return random.uniform(1 - share, 1 + share)  # noqa: S311 - no secret
