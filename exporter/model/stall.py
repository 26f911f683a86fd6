"""The state of a job that can be read, from its reading and its idle time. Pure. ``report``
tells which jobs are unreadable, and whether the idle time is known.

The alert rules say the same in PromQL, from the same facts:

* Idle is the time since the newest completion, or since the launch if that is later. It
  is known only while the last successful scan of the root is recent: old data says
  nothing about idleness.
* The threshold is a few times the longest wait since the launch, and not less than an
  hour. Before the first completion nothing is known of the job's pace: no threshold.
* A job is stalled once it is idle for longer than its threshold, except in its last
  tenth, where stragglers are normal; and in any case once it is idle for a day and for
  half the threshold. One that was launched and shows neither log nor marker is waiting,
  however long: a chain of Slurm jobs is launched all at once.

Measured on simulated and scripted jobs, the longest wait is the one statistic of a
job's waits that bursts of completions do not fool; mean, median and percentiles are.
"""

from typing import Literal, get_args

from exporter.config.settings import StallRule
from exporter.model.snapshot import Reading

State = Literal["unreadable", "stalled", "running", "waiting", "complete"]
STATES: tuple[State, ...] = get_args(State)
"""What needs attention first comes first."""

_LAST_TENTH = 0.9


def state_of(reading: Reading, idle_seconds: float | None, rule: StallRule) -> State:
    """The state of a job that can be read. `idle_seconds` is None where it is not known."""
    if reading.is_complete:
        return "complete"
    if not reading.started:
        return "waiting"
    if idle_seconds is None:
        return "running"
    threshold = stall_threshold_seconds(reading, rule)
    if idle_seconds > max(rule.long_after_seconds, (threshold or 0) / 2):
        return "stalled"
    in_last_tenth = reading.completion_ratio >= _LAST_TENTH
    if threshold is not None and idle_seconds > threshold and not in_last_tenth:
        return "stalled"
    return "running"


def stall_threshold_seconds(reading: Reading, rule: StallRule) -> float | None:
    """How long the job may go without a completion before that is strange; None before
    the first one since its launch."""
    longest = reading.longest_completion_gap_seconds
    return None if longest is None else max(rule.gap_factor * longest, rule.after_seconds)


def idle_seconds(reading: Reading, now: float) -> float | None:
    """Seconds since the newest completion, or since the launch if that is later; None
    where the storage tells no times."""
    launch, last = reading.launch_timestamp, reading.last_completion_timestamp
    since = max((time for time in (launch, last) if time is not None), default=None)
    return None if since is None else max(0.0, now - since)
