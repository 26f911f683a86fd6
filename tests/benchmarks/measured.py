"""What ``scan.py`` measures, each in a process of its own: ``measured.py NAME ARGUMENTS``.

Nothing is imported here but what the exporter itself needs to scan: start-up counts.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.commands import python_tuning
from exporter.config.settings import RootConfig, StorageOptions
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.storage.base import File, Folder, Look, Requests, Version
from exporter.workers import Workers

WORKERS = 16


def median(values: list[float]) -> float:
    """Of an odd number of values."""
    return sorted(values)[len(values) // 2]


class Scans:
    """Scans of one root, one after the other, in this process."""

    def __init__(self, url: str, options: Mapping[str, Any], completed_interval: float) -> None:
        config = RootConfig(
            "bench",
            url,
            storage_options=StorageOptions(options),
            completed_scan_interval_seconds=completed_interval,
            scan_timeout_seconds=3000,
            watch_logs="never" if "BENCH_WITHOUT_LOGS" in os.environ else "auto",
            read_stats="steps" if "BENCH_READ_STATS" in os.environ else "never",
        )
        self.workers = Workers(WORKERS)
        self.scheduler = Scheduler([config], Latest(), self.workers)

    def scan(self) -> tuple[Root, float, float]:
        """What was found, and the seconds and seconds of CPU time it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        (root,) = self.scheduler.run_once().roots
        assert root.up, root.error
        return root, time.perf_counter() - wall, time.process_time() - cpu


def stats(url: str) -> dict[str, int]:
    """What the server was asked since the last time."""
    import urllib.request

    with urllib.request.urlopen(f"{url}/-/stats") as answer:
        return {"list": 0, "head": 0, "get": 0, **json.load(answer)}


def first_scan(root: str, interval: str, expected: str) -> tuple[Scans, Root, float, float]:
    """What it found, and its seconds and CPU seconds since this process was started: the
    interpreter and all imports included."""
    scans = Scans(root, {}, float(interval))
    found, *_ = scans.scan()
    seconds, cpu = time.time() - float(os.environ["BENCH_BEGAN"]), time.process_time()
    assert found.totals is not None
    assert [found.totals.tasks_completed, found.totals.tasks] == json.loads(expected), found.totals
    return scans, found, seconds, cpu


def run_first(root: str, interval: str, expected: str) -> None:
    """A first scan and nothing else."""
    _, _, seconds, cpu = first_scan(root, interval, expected)
    print(json.dumps([seconds, cpu]))


