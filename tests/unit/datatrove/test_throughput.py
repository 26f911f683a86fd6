"""Completed tasks by the hour, from the times of markers."""

import random
from collections import Counter

from exporter.datatrove.throughput import KEPT_HOURS, NOTHING, Hourly

HOUR_NS = 3600 * 10**9
NOW_NS = 500_000 * HOUR_NS + 17


def of(*times_ns: int) -> Hourly:
    return Hourly.of_ordered(sorted(times_ns), NOW_NS)


def hours_ago(*hours: int) -> Hourly:
    return of(*(NOW_NS - hour * HOUR_NS for hour in hours))


def test_every_marker_of_the_last_two_weeks_is_counted_in_its_hour() -> None:
    times = [NOW_NS - random.Random(seed).randrange(20 * 24 * HOUR_NS) for seed in range(5000)]
    kept = [at // HOUR_NS for at in times if at // HOUR_NS > 500_000 - KEPT_HOURS]
    assert dict(of(*times)) == Counter(kept)
    assert list(of(*times).hours) == sorted(set(kept))


def test_the_first_and_the_last_moment_of_an_hour_belong_to_it() -> None:
    begin = 499_999 * HOUR_NS
    assert dict(of(begin - 1, begin, begin + HOUR_NS - 1, begin + HOUR_NS)) == {
        499_998: 1, 499_999: 2, 500_000: 1,
    }  # fmt: skip


def test_what_is_too_old_is_nothing() -> None:
    assert hours_ago(KEPT_HOURS) is NOTHING
    assert of() is NOTHING
    assert dict(hours_ago(KEPT_HOURS - 1)) == {500_001 - KEPT_HOURS: 1}


def test_clocks_that_run_ahead_do_not_make_it_longer_without_end() -> None:
    found = hours_ago(*range(-20_000, 1))
    assert len(found.hours) <= 2 * KEPT_HOURS
    assert dict(found)[500_000] == 1


def test_a_marker_that_went_still_counts_and_one_that_stayed_counts_once() -> None:
    before, now = hours_ago(3, 3, 2), hours_ago(3, 1)
    assert dict(now.with_all_of(before)) == {499_997: 2, 499_998: 1, 499_999: 1}
    assert now.with_all_of(NOTHING) is now
    assert NOTHING.with_all_of(before) is before
    assert hours_ago(3, 2).with_all_of(before) is before  # nobody has to render it again


def test_some_tasks_stand_for_the_others() -> None:
    some = [NOW_NS - ago * HOUR_NS for ago in (1, 1, 2, 3, 9999)]
    found = Hourly.of_sample(some, 101, NOW_NS)
    assert dict(found) == {499_997: 20, 499_998: 20, 499_999: 41}
    assert dict(Hourly.of_sample(some[:2], 2, NOW_NS)) == {499_999: 2}
    assert not Hourly.of_sample([], 2, NOW_NS)


def test_what_is_kept_of_markers_that_went_has_an_end() -> None:
    before, now = hours_ago(*range(KEPT_HOURS)), hours_ago(*range(-KEPT_HOURS, 0))
    assert len(now.with_all_of(before).hours) == KEPT_HOURS
