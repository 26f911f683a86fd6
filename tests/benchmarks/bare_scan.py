"""The least that a first scan of local jobs takes in this language: ``bare_scan.py ROOT``.

Lists, reads and stats what `status` needs for the same numbers, each once, one folder after the
other, and prints the sums. Nothing is kept, checked or told that these numbers do not need.
"""

import json
import os
import sys
from functools import cache


@cache
def marker_names(tasks: int) -> frozenset[str]:
    """Those that count for a job of so many tasks."""
    return frozenset(f"{rank:05d}" for rank in range(tasks))


def scan(job: str) -> tuple[int, int, int, float] | None:
    """Tasks, completed ones, completed ones since the launch, and the time of the last one; None
    if the folder is no job. It is listed for the jobs that may lie in it."""
    with os.scandir(job) as entries:
        names = [entry.name for entry in entries if entry.is_dir() or entry.name == "executor.json"]
    if "executor.json" not in names:
        return None
    file = os.open(f"{job}/executor.json", os.O_RDONLY | os.O_NONBLOCK)
    launch = os.fstat(file).st_mtime
    tasks = json.loads(os.read(file, 1 << 22))["world_size"]
    os.close(file)
    folder = os.open(f"{job}/completions", os.O_RDONLY | os.O_DIRECTORY)
    completed = marker_names(tasks).intersection(os.listdir(folder))
    if len(completed) == tasks:  # one after the other: their folder has the time of the last
        last, since = os.fstat(folder).st_mtime, tasks
    else:
        times = [os.stat(name, dir_fd=folder).st_mtime for name in completed]
        last, since = max(times, default=0.0), sum(time >= launch for time in times)
    os.close(folder)
    return tasks, len(completed), since, last


def main(root: str) -> None:
    with os.scandir(root) as entries:
        jobs = [found for entry in entries if entry.is_dir() and (found := scan(entry.path))]
    print(json.dumps([sum(job[1] for job in jobs), sum(job[0] for job in jobs)]))


if __name__ == "__main__":
    main(sys.argv[1])
