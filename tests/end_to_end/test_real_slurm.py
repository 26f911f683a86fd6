"""A night on a real Slurm: datatrove's jobs there fail in the ways that jobs on Slurm do.

The exporter scans once a second. Each look keeps what it said, and what Slurm said just before
and just after; the tests hold the one against the other.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.real_slurm import PENDING, RUNNING, Element, Slurm, slurm
from support.scans import Watch, jobs_of
from support.slurm_jobs import LATE_SECONDS
from support.slurm_pipelines import COMPLETE, FAIL, FILL_MEMORY, Orders, launch

from exporter.model.snapshot import Job, Reading

pytestmark = pytest.mark.timeout(300)  # the first test waits for the night to pass

JOBS: dict[str, dict[str, object]] = {
    "first": {"tasks": 4, "tasks_per_job": 2},
    "second": {"tasks": 2, "depends": "first"},
    "limit": {"tasks": 2, "tasks_per_job": 2},
    "cancelled": {"tasks": 2},
    "requeued": {"tasks": 2},
    "broken": {"tasks": 2, "env_command": "deactivate() { PATH=${PATH#*:}; }; deactivate"},
    "memory": {"tasks": 1, "sbatch_args": {"mem-per-cpu": "500M"}},
}
"""What is launched: stage two of a chain waits for stage one; the environment of one is gone."""
COMPLETED = {"first": 2, "limit": 1, "cancelled": 1, "requeued": 2}
"""How many of their tasks are told to complete; nothing of the others is."""


@dataclass(frozen=True)
class Look:
    """What the exporter said, and Slurm just before and after, of each job's elements. Slurm had
    written output of the `begun` jobs before."""

    begun: frozenset[str]
    before: dict[str, list[Element]]
    jobs: dict[str, Job]
    after: dict[str, list[Element]]

    def reading(self, name: str) -> Reading:
        reading = self.jobs[name].reading
        assert reading is not None
        return reading


class Night:
    """The jobs, the orders to their ranks, and everything that was seen of them."""

    def __init__(self, cluster: Slurm, folder: Path, root: Path, watch: Watch) -> None:
        self.cluster = cluster
        self.looks: list[Look] = []
        self.jobs = dict(JOBS)
        if not cluster.limits_memory:  # then nothing would stop the task that fills it
            del self.jobs["memory"]
        self._root = root
        self._orders = Orders(folder / "orders")
        self._watch = watch

    def launch(self) -> None:
        stages = [
            {
                "job_name": name,
                "logging_dir": str(self._root / name),
                "orders": str(self._orders.folder(name)),
                **options,
            }
            for name, options in self.jobs.items()
        ]
        launch(self.cluster, stages)

    def order(self, name: str, **orders: str) -> None:
        """What ranks of a job are to do: ``order("name", _3=FAIL)``."""
        for rank, order in orders.items():
            self._orders.give(name, int(rank.removeprefix("_")), order)

    def elements(self) -> dict[str, list[Element]]:
        """The elements of each job's array, by their index; not those that merge statistics."""
        arrays: dict[str, dict[int, dict[int, Element]]] = {}
        for one in self.cluster.elements().values():
            array, index = map(int, one.id.split("_"))
            arrays.setdefault(one.name, {}).setdefault(array, {})[index] = one
        firsts = {name: of_name[min(of_name)] for name, of_name in arrays.items()}
        return {name: [of[index] for index in sorted(of)] for name, of in firsts.items()}

    def look(self) -> Look:
        begun = {output.parts[-3] for output in self._root.glob("*/slurm_logs/*.out")}
        before = self.elements()
        jobs = jobs_of(self._watch.scan())
        self.looks.append(Look(frozenset(begun), before, jobs, self.elements()))
        return self.looks[-1]

    def look_until(self, condition: Callable[[Look], bool], what: str, more: int = 3) -> None:
        """Look once a second until something is so, and some times `more`."""
        deadline = time.monotonic() + 120
        while not condition(self.look()):
            assert time.monotonic() < deadline, f"not within two minutes: {what}"
            time.sleep(1)
        for _ in range(more):
            time.sleep(1)
            self.look()


