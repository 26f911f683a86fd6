"""Counts, durations and times as people read them."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import REASONS
from exporter.model import formatting


@pytest.mark.parametrize(
    "number", [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
def test_a_character_that_turns_the_writing_direction_is_shown_as_its_number(number: int) -> None:
    assert formatting.readable(f"日本{chr(number)}x\\x1b") == f"日本\\u{number:04x}x\\x1b"


def test_every_other_character_is_shown_as_it_is() -> None:
    kept = [chr(n) for n in range(sys.maxunicode + 1) if formatting.readable(chr(n)) == chr(n)]
    turned = {chr(n) for n in range(sys.maxunicode + 1)} - set(kept)
    assert len(turned) == 12
    controls = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    assert not any(unicodedata.bidirectional(character) in controls for character in kept)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.9, "less than 1 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (61, "1 min 1 s"),
        (3605, "1 h"),
        (9060, "2 h 31 min"),
        (86_460, "1 d"),
        (10_000_000, "115 d 17 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("completed", "tasks", "text"),
    [
        (0, 7, "0 %"),
        (4, 200_000, "<0.1 %"),
        (99, 100_000, "<0.1 %"),
        (1, 1000, "0.1 %"),
        (29, 100, "29 %"),
        (612, 1000, "61 %"),
        (99_999, 100_000, "99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_a_percentage_is_rounded_down(completed: int, tasks: int, text: str) -> None:
    assert formatting.percent(completed / tasks) == text


@given(st.integers(1, 2**53), st.data())
def test_only_nothing_is_0_percent_and_only_everything_is_100(
    tasks: int, data: st.DataObject
) -> None:
    completed = data.draw(st.integers(0, tasks))
    text = formatting.percent(completed / tasks)
    assert (text == "0 %") == (completed == 0)
    assert not text.startswith("100") or completed / tasks == 1


def test_a_time_of_another_day_or_year_has_its_date() -> None:
    now = 1_700_000_000.0  # 14 November 2023, 22:13 UTC
    assert formatting.clock(now + 60, now) == "22:14 UTC"
    assert formatting.clock(now + 7200, now) == "15 Nov 00:13 UTC"
    assert formatting.clock(now + 100 * 86_400, now) == "22 Feb 2024 22:13 UTC"
    assert formatting.moment(now) == "2023-11-14 22:13:20 UTC"


def test_an_estimate_beyond_a_year_is_no_date() -> None:
    now = 1_700_000_000.0
    year = 365 * 86_400
    assert formatting.day(now + year, now) == "13 Nov 2024"
    assert not formatting.is_far(now + year, now)
    assert formatting.is_far(now + year + 1, now)
    assert formatting.left(year) == "365d"
    assert formatting.left(year + 1) == ">1y"


def test_a_time_that_no_calendar_has_is_the_first_or_last_that_it_has() -> None:
    assert formatting.moment(1e18) == "9999-12-31 23:59:59 UTC"
    assert formatting.moment(-1e18) == "1970-01-01 00:00:00 UTC"
    assert formatting.clock(1e18, 0) == "31 Dec 9999 23:59 UTC"


def test_ranks_are_listed_as_ranges() -> None:
    assert formatting.ranges([(3, 3), (17, 20)]) == "3,17-20"
    assert formatting.ranges([]) == ""


def test_there_are_words_for_every_reason() -> None:
    assert set(formatting.TROUBLES) == set(REASONS)


def test_what_is_not_valid_may_be_the_executor_file_or_the_markers_folder() -> None:
    invalid = formatting.TROUBLES["invalid"].words
    assert "executor.json" in invalid
    assert "completions/" in invalid


def test_thousands_are_separated() -> None:
    assert formatting.count(1_234_567) == "1,234,567"


def test_what_just_happened_is_not_0_seconds_ago() -> None:
    assert formatting.ago(0.2) == "just now"
    assert formatting.ago(12) == "12 s ago"


def test_words_in_a_row_end_with_and() -> None:
    assert formatting.series(["a"]) == "a"
    assert formatting.series(["a", "b", "c"]) == "a, b and c"
