"""Which sums are published of one root, and which of all."""

from support.snapshots.collector import collect
from support.snapshots.readings import (
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    some_logs,
)

from exporter.datatrove.failure import FAILURE_REASONS
from exporter.model.state import STATES

SNAPSHOT = a_snapshot(
    a_root("a", a_job("failing", reading=a_reading(logs=some_logs([1, 2], others=58)))),
    a_root("b", a_job("done", reading=a_reading(tasks_completed=100)), an_unreadable_job()),
)


def samples_of(name: str, **labels: str) -> dict[str, float]:
    """The samples with these labels, by the value of their one other label."""
    return {
        "".join(
            value for label, value in sample.labels.items() if label not in labels
        ): sample.value
        for family in collect(SNAPSHOT)
        for sample in family.samples
        if sample.name == name and sample.labels.items() >= labels.items()
    }


def test_jobs_of_a_root_are_counted_in_each_state() -> None:
    jobs = samples_of("datatrove_root_jobs_in_state", root="b")
    assert jobs == {**dict.fromkeys(STATES, 0), "complete": 1, "unreadable": 1}


def test_failed_tasks_of_a_root_are_counted_for_each_reason() -> None:
    tasks = samples_of("datatrove_root_tasks_failed", root="a")
    assert tasks == {**dict.fromkeys(FAILURE_REASONS, 0), "other": 2}


def test_over_all_roots_only_what_is_asked_of_all_is_summed() -> None:
    overall = {
        sample.name.removeprefix("datatrove_"): sample.value
        for family in collect(SNAPSHOT)
        for sample in family.samples
        if not sample.labels
    }
    assert overall == {
        "jobs": 3,
        "jobs_completed": 1,
        "jobs_completed_ratio": 1 / 3,
        "tasks": 200,
        "tasks_completed": 140,
        "tasks_completed_ratio": 0.7,
    }
