"""When a job is stalled, and which other states there are."""

from array import array
from dataclasses import replace

import pytest
from support.snapshots.readings import (
    DAY,
    HOUR,
    NOW,
    UNDER_WAY,
    a_job,
    completed,
    nothing_completed,
    row_of,
)

from exporter.config.settings import RootConfig, StallRule
from exporter.datatrove.pace import Waits
from exporter.datatrove.task_state import OpenTasks
from exporter.model.job import Job, Logs, Reading
from exporter.model.snapshot import Totals
from exporter.model.stall import Circumstances, with_state


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (replace(UNDER_WAY, tasks_completed=100), "complete"),
        (nothing_completed(launched=60, started=False), "waiting"),
        (nothing_completed(launched=6 * DAY, started=False), "waiting"),
        # Launched again an hour ago, and nothing but the launch was seen since.
        (nothing_completed(launched=HOUR, started=False, inherited=40), "waiting"),
        # Its logs are older than its launch.
        (replace(nothing_completed(launched=HOUR, started=False), started=True), "waiting"),
        # Two days in a queue are no stall.
        (nothing_completed(launched=2 * DAY, started=False, inherited=40), "waiting"),
        (replace(completed(40, ago=60, launched=2 * DAY, gap=30), start_timestamp=None), "running"),
        (nothing_completed(launched=60, started=True), "running"),
        (nothing_completed(launched=DAY - 1, started=True), "running"),
        (nothing_completed(launched=DAY + 1, started=True), "stalled"),
        # Launched again an hour ago; what was completed days before says nothing.
        (nothing_completed(launched=HOUR, started=True, inherited=40), "running"),
        (nothing_completed(launched=DAY + 1, started=True, inherited=95), "stalled"),
        # Short waits so far: an hour all the same.
        (completed(40, ago=HOUR - 1, gap=30), "running"),
        (completed(40, ago=HOUR + 1, gap=30), "stalled"),
        # Long waits so far: three times the longest.
        (completed(40, ago=6 * HOUR - 1, gap=2 * HOUR), "running"),
        (completed(40, ago=6 * HOUR + 1, gap=2 * HOUR), "stalled"),
        # The last tenth has stragglers.
        (completed(89, ago=2 * HOUR, gap=30), "stalled"),
        (completed(90, ago=2 * HOUR, gap=30), "running"),
        (completed(99, ago=8 * HOUR - 1, launched=2 * DAY, gap=30), "running"),
        (completed(99, ago=8 * HOUR + 1, launched=2 * DAY, gap=30), "stalled"),
        # Four times what it is given before, where that is more.
        (completed(99, ago=24 * HOUR - 1, launched=9 * DAY, gap=2 * HOUR), "running"),
        (completed(99, ago=24 * HOUR + 1, launched=9 * DAY, gap=2 * HOUR), "stalled"),
        # Waits of 10 hours are this job's way: a day is not long.
        (completed(40, ago=DAY + 1, launched=9 * DAY, gap=10 * HOUR), "running"),
        # No sign of life for a week: no completion, no start, no launch.
        (completed(40, ago=7 * DAY, launched=9 * DAY, gap=30), "abandoned"),
        (completed(40, ago=7 * DAY - 1, launched=9 * DAY, gap=30), "stalled"),
        (completed(100, ago=70 * DAY, launched=90 * DAY, gap=30), "complete"),
        (nothing_completed(launched=7 * DAY, started=False), "abandoned"),
        (nothing_completed(launched=6 * DAY, started=False, inherited=40), "waiting"),
        (
            replace(nothing_completed(launched=9 * DAY, started=True), start_timestamp=NOW),
            "running",
        ),
        # Markers written ahead of our clock.
        (completed(40, ago=-2 * DAY, gap=30), "running"),
        # Storage that tells no times.
        (
            replace(
                UNDER_WAY,
                tasks_completed_since_launch=None,
                launch_timestamp=None,
                start_timestamp=None,
                last_completion_timestamp=None,
                longest_completion_gap_seconds=None,
            ),
            "running",
        ),
    ],
)
def test_a_job_has_the_state_that_its_facts_mean(reading: Reading, state: str) -> None:
    assert row_of(reading).state == state


