"""Which parts of a listing to ask for, against counting by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.datatrove.layout import marker_name
from exporter.datatrove.ranks import Ranks
from exporter.storage.s3.listing_plan import (
    Window,
    all_windows,
    guessed_windows,
    in_name_order,
    missing_windows,
    ranks_before,
)

ranks_near_six_digits = st.one_of(
    st.integers(0, 40), st.integers(9_995, 10_010), st.integers(99_990, 100_110)
)
ranks_of_any_length = st.one_of(
    ranks_near_six_digits, st.integers(0, 2_000_000), st.just(10**9), st.just(10**17)
)
page_sizes = st.sampled_from([2, 3, 7, 1000])


def names_of(world_size: int) -> list[str]:
    return sorted(marker_name(rank) for rank in range(world_size))


NAMES = {size: names_of(size) for size in (1, 40, 10_000, 100_000, 100_001, 100_200, 1_200_000)}


@given(st.sampled_from(sorted(NAMES)), ranks_of_any_length)
def test_ranks_before_a_name_are_those_that_sort_before_it(world_size: int, rank: int) -> None:
    name = marker_name(rank)
    low, high = 0, world_size
    names = NAMES[world_size]
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if names[middle] < name else (low, middle)
    assert ranks_before(rank, world_size) == low


@given(st.sets(ranks_of_any_length))
def test_the_order_of_names_is_that_of_their_text(ranks: set[int]) -> None:
    names = [marker_name(rank) for rank in in_name_order(Ranks(ranks))]
    assert names == sorted(names)


def assert_windows_follow_each_other(windows: list[Window], ordered: list[int]) -> None:
    names = [marker_name(rank) for rank in ordered]
    assert windows[-1].is_last
    assert not any(window.is_last for window in windows[:-1])
    for before, after in itertools.pairwise(windows):
        assert before.end <= after.first
    for window in windows:
        assert window.after == (names[window.first - 1] if window.first else "")
        assert window.upto == (names[window.end - 1] if not window.is_last else "")
        held = [position for position, name in enumerate(names) if window.holds(name)]
        assert held == list(range(window.first, window.end))


@given(
    st.sets(ranks_near_six_digits, max_size=30),
    st.sampled_from([1, 40, 10_000, 100_000, 100_001, 100_200]),
    st.integers(0, 5),
    page_sizes,
)
def test_no_rank_that_is_missing_lies_outside_the_windows(
    known: set[int], world_size: int, expected_new: int, page_keys: int
) -> None:
    ordered = in_name_order(Ranks(known))
    windows = missing_windows(Ranks(known), ordered, world_size, expected_new, page_keys)
    assert_windows_follow_each_other(windows, ordered)
    near = {rank + step for rank in known for step in (-1, 1, 9 * rank, 9 * rank + 9)}
    near |= {rank // 10 for rank in known} | {0, 9_999, 10_000, 99_999, 100_000, world_size - 1}
    for rank in near:
        if 0 <= rank < world_size and rank not in known:
            assert any(window.holds(marker_name(rank)) for window in windows), rank
    assert all(1 <= window.keys <= page_keys for window in windows)


@given(st.sets(st.integers(0, 60)), st.integers(1, 60), page_sizes)
def test_neighbouring_windows_would_not_fit_on_one_page(
    known: set[int], world_size: int, page_keys: int
) -> None:
    """As few windows as possible: joining any two takes more keys than a page has."""
    ordered = in_name_order(Ranks(known))
    windows = missing_windows(Ranks(known), ordered, world_size, 0, page_keys)
    for one, other in itertools.pairwise(windows):
        assert other.end - one.first + other.is_last > page_keys or page_keys < 2


@given(st.sets(ranks_of_any_length), page_sizes)
def test_all_windows_hold_everything(known: set[int], page_keys: int) -> None:
    ordered = in_name_order(Ranks(known))
    windows = all_windows(ordered, page_keys)
    assert_windows_follow_each_other(windows, ordered)
    assert [w.first for w in windows[1:]] == [w.end for w in windows[:-1]]
    assert windows[0].first == 0
    assert len(windows) == len(known) // page_keys + 1


@given(
    st.integers(0, 123_456),
    st.sampled_from([40, 10_000, 100_000, 100_200, 2**53]),
    st.floats(0, 1),
    st.integers(1, 8),
)
def test_guessed_windows_go_on_from_each_other(
    after: int, world_size: int, density: float, count: int
) -> None:
    windows = guessed_windows(marker_name(after), world_size, density, count)
    assert 1 <= len(windows) <= count
    assert windows[0].after == marker_name(after)
    for before, later in itertools.pairwise(windows):
        assert later.after == before.upto > before.after
    assert windows[-1].is_last or windows[-1].upto > windows[-1].after


@pytest.mark.parametrize(
    ("known", "world_size", "asked"),
    [
        pytest.param(range(2000), 2000, [("01999", "", 1)], id="complete"),
        pytest.param(range(500), 100_000, [("00499", "", 5)], id="a beginning"),
        pytest.param([], 2**53, [("", "", 5)], id="nothing yet"),
        pytest.param({*range(5000)} - {4900}, 5000, [("04899", "", 105)], id="one near the end"),
        pytest.param(
            {*range(5000)} - {7}, 5000, [("00006", "00008", 2), ("04999", "", 5)], id="one far off"
        ),
    ],
)
def test_what_is_asked_for(
    known: list[int], world_size: int, asked: list[tuple[str, str, int]]
) -> None:
    ranks = Ranks(known)
    expected_new = 0 if len(ranks) == world_size else 4
    windows = missing_windows(ranks, in_name_order(ranks), world_size, expected_new)
    assert [(window.after, window.upto, window.keys) for window in windows] == asked
