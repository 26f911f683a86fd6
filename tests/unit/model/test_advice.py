"""What to do about a job, and what nobody can know of it."""

import re
from dataclasses import replace
from typing import Any

import pytest
from support.snapshots.readings import DAY, HOUR, NOW, a_job, a_reading, some_logs

from exporter.datatrove.ranks import Ranks
from exporter.model.advice import advice, unknowable
from exporter.model.job import Job, Reading
from exporter.model.upstream import Upstream

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
    advised = advice(failed_job(stray_markers=1, ranks=Ranks([3, 100])))
    assert advised is not None
    assert (
        "Its tasks changed (1 marker is stray in completions/): delete completions/ first if the"
        " input did, too. Run the same script" in advised
    )


def test_what_a_file_system_leaves_among_the_markers_is_no_reason_to_delete_them() -> None:
    """Such as ``.nfs000012`` or ``Thumbs.db``. Without its markers everything runs again."""
    assert "completions/" not in str(advice(failed_job(stray_markers=2, ranks=Ranks([3, 4]))))


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
    # How many, depends on what those do by then.
    assert str(advice(job)).endswith("up to 60 of 100 tasks will run; the others are skipped.")


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({"tasks_completed": 100}, False),
        ({}, True),
        ({"last_completion_timestamp": NOW - 20 * HOUR, "tasks_completed_since_launch": 0,
          "start_timestamp": None}, True),
    ],
)  # fmt: skip
def test_markers_are_not_deleted_under_a_launch_that_goes_on(
    fields: dict[str, Any], ends: bool
) -> None:
    """Or one that waits in a queue: what began too early of the one before is still to be done
    again, and two launches at once would write the same output."""
    late = Upstream("root", "signatures", "order", 20, 20, late=3)
    job = a_job(reading=a_reading(**fields), upstream=late)
    assert job.state in ("running", "waiting", "complete")
    assert ("complete now, then end this launch, delete completions/" in str(advice(job))) == ends
    assert ("complete now, then delete completions/" in str(advice(job))) != ends


def test_a_job_is_not_launched_again_on_an_input_that_is_not_complete() -> None:
    """It is not late where it completed nothing: then nobody knows when it began."""
    before = Upstream("root", "signatures", "order", 20, 19)
    advised = advice(replace(failed_job(), upstream=before))
    said = "What it reads lacks 1 task of signatures: see to that first. Run the same script"
    assert said in str(advised)
    complete = replace(before, completed=20)
    assert "signatures" not in str(advice(replace(failed_job(), upstream=complete)))


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
    reading = a_reading(executor="local", logs=logs, last_completion_timestamp=NOW - 9 * HOUR)
    job = a_job(reading=reading)
    assert job.state == "stalled"
    assert advice(job) == f"{said} {OTHERS_SKIPPED}"


@pytest.mark.parametrize(
    "logs",
    [
        None,
        some_logs(others=60),
        some_logs(running=[1], others=59),
        some_logs(requeued=[1]),
        some_logs(others=60, is_live=False),
    ],
)
def test_what_only_waits_for_its_turn_is_not_ended(logs: Any) -> None:
    """In a queue of days it would begin at the end again."""
    reading = a_reading(executor="slurm", logs=logs, last_completion_timestamp=NOW - 9 * HOUR)
    job = a_job(reading=reading)
    assert job.state == "stalled"
    assert str(advice(job)).startswith(
        "See whether anything of this launch still runs or waits in a queue: what only waits for"
        " its turn is to be left alone. Otherwise end what is left of it."
    )


def test_where_every_task_that_is_left_runs_no_queue_is_spoken_of() -> None:
    reading = a_reading(logs=some_logs(running=[1]), last_completion_timestamp=NOW - 9 * HOUR)
    assert "queue" not in str(advice(a_job(reading=reading)))


def test_an_abandoned_job_may_not_be_wanted_any_more() -> None:
    long_ago = NOW - 30 * DAY
    job = a_job(reading=a_reading(launch_timestamp=long_ago, last_completion_timestamp=long_ago))
    assert job.state == "abandoned"
    assert str(advice(job)).startswith(
        "If it is still wanted, see that nothing of it runs or waits in a queue any more."
    )
    assert job.reading is not None
    of_pool = replace(job, reading=replace(job.reading, executor="local"))
    assert "nothing of it runs any more." in str(advice(of_pool))


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
