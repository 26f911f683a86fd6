"""What keeps ``--strict`` from being satisfied though every task is done."""

from support.snapshots.readings import a_job, a_reading, an_unreadable_job, report_of

from exporter.commands.status.verdict import doubts, objections
from exporter.model.job import Job
from exporter.model.upstream import Upstream


def done(name: str, *, late: int | None = None, **reading: object) -> Job:
    """A complete job, of whose upstream so many tasks were done after it began."""
    upstream = None if late is None else Upstream("r", "before", "order", 9, 9, late)
    return a_job(name, reading=a_reading(tasks_completed=100, **reading), upstream=upstream)


def test_a_job_of_two_pipelines_and_one_that_began_too_early_are_objected_to() -> None:
    jobs = (
        done("early", late=3),
        done("good", late=0, mixed_pipelines=False),
        done("mixed", mixed_pipelines=True),
        an_unreadable_job(),
    )
    assert list(objections(report_of(*jobs).rows)) == [
        "mixed: some tasks were done by another pipeline",
        "early: began before 3 tasks of before were done",
    ]


def test_what_nobody_compared_is_told_in_one_line_of_complete_jobs() -> None:
    launched_twice = {"tasks_completed_since_launch": 40}
    one = done("a", **launched_twice)
    others = (
        done("b", **launched_twice, mixed_pipelines=False),
        done("c"),
        a_job("d", reading=a_reading(tasks_completed=60, **launched_twice)),
        an_unreadable_job(),
    )
    because = "is not known: nobody looked"
    assert list(doubts(report_of(one, *others).rows, "nobody looked")) == [
        f"whether one pipeline ran all tasks of a {because}"
    ]
    more = (done("e", **launched_twice), done("f", **launched_twice))
    assert list(doubts(report_of(one, *others, *more).rows, "nobody looked")) == [
        f"whether one pipeline ran all tasks of a and of 2 more {because}"
    ]
    assert list(doubts(report_of(*others).rows, "nobody looked")) == []
