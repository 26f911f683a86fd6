"""What is shown of tasks that are not done."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.snapshots.readings import a_reading, some_logs

from exporter import log
from exporter.config.settings import ShowErrors
from exporter.datatrove.failure import Cause
from exporter.datatrove.ranks import Ranks
from exporter.datatrove.task_state import TASK_STATES, Failure
from exporter.model import open_tasks
from exporter.model.job import Logs
from exporter.model.open_tasks import failures, in_words, ranks_in_states

INDEX_ERROR = Cause("program", "IndexError", "extract.py:run:88", "list index out of range")


def failed(*causes: Cause) -> Logs:
    """Rank 0 failed by the first cause, an hour after the epoch, and so on."""
    return some_logs({i: Failure(cause, 3600 * 10**9 + i) for i, cause in enumerate(causes)})


def test_states_are_counted_in_words_and_what_is_none_is_left_out() -> None:
    logs = some_logs(failed=[1, 2], running=range(10, 28), others=1343)
    assert in_words(logs.tasks) == "2 failed · 18 running · 1,343 not started"
    dead = some_logs(failed=[1], others=3, is_live=False)
    assert in_words(dead.tasks) == "1 failed · 3 running or not started"


def test_every_state_has_words() -> None:
    assert list(open_tasks.WORDS) == list(TASK_STATES)


def test_the_ranks_of_each_state_are_told() -> None:
    logs = some_logs(failed=[2, 3, 7], running=[4], others=2)
    reading = a_reading(tasks=10, tasks_completed=4, ranks=Ranks([0, 1, 8, 9]), logs=logs)
    by_state = {state: list(runs) for state, runs in ranks_in_states(reading).items()}
    assert by_state == {"failed": [(2, 3), (7, 7)], "running": [(4, 4)], "waiting": [(5, 6)]}


@given(
    done=st.sets(st.integers(0, 20)),
    seen=st.dictionaries(st.integers(0, 20), st.sampled_from(["failed", "running"])),
)
def test_every_missing_rank_is_in_one_state(done: set[int], seen: dict[int, str]) -> None:
    told = {rank: state for rank, state in seen.items() if rank not in done}
    logs = some_logs(
        failed=[rank for rank, state in told.items() if state == "failed"],
        running=[rank for rank, state in told.items() if state == "running"],
        others=21 - len(done) - len(told),
    )
    reading = a_reading(tasks=21, tasks_completed=len(done), ranks=Ranks(done), logs=logs)
    by_state = ranks_in_states(reading)
    ranks = [
        (rank, state)
        for state, runs in by_state.items()
        for first, last in runs
        for rank in range(first, last + 1)
    ]
    expected = {rank: told.get(rank, "waiting") for rank in range(21) if rank not in done}
    assert sorted(ranks) == sorted(expected.items())


def test_which_ranks_a_launch_that_repeats_completed_ones_did_is_not_made_up() -> None:
    logs = some_logs(failed=[2], others=3)
    reading = a_reading(tasks=4, tasks_completed=4, ranks=Ranks(range(4)), logs=logs)
    told = ranks_in_states(replace(reading, repeats_completed=True))
    assert {state: list(runs) for state, runs in told.items()} == {"failed": [(2, 2)]}


def test_a_job_whose_logs_nobody_looked_at_has_no_ranks_in_states() -> None:
    assert ranks_in_states(a_reading()) == {}


@pytest.mark.parametrize(
    ("show", "shown"),
    [
        ("none", ("", "", "")),
        ("types", ("IndexError", "extract.py:run:88", "")),
        ("text", ("IndexError", "extract.py:run:88", "list index out of range")),
    ],
)
def test_no_more_is_shown_than_show_errors_allows(
    show: ShowErrors, shown: tuple[str, str, str]
) -> None:
    (failure,) = failures(failed(INDEX_ERROR, INDEX_ERROR), show)
    assert (failure.type, failure.where, failure.message) == shown
    assert (failure.reason, failure.tasks, failure.ranks) == ("program", 2, (0, 1))
    assert failure.last_timestamp == pytest.approx(3600, abs=1)


def test_without_types_each_reason_is_one_group() -> None:
    logs = failed(INDEX_ERROR, replace(INDEX_ERROR, type="KeyError"), Cause("network"))
    assert [(f.reason, f.tasks, f.ranks) for f in failures(logs, "none")] == [
        ("program", 2, (0, 1)),
        ("network", 1, (2,)),
    ]
    assert len(failures(logs, "types")) == 3


def test_beyond_twenty_causes_the_rest_is_one() -> None:
    logs = failed(*(replace(INDEX_ERROR, where=f"a.py:f:{line}") for line in range(25)))
    shown = failures(logs, "text")
    assert len(shown) == 21
    rest = shown[-1]
    assert (rest.reason, rest.type, rest.where, rest.message) == ("other", "", "", "")
    assert (rest.tasks, rest.ranks) == (5, (20, 21, 22, 23, 24))
    assert sum(failure.tasks for failure in shown) == 25


def test_tasks_that_a_launch_left_behind_without_a_log_failed_too() -> None:
    logs = failed(INDEX_ERROR)
    over = replace(logs, tasks=replace(logs.tasks, others=5, others_are="failed"))
    assert [(f.reason, f.tasks, f.ranks) for f in failures(over, "types")] == [
        ("stopped", 5, ()),
        ("program", 1, (0,)),
    ]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a\tb\x00c\x9b31m", r"a\x09b\x00c\xc2\x9b31m"),
        ("key=CANARY-OF-CAUSES!", "key=<secret>!"),
        ("https://user:passw0rd@host/", "https://user:<secret>@host/"),
        ("a\u202eb", r"a\u202eb"),
        ("x" * 190 + "CANARY-OF-", "x" * 190 + "<secret>"),
        ("é" * 200, "é" * 200),
    ],
)
def test_a_message_is_cleaned_of_controls_and_of_configured_secrets(
    message: str, shown: str
) -> None:
    log.hide(["CANARY-OF-CAUSES"])
    (failure,) = failures(failed(replace(INDEX_ERROR, message=message)), "text")
    assert failure.message == shown


def test_a_message_of_controls_alone_is_cut() -> None:
    (failure,) = failures(failed(replace(INDEX_ERROR, message="\0" * 200)), "text")
    assert len(failure.message) == 200
