"""Ten thousand scans under faults, in a process of their own: does anything grow?

Roots of every kind are scanned several times a second while their storage breaks and
comes back: folders that change, go and return, jobs that are corrupt or no files, a mount
that freezes every few seconds, an S3 server that throttles, resets, lies or falls silent.
Prints what the process needs as it goes, and fails if it needs more at the end than after
the first fifth.

    python tests/benchmarks/soak.py [SCANS]
"""

import gc
import logging
import os
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.jobs.folders import write_executor, write_job, write_marker
from support.servers import BUCKET, HOST, S3Server, free_ports, is_listening, running, wait_until
from support.storages import faulty_s3
from support.storages.faulty_s3 import FaultyS3
from support.storages.mounts import Mount, bindfs

from exporter.commands import python_tuning
from exporter.config.settings import RootConfig, StorageOptions
from exporter.metrics.publisher import Publisher
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

_LOCAL_ROOTS = 50
_MOUNTED_ROOTS = 10
_MORE_THREADS = 8
_MORE_FILES = 16
_MORE_MEMORY_BYTES = 16 * 1024 * 1024
_MORE_MEMORY_PER_SCAN_BYTES = 200
# What an allocator keeps does not grow with the number of scans; a leak of one small
# object per scan and root does.


@dataclass(frozen=True)
class Needs:
    """What the process holds at one moment; `threads` are those beside the pool's."""

    threads: int
    files: int
    memory_bytes: int

    @classmethod
    def now(cls) -> "Needs":
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            threads=len(os.listdir("/proc/self/task")) - _pool_threads(),
            files=len(os.listdir("/proc/self/fd")),
            memory_bytes=resident * resource.getpagesize(),
        )

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.files} files, {self.memory_bytes / 1e6:.1f} MB"


def _pool_threads() -> int:
    return sum(thread.name == "scan-worker" for thread in threading.enumerate())


class Weather:
    """Breaks things and mends them, again and again, until it is stopped."""

    def __init__(self, folder: Path, mount: Mount, proxies: list[FaultyS3], seed: int) -> None:
        self._folder = folder
        self._mount = mount
        self._proxies = proxies
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._mount.thaw()
        for proxy in self._proxies:
            proxy.fault = None

    def _run(self) -> None:
        ticks = 0
        while not self._over.wait(0.02):
            ticks += 1
            self._change_a_local_root()
            if ticks % 200 == 0:
                self._mount.freeze()
            if ticks % 200 == 150:
                self._mount.thaw()
            if ticks % 30 == 0:
                self._random.choice(self._proxies).fault = self._random.choice(_S3_FAULTS)

    def _change_a_local_root(self) -> None:
        root = self._folder / f"local-{self._random.randrange(_LOCAL_ROOTS)}"
        if not root.exists():
            self._folder.joinpath("away", root.name).rename(root)
            return
        job = root / f"job-{self._random.randrange(4)}"
        kind = self._random.randrange(8)
        if kind == 0:
            shutil.rmtree(job, ignore_errors=True)
        elif kind == 1:
            root.rename(self._folder / "away" / root.name)
        elif kind == 2 and job.exists():
            (job / "executor.json").unlink(missing_ok=True)  # a write into a pipe would wait
            (job / "executor.json").write_bytes(self._random.randbytes(100))
        elif kind == 3 and job.exists():
            (job / "executor.json").unlink(missing_ok=True)
            os.mkfifo(job / "executor.json")
        elif not job.exists():
            write_job(job, tasks=50)
        elif (job / "executor.json").is_file():
            write_marker(job, f"{self._random.randrange(60):05d}", time.time())
        else:
            (job / "executor.json").unlink(missing_ok=True)
            write_executor(job, tasks=50)


