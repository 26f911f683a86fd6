"""Job folders that real launches left, and the state of each of their tasks as it was.

`STATES` tells it of launches by datatrove's own executors and by its code for Slurm: how many
tasks are in each state, which exceptions they raised, and whether the job needs to be launched
again. `DEAD` tells of a real Slurm cluster's jobs (`slurm_jobs`) which ranks had ended for good,
by sacct. `TIMELINES` are jobs of such a cluster as they were watched: each version of each log.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporter.config.settings import RootConfig
from exporter.datatrove.task_state import OpenTasks
from exporter.errors import StorageError
from exporter.model.job import Reading
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.probes.logs.watch import LogWatch
from exporter.scanning.probing import with_logs
from exporter.storage.base import Folder, Storage
from support.jobs import archives
from support.paths import DATA

STATES: dict[str, dict] = json.loads((DATA / "task_states.json").read_text())
SECRETS: list[str] = STATES["local/kinds"]["secrets"]

DEAD: dict[str, tuple[int, ...]] = {
    "arrays/buckets": (),
    "arrays/signatures": (3,),
    "broken_env": (0, 1, 2, 3),
    "cancelled": (1, 3),
    "chain_failed/buckets": (),
    "chain_failed/filter": (),
    "chain_failed/signatures": (),
    "chain_ok/buckets": (),
    "chain_ok/cluster": (),
    "chain_ok/filter": (),
    "chain_ok/signatures": (),
    "fail_once": (),
    "oom": (1,),
    "preempted": (),
    "relaunch_fewer": (),
    "requeue_usr1": (),
    "timeout": (2,),
}
UNTELLABLE = ("array_too_big", "held")
"""Ranks of these are dead, too, and nothing in their folders tells them from those that wait."""


def unpack(folder: Path) -> Path:
    """The archive of `STATES`, with its modification times."""
    return archives.unpack("task_states.tar.gz", folder)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A watched job: how it was launched, and what is true of it. `requeued` ranks were queued
    again and never failed; those that had failed at the end have a reason."""

    executor: dict[str, object]
    requeued: tuple[int, ...] = ()
    failed: tuple[tuple[int, str], ...] = ()
    relaunched_at: float | None = None


def _slurm(tasks: int, **keys: object) -> dict[str, object]:
    return {"partition": "main", "skip_completed": True, **keys, "world_size": tasks}


TIMELINES: dict[str, Timeline] = {
    "double": Timeline(_slurm(4), failed=((3, "other"),), relaunched_at=1795713700.0),
    "exits": Timeline(
        _slurm(4),
        failed=((0, "stopped"), (1, "stopped"), (3, "stopped")),
    ),
    "noreq": Timeline(_slurm(2), failed=((1, "cancelled"),)),
    "perjob_usr1": Timeline(_slurm(6, tasks_per_job=3), requeued=(1, 2)),
    "preempt": Timeline(_slurm(3), requeued=(0, 1, 2)),
    "preempt_nosrun": Timeline(_slurm(2), requeued=(0, 1)),
    "requeue": Timeline(_slurm(2), requeued=(1,)),
    "usr1": Timeline(_slurm(2), requeued=(1,)),
}
"""`exits` has a rank 2 that ended by ``sys.exit(0)``, of which no line tells."""


def versions_of(job: str) -> Iterator[tuple[float, str, bytes]]:
    """Each version of each of the job's files, in the order of their times: when it was written,
    the file's path below the job, and its content."""
    found = []
    with tarfile.open(DATA / "slurm_timeline.tar.gz") as archive:
        for member in archive:
            match = re.fullmatch(rf"(?:\./)?{job}/(.+)@([\d.]+)", member.name)
            content = archive.extractfile(member) if match else None
            if match and content:
                found.append((float(match[2]), match[1], content.read()))
    return iter(sorted(found, key=lambda version: version[:2]))


class Scans:
    """Scans of one job, one after the other."""

    def __init__(self, storage: Storage, job: str, **options: object) -> None:
        self.storage = storage
        self.path = tuple(job.split("/"))
        self.watch = LogWatch(RootConfig("r", "r", **options))  # type: ignore[arg-type]
        self.probes = (partial(with_logs, self.watch),)
        self.memory: Memory | None = None
        self.folder: Folder | None = None

    def is_there(self) -> bool:
        """There is a job to scan."""
        try:
            folder = self.storage.list_folder(self.path, with_subfolders=False)
        except StorageError:
            return False
        return folder.has_executor_file

    def scan(self) -> JobScan:
        self.watch.begin()
        folder = self.storage.list_folder(self.path, self.folder, with_subfolders=False)
        found = scan_job(self.storage, self.path, folder, self.memory, self.probes)
        self.folder = folder
        self.memory = found.memory
        return found

    def read(self) -> Reading:
        found = self.scan()
        assert (found.error, found.log_error) == (None, None)
        assert found.reading is not None
        return found.reading


def open_tasks_of(reading: Reading) -> OpenTasks | None:
    """What is told of the open tasks; they sum up, whatever it is."""
    if reading.logs is None:
        return None
    tasks = reading.logs.tasks
    assert sum(tasks.in_states().values()) == reading.tasks_left
    return tasks
