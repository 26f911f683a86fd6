"""What a page for people costs, against the same jobs as JSON in the same run.

The jobs are made up in memory: no page touches storage. Times are of this process' CPU,
the least of several turns; only ratios within one run mean anything, machines differ.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.pages import READING
from support.readings import NOW, a_job, a_root, a_snapshot

from exporter.model.report import report_on
from exporter.model.snapshot import Snapshot
from exporter.web import api
from exporter.web.pages import Pages
from exporter.web.query import MAX_PER_PAGE, PER_PAGE, Query
from exporter.web.urls import Addresses

JOBS = int(os.environ.get("BENCH_JOBS", "20000"))
TURNS = 15
START = """
import time
begun = time.process_time()
from exporter.web.pages import Pages
imported = time.process_time()
Pages()
print(imported - begun, time.process_time() - imported)
"""


def made_up_snapshot(jobs: int) -> Snapshot:
    """One root with this many jobs, two thirds of them complete."""
    made = tuple(
        a_job(
            f"minhash/language-{number // 4:05d}/stage-{number % 4}",
            reading=replace(
                READING,
                tasks=1000,
                tasks_completed=1000 if number % 3 else number % 1000,
                launch_timestamp=NOW - 40_000 + number,
                last_completion_timestamp=NOW - 30_000 + number * 1.5,
            ),
        )
        for number in range(jobs)
    )
    return a_snapshot(a_root("prod", *made))


def milliseconds(work: Callable[[], object], turns: int = TURNS) -> float:
    """The least CPU time of `work`."""
    taken = []
    for _ in range(turns):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken) * 1000


def start() -> tuple[float, float]:
    """Milliseconds to import the pages, and to compile their templates, in a process of
    their own; the least of a few."""
    command = [sys.executable, "-c", START]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5)]
    imported, compiled = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    return min(imported) * 1000, min(compiled) * 1000


def run() -> None:
    """Print the table."""
    snapshot = made_up_snapshot(JOBS)
    report = report_on(snapshot, NOW)
    imported, compiled = start()
    pages = Pages()
    addresses = Addresses(row.key for row in report.rows)
    show = partial(pages.status, addresses=addresses)
    print(f"{JOBS} jobs; at the start: import {imported:.0f} ms, templates {compiled:.0f} ms")
    rows = [
        ("the report on all of them", milliseconds(lambda: report_on(snapshot, NOW), 5)),
        (
            "the page of one",
            milliseconds(partial(pages.job, report, report.rows[0], "", addresses)),
        ),
        ("the first status page", milliseconds(partial(show, report, Query()), 1)),
    ]
    for number in (PER_PAGE, MAX_PER_PAGE):
        query = Query(per_page=number)
        rows += [
            (f"a page of {number}", milliseconds(partial(show, report, query))),
            (f"{number} as JSON", milliseconds(partial(api.jobs, report, query))),
        ]
    as_json = rows[-1][1]
    for name, taken in rows:
        ratio = taken / as_json
        print(f"  {name:30} {taken:10.2f} ms   this / {MAX_PER_PAGE} as JSON = {ratio:6.2f}")


if __name__ == "__main__":
    run()
