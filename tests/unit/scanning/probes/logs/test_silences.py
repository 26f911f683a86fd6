"""Which tasks have been silent for longer than those that completed explain, by numbers alone."""

from dataclasses import replace

import pytest

from exporter.config.settings import StallRule
from exporter.datatrove.logs import Span
from exporter.datatrove.ranks import Ranks
from exporter.scanning.probes.logs.silences import Learned, silent_ranks

MINUTE_NS = 60 * 10**9
NOW = 1000 * MINUTE_NS
RULE = StallRule(after_seconds=600, gap_factor=4)
# They were silent for 20 minutes and took 100 at most: a task is silent after more than 80 minutes
# without a line, if it is older than 200. The last of them to begin did so after 780 minutes.
LEARNED = Learned(Ranks(range(3)), 20 * MINUTE_NS, 100 * MINUTE_NS, 780 * MINUTE_NS, is_all=True)


def is_silent(silence: int, age: int, learned: Learned = LEARNED, rule: StallRule = RULE) -> bool:
    """Whether a task is that began and wrote last so many minutes ago."""
    span = Span((age - silence) * MINUTE_NS, 0)
    return silent_ranks([(7, NOW - silence * MINUTE_NS, span)], learned, rule, NOW) == {7}


@pytest.mark.parametrize(
    ("silence", "age", "expected"),
    [(81, 221, True), (80, 221, False), (81, 220, False), (150, 201, False)],
    ids=["silent for too long", "others were", "a later one may", "too young"],
)
def test_a_task_is_silent_by_what_others_were_and_took(
    silence: int, age: int, *, expected: bool
) -> None:
    assert is_silent(silence, age) is expected


def test_a_task_may_take_half_the_factor_times_as_long_as_any_that_completed() -> None:
    learned = replace(LEARNED, latest_start_ns=NOW)
    assert [is_silent(81, age, learned) for age in (200, 201)] == [False, True]


def test_no_task_is_silent_before_stalled_after() -> None:
    """However short those were that completed."""
    quick = replace(LEARNED, longest_silence_ns=1, longest_duration_ns=1, latest_start_ns=NOW)
    rule = replace(RULE, after_seconds=5400)
    assert [is_silent(silence, 95, quick, rule) for silence in (90, 91)] == [False, True]
    assert not is_silent(81, 90, quick, replace(rule, after_seconds=80 * 60 + 600))


@pytest.mark.parametrize(
    "learned",
    [replace(LEARNED, is_all=False), replace(LEARNED, ranks=Ranks(range(2)))],
    ids=["others were not read yet", "two completed"],
)
def test_nobody_is_called_silent_while_too_little_is_known(learned: Learned) -> None:
    assert not is_silent(500, 900, learned)


def test_a_log_without_times_is_of_no_silent_task() -> None:
    assert silent_ranks([(7, 0, None)], LEARNED, RULE, NOW) == set()