def are(look: Look, name: str, *states: str) -> bool:
    """Whether the elements of a job were in these states before and after the exporter looked."""
    return all(
        [one.state for one in told[name]] == list(states) for told in (look.before, look.after)
    )


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    root = folder / "root"
    root.mkdir()
    watch = Watch(root)
    with slurm() as cluster:
        night = Night(cluster, folder, root, watch)
        night.order("first", _0=COMPLETE, _1=COMPLETE)
        night.order("limit", _0=COMPLETE)
        night.order("memory", _0=FILL_MEMORY)
        night.launch()
        happen(night, root)
        yield night
    watch.close()


def happen(night: Night, root: Path) -> None:
    """Everything that goes wrong that night."""
    open_logs = ["first/logs/task_00002.log", "limit/logs/task_00001.log"]
    open_logs += [
        f"{name}/logs/task_{rank:05d}.log" for name in ("cancelled", "requeued") for rank in (0, 1)
    ]
    night.look_until(lambda _: all((root / log).exists() for log in open_logs), "all ranks began")

    running = night.elements()
    night.order("first", _2=FAIL)
    night.cluster.cancel(running["cancelled"][1].id)
    night.cluster.requeue(running["requeued"][0].id)
    night.cluster.end_time_limit(running["limit"][0].id)

    night.look_until(lambda look: are(look, "requeued", RUNNING, RUNNING), "it runs again", more=0)
    night.order("requeued", _0=COMPLETE, _1=COMPLETE)
    night.order("cancelled", _0=COMPLETE)
    night.look_until(
        lambda look: (
            are(look, "limit", "TIMEOUT")
            and are(look, "requeued", "COMPLETED", "COMPLETED")
            and are(look, "cancelled", "COMPLETED", "CANCELLED")
        ),
        "all has ended",
    )


def test_slurm_did_with_the_jobs_what_was_to_happen(night: Night) -> None:
    """If not, the other tests would hold for no reason."""
    states = {name: [one.state for one in told] for name, told in night.looks[-1].after.items()}
    assert states == {
        "first": ["COMPLETED", "FAILED"],
        "second": [PENDING, PENDING],
        "limit": ["TIMEOUT"],
        "cancelled": ["COMPLETED", "CANCELLED"],
        "requeued": ["COMPLETED", "COMPLETED"],
        "broken": ["FAILED", "FAILED"],
        **({"memory": ["FAILED"]} if night.cluster.limits_memory else {}),
    }
    assert any(are(look, "requeued", PENDING, RUNNING) for look in night.looks)


def test_completed_tasks_are_counted(night: Night) -> None:
    last = night.looks[-1]
    told = {name: last.reading(name).tasks_completed for name in night.jobs}
    assert told == {name: COMPLETED.get(name, 0) for name in night.jobs}


def test_a_job_is_started_once_slurm_wrote_of_one_of_its_elements(night: Night) -> None:
    for look in night.looks:
        for name in night.jobs:
            started = look.reading(name).started
            assert started or name not in look.begun
            assert not started or any(one.state != PENDING for one in look.after[name])


def test_the_start_is_when_slurm_started_the_first_element(night: Night) -> None:
    for name in night.jobs.keys() - {"second"}:
        began = min(
            one.start
            for look in night.looks
            for one in look.before[name]
            if one.state != PENDING and one.start is not None
        )
        told = {look.reading(name).start_timestamp for look in night.looks if name in look.begun}
        assert len(told) == 1, name
        (start,) = told
        assert start is not None
        assert began <= start <= began + LATE_SECONDS


def test_a_stage_that_waits_for_one_that_failed_has_no_start(night: Night) -> None:
    assert {look.reading("second").start_timestamp for look in night.looks} == {None}
    assert {look.jobs["second"].state for look in night.looks} == {"waiting"}
