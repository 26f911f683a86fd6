"""Launches live at random; after each step the state of every open task is as it was made.

Tasks start, write, fail, are killed, queued again and completed; jobs are launched again, whole
or by slices. Files get times long ago, so that a log has fallen quiet as soon as it is written.
"""

import itertools
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.jobs.task_states import Scans, open_tasks_of
from support.servers import BUCKET, HttpServer
from support.storages.in_memory_s3 import Objects

from exporter.config.settings import StallRule
from exporter.datatrove.layout import log_name, marker_name
from exporter.storage.base import Storage
from exporter.storage.filesystems.adapter import Adapter
from exporter.storage.filesystems.generic import GenericStorage
from exporter.storage.local.storage import LocalStorage
from exporter.storage.s3.storage import S3Storage

HISTORIES = int(os.environ.get("HISTORIES", "60"))
STEPS = 25
BEGIN = time.time() - 2 * 86_400
KEYS = {
    "local": {"start_method": "forkserver"},
    "slurm": {"partition": "cpu"},
    "ray": {"ray_remote_kwargs": None},
    "unknown": {},
}
LINE = "2026-11-26 16:13:41.349 | {level:8} | datatrove.{place}:{number} - {text}\n"
FIRST = LINE.format(level="INFO", place="utils.logging:add_task_logger", number=76, text="Launch")
STEP = LINE.format(level="INFO", place="pipeline.base:run", number=5, text="goes on")
DONE = LINE.format(level="SUCCESS", place="executor.base:_run_for_rank", number=140, text="done")
FAILED = LINE.format(level="ERROR", place="executor.base:_run_for_rank", number=99, text="oh")
FAILED += 'Traceback\n  File "/secret/steps.py", line 7, in run\n    x\nKeyError: "secret"\n'
REQUEUED = LINE.format(
    level="WARNING", place="executor.slurm:requeue_handler", number=43, text="Received signal"
)
KILLED = {
    "oom": "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=56.0.\n",
    "cancelled": "slurmstepd-n1: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-26T16:15:11 ***\n",
    "exit": "srun: error: n1: task 0: Exited with exit code 3\n",
}
LOST = (
    "slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-26T16:15:11 DUE TO PREEMPTION ***\n"
    "srun: error: n1: task 0: Terminated\n"
)
ATTEMPT = "Starting data processing job x\n+ srun -l launch_pickled_pipeline y\n"


class Folder:
    """A job's folder on a disk, whose files get the times of the history."""

    def __init__(self, root: Path) -> None:
        self.job = root / "job"
        self.now = BEGIN

    def write(self, name: str, data: str = "") -> None:
        self.now += 10
        file = self.job / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(data)
        os.utime(file, (self.now, self.now))

    def read(self, name: str) -> str:
        file = self.job / name
        return file.read_text() if file.exists() else ""


class Bucket(Folder):
    """The same in a bucket."""

    def __init__(self, root: Path, objects: Objects) -> None:
        super().__init__(root)
        self.objects = objects

    def write(self, name: str, data: str = "") -> None:
        super().write(name, data)
        self.objects.now = self.now
        self.objects.put(f"logs/job/{name}", data.encode())


