"""What a scan costs, against datatrove's own jobs_status on the same jobs in the same run.

``scan.py [pages] [s3] [local] [large] [homes]``: these tables, or all. Each row is one process,
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

from measured import stats

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.jobs.homes import LOGS, Scans, write_homes
from support.storages.mounts import bindfs

HERE = Path(__file__)
MEASURED = str(HERE.with_name("measured.py"))
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "any"}


def number(name: str, default: int) -> int:
    """A size, which the environment may change."""
    return int(os.environ.get(f"BENCH_{name}", default))


# One row: a process


def timed(command: list[str], environment: Mapping[str, str]) -> tuple[str, float, float, float]:
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
    output, *cost = timed(
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
            timed([sys.executable, MEASURED, "steady", "s3://bucket/logs", "600", "1"], environment)
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
        MEASURED,
        "child",
        root,
        str(interval),
        server,
        json.dumps(expected),
    ]
    output, *_ = timed(command, {**environment, "BENCH_BEGAN": str(time.time())})
    return json.loads(output.splitlines()[-1])


def first(root: str, interval: float, expected: Any) -> list[float]:
    """Seconds and CPU seconds of a first scan, start-up included."""
    command = [sys.executable, MEASURED, "first", root, str(interval), json.dumps(expected)]
    output, *_ = timed(command, {"BENCH_BEGAN": str(time.time())})
    seconds: list[float] = json.loads(output)
    return seconds


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
            "--seccomp-bpf",  # what is not counted runs at full speed
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
    print(
        f"\n## Local: {jobs} jobs of {tasks} tasks, a third half done, files in the cache\n\n"
        "Medians of three runs of jobs_status and five first scans."
    )
    with scratch() as folder:
        write_tree(folder, jobs, tasks, 3)
        runs = [jobs_status(str(folder), {}) for _ in range(3)]
        expected, cost = sorted(runs, key=lambda run: run[1])[1]
        print_head("", "seconds", "CPU s", "times faster")
        print_row("jobs_status", [f"{cost[0]:.2f}", f"{cost[1]:.2f}", "1"])

        def row(name: str, seconds: float, cpu: float) -> None:
            print_row(name, [f"{seconds:.3f}", f"{cpu:.3f}", f"{cost[0] / seconds:.0f}"])

        time.sleep(2.5)  # folders written a moment ago are listed again, rightly
        for name, interval in (("as configured by default", 600.0), ("every job looked at", 0.0)):
            firsts = [first(str(folder), interval, expected) for _ in range(5)]
            row(f"first scan ({name})", *sorted(firsts)[2])
            _, _, _, wall, spent, _, active, added = child(str(folder), {}, interval, "", expected)
            row(f"steady ({name})", wall, spent)
            for share, (active_seconds, active_cpu, _) in active.items():
                row(
                    f"{share} % of the unfinished have a new marker ({name})",
                    active_seconds,
                    active_cpu,
                )
            expected = (expected[0] + added, expected[1])
        print_least(folder, expected)
        print_system_calls(folder, min(jobs, 20))


def print_least(folder: Path, expected: tuple[int, int]) -> None:
    """`status`, start-up included, beside a script that does only what its numbers need."""
    rows: dict[str, list[tuple[float, float]]] = {"script": [], "status": []}
    for _ in range(5):
        command = [sys.executable, str(HERE.with_name("bare_scan.py")), str(folder)]
        output, seconds, cpu, _ = timed(command, {})
        assert json.loads(output) == list(expected)
        rows["script"].append((cpu, seconds))
        output, seconds, cpu, _ = timed([sys.executable, "-m", "exporter", "status", folder], {})
        assert f"{expected[0]}/{expected[1]}" in output
        rows["status"].append((cpu, seconds))
    print_head("first scan, with start-up", "seconds", "CPU s", "times the CPU time of the script")
    cpu_of_script = sorted(rows["script"])[2][0]
    for name, runs in rows.items():
        cpu, seconds = sorted(runs)[2]
        print_row(name, [f"{seconds:.3f}", f"{cpu:.3f}", f"{cpu / cpu_of_script:.2f}"])


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
        print_head("per job and scan", "calls to the file system", "times fewer")
        print_row("jobs_status", [f"{theirs:.0f}", "1"])
        print_our_calls(folder, "", theirs)
        print_calls_on_a_mount(folder, 5 * jobs, theirs)
        print_calls_for_logs(jobs)
        print_calls_for_stats()
    finally:
        shutil.rmtree(few)
        shutil.rmtree(many)


def print_our_calls(folder: Path, where: str, theirs: float) -> None:
    """Those of a steady scan, as the difference between runs of three and of thirteen scans."""
    command = [sys.executable, MEASURED, "steady", str(folder)]
    for name, interval in (("as configured by default", "600"), ("every job looked at", "0")):
        by_us = [system_calls([*command, interval, scans], {}) for scans in ("3", "13")]
        ours = (by_us[1] - by_us[0]) / 10 / len(os.listdir(folder))
        print_row(f"steady{where} ({name})", [f"{ours:.2f}", f"{theirs / ours:.0f}"])


STATS = json.dumps(
    [{"name": "x", "time_stats": {"total": 1.5}, "stats": {"total": 9}}] * 7, indent=4
)
LOG = b"2026-11-26 16:13:41.349 | INFO     | datatrove.pipeline.base:run:9 - goes on\n" * 50


def print_calls_for_logs(jobs: int) -> None:
    """What the logs of jobs under way add to a steady scan, by how many are open."""
    print_head("logs of a job half done", "calls more", "calls without a look at logs")
    for count in (0, 5, 20):
        with scratch() as place:
            write_tree(place, jobs, 1000, 1)
            ago = time.time() - 300
            for job in place.iterdir():
                (job / "logs").mkdir()
                for rank in range(1000 - count, 1000):
                    log = job / "logs" / f"task_{rank:05d}.log"
                    log.write_bytes(LOG)
                    os.utime(log, (ago, ago))
            time.sleep(2.5)
            command = [sys.executable, MEASURED, "steady", str(place), "0"]
            by_kind = [
                [system_calls([*command, scans], environment) for scans in ("3", "13")]
                for environment in ({}, {"BENCH_WITHOUT_LOGS": "1"})
            ]
            watched, alone = ((more - few) / 10 / jobs for few, more in by_kind)
            print_row(f"{count} open", [f"{watched - alone:.2f}", f"{alone:.2f}"])


def print_calls_for_stats() -> None:
    """What the stats of tasks that are done add, once for each, and to a steady scan."""
    jobs, tasks = 10, 20
    print_head("stats of jobs half done", "calls more")
    with scratch() as place:
        write_tree(place, jobs, tasks, 1)
        for job in place.iterdir():
            (job / "stats").mkdir()
            for rank in range(tasks // 2):
                (job / "stats" / f"{rank:05d}.json").write_text(STATS)
        time.sleep(2.5)
        command = [sys.executable, MEASURED, "steady", str(place), "0"]
        alone, read = (
            [system_calls([*command, scans], environment) for scans in ("3", "13")]
            for environment in ({}, {"BENCH_READ_STATS": "1"})
        )
        files = jobs * tasks // 2
        print_row("of a task, once", [f"{(read[0] - alone[0]) / files:.2f}"])
        steady = (read[1] - read[0] - (alone[1] - alone[0])) / 10 / jobs
        print_row("of a job, each later scan", [f"{steady:.2f}"])


def print_calls_on_a_mount(folder: Path, jobs: int, theirs: float) -> None:
    """The same for some of the jobs, where the times of folders are not believed."""
    with scratch() as place:
        for name in sorted(os.listdir(folder))[:jobs]:
            shutil.copytree(folder / name, place / "jobs" / name)
        with bindfs(place / "jobs", place / "mounted"):
            print_our_calls(place / "mounted", " on a mount", theirs)


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
                output, *_ = timed([sys.executable, MEASURED, "page", name, url], environment)
            except AssertionError:
                print_row(name, ["not installed", ""])
                continue
            found[name] = float(output)
            print_row(name, [f"{found[name]:.2f}", f"{found[name] / found['ours']:.1f}"])


# Many jobs


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
    output, *_ = timed([sys.executable, MEASURED, "memory", str(jobs)], {})
    found, done, now, most = json.loads(output)
    print_head("what", "measured")
    print_row(f"memory with {found} jobs, {done / 1e6:.1f} M markers (made up)", [f"{now:.0f} MB"])
    print_row("the most it was meanwhile", [f"{most:.0f} MB"])
    with scratch() as folder:
        write_tree(folder, jobs, 4, 1)
        output, *_ = timed([sys.executable, MEASURED, "unchanged", str(folder)], {})
        found, cpu = json.loads(output)
        print_row(
            f"CPU time of a scan of {found} unfinished local jobs, unchanged", [f"{cpu:.2f} s"]
        )
        taken = scrapes(folder)
        print_row("scrapes meanwhile, median", [f"{statistics.median(taken) * 1000:.0f} ms"])
        print_row("scrapes meanwhile, 99 %", [f"{taken[len(taken) * 99 // 100] * 1000:.0f} ms"])


# Homes of many users


def homes() -> None:
    """Calls of a first and a later scan of users' homes, with `include` and with `folders`."""
    users, jobs, others = number("USERS", 20), number("USER_JOBS", 3), number("OTHERS", 300)
    with scratch() as folder:
        write_homes(folder, users=users, jobs=jobs, others=others)
        count = users * (others + (others + 9) // 10)
        print(f"\n## {users} homes with {users * jobs} jobs among {count} other folders")
        print_head("", "calls, first scan", "calls, steady", "jobs")
        later = {"completed_scan_interval_seconds": 600.0}
        for name, scans in {
            "`include`": Scans(str(folder), include=(f"*/{LOGS}/*",), **later),
            "`folders`": Scans(str(folder), f"*/{LOGS}/**", **later),
        }.items():
            found = len(scans.scan().jobs)
            first, _ = scans.calls, scans.scan()
            print_row(name, [str(first), str(scans.calls), str(found)])


TABLES = {"pages": pages, "s3": s3, "local": local, "large": large, "homes": homes}
if __name__ == "__main__":
    for table in sys.argv[1:] or TABLES:
        TABLES[table]()
