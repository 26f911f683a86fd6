"""Which logs of a launch count, in folders made by hand."""

from pathlib import Path

import pytest
from support.costs import asked
from support.jobs.logged import HOUR, Job, counts, failure, line, scans_of

from exporter.datatrove.layout import marker_name
from exporter.storage.local import fingerprint


def test_a_log_from_before_the_launch_counts_where_each_process_of_a_slice_launches(
    tmp_path: Path,
) -> None:
    """The process that began last rewrote ``executor.json`` after the other's task had failed."""
    told = []
    for name, local_tasks in (("slice", 2), ("whole", 4)):
        job = Job(tmp_path / name, 4, keys=f'"local_tasks": {local_tasks}')
        job.log(0, failure(), seconds_ago=9 * HOUR)
        scans, _ = scans_of(job)
        told.append(counts(scans))
    assert told == [{"failed": 1, "unseen": 3}, {"unseen": 4}]


@pytest.mark.parametrize("others", [0, 1], ids=["no log is open", "a log is open"])
def test_a_task_whose_marker_is_taken_away_is_told_by_its_log_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Nothing came into ``logs/`` or went from there."""
    monkeypatch.setattr(fingerprint, "_SETTLING_SECONDS", 0.0)
    job = Job(tmp_path, 4, keys='"skip_completed": true')
    job.log(0, failure())
    for rank in (0, 3):
        job.done(rank, HOUR / 2)
    if others:
        job.log(1, line())
    scans, _ = scans_of(job)
    for _ in range(3):
        assert "failed" not in counts(scans)
    (job.folder / "completions" / marker_name(0)).unlink()
    assert counts(scans)["failed"] == 1


def test_a_log_of_a_task_that_failed_does_not_tell_that_logs_show_while_tasks_run(
    tmp_path: Path,
) -> None:
    """A mounted bucket shows a log once it is closed: the other task may be running unseen."""
    job = Job(tmp_path, 2)
    job.log(0, failure())
    scans, _ = scans_of(job)
    assert counts(scans) == {"failed": 1, "unseen": 1}
    job.log(1, line(), seconds_ago=HOUR)
    scans.read()
    assert counts(scans) == {"failed": 1, "running": 1}


def test_logs_of_tasks_that_failed_cost_little_until_they_are_launched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hardly change, so only every tenth scan asks for them."""
    monkeypatch.setattr(fingerprint, "_SETTLING_SECONDS", 0.0)
    stats = []
    for name, text in (("failed", failure()), ("open", line())):
        job = Job(tmp_path / name, 20)
        for rank in range(20):
            job.log(rank, text)
        scans, _ = scans_of(job)
        scans.read()
        stats.append(sum(asked(scans.storage.requests, scans.read)["stat"] for _ in range(10)))
    failed, running = stats
    assert failed < running - 150
