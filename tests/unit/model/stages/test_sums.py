"""Sums of stages: which stages are told apart, and that no job is lost or counted twice."""

import random
from collections import Counter

import pytest
from support.snapshots.readings import a_job, a_reading

from exporter.model.job import Job
from exporter.model.stages.sums import MOST_STAGES, sums_by_stage

READING = a_reading(tasks=10, tasks_completed=4)


def jobs_of(stages: list[str]) -> list[Job]:
    return [a_job(f"{n}", reading=READING, labels=(("stage", s),)) for n, s in enumerate(stages)]


def counted(stages: list[str], elsewhere: tuple[str, ...] = ()) -> dict[str, int]:
    return {stage: sums.jobs for stage, sums in sums_by_stage(jobs_of(stages), elsewhere)}


def test_stages_beyond_the_first_by_name_are_one() -> None:
    names = [f"s{number:04}" for number in range(MOST_STAGES + 5)]
    assert counted([*names[::-1], "s0000"]) == {
        "s0000": 2, **dict.fromkeys(names[1:MOST_STAGES], 1), "other": 5,
    }  # fmt: skip
    assert counted(names[:MOST_STAGES]) == dict.fromkeys(names[:MOST_STAGES], 1)


def test_a_stage_called_as_the_rest_is_counted_once() -> None:
    early = [f"a{number:04}" for number in range(MOST_STAGES)]
    assert counted([*early, "other", "zzz"])["other"] == 2
    late = [f"z{number:04}" for number in range(MOST_STAGES)]
    assert counted([*late, "other"]) == {**dict.fromkeys(late[:-1], 1), "other": 2}


def test_stages_elsewhere_take_places_and_are_not_shown() -> None:
    elsewhere = tuple(f"a{number:04}" for number in range(MOST_STAGES - 1))
    assert counted(["b", "c"], elsewhere) == {"b": 1, "other": 1}


@pytest.mark.parametrize("stages", [3, MOST_STAGES, MOST_STAGES + 40])
def test_the_sums_of_three_shards_are_those_of_one(stages: int) -> None:
    chance = random.Random(stages)
    names = [f"s{chance.randrange(stages):04}" for _ in range(4 * stages)]
    jobs = list(zip(jobs_of(names), names, strict=True))
    shards: tuple[list[tuple[Job, str]], ...] = ([], [], [])
    for job in jobs:
        chance.choice(shards).append(job)
    added = Counter[str]()
    for shard in shards:
        elsewhere = {stage for other in shards if other is not shard for _, stage in other}
        for stage, sums in sums_by_stage([job for job, _ in shard], elsewhere):
            added[stage] += sums.tasks_completed
    assert added == {
        stage: sums.tasks_completed for stage, sums in sums_by_stage([job for job, _ in jobs])
    }
    assert len(added) == min(len(set(names)), MOST_STAGES + 1)


def test_a_job_without_a_stage_is_in_none() -> None:
    jobs = [a_job("a", labels=()), a_job("b", labels=(("dump", "d"),)), a_job("c")]
    assert sums_by_stage(jobs) == ()
