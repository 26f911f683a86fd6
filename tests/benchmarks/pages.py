"""What a page for people costs, against writing the /metrics page of the same jobs.

The jobs are made up in memory, as no page touches storage: a pipeline of six stages, and
experiments beside it. ``BENCH_ESTATES`` says how many dumps and how many experiments. Each page
is asked of `Views` as a client that takes gzip asks, once with a report to be made and then with
one that is there. Times are of this process' CPU, the least of several turns; only ratios within
one run mean anything, machines differ.
"""

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.jobs.stats import a_pipeline, as_bytes
from support.snapshots.many_jobs import an_estate
from support.snapshots.pages import job_path
from support.snapshots.readings import NOW, a_job, a_reading, a_root, a_snapshot

from exporter.datatrove.stats import JobStats, parse_stats
from exporter.metrics.render import Renderer
from exporter.model.snapshot import Root, Snapshot
from exporter.web.answer import Answer, Request
from exporter.web.views import Views

ESTATES = os.environ.get("BENCH_ESTATES", "96+1424 96+19424 3200+800")
TURNS = int(os.environ.get("BENCH_TURNS", "9"))
JOB = ("steps", "tokenize/CC-MAIN-2026-05")
STATUS_PAGES = (
    # name, query
    ("first screen", ()),
    ("stages", (("view", "stages"),)),
    ("grid", (("view", "grid"),)),
    ("list", (("view", "list"),)),
    ("what needs somebody", (("view", "problems"),)),
    ("one root", (("root", "fineweb"),)),
)
START = """
import time
begun = time.process_time()
from exporter.web.pages import Pages
imported = time.process_time()
Pages()
print(imported - begun, time.process_time() - imported)
"""


def root_with_steps() -> Root:
    """A root of one job, of whose tasks half have stats of four steps."""
    stats = JobStats(500, parse_stats(as_bytes(a_pipeline(read=10_000, kept=6000))), 0, 0, 0)
    reading = replace(a_reading(tasks=1000, tasks_completed=500), stats=stats)
    return a_root(JOB[0], a_job(JOB[1], reading=reading))


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
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True)
        for _ in range(min(TURNS, 5))
    ]
    imported, compiled = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    return min(imported) * 1000, min(compiled) * 1000


def asked(**request: object) -> Request:
    """A request of a client that takes gzip."""
    return Request(headers={"Accept-Encoding": "gzip"}, **request)  # type: ignore[arg-type]


def compare(snapshot: Snapshot) -> None:
    """Print a line for each page."""
    metrics = milliseconds(lambda: Renderer().render(snapshot), 3)
    jobs = sum(len(root.jobs) for root in snapshot.roots)
    print(f"\n{jobs} jobs; writing their /metrics page: {metrics:.0f} ms")
    print(f"  {'':22} {'KB':>7} {'gzip':>7} {'ms':>8} {'/metrics':>9} {'next':>8} {'/metrics':>9}")
    moments = cycle((NOW, NOW + 1))
    fresh = Views(lambda: snapshot, lambda: next(moments))  # no report is recent enough
    kept = Views(lambda: snapshot, lambda: NOW)

    def line(name: str, of: Callable[[Views], Callable[[Request], Answer]], asks: Request) -> None:
        answer = of(kept)(asks)
        assert answer.status == 200, name
        packed = b"".join(answer.body)
        first = milliseconds(partial(of(fresh), asks))
        later = milliseconds(partial(of(kept), asks))
        print(
            f"  {name:22} {len(gzip.decompress(packed)) / 1000:7.1f} {len(packed) / 1000:7.1f}"
            f" {first:8.1f} {first / metrics:9.2f} {later:8.1f} {later / metrics:9.2f}"
        )

    for name, query in STATUS_PAGES:
        line(name, lambda views: views.index, asked(query=query))
    line("a job with steps", lambda views: views.job, asked(below=job_path(*JOB)))
    line("stages as JSON", lambda views: views.api_stages, asked())
    line("200 jobs as JSON", lambda views: views.api_jobs, asked())


def run() -> None:
    """Print the tables."""
    imported, compiled = start()
    print(f"at the start: import {imported:.0f} ms, templates {compiled:.0f} ms")
    for estate in ESTATES.split():
        dumps, experiments = map(int, estate.split("+"))
        roots = an_estate(dumps=dumps, experiments=experiments)
        compare(a_snapshot(*roots, root_with_steps()))


if __name__ == "__main__":
    run()