@pytest.mark.parametrize("reading", [None, UNDER_WAY, replace(UNDER_WAY, tasks_completed=100)])
def test_a_job_that_cannot_be_read_is_unreadable_whatever_it_was(reading: Reading | None) -> None:
    row = row_of(reading, "denied")
    assert (row.state, row.error, row.idle_seconds) == ("unreadable", "denied", None)
    assert (row.remaining_seconds, row.stall_threshold_seconds) == (None, None)
    assert row.reading == reading


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (nothing_completed(launched=HOUR, started=False), "waiting"),
        (nothing_completed(launched=HOUR + 1, started=False), "running"),
        (nothing_completed(launched=DAY + 1, started=False), "stalled"),
        # Markers from before are no sign of life of this launch.
        (nothing_completed(launched=60, started=False, inherited=40), "waiting"),
        (nothing_completed(launched=HOUR + 1, started=False, inherited=40), "running"),
        (nothing_completed(launched=DAY + 1, started=False, inherited=40), "stalled"),
    ],
)
def test_a_local_executor_waits_in_no_queue(reading: Reading, state: str) -> None:
    """Its start is its launch."""
    local = replace(reading, executor="local", start_timestamp=reading.launch_timestamp)
    assert row_of(local).state == state


@pytest.mark.parametrize(
    ("since_launch", "state", "left"),
    [(100, "complete", 0), (99, "running", 1), (0, "waiting", 100), (None, "complete", 0)],
)
def test_a_launch_that_repeats_completed_tasks_is_complete_when_it_has_done_them_all(
    since_launch: int | None, state: str, left: int
) -> None:
    """Where no times are known, markers are all there is to go by."""
    reading = replace(
        UNDER_WAY,
        tasks_completed=100,
        tasks_completed_since_launch=since_launch,
        repeats_completed=True,
        start_timestamp=UNDER_WAY.start_timestamp if since_launch else None,
    )
    row = row_of(reading)
    assert (row.state, reading.tasks_left) == (state, left)
    assert row.is_complete == (state == "complete")
    assert Totals.of_jobs([row.job]).jobs_completed == row.is_complete
    assert row_of(replace(reading, repeats_completed=False)).state == "complete"


def test_a_dead_launch_that_repeats_completed_tasks_is_stalled() -> None:
    reading = replace(
        completed(40, ago=2 * HOUR, gap=30), tasks_completed=100, repeats_completed=True
    )
    row = row_of(reading)
    assert row.state == "stalled"
    running = row_of(replace(reading, last_completion_timestamp=NOW - 60))
    assert running.remaining_seconds == pytest.approx(60 * (10 * HOUR - 60) / 40 - 60)


def test_a_job_is_the_very_same_object_while_its_state_does_not_change() -> None:
    config = RootConfig("r", "/r", abandoned_after_seconds=DAY)
    job = a_job(reading=completed(40, ago=60, gap=30))
    assert with_state(job, config, NOW) is job
    assert with_state(job, config, NOW + HOUR / 2) is job
    stalled = with_state(job, config, NOW + 2 * HOUR)
    assert stalled == replace(job, state="stalled")
    assert with_state(stalled, config, NOW + 3 * HOUR) is stalled
    assert with_state(stalled, config, NOW + DAY).state == "abandoned"


SLOW = completed(95, ago=6 * DAY, launched=30 * DAY, gap=15 * HOUR)
"""In its last tenth it may be idle for 180 hours by its own pace, and is abandoned after 168."""


@pytest.mark.parametrize(
    "reading",
    [
        SLOW,
        replace(SLOW, tasks_completed=40, longest_completion_gap_seconds=60 * HOUR),
        replace(
            SLOW,
            logs=Logs(
                OpenTasks({}, {}, 5, "waiting", False), NOW - 6 * DAY, NOW - 6 * DAY, 60 * HOUR
            ),
        ),
    ],
    ids=["last-tenth", "pace", "silence"],
)
def test_a_job_is_called_stalled_before_it_is_abandoned_whatever_its_pace(reading: Reading) -> None:
    config, job = RootConfig("r", "/r"), Job("j", reading)
    assert with_state(job, config, NOW).state == "running"
    assert with_state(job, config, NOW + 1).state == "stalled"
    assert with_state(job, config, NOW + DAY - 1).state == "stalled"
    assert with_state(job, config, NOW + DAY).state == "abandoned"
    patient = RootConfig("r", "/r", abandoned_after_seconds=70 * DAY)
    assert with_state(job, patient, NOW + 1).state == "running"


