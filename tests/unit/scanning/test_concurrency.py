"""How many threads visit one root: by what its visits wait for."""

from exporter.scanning.concurrency import Concurrency

MOST = 16


class Visits:
    """Ends visits on a made-up clock and processor."""

    def __init__(self) -> None:
        self.concurrency = Concurrency()
        self.now = self.cpu = 100.0
        self.concurrency.begin(self.now, self.cpu)

    def limit_after(
        self,
        *,
        waited: float,
        busy: float,
        worked: float = 0.0001,
        threads: int = 1,
        seconds: float = 0.1,
    ) -> int:
        """The limit after a period of visits that each waited so long, while the process
        took so much of a processor and so many threads visited some root."""
        self.now += seconds
        self.cpu += busy * seconds
        for _ in range(10):
            self.concurrency.visit_ended(waited, worked)
        return self.concurrency.limit(MOST, threads, self.now, self.cpu)


def test_a_storage_that_makes_one_wait_is_asked_by_all() -> None:
    visits = Visits()
    assert visits.concurrency.limit(MOST, 1, visits.now, visits.cpu) == 1
    assert visits.limit_after(waited=0.06, busy=0.1) == MOST
    assert visits.limit_after(waited=0.06, busy=0.7) == MOST


def test_a_storage_that_answers_at_once_is_asked_by_one() -> None:
    visits = Visits()
    assert visits.limit_after(waited=0.06, busy=0.1) == MOST
    assert visits.limit_after(waited=0.0001, busy=0.5) == 1


def test_waiting_while_the_process_is_busy_is_waiting_for_each_other() -> None:
    """Else the threads that wait for the interpreter lock would keep each other waiting."""
    visits = Visits()
    assert visits.limit_after(waited=0.004, busy=1.0) == 1
    assert visits.limit_after(waited=0.02, busy=0.2) == MOST
    limits = [visits.limit_after(waited=0.02, busy=1.1, threads=n) for n in (16, 8, 4, 4)]
    assert limits == [8, 4, 2, 1]


def test_a_slow_storage_is_asked_by_many_also_while_others_keep_the_process_busy() -> None:
    visits = Visits()
    limits = [visits.limit_after(waited=0.06, busy=1.0, threads=n) for n in (1, 3, 5, 9, 17)]
    assert limits == [2, 4, 8, 16, 8]


def test_a_visit_that_works_for_long_waits_for_a_processor_as_well() -> None:
    """As that of a root with thousands of folders, on a machine with much to do."""
    visits = Visits()
    assert visits.limit_after(waited=0.05, worked=0.1, busy=0.6) == 1


def test_nothing_is_judged_before_a_moment_is_over_or_without_a_visit() -> None:
    visits = Visits()
    assert visits.limit_after(waited=0.06, busy=0.1, seconds=0.01) == 1
    assert visits.concurrency.limit(MOST, 1, visits.now + 1, visits.cpu) == MOST
    assert visits.concurrency.limit(MOST, 1, visits.now + 2, visits.cpu) == MOST


def test_what_was_between_two_scans_does_not_matter() -> None:
    visits = Visits()
    visits.now += 3600
    visits.concurrency.begin(visits.now, visits.cpu)
    assert visits.limit_after(waited=0.004, busy=1.0) == 1


def test_there_are_never_more_than_there_may_be() -> None:
    visits = Visits()
    visits.limit_after(waited=0.06, busy=0.1)
    assert visits.concurrency.limit(3, 1, visits.now, visits.cpu) == 3
