"""The state of a job, from what a scan found and the time of that scan. Pure.

It is decided once for each scan, and everything that is shown or published of a job says
the same. The first that fits:

* Unreadable: the scan could not read the job.
* Complete: every rank is done. Where the launch repeats completed tasks, by this launch.
* Abandoned: no completion and no launch for a week (``abandoned_after``).
* Failed: its logs tell that nothing of this launch can finish it.
* Stalled: idle for longer than its threshold, except in its last tenth, where stragglers are
  normal; and in any case once it is idle for a day and for half the threshold. Idle is the
  time since the launch's newest completion, before the first one since its start. The
  threshold is a few times the longest wait so far, and not less than an hour; before the
  first completion nothing is known of the job's pace, and there is none.
* Waiting: nothing was seen of this launch but the launch itself, however long: a chain of
  Slurm jobs is launched all at once. Not so for a local executor, which starts at once.
* Running: else.

A job begins when it leaves its queue, not when it was launched. While that time is not
known, neither is how long it has been idle before its first completion.

Measured on simulated and scripted jobs, the longest wait is the one statistic of a
job's waits that bursts of completions do not fool; mean, median and percentiles are.
"""

from dataclasses import replace

from exporter.config.settings import RootConfig, StallRule
from exporter.model.snapshot import Job, Reading
from exporter.model.state import State

_LAST_TENTH = 0.1


def with_state(job: Job, config: RootConfig, now: float) -> Job:
    """The job in the state that a scan at `now` found it in (Unix time); the very same
    object if that is the one it has, or if the scan did not get to it."""
    if job.as_of is not None:
        return job
    if job.error is not None or job.reading is None:
        state = "unreadable"
    else:
        state = state_of(job.reading, config, now)
    return job if state == job.state else replace(job, state=state)


def state_of(reading: Reading, config: RootConfig, now: float) -> State:
    """The state of a job that could be read."""
    if reading.is_complete:
        return "complete"
    if _is_abandoned(reading, config.abandoned_after_seconds, now):
        return "abandoned"
    if reading.needs_relaunch:
        return "failed"
    if _is_stalled(reading, config.stall, now):
        return "stalled"
    return "waiting" if _is_waiting(reading, config.stall, now) else "running"


def _is_abandoned(reading: Reading, after_seconds: float, now: float) -> bool:
    last = last_sign_of_life(reading)
    return last is not None and now - last >= after_seconds


def _is_stalled(reading: Reading, rule: StallRule, now: float) -> bool:
    idle = idle_seconds(reading, now)
    if idle is None:
        return False
    threshold = stall_threshold_seconds(reading, rule)
    if idle > max(rule.long_after_seconds, (threshold or 0) / 2):
        return True
    in_last_tenth = reading.tasks_left <= _LAST_TENTH * reading.tasks
    return threshold is not None and idle > threshold and not in_last_tenth


def _is_waiting(reading: Reading, rule: StallRule, now: float) -> bool:
    launch = reading.launch_timestamp
    if reading.executor == "local":
        is_new = launch is None or now - launch <= rule.after_seconds
        has_new_marker = reading.tasks_completed_since_launch != 0
        has_sign = has_new_marker or not reading.tasks_completed
        return is_new and (not reading.started or not has_sign)
    has_sign = reading.start_timestamp is not None or reading.tasks_completed_since_launch != 0
    return not reading.started or not has_sign


def stall_threshold_seconds(reading: Reading, rule: StallRule) -> float | None:
    """How long the job may go without a completion before that is strange; None before
    the first one since its launch."""
    longest = reading.longest_completion_gap_seconds
    return None if longest is None else max(rule.gap_factor * longest, rule.after_seconds)


def idle_seconds(reading: Reading, now: float) -> float | None:
    """Seconds since the launch's newest completion or its start, whichever is later; None
    where neither is known, or when a completion came is not."""
    launch, last = reading.launch_timestamp, reading.last_completion_timestamp
    if last is None and reading.tasks_completed:
        return None
    if last is not None and launch is not None and last < launch:
        last = None
    start = reading.start_timestamp
    since = max((time for time in (start, last) if time is not None), default=None)
    return None if since is None else max(0.0, now - since)


def last_sign_of_life(reading: Reading) -> float | None:
    """Unix time of the newest completion, start or launch; None where none is known, or when a
    completion came is not."""
    if reading.last_completion_timestamp is None and reading.tasks_completed:
        return None
    times = (reading.launch_timestamp, reading.last_completion_timestamp, reading.start_timestamp)
    return max((time for time in times if time is not None), default=None)