class History:
    """One job. `shows_open`: a log shows while its task runs. Tasks under way are `running`; of
    the states that are not done, `truth` has those of this launch."""

    def __init__(self, folder: Folder, kind: str, chance: random.Random, *, shows_open: bool):
        self.folder, self.kind, self.chance = folder, kind, chance
        self.shows_open = shows_open
        self.is_slice = kind == "local" and chance.random() < 0.4
        self.tasks = chance.choice([1, 2, 3, 7])
        is_on_slurm = kind == "slurm" and shows_open
        self.tasks_per_job = chance.choice([1, 2, 3]) if is_on_slurm else 1
        self.max_size = chance.choice([-1, 2, 100]) if is_on_slurm else -1
        self.done: set[int] = set()
        self.truth: dict[int, str] = {}
        self.array = 0
        self.is_live = False
        self.has_died = False
        self.launch()

    def launch(self) -> None:
        keys = {**KEYS[self.kind], "skip_completed": True}
        if self.kind == "slurm":
            keys |= {"tasks_per_job": self.tasks_per_job, "max_array_size": self.max_size}
        if self.is_slice:
            keys["local_tasks"] = self.tasks + 1
        self.folder.write("executor.json", json.dumps({**keys, "world_size": self.tasks}))
        self.todo = [rank for rank in range(self.tasks) if rank not in self.done]
        if self.kind == "slurm":
            self.array += 10 + self.chance.randrange(3)
            self.folder.write("ranks_to_run.json", json.dumps(self.todo))
        if not self.is_slice:  # else every log counts, also of other slices
            self.truth = {}
        self.has_died = False

    def output(self, rank: int) -> str:
        element, size = self.todo.index(rank) // self.tasks_per_job, self.max_size
        array, index = divmod(element, size) if size > 0 else (0, element)
        return f"slurm_logs/{self.array + array}_{index}.out"

    def element(self, rank: int) -> list[int]:
        """The ranks that one process runs one after the other, as far as they are not done."""
        begin = self.todo.index(rank) // self.tasks_per_job * self.tasks_per_job
        ranks = self.todo[begin : begin + self.tasks_per_job]
        return [rank for rank in ranks if rank not in self.done]

    def out(self, rank: int, text: str) -> None:
        if self.kind == "slurm" and self.shows_open:
            self.folder.write(self.output(rank), self.folder.read(self.output(rank)) + text)

    def log(self, rank: int, text: str) -> None:
        """One whole version of a log; where open logs do not show, only of one that ended."""
        self.folder.write(f"logs/{log_name(rank)}", text)

    def step(self) -> None:
        running = [rank for rank, state in self.truth.items() if state == "running"]
        fresh = [rank for rank in self.todo if rank not in self.done and self.may_start(rank)]
        choices = []
        if fresh and not self.has_died:
            choices += [(self.start, fresh)] * 4
        if running and not self.has_died:
            choices += [(self.complete, running)] * 4 + [
                (self.go_on, running),
                (self.fail, running),
            ]
            if self.kind == "slurm" and self.shows_open:
                choices += [(self.kill, running), (self.queue_again, running)]
        if self.has_died or self.chance.random() < 0.1 or not choices:
            self.launch()
            return
        act, ranks = self.chance.choice(choices)
        act(self.chance.choice(sorted(ranks)))

    def may_start(self, rank: int) -> bool:
        """The rank is the next one of its element, and that does not run."""
        element = self.element(rank)
        is_next = element[0] == rank and self.truth.get(rank) in (None, "requeued")
        return is_next and "running" not in map(self.truth.get, element)

    def start(self, rank: int) -> None:
        for other in self.element(rank):  # an element that runs again: its others wait anew
            if self.truth.get(other) == "requeued":
                del self.truth[other]
        self.truth[rank] = "running"
        name = "0: " + FIRST.replace(" - Launch", f" - Launching pipeline for rank={rank}")
        self.out(rank, ATTEMPT + name)
        if self.shows_open:
            self.log(rank, FIRST)

    def go_on(self, rank: int) -> None:
        if self.shows_open:
            self.log(rank, FIRST + STEP * self.chance.randrange(1, 9))

    def complete(self, rank: int) -> None:
        self.folder.write(f"completions/{marker_name(rank)}")
        self.done.add(rank)
        self.truth.pop(rank)
        self.log(rank, FIRST + DONE)
        if self.tasks_per_job > 1 and (left := self.element(rank)):
            self.truth[left[0]] = "running"
            self.log(left[0], FIRST)

    def fail(self, rank: int) -> None:
        self.truth |= dict.fromkeys(self.element(rank), "failed")
        self.log(rank, FIRST + STEP + FAILED)
        self.out(rank, KILLED["exit"])
        if self.kind == "local" and not self.is_slice:
            self.has_died = True

    def kill(self, rank: int) -> None:
        self.truth |= dict.fromkeys(self.element(rank), "failed")
        self.out(rank, self.chance.choice(sorted(KILLED.values())))

    def queue_again(self, rank: int) -> None:
        self.truth |= dict.fromkeys(self.element(rank), "requeued")
        if self.chance.random() < 0.5:
            self.log(rank, FIRST + REQUEUED)
        self.out(rank, LOST)

    def states(self) -> dict[str, int]:
        """How many tasks are in each state that can be told."""
        told = dict.fromkeys(("failed", "requeued", "silent", "running", "waiting", "unseen"), 0)
        known = dict.fromkeys((r for r in range(self.tasks) if r not in self.done), "waiting")
        known |= self.truth
        shows = self.shows_open and self.kind != "ray"
        if shows and "running" in known.values() and not self.has_died:
            self.is_live = True
        if shows and self.kind == "slurm" and self.truth:
            self.is_live = True
        if shows and self.has_died and "running" in known.values():
            self.is_live = True
        for state in known.values():
            if self.is_live and self.has_died and state == "running":
                told["silent"] += 1
            elif self.is_live or state in ("failed", "requeued"):
                told[state] += 1
            elif state == "running" and self.shows_open:  # its log shows, and has no marker
                told["failed"] += 1
            else:
                told["unseen"] += 1
        return {state: number for state, number in told.items() if number}


@contextmanager
def a_place(kind: str, root: Path) -> Iterator[tuple[Folder, Storage]]:
    if kind == "s3":
        objects = Objects(BUCKET)
        with HttpServer(objects.answer) as server:
            options = {"endpoint_url": server.url, "key": "any", "secret": "any"}
            storage = S3Storage(f"s3://{BUCKET}/logs", options, 8)
            yield Bucket(root, objects), storage
            storage.close()
    elif kind == "generic":
        yield Folder(root), GenericStorage(f"file://{root}", {}, Adapter())
    else:
        yield Folder(root), LocalStorage(str(root))


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("place", ["local", "s3", "generic"])
def test_every_open_task_is_in_the_state_that_it_was_brought_to(
    tmp_path: Path, place: str, kind: str
) -> None:
    for number in range(HISTORIES if place == "local" else max(1, HISTORIES // 4)):
        root = tmp_path / str(number)
        root.mkdir()
        with a_place(place, root) as (folder, storage):
            seed = f"{place} {kind} {number}"
            chance = random.Random(seed)
            shows_open = place == "local" and kind != "ray"
            history = History(folder, kind, chance, shows_open=shows_open)
            never = StallRule(after_seconds=1e9)  # what is silent has tests of its own
            scans = Scans(storage, "job", log_scan_interval_seconds=0.0, stall=never)
            trail = []
            for step in itertools.count():
                tasks = open_tasks_of(scans.read())
                told = {s: n for s, n in tasks.in_states().items() if n} if tasks else {}
                if tasks is not None:
                    assert told == history.states(), (seed, step, trail)
                if step == STEPS or len(history.done) == history.tasks:
                    break
                before = dict(history.truth)
                history.step()
                trail.append((before, dict(history.truth)))
        shutil.rmtree(root)
