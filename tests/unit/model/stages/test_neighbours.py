"""The jobs before and after one, and what is said of them."""

import pytest
from support.snapshots.readings import NOW, a_job, a_reading, a_root, a_snapshot

from exporter.model.job import Job
from exporter.model.report import Report, report_on
from exporter.model.stages.neighbours import after, before, blocked_by, in_words, late_in_words
from exporter.model.upstream import Upstream

WAITING = a_reading(
    tasks_completed=0,
    tasks_completed_since_launch=0,
    started=False,
    start_timestamp=None,
    last_completion_timestamp=None,
    longest_completion_gap_seconds=None,
)
DONE = a_reading(tasks_completed=100)


def of(completed: int | None, late: int | None = None) -> Upstream:
    tasks = None if completed is None else 12
    return Upstream("q", "sig", "order", tasks, completed, late)


def chain() -> Report:
    q = a_root("q", a_job("sig", reading=DONE), a_job("sig 2", reading=DONE))
    jobs = (a_job(name, reading=WAITING, upstream=of(11)) for name in ("b", "a"))
    return report_on(a_snapshot(q, a_root("r", *jobs, a_job("sig", reading=DONE))), NOW)


def test_the_jobs_before_and_after_are_found_in_every_root() -> None:
    report = chain()
    rows = {row.key: row for row in report.rows}
    assert before(report.rows, rows["r", "a"]) is rows["q", "sig"]
    assert after(report.rows, rows["q", "sig"]) == [rows["r", "a"], rows["r", "b"]]
    assert before(report.rows, rows["r", "sig"]) is None
    assert after(report.rows, rows["r", "sig"]) == []


def test_an_upstream_that_went_is_none() -> None:
    report = report_on(a_snapshot(a_root("r", a_job("a", upstream=of(11)))), NOW)
    assert before(report.rows, report.rows[0]) is None


def test_a_job_that_waits_is_blocked_by_an_upstream_that_is_not_done() -> None:
    job = a_job("a", reading=WAITING, upstream=of(11))
    assert blocked_by(job) == of(11)
    assert in_words(job) == "blocked by sig (11/12)"


@pytest.mark.parametrize(
    "job",
    [
        a_job("done before", reading=WAITING, upstream=of(12)),
        a_job("unreadable before", reading=WAITING, upstream=of(None)),
        a_job("nothing before", reading=WAITING),
        a_job("under way", upstream=of(11, 0)),
    ],
    ids=lambda job: job.name,
)
def test_no_other_job_is_blocked(job: Job) -> None:
    assert blocked_by(job) is None
    assert in_words(job) == ""


@pytest.mark.parametrize(
    ("late", "words"),
    [
        (1, "began before 1 task of sig was done"),
        (1500, "began before 1,500 tasks of sig were done"),
        (0, ""),
        (None, ""),
    ],
)
def test_a_job_that_began_too_early_is_told_however_complete_it_is(
    late: int | None, words: str
) -> None:
    job = a_job("a", reading=DONE, upstream=of(12, late))
    assert (late_in_words(job), in_words(job)) == (words, words)