def test_before_its_first_completion_a_job_is_called_stalled_before_it_is_abandoned() -> None:
    rule = StallRule(long_after_seconds=30 * DAY)
    config = RootConfig("r", "/r", stall=rule)
    job = Job("j", nothing_completed(launched=6 * DAY, started=True))
    assert with_state(job, config, NOW).state == "running"
    stalled = with_state(job, config, NOW + 1)
    assert (stalled.state, stalled.stall_threshold_seconds) == ("stalled", 6 * DAY)


def test_the_thresholds_are_those_of_the_root() -> None:
    reading = completed(40, ago=2 * HOUR, gap=HOUR)
    assert row_of(reading).state == "running"
    assert row_of(reading).stall_threshold_seconds == 3 * HOUR
    assert row_of(reading, stall=StallRule(HOUR, 1.5, DAY)).state == "stalled"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).state == "running"
    assert row_of(reading, stall=StallRule(5 * HOUR, 1.5, DAY)).stall_threshold_seconds == 5 * HOUR
    last = completed(95, ago=2 * HOUR, gap=HOUR)
    assert row_of(last).stall_threshold_seconds == 12 * HOUR
    assert row_of(last, stall=StallRule(tail_factor=10.0)).stall_threshold_seconds == 30 * HOUR
    long = StallRule(tail_after_seconds=2 * DAY)
    assert row_of(last, stall=long).stall_threshold_seconds == 2 * DAY
    queued = nothing_completed(launched=2 * HOUR, started=True)
    assert row_of(queued).stall_threshold_seconds == DAY
    assert row_of(queued, stall=StallRule(60.0, 3.0, 90 * 60.0)).state == "stalled"


def test_a_job_of_which_nobody_knows_when_it_completed_a_task_is_neither_idle_nor_abandoned() -> (
    None
):
    """Some of its markers have no time, so any of them may be new."""
    known = nothing_completed(launched=8 * DAY, started=True, inherited=40)
    assert row_of(known).state == "abandoned"
    unknown = replace(known, last_completion_timestamp=None, tasks_completed_since_launch=None)
    assert row_of(unknown).state == "running"
    assert row_of(unknown).idle_seconds is None


def logs(
    *, write: float | None, open_write: float | None = None, gap: float | None = None, live: bool
) -> Logs:
    """Logs of a launch: how long ago one was written, and one of a task that runs; the longest
    time between two writes."""
    others = OpenTasks({}, {}, 60, "waiting" if live else "unseen", False, is_live=live)
    last, last_open = (None if ago is None else NOW - ago for ago in (write, open_write))
    return Logs(others, last, last_open, gap)


IDLE = completed(40, ago=5 * HOUR, gap=30)
TAIL = completed(95, ago=5 * HOUR, gap=30)
NEW = nothing_completed(launched=30 * HOUR, started=True)