def run_child(root: str, interval: str, server: str, expected: str) -> None:
    """The first scan, some that find nothing new, and some that find new markers."""
    scans, found, seconds, cpu = first_scan(root, interval, expected)

    def requests() -> dict[str, int]:
        return stats(server) if server else {}

    first = requests()
    time.sleep(2.5)
    scans.scan()  # folders seen for the first time are listed once more, rightly
    requests()
    steady = [scans.scan()[1:] for _ in range(5)]
    asked = {name: count // 5 for name, count in requests().items()}
    active = {}
    unfinished = [job.name for job in found.jobs if job.reading and not job.reading.is_complete]
    done = max(
        job.reading.tasks_completed
        for job in found.jobs
        if job.reading and not job.reading.is_complete
    )
    added = 0
    for step, share in enumerate((1, 10, 100)):
        names = unfinished[: max(1, len(unfinished) * share // 100)]
        for name in names:
            add_marker(root, server, name, done + step)
        added += len(names)
        requests()
        after, wall, spent = scans.scan()
        assert after.totals is not None
        active[str(share)] = (wall, spent, requests())
    wall, spent = (median(list(column)) for column in zip(*steady, strict=True))
    print(json.dumps([seconds, cpu, first, wall, spent, asked, active, added]))


def add_marker(root: str, server: str, job: str, rank: int) -> None:
    if server:
        import urllib.request

        urllib.request.urlopen(f"{server}/-/put?logs/{job}/completions/{rank:05d}").close()
    else:
        Path(root, job, "completions", f"{rank:05d}").touch()


def run_steady(root: str, interval: str, count: str) -> None:
    scans = Scans(root, {}, float(interval))
    for step in range(int(count)):
        scans.scan()
        if step == 0:
            time.sleep(2.5)


def run_page(name: str, url: str) -> None:
    prefix, turns = "logs/job00000/completions/", 60
    if name == "obstore":
        import obstore
        from obstore.store import S3Store

        options = {"allow_http": True}
        store = S3Store("bucket", endpoint=url, region="any", client_options=options)

        def read() -> int:
            return len(next(iter(obstore.list(store, prefix, chunk_size=1000))))
    elif name == "s3fs":
        import s3fs

        filesystem = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)

        def read() -> int:
            page = filesystem.call_s3("list_objects_v2", Bucket="bucket", Prefix=prefix)
            return len(page["Contents"])
    else:
        from exporter.storage.s3.client import Client

        client = Client("bucket", {}, 4)

        def read() -> int:
            return len(client.run(lambda session: session.list_page(prefix)).keys)

    assert read() == 1000
    began = time.process_time()
    for _ in range(turns):
        read()
    print((time.process_time() - began) / turns * 1000)


class Remembered:
    """Jobs of 1,000 tasks that exist only in memory, every third without its last hundred
    markers; looks come with times, as S3's do, which is what takes most memory."""

    TASKS = 1000
    is_object_store = True
    is_local = False
    lag_seconds = 0.0
    notes = ()

    def __init__(self, jobs: int) -> None:
        self.names = tuple(f"language-{job // 4:05d}-stage-{job % 4}" for job in range(jobs))
        self.requests = Requests("list")

    def list_folder(self, path: tuple[str, ...], last: Any = None, **_: object) -> Folder:
        return last or Folder((), has_executor_file=True) if path else Folder(self.names, False)

    def look(self, path: tuple[str, ...], folder: Folder, last: Any = None, **_: object) -> Look:
        if last is not None:
            return last  # type: ignore[no-any-return]
        number = int(path[0][9:14]) * 4 + int(path[0][-1])
        done = self.TASKS if number % 3 else self.TASKS - 100
        times = {rank: 10**18 + rank * 10**9 for rank in range(done)}
        return Look(Version("v", 10**18), Markers.of_times(times), has_logs=False)

    def list_files(self, *_: object, **__: object) -> list[File]:
        return []

    def read_part(self, *_: object, **__: object) -> bytes:
        raise StorageError("not_found", "there are no files")

    def read_file(self, *_: object) -> tuple[int | None, bytes]:
        raise StorageError("not_found", "there are no files")

    def read_executor(self, path: object, seen: Version, limit: int) -> tuple[Version, bytes]:
        return seen, b'{"world_size": %d}' % self.TASKS

    def close(self) -> None:
        pass


def run_memory(jobs: str) -> None:
    from exporter.metrics.render import Renderer

    storage = Remembered(int(jobs))
    latest = Latest()
    config = RootConfig("many", "/many", scan_timeout_seconds=3000)
    scheduler = Scheduler([config], latest, Workers(4), lambda *_: storage)  # type: ignore[arg-type]
    renderer = Renderer()
    (root,) = scheduler.run_once().roots
    assert root.totals is not None
    renderer.render(latest.read())["text"]
    scheduler.run_once()
    status = Path("/proc/self/status").read_text()
    now, most = (int(status.partition(name)[2].split()[0]) / 1024 for name in ("VmRSS:", "VmHWM:"))
    print(json.dumps([root.totals.jobs, root.totals.tasks_completed, now, most]))


def run_unchanged(root: str) -> None:
    scans = Scans(root, {}, 600.0)
    scans.scan()
    time.sleep(2.5)
    scans.scan()
    found = [scans.scan() for _ in range(5)]
    cpu = median([cpu for _, _, cpu in found])
    print(json.dumps([len(found[0][0].jobs), cpu]))


PROCESSES = {
    "child": run_child,
    "first": run_first,
    "steady": run_steady,
    "page": run_page,
    "memory": run_memory,
    "unchanged": run_unchanged,
}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    python_tuning.tune()  # as the command does
    PROCESSES[name](*arguments)
    sys.stdout.flush()
    os._exit(0)
