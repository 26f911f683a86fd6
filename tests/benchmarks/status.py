"""How long ``status`` takes to answer, against datatrove's ``jobs_status`` on the same tree.

Both run as the processes that a person would start, start-up included, on a made-up tree
one folder deep, which is all that ``jobs_status`` sees. Turns alternate; every figure is
the median; only ratios within one run mean anything, machines differ.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.jobs.folders import write_job
from support.jobs.pipelines import SUMMARY

JOBS = int(os.environ.get("BENCH_STATUS_JOBS", "50"))
TASKS = int(os.environ.get("BENCH_STATUS_TASKS", "200"))
TURNS = 5


def answer(command: list[str]) -> tuple[float, tuple[int, ...]]:
    """Seconds until the command has ended, and the four numbers of its summary."""
    environment = {**os.environ, "COLUMNS": "400", "PYTHONIOENCODING": "utf-8"}
    start = time.perf_counter()
    run = subprocess.run(command, env=environment, capture_output=True, check=True)
    taken = time.perf_counter() - start
    text = re.sub(r"(\d) %", r"\1%", run.stdout.decode())
    summary = SUMMARY.search(text)
    assert summary is not None, text
    return taken, tuple(map(int, summary.groups()))


def compare(title: str, root: Path) -> None:
    """Print one line: both times, and how many times faster ours is."""
    executables = Path(sys.executable).parent
    theirs, ours = [], []
    for _ in range(TURNS):
        their_time, their_sums = answer([str(executables / "jobs_status"), str(root)])
        our_time, our_sums = answer([str(executables / "datatrove-exporter"), "status", str(root)])
        assert our_sums == their_sums
        theirs.append(their_time)
        ours.append(our_time)
    slow, fast = statistics.median(theirs), statistics.median(ours)
    print(
        f"  {title:40} jobs_status {slow * 1000:8.0f} ms   status {fast * 1000:8.0f} ms"
        f"   jobs_status / status = {slow / fast:6.1f}"
    )


def run() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder, "one"), Path(folder, "many")
        write_job(one / "job", tasks=4, completed=range(4))
        for number in range(JOBS):
            done = TASKS if number % 3 else TASKS // 2
            write_job(many / f"job-{number:03d}", tasks=TASKS, completed=range(done))
        print("the answer for a local folder, start-up included")
        compare("1 job of 4 tasks", one)
        compare(f"{JOBS} jobs of {TASKS} tasks", many)


if __name__ == "__main__":
    run()
