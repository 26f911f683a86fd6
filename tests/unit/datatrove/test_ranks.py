"""Which ranks completed, and since when: pure values, no files."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.datatrove.ranks import UNKNOWN, Markers, Ranks, told_ns

ranks = st.one_of(
    st.integers(0, 40), st.integers(4000, 4500), st.integers(0, 200_000), st.just(10**17)
)


@given(st.lists(ranks), st.lists(ranks), st.one_of(ranks, st.just(10**18)))
def test_ranks_are_a_set_of_numbers(one: list[int], other: list[int], world_size: int) -> None:
    found = Ranks(one)
    assert list(found) == sorted(set(one))
    assert len(found) == len(set(one))
    assert found.count_below(world_size) == sum(rank < world_size for rank in set(one))
    assert all((rank in found) == (rank in one) for rank in (*one, *other))
    assert (found == Ranks(other)) == (set(one) == set(other))
    assert hash(found) == hash(Ranks(reversed(one)))


@given(st.lists(ranks), st.lists(ranks), st.one_of(ranks, st.just(10**18)))
def test_ranks_are_added_and_taken_away_as_sets_are(
    one: list[int], other: list[int], world_size: int
) -> None:
    """The results are equal to sets that are made at once."""
    assert Ranks(one) | Ranks(other) == Ranks([*one, *other])
    assert Ranks(one) - Ranks(other) == Ranks(set(one) - set(other))
    assert Ranks(one).below(world_size) == Ranks(rank for rank in one if rank < world_size)


def brute_force_runs(done: set[int], world_size: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for rank in (rank for rank in range(world_size) if rank not in done):
        if runs and runs[-1][1] == rank - 1:
            runs[-1] = (runs[-1][0], rank)
        else:
            runs.append((rank, rank))
    return runs


@given(st.sets(st.integers(0, 40)), st.integers(1, 45))
def test_missing_runs_equal_a_brute_force_count(done: set[int], world_size: int) -> None:
    assert list(Ranks(done).missing_runs(world_size)) == brute_force_runs(done, world_size)


@pytest.mark.parametrize("world_size", [50_000_000, 2**53])
def test_missing_runs_of_a_huge_world_are_few(world_size: int) -> None:
    done = Ranks([0, 5, 2**24, 2**24 + 7, 2**54])
    assert list(done.missing_runs(world_size)) == [
        (1, 4),
        (6, 2**24 - 1),
        (2**24 + 1, 2**24 + 6),
        (2**24 + 8, world_size - 1),
    ]


def test_ranks_outside_the_world_and_other_names_are_stray() -> None:
    markers = Markers.of_names(["00000", "00003", "00004", "junk", "99999"], others=2)
    assert (markers.ranks.count_below(4), markers.stray(4), markers.others) == (2, 5, 3)
    assert markers.stray(5) == 4


@given(st.lists(st.one_of(st.from_regex(r"[0-9]{4,7}", fullmatch=True), st.text(max_size=6))))
def test_no_name_is_taken_for_a_marker_but_a_rank_as_it_is_spelt(names: list[str]) -> None:
    names = list(set(names))
    markers = Markers.of_names(names)
    assert [f"{rank:05d}" for rank in markers.ranks] == sorted(
        (name for name in names if name.isdecimal() and f"{int(name):05d}" == name), key=int
    )
    assert markers.others == len(names) - len(markers.ranks)


@given(st.lists(st.integers(0, 12)))
def test_names_may_come_twice_and_out_of_order(ranks: list[int]) -> None:
    """As a listing may, while the folder changes."""
    markers = Markers.of_names([f"{rank:05d}" for rank in ranks])
    assert markers == Markers(Ranks(ranks))
    assert list(markers.ranks) == sorted(set(ranks))


def test_marker_times_are_kept_by_rank() -> None:
    markers = Markers.of_times({100_000: 9, 3: 7})
    assert list(markers.ranks) == [3, 100_000]
    assert markers.by_rank() == {3: 7, 100_000: 9}
    unknown = Markers(markers.ranks, modified_ns=array("q", [UNKNOWN, 9]))
    assert unknown.by_rank() == {100_000: 9}
    assert Markers(markers.ranks).by_rank() == {}


@pytest.mark.parametrize("time_ns", [0, -1, -(2**63), -(2**70), 2**63, 10**21])
def test_a_time_at_the_epoch_before_it_or_too_late_to_hold_is_none(time_ns: int) -> None:
    assert told_ns(time_ns) is None
    assert told_ns(2**63 - 1) == 2**63 - 1
