"""What is shown of the steps of a job's pipeline."""

import pytest
from support.jobs.stats import a_pipeline, as_bytes
from support.snapshots.readings import HOUR, NOW, a_job, a_reading, a_root, a_snapshot

from exporter.datatrove.stats import JobStats, parse_stats
from exporter.model.facts import JOB_FACTS, job_json
from exporter.model.job import Job
from exporter.model.report import report_on
from exporter.model.steps import with_steps

STATS = JobStats(38, parse_stats(as_bytes(a_pipeline(read=100, kept=60))), 1, 2, 3)


def samples(job: Job) -> dict[str, list]:
    families = [fact.metric for fact in JOB_FACTS if fact.metric is not None]
    found = {family.name: list(family.samples(job)) for family in families}
    return {
        name.removeprefix("datatrove_job_"): values
        for name, values in found.items()
        if any(word in name for word in ("documents", "tokens", "step", "stats", "mixed"))
    }


def test_sums_and_steps_are_samples() -> None:
    job = a_job(reading=a_reading(stats=STATS, mixed_pipelines=True))
    assert samples(with_steps(job, "steps", NOW)) == {
        "mixed_pipelines": [((), 1.0)],
        "stats_tasks": [((), 38.0)],
        "documents_read": [((), 100.0)],
        "documents_written": [((), 60.0)],
        "tokens": [((), 600.0)],
        "step_documents": [
            (("00_reader_jsonl", "in"), 100.0),
            (("01_filter_lambda", "in"), 100.0),
            (("01_filter_lambda", "out"), 60.0),
            (("01_filter_lambda", "dropped"), 40.0),
            (("03_writer_jsonl", "in"), 60.0),
        ],
        "step_seconds": [
            (("00_reader_jsonl",), 0.0),
            (("01_filter_lambda",), 0.5),
            (("02_tokenizer_counter",), 0.25),
            (("03_writer_jsonl",), 0.125),
        ],
    }


def test_a_job_of_which_nothing_was_read_has_no_samples() -> None:
    assert not any(samples(with_steps(a_job(), "steps", NOW)).values())


def test_before_anything_was_read_only_the_coverage_is_a_sample() -> None:
    job = with_steps(a_job(reading=a_reading(stats=JobStats(0, to_read=40))), "steps", NOW)
    assert {name for name, values in samples(job).items() if values} == {"stats_tasks"}


@pytest.mark.parametrize(
    ("read_stats", "completed", "ago", "shows"),
    [
        ("steps", 40, 100 * HOUR, True),
        ("totals", 40, 60, False),
        ("steps", 100, 60, True),
        ("steps", 100, HOUR - 1, True),
        ("steps", 100, HOUR, False),
        ("never", 40, 60, False),
    ],
)
def test_steps_have_samples_while_somebody_watches_the_job(
    read_stats: str, completed: int, ago: float, shows: bool
) -> None:
    reading = a_reading(stats=STATS, tasks_completed=completed, last_completion_timestamp=NOW - ago)
    job = with_steps(a_job(reading=reading), read_stats, NOW)
    assert bool(samples(job)["step_documents"]) is shows
    assert bool(samples(job)["step_seconds"]) is shows
    assert samples(job)["tokens"]


def test_a_job_that_stays_as_it_was_is_the_very_same_object() -> None:
    job = with_steps(a_job(reading=a_reading(stats=STATS)), "steps", NOW)
    assert with_steps(job, "steps", NOW + 60) is job


def test_the_api_has_the_steps_whatever_the_samples() -> None:
    root = a_root("r", a_job(reading=a_reading(stats=STATS)))
    (row,) = report_on(a_snapshot(root), NOW).rows
    fields = job_json(row)
    assert fields["steps"][1] == {  # type: ignore[index]
        "step": "01_filter_lambda",
        "documents_in": 100,
        "documents_out": 60,
        "documents_dropped": 40,
        "dropped_ratio": 0.4,
        "seconds": 0.5,
    }
    assert fields["stats_left_out"] == {"another_pipeline": 1, "unusable": 2, "not_read_yet": 3}
