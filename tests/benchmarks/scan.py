"""What a scan costs, against datatrove's own jobs_status on the same jobs in the same run.

``scan.py [pages] [s3] [local] [large]``: these tables, or all. Each row is one process,
start-up included; rows named "steady" are the later scans of the process of the row above.
Machines differ and so do runs: only ratios within one run mean anything.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exporter.config import RootConfig, StorageOptions
from exporter.exposition import Exposition
from exporter.markers import Markers
from exporter.scheduler import Scheduler
from exporter.snapshot import Latest, Root
from exporter.storage.base import Folder, Look, Requests, Version
from exporter.workers import Workers

HERE = Path(__file__)
WORKERS = 16
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "any"}


def number(name: str, default: int) -> int:
    """A size, which the environment may change."""
    return int(os.environ.get(f"BENCH_{name}", default))


class Scans:
    """Scans of one root, one after the other, in this process."""

    def __init__(self, url: str, options: Mapping[str, Any], completed_interval: float) -> None:
        config = RootConfig(
            "bench",
            url,
            storage_options=StorageOptions(options),
            completed_scan_interval_seconds=completed_interval,
            scan_timeout_seconds=3000,
        )
        self.workers = Workers(WORKERS)
        self.scheduler = Scheduler([config], Latest(), self.workers)

    def scan(self) -> tuple[Root, float, float]:
        """What was found, and the seconds and seconds of CPU time it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        (root,) = self.scheduler.run_once().roots
        assert root.up, root.error
        return root, time.perf_counter() - wall, time.process_time() - cpu


# One row: a process


