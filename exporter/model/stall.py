"""The state of a job, from what a scan found and the time of that scan. Pure.

It is decided once for each scan, and everything that is shown or published of a job says
the same, the alerts too. The first that fits:

* Unreadable: the scan could not read the job.
* Complete: every rank is done. Where the launch repeats completed tasks, by this launch.
* Abandoned: no sign of life for a week (``abandoned_after``). One is a completion, a write to a
  log, or a launch.
* Failed: its logs tell that nothing of this launch can finish it.
* Stalled, by its own pace or by silence, and not while any of its logs was written within an hour
  (``stalled_after``):

  - idle for longer than a few times its longest wait so far, and for at least an hour. In its last
    tenth, where stragglers are normal, it is given four times that, and at least eight hours;
  - before its first completion, when nothing is known of its pace: a day after its start;
  - where logs show while tasks run, silent for longer than a few times the longest silence of one
    log, and for at least an hour; for a day while that is not known. Then silence takes the place
    of the day after the start.

  However slow it is: after six sevenths of ``abandoned_after``. So nobody is told first that a
  job was given up.

* Waiting: nothing was seen of this launch but the launch itself, however long: a chain of
  Slurm jobs is launched all at once. Not so for a local executor, which starts at once.
* Running: else.

A job begins when it leaves its queue, not when it was launched. While that time is not
known, neither is how long it has been idle before its first completion.

Measured on simulated and scripted jobs, the longest wait is the one statistic of a
job's waits that bursts of completions do not fool; mean, median and percentiles are.
"""

from dataclasses import dataclass, replace

from exporter.config.settings import RootConfig, StallRule
from exporter.model.job import Job, Reading
from exporter.model.pause import Stretch, longest_wait_seconds
from exporter.model.state import State

_LAST_TENTH = 0.1


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a scan knows of all jobs of a root together: the stretches in which the whole cluster
    paused; and when the root was read again after nobody could read it for so long that what was
    known was old, None if that never was. Jobs may have had no storage, either: for
    ``stalled_after`` from then on none of them is newly called stalled."""

    pauses: tuple[Stretch, ...] = ()
    read_again_at: float | None = None


ORDINARY = Circumstances()


def with_state(
    job: Job, config: RootConfig, now: float, circumstances: Circumstances = ORDINARY
) -> Job:
    """The job in the state that a scan at `now` found it in (Unix time); the very same
    object if that is the one it has, or if the scan did not get to it."""
    if job.as_of is not None:
        return job
    state, threshold = "unreadable", None
    if job.error is None and job.reading is not None:
        threshold = stall_threshold_seconds(job.reading, config, circumstances.pauses)
        state = _state_of(job.reading, threshold, config, now)
        again = circumstances.read_again_at
        if again is not None and now - again < config.stall.after_seconds and state == "stalled":
            state = job.state if job.state in ("stalled", "waiting") else "running"
    is_same = job.state == state and job.stall_threshold_seconds == threshold
    return job if is_same else replace(job, state=state, stall_threshold_seconds=threshold)


def _state_of(reading: Reading, threshold: float | None, config: RootConfig, now: float) -> State:
    if reading.is_complete:
        return "complete"
    if _is_abandoned(reading, config.abandoned_after_seconds, now):
        return "abandoned"
    if reading.needs_relaunch:
        return "failed"
    if _is_stalled(reading, threshold, config, now):
        return "stalled"
    return "waiting" if _is_waiting(reading, config.stall, now) else "running"


def _is_abandoned(reading: Reading, after_seconds: float, now: float) -> bool:
    last = last_sign_of_life(reading)
    return last is not None and now - last >= after_seconds


def _is_stalled(reading: Reading, threshold: float | None, config: RootConfig, now: float) -> bool:
    logs = reading.logs
    last_write = logs.last_write if logs is not None else None
    if last_write is not None and now - last_write <= config.stall.after_seconds:
        return False
    return is_idle(idle_seconds(reading, now), threshold) or _is_silent(reading, config, now)


def is_idle(idle: float | None, threshold: float | None) -> bool:
    """A job went without a completion for longer than is to be expected, both in seconds. False
    where either is unknown: only the silence of its logs can tell that it is stalled."""
    return idle is not None and threshold is not None and idle > threshold


def _is_silent(reading: Reading, config: RootConfig, now: float) -> bool:
    """Tasks run whose logs show while they do, and none was written for too long."""
    logs, rule = reading.logs, config.stall
    if logs is None or not logs.tasks.is_live or logs.last_open_write is None:
        return False
    limit = rule.long_after_seconds
    if logs.longest_gap_seconds is not None:
        limit = max(rule.gap_factor * logs.longest_gap_seconds, rule.after_seconds)
    return now - logs.last_open_write > min(limit, _latest_seconds(config))


def _is_waiting(reading: Reading, rule: StallRule, now: float) -> bool:
    launch, logs = reading.launch_timestamp, reading.logs
    has_sign = reading.tasks_completed_since_launch != 0
    has_sign = has_sign or (logs is not None and logs.last_write is not None)
    if reading.executor == "local":
        is_new = launch is None or now - launch <= rule.after_seconds
        has_sign = has_sign or not reading.tasks_completed
        return is_new and (not reading.started or not has_sign)
    return not reading.started or not (has_sign or reading.start_timestamp is not None)


def _latest_seconds(config: RootConfig) -> float:
    return config.abandoned_after_seconds * 6 / 7


def stall_threshold_seconds(
    reading: Reading, config: RootConfig, pauses: tuple[Stretch, ...] = ()
) -> float | None:
    """How long the job may go without a completion before that is strange; None where nothing
    but the silence of its logs can tell that yet."""
    rule, longest = config.stall, longest_wait_seconds(reading, pauses)
    if longest is None:
        if reading.logs is not None and reading.logs.tasks.is_live:
            return None
        threshold = rule.long_after_seconds
    else:
        threshold = max(rule.gap_factor * longest, rule.after_seconds)
        if reading.tasks_left <= _LAST_TENTH * reading.tasks:
            threshold = max(rule.tail_factor * threshold, rule.tail_after_seconds)
    return min(threshold, _latest_seconds(config))


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
    """Unix time of the newest completion, write to a log, start or launch; None where none is
    known, or when a completion came is not."""
    if reading.last_completion_timestamp is None and reading.tasks_completed:
        return None
    last_write = reading.logs.last_write if reading.logs is not None else None
    times = (reading.launch_timestamp, reading.last_completion_timestamp, reading.start_timestamp)
    return max((time for time in (*times, last_write) if time is not None), default=None)
