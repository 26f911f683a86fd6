"""How much of a scan goes to logs, with small limits."""

from exporter.scanning.probes.limits import Budget, Limits

JOBS = [(f"job-{number}",) for number in range(40)]


def test_one_job_reads_no_more_than_its_part_and_all_no_more_than_the_whole() -> None:
    budget = Budget(Limits(reads_of_job=3, reads=7))
    assert [budget.reads(5) for _ in range(4)] == [3, 3, 1, 0]
    budget.begin()
    assert budget.reads(2) == 2


def test_a_scan_begins_with_all_of_it() -> None:
    budget = Budget(Limits(1, 1, stats=4, learned=2))
    assert (budget.stats(3), budget.stats(3), budget.learned(9)) == (3, 1, 2)
    budget.begin()
    assert (budget.stats(3), budget.learned(9)) == (3, 2)


def test_jobs_take_turns_where_they_ask_for_more_than_there_is() -> None:
    """Each gets what it asks for within a few scans, whatever comes before it in each."""
    budget = Budget(Limits(1, 1, stats=100))
    served: set[tuple[str, ...]] = set()
    for _ in range(6):
        budget.begin()
        for path in JOBS:
            if budget.stats(10, is_turn=budget.is_turn(path)) == 10:
                served.add(path)
    assert served == set(JOBS)


def test_nobody_waits_for_a_turn_where_there_is_enough() -> None:
    budget = Budget(Limits(1, 1, stats=400))
    for _ in range(3):
        budget.begin()
        assert [budget.stats(10, is_turn=budget.is_turn(path)) for path in JOBS] == [10] * 40
