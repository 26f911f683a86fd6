"""What one scan of a root asks of its storage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.scans import Watch, jobs_of

MakeJob = Callable[..., Path]


def requests_of_a_scan(watch: Watch) -> int:
    before = sum(count for _, count in watch.scan().requests)
    return sum(count for _, count in watch.scan().requests) - before


@pytest.mark.parametrize(("interval", "cost_more"), [(1e6, False), (0.0, True)])
def test_complete_jobs_cost_nothing_until_it_is_time_to_look_at_them_again(
    root: Path, make_job: MakeJob, interval: float, *, cost_more: bool
) -> None:
    watch = Watch(root, completed_scan_interval_seconds=interval)
    make_job("under way", completed=[0])
    watch.scan()
    alone = requests_of_a_scan(watch)
    for number in range(5):
        make_job(f"complete {number}", completed=range(4))
    watch.scan()
    assert (requests_of_a_scan(watch) > alone) is cost_more
    found = watch.scan()
    watch.close()
    assert len(jobs_of(found)) == 6
    assert (found.totals.jobs, found.totals.jobs_completed) == (6, 5)
