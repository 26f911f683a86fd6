"""What of the logs that were seen is published, without files."""

import pytest

from exporter.datatrove.failure import LogEnd
from exporter.datatrove.ranks import Ranks
from exporter.datatrove.task_state import OpenTasks, TaskState
from exporter.model.job import Logs
from exporter.scanning.probes.logs.memory import LogMemory, SeenLog
from exporter.scanning.probes.logs.silences import Learned
from exporter.storage.base import File

SECOND_NS = 10**9


def published(states: dict[int, TaskState], written: dict[int, int], **more: object) -> Logs:
    """Of open tasks in these states, whose logs were written last at these seconds."""
    logs = {
        rank: SeenLog(File(f"{rank}", seconds * SECOND_NS), LogEnd("open"))
        for rank, seconds in written.items()
    }
    tasks = OpenTasks(states, {}, 0, "waiting", needs_relaunch=False)
    found = LogMemory(0, logs=logs, tasks=tasks, **more).published()  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_last_write_is_that_of_any_task_and_the_last_open_one_of_those_that_run() -> None:
    states: dict[int, TaskState] = {0: "running", 1: "silent", 2: "failed", 3: "requeued"}
    logs = published(states, {0: 20, 1: 30, 2: 50, 3: 40, 9: 90})  # the last, of another launch
    assert (logs.last_write, logs.last_open_write) == (50, 30)


def test_without_a_task_that_runs_there_is_no_last_open_write() -> None:
    logs = published({0: "failed"}, {0: 20})
    assert (logs.last_write, logs.last_open_write) == (20, None)


def test_before_the_first_log_of_a_launch_nothing_was_written() -> None:
    logs = published({}, {0: 20})
    assert (logs.last_write, logs.last_open_write, logs.longest_gap_seconds) == (None, None, None)


@pytest.mark.parametrize(
    ("knows_gap", "learned_all", "gap"),
    [(False, False, None), (True, False, 5), (False, True, 9), (True, True, 9)],
)
def test_a_gap_is_told_once_it_was_seen_often_enough_or_learned_of_all(
    knows_gap: bool,
    learned_all: bool,
    gap: int | None,
) -> None:
    logs = published(
        {0: "running"},
        {0: 20},
        gap_ns=5 * SECOND_NS,
        knows_gap=knows_gap,
        learned=Learned(Ranks(), 9 * SECOND_NS, is_all=learned_all),
    )
    assert logs.longest_gap_seconds == gap