def measured(command: list[str], environment: Mapping[str, str]) -> tuple[str, float, float, float]:
    """Output, seconds, seconds of CPU time and megabytes of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    assert status == 0, command
    return output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def jobs_status(path: str, environment: Mapping[str, str]) -> tuple[tuple[int, int], list[float]]:
    """((tasks completed, tasks), [seconds, CPU seconds, megabytes]) of jobs_status."""
    output, *cost = measured(
        [sys.executable, "-m", "datatrove.tools.jobs_status", path],
        {"COLUMNS": "300", "NO_COLOR": "1", **environment},
    )
    summary = " ".join(output[output.rindex("Summary:") :].split())
    done, _, tasks = summary.partition("jobs completed, ")[2].partition(" ")[0].partition("/")
    return (int(done), int(tasks)), cost


def print_row(name: str, values: list[str]) -> None:
    print(f"| {name} | " + " | ".join(values) + " |", flush=True)


def print_head(*names: str) -> None:
    print()
    print_row(names[0], list(names[1:]))
    print("|" + " --- |" * len(names))


# S3


@contextmanager
def slow_s3(jobs: int, tasks: int, unfinished: int) -> Iterator[str]:
    command = [
        sys.executable,
        str(HERE.with_name("slow_s3.py")),
        *map(str, (jobs, tasks, unfinished)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def stats(url: str) -> dict[str, int]:
    """What the server was asked since the last time."""
    with urllib.request.urlopen(f"{url}/-/stats") as answer:
        return {"list": 0, "head": 0, "get": 0, **json.load(answer)}


def s3() -> None:
    jobs, tasks = number("S3_JOBS", 200), number("S3_TASKS", 2000)
    print(
        f"\n## S3: {jobs} jobs of {tasks} tasks, a third half done; LIST 60 ms, GET and HEAD 25 ms"
    )
    print_head(
        "", "seconds", "CPU s", "LIST", "HEAD", "GET", "MB", "times faster", "times fewer bytes"
    )
    with slow_s3(jobs, tasks, 3) as url:
        environment = {**KEYS, "AWS_ENDPOINT_URL": url}
        stats(url)
        expected, cost = jobs_status("s3://bucket/logs", environment)
        asked = stats(url)
        base = cost[0], asked["bytes"]

        def row(name: str, seconds: float, cpu: float, asked: Mapping[str, int]) -> None:
            values = [f"{seconds:.2f}", f"{cpu:.2f}"]
            values += [str(asked[operation]) for operation in ("list", "head", "get")]
            values += [f"{asked['bytes'] / 1e6:.2f}", f"{base[0] / seconds:.0f}"]
            print_row(name, [*values, f"{base[1] / max(1, asked['bytes']):.0f}"])

        row("jobs_status", cost[0], cost[1], asked)
        for name, interval in (("as configured by default", 600.0), ("every job looked at", 0.0)):
            # The server makes each answer once; what that takes is not to be measured.
            measured(
                [sys.executable, str(HERE), "steady", "s3://bucket/logs", "600", "1"], environment
            )
            stats(url)
            seconds, cpu, *more = child("s3://bucket/logs", environment, interval, url, expected)
            row(f"first scan ({name})", seconds, cpu, more[0])
            row(f"steady ({name})", more[1], more[2], more[3])
            expected = (expected[0] + more[5], expected[1])
            for share, cost in more[4].items():
                row(f"{share} % of the unfinished have a new marker ({name})", *cost)


def child(
    root: str, environment: Mapping[str, str], interval: float, server: str, expected: Any
) -> Any:
    """Scans in a process of their own: seconds, CPU and requests of the first with start-up,
    of later ones, and of those after so many percent of the jobs got a marker."""
    command = [
        sys.executable,
        str(HERE),
        "child",
        root,
        str(interval),
        server,
        json.dumps(expected),
    ]
    output, *_ = measured(command, {**environment, "BENCH_BEGAN": str(time.time())})
    return json.loads(output.splitlines()[-1])


def run_child(root: str, interval: str, server: str, expected: str) -> None:
    """In that process."""
    scans = Scans(root, {}, float(interval))
    found, *_ = scans.scan()
    # From when this process was started, the interpreter and all imports included.
    seconds = time.time() - float(os.environ["BENCH_BEGAN"])
    cpu = time.process_time()
    assert found.totals is not None
    assert [found.totals.tasks_completed, found.totals.tasks] == json.loads(expected), found.totals

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
    wall, spent = (statistics.median(column) for column in zip(*steady, strict=True))
    print(json.dumps([seconds, cpu, first, wall, spent, asked, active, added]))


def add_marker(root: str, server: str, job: str, rank: int) -> None:
    if server:
        urllib.request.urlopen(f"{server}/-/put?logs/{job}/completions/{rank:05d}").close()
    else:
        Path(root, job, "completions", f"{rank:05d}").touch()


# Local folders


def write_tree(root: Path, jobs: int, tasks: int, unfinished: int) -> None:
    executor = json.dumps({"pipeline": [{"name": "x" * 200}] * 5, "world_size": tasks}, indent=4)
    for job in range(jobs):
        completions = root / f"job{job:05d}" / "completions"
        completions.mkdir(parents=True)
        (completions.parent / "executor.json").write_text(executor)
        folder = os.open(completions, os.O_RDONLY)
        for rank in range(tasks // 2 if unfinished and job % unfinished == 0 else tasks):
            os.close(os.open(f"{rank:05d}", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        os.close(folder)


@contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bench-scan-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def system_calls(command: list[str], environment: Mapping[str, str]) -> int:
    """System calls that go to the file system, of a process and its threads, counted by
    strace. (Those of locks between threads depend on how much strace slows them.)"""
    with tempfile.NamedTemporaryFile("r") as counts:
        strace = [
            "strace",
            "-f",
            "-c",
            "-e",
            "trace=%file,getdents64,fstat,read,close",
            "-U",
            "calls",
            "-o",
            counts.name,
            *command,
        ]
        subprocess.run(
            strace, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True
        )
        return int(counts.read().split()[-2])


def local() -> None:
    jobs, tasks = number("LOCAL_JOBS", 1000), number("LOCAL_TASKS", 1000)
    print(f"\n## Local: {jobs} jobs of {tasks} tasks, a third half done, files in the cache")
    with scratch() as folder:
        write_tree(folder, jobs, tasks, 3)
        expected, cost = jobs_status(str(folder), {})
        print_head("", "seconds", "CPU s", "times faster")
        print_row("jobs_status", [f"{cost[0]:.2f}", f"{cost[1]:.2f}", "1"])

        def row(name: str, seconds: float, cpu: float) -> None:
            print_row(name, [f"{seconds:.3f}", f"{cpu:.3f}", f"{cost[0] / seconds:.0f}"])

        time.sleep(2.5)  # folders written a moment ago are listed again, rightly
        for name, interval in (("as configured by default", 600.0), ("every job looked at", 0.0)):
            seconds, cpu, _, wall, spent, _, active, added = child(
                str(folder), {}, interval, "", expected
            )
            row(f"first scan ({name})", seconds, cpu)
            row(f"steady ({name})", wall, spent)
            for share, (active_seconds, active_cpu, _) in active.items():
                row(
                    f"{share} % of the unfinished have a new marker ({name})",
                    active_seconds,
                    active_cpu,
                )
            expected = (expected[0] + added, expected[1])
        print_system_calls(folder, min(jobs, 20))


def print_system_calls(folder: Path, jobs: int) -> None:
    """Per job, as the difference between two runs that differ in nothing else."""
    few, many = folder.with_name(folder.name + "-few"), folder.with_name(folder.name + "-many")
    for target, count in ((few, jobs // 2), (many, jobs)):
        target.mkdir()
        for name in sorted(os.listdir(folder))[:count]:
            shutil.copytree(folder / name, target / name)
    try:
        by_status = [
            system_calls([sys.executable, "-m", "datatrove.tools.jobs_status", str(target)], {})
            for target in (few, many)
        ]
        theirs = (by_status[1] - by_status[0]) / (jobs - jobs // 2)
        command = [sys.executable, str(HERE), "steady", str(folder)]
        print_head("per job and scan", "calls to the file system", "times fewer")
        print_row("jobs_status", [f"{theirs:.0f}", "1"])
        for name, interval in (("as configured by default", "600"), ("every job looked at", "0")):
            by_us = [system_calls([*command, interval, scans], {}) for scans in ("3", "13")]
            ours = (by_us[1] - by_us[0]) / 10 / len(os.listdir(folder))
            print_row(f"steady ({name})", [f"{ours:.2f}", f"{theirs / ours:.0f}"])
    finally:
        shutil.rmtree(few)
        shutil.rmtree(many)


def run_steady(root: str, interval: str, count: str) -> None:
    scans = Scans(root, {}, float(interval))
    for step in range(int(count)):
        scans.scan()
        if step == 0:
            time.sleep(2.5)


# One page


def pages() -> None:
    """CPU time of reading a page of 1,000 keys, with what else there is to read it."""
    with slow_s3(1, 1000, 0) as url:
        environment = {**KEYS, "AWS_ENDPOINT_URL": url}
        print("\n## One S3 listing page of 1,000 keys")
        print_head("", "CPU ms", "times of ours")
        found = {}
        for name in ("ours", "s3fs", "obstore"):
            try:
                output, *_ = measured([sys.executable, str(HERE), "page", name, url], environment)
            except AssertionError:
                print_row(name, ["not installed", ""])
                continue
            found[name] = float(output)
            print_row(name, [f"{found[name]:.2f}", f"{found[name] / found['ours']:.1f}"])


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
        from exporter.storage.s3client import Client

        client = Client("bucket", {}, 4)

        def read() -> int:
            return len(client.run(lambda session: session.page(prefix)).keys)

    assert read() == 1000
    began = time.process_time()
    for _ in range(turns):
        read()
    print((time.process_time() - began) / turns * 1000)


# Many jobs


class Remembered:
    """Jobs of 1,000 tasks that exist only in memory, every third without its last hundred
    markers; looks come with times, as S3's do, which is what takes most memory."""

    TASKS = 1000

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

    def read_executor(self, path: object, seen: Version, limit: int) -> tuple[Version, bytes]:
        return seen, b'{"world_size": %d}' % self.TASKS

    def close(self) -> None:
        pass


