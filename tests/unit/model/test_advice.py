"""What to do about a job, and what nobody can know of it."""

import re
from typing import Any

import pytest
from support.snapshots.readings import DAY, HOUR, NOW, a_job, a_reading, some_logs

from exporter.datatrove.ranks import Ranks
from exporter.model.advice import advice, unknowable
from exporter.model.job import Job, Reading

OTHERS_SKIPPED = (
    "Run the same script with tasks=100: 60 of 100 tasks will run; the others are skipped."
)


def failed_job(**fields: Any) -> Job:
    """A job of which nothing of the launch runs any more."""
    defaults = {"executor": "local", "logs": some_logs(failed=[3, 17]), "needs_relaunch": True}
    return a_job(reading=a_reading(**{**defaults, **fields}))


def test_a_failed_job_is_launched_again_and_skips_what_is_done() -> None:
    assert advice(failed_job()) == (
        f"Nothing of this launch can finish it: mend the cause first. {OTHERS_SKIPPED}"
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tasks_completed": 0}, "tasks=100: all 100 tasks will run."),
        ({"tasks": 1, "tasks_completed": 0}, "tasks=1: its one task will run."),
        (
            {"tasks": 20000, "tasks_completed": 19_000},
            "tasks=20000: 1,000 of 20,000 tasks will run; the others are skipped.",
        ),
        (
            {"repeats_completed": True, "tasks_completed_since_launch": 1},
            "all 100 tasks will run, also the completed ones (skip_completed=False).",
        ),
    ],
)
def test_the_script_says_itself_which_tasks_run(fields: dict[str, Any], said: str) -> None:
    advised = advice(failed_job(**fields))
    assert advised is not None
    assert advised.endswith(said)


def test_a_slice_is_launched_on_the_nodes_of_what_is_missing() -> None:
    ranks = Ranks(set(range(100)) - {3, 7, 8, 9})
    advised = advice(failed_job(tasks_completed=96, is_slice=True, ranks=ranks))
    assert advised is not None
    assert "tasks=100 on the nodes of ranks 3 and 7 to 9: 4 of 100 tasks" in advised


def test_no_list_of_ranks_is_without_end_or_looks_like_an_array() -> None:
    advised = advice(failed_job(tasks_completed=50, is_slice=True, ranks=Ranks(range(0, 100, 2))))
    assert advised is not None
    assert "on the nodes of ranks 1, 3, 5, 7, 9 and others" in advised
    assert not re.search(r"\d[-,]\d+[-,]|\d-\d", advised)


def test_markers_of_other_tasks_go_first_if_the_input_changed() -> None:
    advised = advice(failed_job(stray_markers=1))
    assert advised is not None
    assert (
        "Its tasks changed (1 entry is stray in completions/): delete completions/ first if the"
        " input did, too. Run the same script" in advised
    )


def test_what_slurm_leaves_pending_for_ever_is_to_be_cancelled() -> None:
    advised = advice(failed_job(executor="slurm"))
    assert advised is not None
    assert "Cancel jobs left with DependencyNeverSatisfied" in advised
    assert "DependencyNeverSatisfied" not in str(advice(failed_job(executor="local")))


def test_a_launch_that_goes_on_is_not_doubled() -> None:
    """Launched again while tasks run, datatrove runs them twice."""
    job = a_job(reading=a_reading(logs=some_logs(failed=[3], running=[4, 5], others=57)))
    assert job.state == "running"
    assert str(advice(job)).startswith(
        "1 task failed and will not be tried again by this launch. Mend the cause, and let the"
        " other tasks end or cancel them."
    )


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        (None, "See whether anything of this launch still runs, and end what is left of it."),
        (
            some_logs(silent=[1]),
            "See whether the 1 silent task still runs, and end what is left of this launch.",
        ),
        (
            some_logs(silent=[1, 2]),
            "See whether the 2 silent tasks still run, and end what is left of this launch.",
        ),
    ],
)
def test_a_stalled_job_is_looked_after_before_it_is_launched_again(logs: Any, said: str) -> None:
    reading = a_reading(executor="ray", logs=logs, last_completion_timestamp=NOW - 9 * HOUR)
    job = a_job(reading=reading)
    assert job.state == "stalled"
    assert advice(job) == f"{said} {OTHERS_SKIPPED}"


def test_an_abandoned_job_may_not_be_wanted_any_more() -> None:
    long_ago = NOW - 30 * DAY
    job = a_job(reading=a_reading(launch_timestamp=long_ago, last_completion_timestamp=long_ago))
    assert job.state == "abandoned"
    assert str(advice(job)).startswith("If it is still wanted, see that nothing of it runs")


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        a_job(reading=a_reading(logs=some_logs(running=[4], others=59))),
        a_job(reading=a_reading(tasks_completed=100)),
        a_job(reading=a_reading(started=False, tasks_completed=0, start_timestamp=None)),
        a_job(reading=None, error="denied"),
        a_job(error="denied"),
    ],
)
def test_there_is_nothing_to_do_about_a_healthy_job_or_one_that_nobody_could_read(job: Job) -> None:
    assert advice(job) is None


@pytest.mark.parametrize(
    ("reading", "url", "said"),
    [
        (a_reading(), "/data", "their logs are not watched, or cannot be read"),
        (
            a_reading(executor="ray", logs=some_logs(others=1, is_live=False)),
            "/data",
            "Ray copies a log",
        ),
        (
            a_reading(executor="jobs", logs=some_logs(others=1, is_live=False)),
            "/data",
            "Jobs copies a log",
        ),
        (
            a_reading(logs=some_logs(others=1, is_live=False)),
            "s3://bucket",
            "On this storage a log shows",
        ),
        (
            a_reading(logs=some_logs(others=1, is_live=False)),
            "/data",
            "No log was seen growing yet",
        ),
        (
            a_reading(logs=some_logs(others=1, is_live=False)),
            "hdfs://x/y",
            "No log was seen growing yet",
        ),
        (a_reading(logs=some_logs(others=1)), "/data", "Slurm's queue is not asked"),
        (a_reading(executor="local", logs=some_logs(deferred=1)), "/data", "1 log will be looked"),
    ],
)
def test_what_cannot_be_known_is_said(reading: Reading, url: str, said: str) -> None:
    assert said in str(unknowable(a_job(reading=reading), url))


@pytest.mark.parametrize(
    "reading",
    [
        None,
        a_reading(tasks_completed=100),
        a_reading(started=False, tasks_completed=0),
        a_reading(executor="local", logs=some_logs(others=1)),
        a_reading(logs=some_logs(failed=[1], is_live=False)),
        a_reading(logs=some_logs(failed=[1])),
    ],
)
def test_where_nothing_is_open_or_everything_is_seen_there_is_nothing_to_say(
    reading: Reading | None,
) -> None:
    assert unknowable(a_job(reading=reading), "/data") is None
