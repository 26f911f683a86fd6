"""What many jobs cost: ``scaling.py [local] [prometheus] [s3]``, these tables, or all.

A job has ten tasks; one in twenty is under way, with four of them done and three that write logs.
Four jobs lie in a folder that is none, as the stages of a dump do. ``BENCH_SCALES`` are sizes.
Local jobs are scanned by a real ``serve``, which tells what it needs; requests to S3 are counted by
the server, over an hour of the configuration that is played sixty times as fast or more.
"""

import asyncio
import gzip
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import slow_s3
from measured import stats
from scan import KEYS, print_head, print_row, scratch
from support.processes import Exporter, prometheus, serving
from support.servers import wait_until
from support.storages.in_memory_s3 import Objects

from exporter.config.settings import RootConfig, StorageOptions, WatchLogs
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

SCALES = [int(each) for each in os.environ.get("BENCH_SCALES", "1000 20000 100000").split()]
TASKS, DONE, LOGS, STAGES, ONE_IN = 10, 4, 3, 4, 20
EXECUTOR = json.dumps(
    {"pipeline": [{"name": "x" * 200}] * 5, "start_method": "forkserver", "world_size": TASKS},
    indent=4,
)
LOG = "2026-11-26 16:13:41.349 | INFO     | datatrove.pipeline.base:run:9 - goes on\n" * 50
DOLLARS = {"list": 0.005 / 1000, "get": 0.0004 / 1000, "head": 0.0004 / 1000}
"""S3 Standard, us-east-1, November 2026; a LIST costs as much as a PUT."""
HOURS = 730  # of a month


def files(jobs: int, *, flat: bool = False) -> Iterator[tuple[str, str]]:
    """Path and content of each file of so many jobs."""
    for job in range(jobs):
        folder = f"minhash/CC-MAIN-2024-{job // STAGES:05d}/stage-{job % STAGES}"
        folder = folder.replace("/", "_") if flat else folder
        is_under_way = job % ONE_IN == 0
        yield f"{folder}/executor.json", EXECUTOR
        for rank in range(DONE if is_under_way else TASKS):
            yield f"{folder}/completions/{rank:05d}", ""
        for rank in range(DONE, DONE + LOGS) if is_under_way else ():
            yield f"{folder}/logs/task_{rank:05d}.log", LOG


# Local folders


def write_tree(root: Path, jobs: int) -> None:
    """The tree, launched an hour ago; logs were written five minutes ago."""
    now = time.time()
    ages = {".json": 3600, ".log": 300}
    for name, content in files(jobs):
        file = root / name
        try:
            file.write_text(content)
        except FileNotFoundError:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        if age := ages.get(file.suffix):
            os.utime(file, (now - age, now - age))


