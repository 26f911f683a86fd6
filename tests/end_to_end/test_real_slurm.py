"""A night on a real Slurm: datatrove's jobs there fail in the ways that jobs on Slurm do.

The exporter scans once a second. Each look keeps what it said, and what Slurm said just before
and just after; the tests hold the one against the other. In the morning one job is launched anew.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import serving
from support.scans import Watch, jobs_of
from support.slurm.cluster import PENDING, RUNNING, Element, Slurm, slurm
from support.slurm.jobs import LATE_SECONDS
from support.slurm.pipelines import COMPLETE, EXIT, FAIL, FILL_MEMORY, Orders, launch

from exporter.model.job import Job, Reading

pytestmark = pytest.mark.timeout(300)  # the first test waits for the night to pass

PARTITIONS = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=modest Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE",
    "PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF",
)
MOST_OF_THE_NODE = "40G"
JOBS: dict[str, dict[str, object]] = {
    "first": {"tasks": 4, "tasks_per_job": 2},
    "second": {"tasks": 2, "depends": "first"},
    "limit": {"tasks": 2, "tasks_per_job": 2},
    "cancelled": {"tasks": 2},
    "requeued": {"tasks": 2, "sbatch_args": {"open-mode": "append"}},  # keeps the first attempt
    "preempted": {
        "tasks": 1,
        "partition": "modest",
        "sbatch_args": {"mem-per-cpu": MOST_OF_THE_NODE},
    },
    "signalled": {"tasks": 1},
    "exits": {"tasks": 1},
    "broken": {"tasks": 2, "env_command": "deactivate() { PATH=${PATH#*:}; }; deactivate"},
    "unplaced": {"tasks": 1, "srun_args": {"mem-per-cpu": "2000G"}},
    "memory": {"tasks": 1, "sbatch_args": {"mem-per-cpu": "500M"}},
}
"""What is launched: stage two of a chain waits for stage one; the environment of one is gone."""
QUEUED_AGAIN = ("requeued", "preempted", "signalled")
"""The first rank of each is."""
COMPLETED = {"first": 2, "limit": 1, "cancelled": 1, "requeued": 2, "preempted": 1, "signalled": 1}
"""How many tasks of the jobs are told to complete in that night; none of the others."""
FAILED = {
    "first": {2: "program", 3: "program"},  # one element: the second never got its turn
    "limit": {1: "time_limit"},
    "cancelled": {1: "cancelled"},
    "exits": {0: "stopped"},
    "broken": {0: "launcher", 1: "launcher"},
    "unplaced": {0: "launcher"},  # srun refuses it
    "memory": {0: "out_of_memory"},
}
"""The ranks that fail, and why."""
ENDED_BADLY = {"FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"}

Told = Mapping[str, Mapping[int, Element]]
"""The element of each rank of each job that its launch is to run."""


@dataclass(frozen=True)
class Look:
    """What the exporter said, and Slurm just before and after. Slurm had written output of the
    `begun` jobs before."""

    begun: frozenset[str]
    before: Told
    jobs: Mapping[str, Job]
    after: Told

    def reading(self, name: str) -> Reading:
        reading = self.jobs[name].reading
        assert reading is not None
        return reading

    def state(self, name: str, rank: int) -> str | None:
        """What the exporter said of a rank; None if it is done or nothing of the job began."""
        reading = self.reading(name)
        if reading.logs is None or rank in reading.ranks:
            return None
        tasks = reading.logs.tasks
        return tasks.states.get(rank, tasks.others_are)

    def is_left(self, name: str) -> bool:
        """Slurm runs a rank of the job that is not done, or will."""
        done = self.reading(name).ranks
        return any(one.is_active and rank not in done for rank, one in self.after[name].items())

    def is_in(self, state: str, name: str, rank: int) -> bool:
        """Slurm had it in this state before and after."""
        return {told[name][rank].state for told in (self.before, self.after)} == {state}


class Night:
    """The jobs, the orders to their ranks, and everything that was seen of them: `looks`, of
    which the last ones are `relaunched`."""

    def __init__(self, cluster: Slurm, folder: Path, root: Path, watch: Watch) -> None:
        self.cluster = cluster
        self.root = root
        self.looks: list[Look] = []
        self.relaunched: list[Look] = []
        self.jobs = dict(JOBS)
        if not cluster.limits_memory:  # then nothing would stop the task that fills it
            del self.jobs["memory"]
        self._orders = Orders(folder / "orders")
        self._watch = watch
        self._arrays: dict[str, int] = {}
        self._ranks: dict[str, Sequence[int]] = {}

    def launch(self, *names: str) -> None:
        stages = [
            {
                "job_name": name,
                "logging_dir": str(self.root / name),
                "orders": str(self._orders.folder(name)),
                **self.jobs[name],
            }
            for name in names
        ]
        for name in names:
            ranks = range(int(str(self.jobs[name]["tasks"])))
            markers = self.root / name / "completions"
            self._ranks[name] = [rank for rank in ranks if not (markers / f"{rank:05d}").exists()]
        self._arrays.update(launch(self.cluster, stages))

    def order(self, name: str, order: str, *ranks: int) -> None:
        """What ranks of a job are to do."""
        for rank in ranks:
            self._orders.give(name, rank, order)

    def told(self) -> Told:
        """What Slurm says now."""
        everything = self.cluster.elements()
        per_element = {name: int(str(job.get("tasks_per_job", 1))) for name, job in JOBS.items()}
        return {
            name: {
                rank: everything[f"{self._arrays[name]}_{position // per_element[name]}"]
                for position, rank in enumerate(ranks)
            }
            for name, ranks in self._ranks.items()
        }

    def look(self) -> Look:
        outputs = {output.parts[-3:] for output in self.root.glob("*/slurm_logs/*.out")}
        begun = [job for job, _, name in outputs if name.startswith(f"{self._arrays[job]}_")]
        before = self.told()
        jobs = jobs_of(self._watch.scan())
        self.looks.append(Look(frozenset(begun), before, jobs, self.told()))
        return self.looks[-1]

    def look_until(self, condition: Callable[[Look], bool], what: str, more: int = 3) -> None:
        """Look once a second until something is so, and some times `more`."""
        deadline = time.monotonic() + 90
        while not condition(self.look()):
            assert time.monotonic() < deadline, f"not within 90 s: {what}"
            time.sleep(1)
        for _ in range(more):
            time.sleep(1)
            self.look()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    root = folder / "root"
    root.mkdir()
    watch = Watch(root)
    with slurm(*PARTITIONS) as cluster:
        night = Night(cluster, folder, root, watch)
        fall_asleep(night)
        lie_awake(night)
        night.relaunched = rise(night)
        yield night
    watch.close()


def fall_asleep(night: Night) -> None:
    """Everything is launched, and all that can runs."""
    night.order("first", COMPLETE, 0, 1)
    night.order("limit", COMPLETE, 0)
    night.order("memory", FILL_MEMORY, 0)
    night.launch(*night.jobs)
    waiting = {"first": [2], "limit": [1], "cancelled": [0, 1], "requeued": [0, 1]}
    waiting |= {"preempted": [0], "signalled": [0], "exits": [0]}
    logs = [
        night.root / name / f"logs/task_{rank:05d}.log"
        for name, ranks in waiting.items()
        for rank in ranks
    ]
    night.look_until(lambda _: all(log.exists() for log in logs), "all ranks began")


def lie_awake(night: Night) -> None:
    """Everything goes wrong; what is queued again then completes."""
    ids = {name: [one.id for one in of.values()] for name, of in night.told().items()}
    night.order("first", FAIL, 2)
    night.order("exits", EXIT, 0)
    night.cluster.cancel(ids["cancelled"][1])
    night.cluster.requeue(ids["requeued"][0])
    night.cluster.cancel(ids["signalled"][0], "--signal=USR1")
    night.cluster.end_time_limit(ids["limit"][1])
    script = night.root.with_name("urgent.sh")
    script.write_text("#!/bin/sh\nsleep 600\n")
    mine = ["--partition=urgent", f"--mem={MOST_OF_THE_NODE}", "--output=/dev/null"]
    urgent = night.cluster.submit(script, *mine)

    night.look_until(lambda look: look.is_in(PENDING, "preempted", 0), "one was preempted")
    night.cluster.cancel(urgent)
    night.look_until(
        lambda look: all(
            look.is_in(RUNNING, name, 0) and look.state(name, 0) == "running"
            for name in QUEUED_AGAIN
        ),
        "what was queued again runs, and is told to",
    )
    for name in QUEUED_AGAIN:
        night.order(name, COMPLETE, 0, 1)
    night.order("cancelled", COMPLETE, 0)
    night.look_until(
        lambda look: (
            look.is_in("TIMEOUT", "limit", 1)
            and look.is_in("COMPLETED", "cancelled", 0)
            and all(look.is_in("COMPLETED", name, 0) for name in QUEUED_AGAIN)
        ),
        "all has ended",
    )


def rise(night: Night) -> list[Look]:
    """The first stage is launched anew, and completes."""
    before = len(night.looks)
    for rank in (2, 3):
        night.order("first", COMPLETE, rank)
    night.launch("first")
    night.look_until(lambda look: look.is_in("COMPLETED", "first", 3), "the relaunch is done", 1)
    relaunched = night.looks[before:]
    del night.looks[before:]
    return relaunched


def test_slurm_did_with_the_jobs_what_was_to_happen(night: Night) -> None:
    """If not, the other tests would hold for no reason."""
    states = {
        name: " ".join(one.state for one in told.values())
        for name, told in night.looks[-1].after.items()
    }
    assert states == {
        "first": "COMPLETED COMPLETED FAILED FAILED",
        "second": f"{PENDING} {PENDING}",
        "limit": "TIMEOUT TIMEOUT",
        "cancelled": "COMPLETED CANCELLED",
        "requeued": "COMPLETED COMPLETED",
        "preempted": "COMPLETED",
        "signalled": "COMPLETED",
        "exits": "FAILED",
        "broken": "FAILED FAILED",
        "unplaced": "FAILED",
        **({"memory": "FAILED"} if night.cluster.limits_memory else {}),
    }
    assert {one.reason for one in night.looks[-1].after["second"].values()} == {
        "DependencyNeverSatisfied"
    }


def test_completed_tasks_are_counted(night: Night) -> None:
    last = night.looks[-1]
    told = {name: last.reading(name).tasks_completed for name in night.jobs}
    assert told == {name: COMPLETED.get(name, 0) for name in night.jobs}


def test_a_job_is_started_once_slurm_wrote_of_one_of_its_elements(night: Night) -> None:
    for name in night.jobs:
        has_run = False
        for look in night.looks:
            has_run = has_run or any(one.state != PENDING for one in look.after[name].values())
            started = look.reading(name).started
            assert started or name not in look.begun
            assert has_run or not started


def began(looks: Sequence[Look], name: str) -> float:
    """When the first element of a job did."""
    ran = [one for look in looks for one in look.before[name].values() if one.state != PENDING]
    return min(one.start for one in ran if one.start is not None)


def test_the_start_is_when_slurm_started_the_first_element(night: Night) -> None:
    launches = [(night.looks, name) for name in night.jobs.keys() - {"second"}]
    for looks, name in [*launches, (night.relaunched, "first")]:
        start_by_slurm = began(looks, name)
        told = {look.reading(name).start_timestamp for look in looks if name in look.begun}
        assert len(told) == 1, name
        (start,) = told
        assert start is not None
        assert start_by_slurm <= start <= start_by_slurm + LATE_SECONDS


def test_a_stage_that_waits_for_one_that_failed_has_no_start(night: Night) -> None:
    assert {look.reading("second").start_timestamp for look in night.looks} == {None}
    assert {look.jobs["second"].state for look in night.looks} == {"waiting"}


def test_no_rank_is_told_failed_that_slurm_runs_or_will_run(night: Night) -> None:
    """But for one whose own log says so while its process still ends."""
    raised = ("first", 2)
    for look in [*night.looks, *night.relaunched]:
        for name, ranks in look.after.items():
            for rank, element in ranks.items():
                is_failed = look.state(name, rank) == "failed"
                assert not (is_failed and element.is_active) or (name, rank) == raised
                assert not is_failed or rank in FAILED.get(name, {})


def test_a_rank_is_told_failed_within_two_scans_after_it_ended(night: Night) -> None:
    for name, failed in FAILED.items():
        for rank in failed if name in night.jobs else ():
            ended = [look.before[name][rank].state in ENDED_BADLY for look in night.looks]
            told = [look.state(name, rank) for look in night.looks[ended.index(True) + 2 :]]
            assert set(told) == {"failed"}, (name, rank)


def test_it_is_told_why_they_failed(night: Night) -> None:
    told = {}
    for name in FAILED.keys() & night.jobs.keys():
        logs = night.looks[-1].reading(name).logs
        assert logs is not None
        told[name] = {rank: why.cause.reason for rank, why in logs.tasks.failures.items()}
    assert told == {name: FAILED[name] for name in told}


def test_a_task_that_takes_too_much_memory_is_among_them(night: Night) -> None:
    if "memory" not in night.jobs:
        pytest.skip("no control groups (version 1) can be made here: Slurm cannot limit memory")
    assert night.looks[-1].state("memory", 0) == "failed"


def test_a_rank_that_waits_for_its_next_start_is_requeued(night: Night) -> None:
    for name in QUEUED_AGAIN:
        pending = [look.is_in(PENDING, name, 0) for look in night.looks]
        begun = [name in look.begun for look in night.looks]
        queued_again = [
            look.state(name, 0)
            for last, now, has_begun, look in zip(
                pending, pending[1:], begun[1:], night.looks[1:], strict=False
            )
            if last and now and has_begun
        ]
        assert set(queued_again) == {"requeued"}, name


def test_a_rank_that_runs_is_running(night: Night) -> None:
    """From its first line until it is done, and again when it was queued again."""

    def of(name: str, rank: int) -> list[str | None]:
        looks = [look for look in night.looks if look.is_in(RUNNING, name, rank)]
        return [state for look in looks if (state := look.state(name, rank))]

    for name, rank in [("limit", 1), ("cancelled", 0), ("cancelled", 1), ("requeued", 1)]:
        told = of(name, rank)
        assert set(told[told.index("running") :]) == {"running"}, (name, rank)
    for name in QUEUED_AGAIN:
        assert of(name, 0)[-1] == "running", name


def test_a_job_needs_a_relaunch_when_nothing_of_it_is_left_to_run(night: Night) -> None:
    for look in [*night.looks, *night.relaunched]:
        for name in night.jobs:
            assert not (look.reading(name).needs_relaunch and look.is_left(name)), name
    last = night.looks[-1]
    needing = {name for name in night.jobs if last.reading(name).needs_relaunch}
    assert needing == FAILED.keys() & night.jobs.keys()
    assert {name for name, job in last.jobs.items() if job.state == "failed"} == needing


def test_a_relaunch_begins_anew(night: Night) -> None:
    told = {look.state("first", rank) for look in night.relaunched for rank in (2, 3)}
    assert told <= {"waiting", "running", None}
    assert night.relaunched[-1].jobs["first"].state == "complete"


def test_whoever_looks_for_the_first_time_in_the_morning_is_told_the_same(
    night: Night, tmp_path: Path
) -> None:
    reasons = Counter(why for name in night.jobs for why in FAILED.get(name, {}).values())
    del reasons["program"]  # those were launched anew
    roots = [{"name": "night", "url": str(night.root), "scan_interval": "1s"}]
    with serving(tmp_path, roots=roots) as exporter:
        told = "datatrove_root_tasks_failed"
        page = exporter.wait_for(
            lambda page: all(
                page.value(told, root="night", reason=reason) == tasks
                for reason, tasks in reasons.items()
            ),
            "it is told why tasks failed",
        )
    for name in night.jobs.keys() - {"first", "second"}:
        job = page.having(root="night", job_name=name)
        assert job["datatrove_job_needs_relaunch"] == (name in FAILED)
        if name in FAILED:
            start = began(night.looks, name)
            assert start <= job["datatrove_job_start_timestamp_seconds"] <= start + LATE_SECONDS