_S3_FAULTS: list[faulty_s3.Fault | None] = [
    None,
    None,
    faulty_s3.error(503, "SlowDown"),
    faulty_s3.error(403, "ExpiredToken"),
    faulty_s3.resets,
    faulty_s3.breaks_off,
    faulty_s3.says_nothing,
    faulty_s3.listing(lambda body: body[: len(body) // 2]),
]


def _s3(stack: ExitStack, folder: Path) -> list[FaultyS3]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    stack.enter_context(running(command, folder / "moto.log"))
    wait_until(lambda: is_listening(port), "moto listens", seconds=60)
    client = S3Server(f"http://{HOST}:{port}", "any", "any").client()
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="logs/job/executor.json", Body=b'{"world_size": 4}')
    client.put_object(Bucket=BUCKET, Key="logs/job/completions/00000", Body=b"")
    client.close()
    return [stack.enter_context(FaultyS3(port)) for _ in range(2)]


def _configs(folder: Path, proxies: list[FaultyS3]) -> list[RootConfig]:
    paths = [folder / f"local-{number}" for number in range(_LOCAL_ROOTS)]
    paths += [folder / "mnt" / f"mounted-{number}" for number in range(_MOUNTED_ROOTS)]
    paths.append(folder / "never-there")
    times = {"scan_interval_seconds": 0.2, "scan_timeout_seconds": 1.5, "stale_after_seconds": 2.0}
    configs = [RootConfig(path.name, str(path), **times) for path in paths]
    for number, proxy in enumerate(proxies):
        options = StorageOptions({"endpoint_url": proxy.url, "key": "any", "secret": "any"})
        name, url = f"s3-{number}", f"s3://{BUCKET}/logs"
        times = {"scan_interval_seconds": 0.5, "scan_timeout_seconds": 2.0}
        configs.append(RootConfig(name, url, storage_options=options, **times))
    return configs


def soak(scans: int, folder: Path) -> None:
    """Raises AssertionError if something grows, or is not well in the end."""
    (folder / "away").mkdir()
    for number in range(_LOCAL_ROOTS):
        write_job(folder / f"local-{number}" / "job-0", tasks=50, completed=[0])
    for number in range(_MOUNTED_ROOTS):
        write_job(folder / "server" / f"mounted-{number}" / "job", tasks=50, completed=[0])
    python_tuning.tune()  # as the command does
    bugs = _Bugs()
    logging.getLogger("exporter").addHandler(bugs)
    with ExitStack() as stack:
        mount = stack.enter_context(bindfs(folder / "server", folder / "mnt"))
        proxies = _s3(stack, folder)
        latest, workers = Latest(), Workers(8, patience_seconds=0.2)
        scheduler = Scheduler(_configs(folder, proxies), latest, workers)
        scheduling = threading.Thread(target=scheduler.run, daemon=True)
        scheduling.start()
        publisher = Publisher(latest)
        publisher.exposition("text", compressed=True)
        publisher.start()

        def needs_after(count: int, seed: int) -> Needs:
            weather = Weather(folder, mount, proxies, seed)
            weather.start()
            told = 0
            while (done := sum(root.scans for root in latest.read().roots)) < count:
                time.sleep(0.5)
                publisher.exposition("text", compressed=True).gzip_body(b"")
                if done // 1000 > told:
                    told = done // 1000
                    gc.collect()  # as the service does
                    print(f"{done} scans: {Needs.now()}, {workers.stuck} stuck", flush=True)
            weather.stop()
            _all_well_again(latest, workers)
            needs = Needs.now()
            print(f"{done} scans: {needs}", flush=True)
            return needs

        early = needs_after(scans // 5, seed=1)
        late = needs_after(scans, seed=2)
        publisher.stop()
        scheduler.stop()
        scheduling.join()
        workers.close()
    assert not bugs.records, "bugs of the exporter"
    assert late.threads <= early.threads + _MORE_THREADS, "threads"
    assert late.files <= early.files + _MORE_FILES, "files"
    more = _MORE_MEMORY_BYTES + scans * _MORE_MEMORY_PER_SCAN_BYTES
    assert late.memory_bytes <= early.memory_bytes + more, "memory"


class _Bugs(logging.Handler):
    """Keeps what is logged as a bug; roots that cannot be read are no news here."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def _all_well_again(latest: Latest, workers: Workers) -> None:
    """Everything on the mount and on S3 can be read, no thread is stuck, and the pool is no
    larger than its rules let it be: as many threads run calls as it has slots, and no more
    than that wait for one."""

    def well() -> bool:
        kept = [r for r in latest.read().roots if r.name.startswith(("mounted", "s3"))]
        is_small = _pool_threads() <= 2 * workers.size
        return workers.stuck == 0 and is_small and all(root.up for root in kept)

    wait_until(well, "all is well again", seconds=60)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        soak(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, Path(name))