def memory_of(exporter: Exporter) -> tuple[float, float]:
    """Resident memory in MB: now, and the most so far."""
    text = Path(f"/proc/{exporter.process.pid}/status").read_text()
    kilobytes = dict(line.split(":", 1) for line in text.splitlines())
    now, most = (int(kilobytes[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


def cpu_of(exporter: Exporter) -> float:
    """Seconds of CPU time so far."""
    fields = Path(f"/proc/{exporter.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scans_of(exporter: Exporter) -> float:
    """How many scans ended so far."""
    return exporter.page().value("datatrove_root_scans_total", root="prod") or 0


@contextmanager
def local_exporter(jobs: int, interval: int) -> Iterator[tuple[Path, Exporter]]:
    """A real exporter that has scanned so many jobs once."""
    with scratch() as folder:
        write_tree(folder / "jobs", jobs)
        time.sleep(2.5)  # folders written a moment ago are listed again, rightly
        root = {"name": "prod", "url": str(folder / "jobs"), "max_per_root": jobs}
        scan = {"interval": f"{interval}s", "timeout": "10m"}
        log = {"level": "error"}
        with serving(folder, "--log.level=info", roots=[root], scan=scan, log=log) as exporter:
            wait_until(lambda: exporter.get("/-/ready").status == 200, "the first scan", 900)
            yield folder, exporter


def local() -> None:
    print("\n## Local folders: CPU, memory, page")
    print_head(
        *("jobs", "CPU s, first scan", "CPU s a scan, mean of ten", "memory MB", "at most MB"),
        *("samples", "MB a scrape", "MB, gzip", "status page KB"),
    )
    for jobs in SCALES:
        interval = 2 if jobs <= 20_000 else 15
        with local_exporter(jobs, interval) as (_, exporter):
            first = cpu_of(exporter)
            text = exporter.get("/metrics").body
            time.sleep(interval)
            began, cpu = scans_of(exporter), cpu_of(exporter)
            time.sleep(10 * interval)
            spent = (cpu_of(exporter) - cpu) / (scans_of(exporter) - began)
            samples = sum(line[:1] != b"#" for line in text.splitlines())
            html = exporter.get("/").body
            values = [f"{first:.2f}", f"{spent:.3f}", *(f"{x:.0f}" for x in memory_of(exporter))]
            values += [f"{samples:,}", f"{len(text) / 1e6:.2f}"]
            values += [f"{len(gzip.compress(text, 1)) / 1e6:.2f}", f"{len(html) / 1000:.0f}"]
            print_row(f"{jobs:,}", values)


# Prometheus


def prometheus_needs() -> None:
    print("\n## Prometheus that scrapes it every two seconds for two minutes")
    print_head("jobs", "series", "memory MB", "scrape seconds, at most")
    for jobs in SCALES[:2]:
        with local_exporter(jobs, 2) as (folder, exporter):
            scrape = {"scrape_interval": "2s", "scrape_timeout": "2s"}
            with prometheus(folder, exporter.port, **scrape) as server:
                time.sleep(120)
                with urllib.request.urlopen(f"{server.url}/metrics") as answer:
                    lines = answer.read().decode().splitlines()
                told = dict(line.rsplit(" ", 1) for line in lines if line[:1] != "#")
                series = float(told["prometheus_tsdb_head_series"])
                memory = float(told["process_resident_memory_bytes"]) / 2**20
                taken = server.value("max_over_time(scrape_duration_seconds[1m])")
                print_row(f"{jobs:,}", [f"{series:,.0f}", f"{memory:.0f}", f"{taken:.2f}"])


# S3


@dataclass(frozen=True)
class Setting:
    """A configuration by name: its intervals in minutes."""

    name: str
    interval: float = 1
    completed: float = 10
    verify: float = 60
    logs: float = 10
    watch_logs: WatchLogs = "auto"

    def requests(self, jobs: int, folders: int) -> float:
        """LISTs in an hour: every folder that is no job and every job under way at each scan, each
        complete job and each look at logs of those under way in their intervals, and each job once
        more in that of a thorough look."""
        under_way = jobs / ONE_IN
        return 60 * (
            (folders + under_way) / self.interval
            + (jobs - under_way) / self.completed
            + (0 if self.watch_logs == "never" else under_way / self.logs)
            + jobs / self.verify
        )

    def root(self, times_as_fast: float) -> RootConfig:
        seconds = 60 / times_as_fast
        return RootConfig(
            "prod",
            "s3://bucket/logs",
            scan_interval_seconds=self.interval * seconds,
            completed_scan_interval_seconds=self.completed * seconds,
            verify_interval_seconds=self.verify * seconds,
            log_scan_interval_seconds=self.logs * seconds,
            watch_logs=self.watch_logs,
            storage_options=StorageOptions({}),
        )


SETTINGS = (
    Setting("by default"),
    Setting("`watch_logs: never`", watch_logs="never"),
    Setting("`completed_scan_interval: 1h`, `verify_interval: 6h`", completed=60, verify=360),
    Setting("`interval: 5m`, `verify_interval: 6h`", interval=5, completed=50, verify=360),
    Setting(
        "the same, `completed_scan_interval: 6h`, `log_scan_interval: 1h`",
        interval=5,
        completed=360,
        verify=360,
        logs=60,
    ),
)


def filled(jobs: int, *, flat: bool) -> Objects:
    objects = Objects("bucket")
    objects.now = time.time() - 1800
    for name, content in files(jobs, flat=flat):
        objects._objects[f"logs/{name}"] = content.encode(), objects.now
    objects._keys = sorted(objects._objects)
    return objects


def requests_an_hour(jobs: int, setting: Setting, *, flat: bool) -> dict[str, float]:
    """What a bucket is asked in an hour of this setting, after the first scan."""
    times_as_fast = setting.interval * 60  # a scan a second
    window = setting.verify * 60 / times_as_fast
    command = [sys.executable, __file__, "bucket", str(jobs), str(int(flat))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        os.environ |= {**KEYS, "AWS_ENDPOINT_URL": url}
        latest = Latest()
        scheduler = Scheduler([setting.root(times_as_fast)], latest, Workers(16))
        thread = threading.Thread(target=scheduler.run, daemon=True)
        try:
            thread.start()
            wait_until(lambda: latest.read().roots[0].totals, "the first scan", 300)
            time.sleep(3)
            stats(url)
            skipped = latest.read().roots[0].scans_skipped
            time.sleep(window)
            asked = stats(url)
            late = latest.read().roots[0].scans_skipped - skipped
            if late:
                print(f"({late} scans were late)", file=sys.stderr)
        finally:
            scheduler.stop()
            process.kill()
    hours = window * times_as_fast / 3600
    return {operation: asked[operation] / hours for operation in DOLLARS}


def s3() -> None:
    jobs = int(os.environ.get("BENCH_S3_SCALE", "100"))
    print(f"\n## S3: {jobs:,} jobs, requests an hour, and money a month")
    print_head(
        "setting",
        "LIST an hour",
        "by the formula",
        "GET an hour",
        *(f"{n:,} jobs, $" for n in SCALES),
    )
    for flat, settings in ((False, SETTINGS), (True, SETTINGS[:1])):
        for setting in settings:
            asked = requests_an_hour(jobs, setting, flat=flat)
            dollars = sum(DOLLARS[op] * count for op, count in asked.items()) * HOURS / jobs
            name = f"{setting.name}, all in one folder" if flat else setting.name
            formula = setting.requests(jobs, 1 if flat else 2 + jobs // STAGES)
            counts = [f"{asked['list']:,.0f}", f"{formula:,.0f}"]
            counts.append(f"{asked['get'] + asked['head']:,.0f}")
            print_row(name, [*counts, *(f"{dollars * n:,.2f}" for n in SCALES)])


TABLES = {"local": local, "prometheus": prometheus_needs, "s3": s3}
if __name__ == "__main__":
    if sys.argv[1:2] == ["bucket"]:
        slow_s3.LIST_SECONDS = slow_s3.OBJECT_SECONDS = 0.0
        asyncio.run(slow_s3.serve(filled(int(sys.argv[2]), flat=sys.argv[3] == "1")))
    for table in sys.argv[1:] or TABLES:
        TABLES[table]()