def run_memory(jobs: str) -> None:
    storage = Remembered(int(jobs))
    latest = Latest()
    config = RootConfig("many", "/many", scan_timeout_seconds=3000)
    scheduler = Scheduler([config], latest, Workers(4), lambda *_: storage)  # type: ignore[arg-type]
    exposition = Exposition(latest)
    (root,) = scheduler.run_once().roots
    assert root.totals is not None
    exposition.page("text")
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
    cpu = statistics.median(cpu for _, _, cpu in found)
    print(json.dumps([len(found[0][0].jobs), cpu]))


def scrapes(root: Path) -> list[float]:
    """Seconds of scrapes with gzip, while the exporter scans without pause."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        config = Path(folder, "config.yaml")
        config.write_text(
            f"roots: [{json.dumps(str(root))}]\nscan: {{interval: 1s, timeout: 10m}}\n"
            f'web: {{listen_address: "127.0.0.1:{port}"}}\nlog: {{level: error}}\n'
        )
        command = [sys.executable, "-m", "exporter", "serve", f"--config.file={config}"]
        with subprocess.Popen(command) as process:
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
                request.add_header("Accept-Encoding", "gzip")
                deadline = time.monotonic() + 600
                while time.monotonic() < deadline:
                    time.sleep(1)
                    try:
                        if urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready").status == 200:
                            break
                    except OSError:
                        continue
                urllib.request.urlopen(request).read()
                taken = []
                for _ in range(200):
                    began = time.perf_counter()
                    urllib.request.urlopen(request).read()
                    taken.append(time.perf_counter() - began)
                    time.sleep(0.05)
                return sorted(taken)
            finally:
                process.kill()


def large() -> None:
    jobs = number("LARGE_JOBS", 20_000)
    print(f"\n## {jobs} jobs")
    output, *_ = measured([sys.executable, str(HERE), "memory", str(jobs)], {})
    found, done, now, most = json.loads(output)
    print_head("what", "measured")
    print_row(f"memory with {found} jobs, {done / 1e6:.1f} M markers (made up)", [f"{now:.0f} MB"])
    print_row("the most it was meanwhile", [f"{most:.0f} MB"])
    with scratch() as folder:
        write_tree(folder, jobs, 4, 1)
        output, *_ = measured([sys.executable, str(HERE), "unchanged", str(folder)], {})
        found, cpu = json.loads(output)
        print_row(
            f"CPU time of a scan of {found} unfinished local jobs, unchanged", [f"{cpu:.2f} s"]
        )
        taken = scrapes(folder)
        print_row("scrapes meanwhile, median", [f"{statistics.median(taken) * 1000:.0f} ms"])
        print_row("scrapes meanwhile, 99 %", [f"{taken[len(taken) * 99 // 100] * 1000:.0f} ms"])


TABLES = {"pages": pages, "s3": s3, "local": local, "large": large}
PROCESSES = {
    "child": run_child,
    "steady": run_steady,
    "page": run_page,
    "memory": run_memory,
    "unchanged": run_unchanged,
}

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments and arguments[0] in PROCESSES:
        PROCESSES[arguments[0]](*arguments[1:])
        sys.stdout.flush()
        os._exit(0)
    for table in arguments or TABLES:
        TABLES[table]()
