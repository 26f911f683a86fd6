"""States of tasks that are not done, by rules alone: no files."""

from dataclasses import replace

import pytest

from exporter.datatrove.failure import Cause, LogEnd
from exporter.datatrove.slurm_output import ElementEnd
from exporter.datatrove.task_state import (
    TASK_STATES,
    Failure,
    FailureGroup,
    Launch,
    OpenTasks,
    TaskLog,
    open_tasks,
)

LOCAL = Launch(100, "local", is_live=True)
SLURM = Launch(100, "slurm", is_live=True)
RAY = Launch(100, "ray")
FAILED = TaskLog(150, LogEnd("failed", Cause("program", "KeyError", "steps.py:1:run")))
QUEUED_AGAIN = TaskLog(150, LogEnd("requeued"))
OPEN = TaskLog(150, LogEnd("open"))
UNREAD = TaskLog(150)


@pytest.mark.parametrize(
    ("launch", "log", "element", "state"),
    [
        (SLURM, FAILED, None, "failed"),
        (SLURM, FAILED, ElementEnd("requeued"), "failed"),
        (SLURM, QUEUED_AGAIN, ElementEnd("failed", Cause("stopped")), "requeued"),
        (SLURM, OPEN, ElementEnd("requeued"), "requeued"),
        (SLURM, OPEN, ElementEnd("failed", Cause("time_limit")), "failed"),
        (SLURM, None, ElementEnd("failed", Cause("launcher")), "failed"),
        (SLURM, None, ElementEnd("open"), "waiting"),
        (SLURM, OPEN, ElementEnd("open"), "running"),
        (SLURM, UNREAD, None, "running"),
        (SLURM, replace(FAILED, modified_ns=99), None, "waiting"),
        (LOCAL, OPEN, None, "running"),
        (replace(LOCAL, is_slice=True), replace(FAILED, modified_ns=99), None, "failed"),
        (replace(SLURM, is_over=True), OPEN, None, "failed"),
        (RAY, UNREAD, None, "failed"),
        (RAY, OPEN, None, "failed"),
        (RAY, replace(OPEN, modified_ns=99), None, "unseen"),
        (replace(RAY, ends_need_proof=True), UNREAD, None, "unseen"),
        (replace(RAY, ends_need_proof=True), OPEN, None, "failed"),
    ],
)
def test_the_first_rule_that_fits_gives_the_state(
    launch: Launch, log: TaskLog | None, element: ElementEnd | None, state: str
) -> None:
    logs = {} if log is None else {0: log}
    elements = {} if element is None else {0: element}
    tasks = open_tasks(launch, 3, logs, elements)
    counts = {name: tasks.count(name) for name in TASK_STATES}
    assert counts[state] >= 1  # type: ignore[index]
    assert sum(counts.values()) == 3


def test_a_local_launch_is_over_with_its_first_failure_and_what_ran_is_silent() -> None:
    tasks = open_tasks(LOCAL, 5, {0: FAILED, 1: OPEN}, {})
    assert tasks.states == {0: "failed", 1: "silent"}
    assert tasks.needs_relaunch


@pytest.mark.parametrize("launch", [SLURM, replace(LOCAL, is_slice=True)])
def test_other_launches_go_on_until_nothing_else_is_left(launch: Launch) -> None:
    assert not open_tasks(launch, 2, {0: FAILED, 1: OPEN}, {}).needs_relaunch
    assert open_tasks(launch, 1, {0: FAILED}, {}).needs_relaunch


def test_once_all_arrays_are_over_what_is_not_done_has_failed() -> None:
    tasks = open_tasks(replace(SLURM, is_over=True), 7, {0: OPEN}, {})
    assert tasks.count("failed") == 7
    assert tasks.needs_relaunch


def test_a_task_silent_for_too_long_is_told_apart() -> None:
    tasks = open_tasks(SLURM, 2, {0: OPEN, 1: OPEN}, {}, silent={1})
    assert tasks.states == {0: "running", 1: "silent"}


def test_failures_that_are_alike_are_one_group_with_the_words_of_the_newest() -> None:
    one, other = Cause("program", "KeyError", "a.py:1:f", "x"), Cause("stopped")
    newer = replace(one, message="y")
    causes = {5: Failure(one, 50), 3: Failure(other), 1: Failure(newer, 60)}
    tasks = OpenTasks(dict.fromkeys(causes, "failed"), causes, 0, "waiting", needs_relaunch=False)
    assert tasks.groups() == [FailureGroup(newer, (1, 5), 60), FailureGroup(other, (3,))]


def test_tasks_of_arrays_that_are_over_failed_for_a_reason_too() -> None:
    tasks = open_tasks(replace(SLURM, is_over=True), 7, {0: FAILED}, {})
    assert tasks.failed_by_reason().total() == 7


@pytest.mark.parametrize(
    ("launch", "states"),
    [(SLURM, ["failed", "requeued", "silent", "running", "waiting"]), (RAY, ["failed", "unseen"])],
)
def test_only_states_that_can_be_told_are(launch: Launch, states: list[str]) -> None:
    tasks = open_tasks(launch, 3, {0: FAILED}, {})
    assert list(tasks.in_states()) == states
    assert sum(tasks.in_states().values()) == 3


@pytest.mark.parametrize(("seconds", "needs_relaunch"), [(59, True), (61, False)])
def test_a_pool_whose_tasks_write_on_has_not_died(seconds: int, needs_relaunch: bool) -> None:
    later = replace(OPEN, modified_ns=FAILED.modified_ns + seconds * 10**9)
    tasks = open_tasks(LOCAL, 3, {0: FAILED, 1: later}, {})
    assert tasks.needs_relaunch is needs_relaunch
    assert tasks.states[1] == ("silent" if needs_relaunch else "running")
