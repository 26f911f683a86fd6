"""How much of a scan goes to logs, with small limits."""

import pytest

from exporter.scanning.probes.limits import Budget, Limits

JOBS = [(f"job-{number}",) for number in range(40)]


def test_one_job_reads_no_more_than_its_part_and_all_no_more_than_the_whole() -> None:
    budget = Budget(Limits(reads_of_job=3, reads=7))
    assert [budget.reads(5, path) for path in JOBS[:4]] == [3, 3, 1, 0]


def test_a_scan_begins_with_all_of_it() -> None:
    budget = Budget(Limits(1, 1, stats=4, learned=2))
    assert (budget.stats(3, JOBS[0]), budget.learned(1), budget.learned(9)) == (3, 1, 1)
    budget.begin()
    assert (budget.stats(3, JOBS[0]), budget.learned(9)) == (3, 2)


@pytest.mark.parametrize("what", ["stats", "reads"])
def test_jobs_take_turns_where_they_ask_for_more_than_there_is(what: str) -> None:
    """Each gets what it asks for within a few scans, whatever comes before it in each."""
    budget = Budget(Limits(10, reads=100, stats=100))
    served: set[tuple[str, ...]] = set()
    for _ in range(6):
        budget.begin()
        for path in JOBS:
            if getattr(budget, what)(10, path) == 10:
                served.add(path)
    assert served == set(JOBS)


def test_nobody_waits_for_a_turn_where_there_is_enough() -> None:
    budget = Budget(Limits(10, reads=100, stats=400))
    for _ in range(3):
        budget.begin()
        for path in JOBS:
            budget.reads(10, path)
        assert [budget.stats(10, path) for path in JOBS] == [10] * 40