@pytest.mark.parametrize(
    ("reading", "seen", "state"),
    [
        # Idle, but a log was written within the hour; live or not.
        (IDLE, logs(write=HOUR, open_write=HOUR, live=True), "running"),
        (IDLE, logs(write=HOUR, live=False), "running"),
        (IDLE, logs(write=HOUR + 1, live=False), "stalled"),
        (IDLE, logs(write=HOUR + 1, open_write=HOUR + 1, live=True), "stalled"),
        # Somebody else's log was written: that of a task that is done.
        (TAIL, logs(write=60, open_write=DAY, gap=60, live=True), "running"),
        # Silent for longer than an hour and than three times the longest silence, also in the
        # last tenth and before the first completion.
        (TAIL, logs(write=HOUR + 1, open_write=HOUR + 1, gap=60, live=True), "stalled"),
        (TAIL, logs(write=2 * HOUR, open_write=2 * HOUR, gap=HOUR, live=True), "running"),
        (TAIL, logs(write=3 * HOUR + 1, open_write=3 * HOUR + 1, gap=HOUR, live=True), "stalled"),
        (NEW, logs(write=HOUR + 1, open_write=HOUR + 1, gap=60, live=True), "stalled"),
        # The longest silence is not known yet: a day.
        (TAIL, logs(write=5 * HOUR, open_write=5 * HOUR, live=True), "running"),
        (NEW, logs(write=DAY, open_write=DAY, live=True), "running"),
        (NEW, logs(write=DAY + 1, open_write=DAY + 1, live=True), "stalled"),
        # Where logs show while tasks run, a day after the start alone proves nothing.
        (NEW, logs(write=2 * HOUR, open_write=2 * HOUR, gap=HOUR, live=True), "running"),
        (NEW, logs(write=60, open_write=60, live=True), "running"),
        (NEW, logs(write=None, live=False), "stalled"),
        # Nothing runs, so nothing is silent: what is left waits in a queue.
        (NEW, logs(write=5 * HOUR, gap=60, live=True), "running"),
        # Logs that show only when they are closed tell of no silence.
        (TAIL, logs(write=5 * HOUR, open_write=5 * HOUR, gap=60, live=False), "running"),
    ],
)
def test_logs_veto_a_stall_and_their_silence_is_one(
    reading: Reading, seen: Logs, state: str
) -> None:
    assert row_of(replace(reading, logs=seen)).state == state


def test_a_write_to_a_log_is_a_sign_of_life() -> None:
    old = completed(40, ago=8 * DAY, launched=9 * DAY, gap=30)
    assert row_of(old).state == "abandoned"
    assert row_of(replace(old, logs=logs(write=60, live=True))).state == "running"
    queued = nothing_completed(launched=HOUR, started=False)
    queued = replace(queued, started=True)
    assert row_of(queued).state == "waiting"
    assert row_of(replace(queued, logs=logs(write=60, live=True))).state == "running"


def test_a_job_that_only_the_silence_of_its_logs_can_judge_has_no_threshold() -> None:
    seen = logs(write=60, open_write=60, live=True)
    assert row_of(replace(NEW, logs=seen)).stall_threshold_seconds is None


def test_a_launch_that_cannot_finish_its_job_is_failed_before_it_is_stalled() -> None:
    assert row_of(replace(IDLE, needs_relaunch=True)).state == "failed"
    old = completed(40, ago=8 * DAY, launched=9 * DAY, gap=30)
    assert row_of(replace(old, needs_relaunch=True)).state == "abandoned"


def test_after_storage_came_back_jobs_are_given_an_hour() -> None:
    """They may have had no storage, either."""
    config, back = RootConfig("r", "/r"), Circumstances(read_again_at=NOW - HOUR + 1)
    job = with_state(Job("j", IDLE), config, NOW, back)
    assert job.state == "running"
    assert with_state(job, config, NOW + 1, back).state == "stalled"
    # One that was stalled before is so still.
    before = Job("j", IDLE, state="stalled")
    assert with_state(before, config, NOW, back).state == "stalled"


def test_a_pause_of_the_whole_cluster_is_not_the_pace_of_a_job() -> None:
    pause = (NOW - 20 * HOUR, NOW - 8 * HOUR)
    times = array("d", (NOW - 21 * HOUR, NOW - 7 * HOUR))
    reading = completed(40, ago=6 * HOUR + 1, launched=DAY, gap=14 * HOUR)
    reading = replace(reading, waits=Waits(times, 300.0))
    config, job = RootConfig("r", "/r"), Job("j", reading)
    alone = with_state(job, config, NOW)
    assert (alone.state, alone.stall_threshold_seconds) == ("running", 42 * HOUR)
    known = with_state(job, config, NOW, Circumstances(pauses=(pause,)))
    assert (known.state, known.stall_threshold_seconds) == ("stalled", 6 * HOUR)
