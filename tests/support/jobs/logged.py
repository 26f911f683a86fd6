"""Jobs with logs, in folders made by hand, and scans that tell what they read of them."""

import os
import time
from pathlib import Path

from exporter.datatrove.layout import log_name, marker_name
from exporter.errors import StorageError
from exporter.storage.base import File
from exporter.storage.base import Path as JobPath
from exporter.storage.local.storage import LocalStorage
from support.jobs.task_states import Scans, open_tasks_of

HOUR = 3600.0
LINE = "2026-11-26 {hour:02d}:{minute:02d}:00.000 | {level} | datatrove.{place}:9 - text\n"
FRAMES = 'Traceback\n> File "/home/ann/steps.py", line 7, in run\n    x\n'


def line(minutes: int = 0, level: str = "INFO", place: str = "pipeline.base:run") -> str:
    return LINE.format(hour=minutes // 60, minute=minutes % 60, level=level, place=place)


def failure(raised: str = "KeyError: 'hf_secret'") -> str:
    return line() + line(1, "ERROR", "executor.base:_run_for_rank") + FRAMES + raised + "\n"


class Job:
    """A folder of a local launch, all of whose files are as old as they are said to be."""

    def __init__(self, root: Path, tasks: int, keys: str = '"local_tasks": 1') -> None:
        self.root, self.folder, self.tasks = root, root / "job", tasks
        for name in ("logs", "completions"):
            (self.folder / name).mkdir(parents=True)
        self.write(
            "executor.json", f'{{"start_method": "spawn", {keys}, "world_size": {tasks}}}', 8 * HOUR
        )

    def write(self, name: str, data: str | bytes, seconds_ago: float) -> Path:
        file = self.folder / name
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        at = time.time() - seconds_ago
        os.utime(file, (at, at))
        return file

    def log(self, rank: int, data: str | bytes, seconds_ago: float = HOUR) -> Path:
        return self.write(f"logs/{log_name(rank)}", data, seconds_ago)

    def done(self, rank: int, seconds_ago: float) -> None:
        self.write(f"completions/{marker_name(rank)}", "", seconds_ago)


class CountedStorage(LocalStorage):
    """Notes which parts of which files are read."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.read: list[str] = []
        self.refusal: StorageError | None = None

    def read_part(self, path: JobPath, file: str, *, of_end: bool = False) -> bytes:
        self.read.append(file.rpartition("/")[2])
        if self.refusal is not None:
            raise self.refusal
        return super().read_part(path, file, of_end=of_end)

    def list_files(self, path: JobPath, inner: str, *more: object, **options: object) -> list[File]:
        if self.refusal is not None:
            raise self.refusal
        return super().list_files(path, inner, *more, **options)  # type: ignore[arg-type]


def scans_of(job: Job, **options: object) -> tuple[Scans, CountedStorage]:
    storage = CountedStorage(job.root)
    return Scans(storage, "job", **options), storage


def counts(scans: Scans) -> dict[str, int]:
    tasks = open_tasks_of(scans.read())
    assert tasks is not None
    return {state: number for state, number in tasks.in_states().items() if number}
