"""What a scrape costs, against the library writing the same samples in the same run.

The job tree is made up in memory: a scrape never touches storage. Every figure is the
median of several turns; only ratios within one run mean anything, machines differ.
"""

import gzip
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.snapshots.collector import SnapshotCollector
from support.snapshots.readings import a_job, a_reading, a_root, a_snapshot

from exporter.metrics.exposition import Exposition, Format
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.render import Renderer
from exporter.model.snapshot import Latest, Snapshot

JOBS = int(os.environ.get("BENCH_JOBS", "20000"))


def made_up_snapshot(jobs: int) -> Snapshot:
    """One root with this many jobs, two thirds of them complete."""
    made = (
        a_job(
            f"minhash/language-{number // 4:05d}/stage-{number % 4}",
            reading=a_reading(
                tasks=1000,
                tasks_completed=1000 if number % 3 else number % 1000,
                tasks_completed_since_launch=number % 1000,
                launch_timestamp=1.7e9 + number,
                last_completion_timestamp=1.7e9 + number * 1.5,
                longest_completion_gap_seconds=number / 7,
                slurm_job_name=f"job-{number}",
            ),
        )
        for number in range(jobs)
    )
    return a_snapshot(a_root("fineweb", *made))


def changed(snapshot: Snapshot, count: int) -> Snapshot:
    """The snapshot after `count` of its jobs, evenly spread, completed one more task."""
    (root,) = snapshot.roots
    jobs = list(root.jobs)
    for number in range(0, len(jobs), max(1, len(jobs) // max(1, count))):
        reading = jobs[number].reading
        assert reading is not None
        more = replace(reading, stray_markers=reading.stray_markers + 1)
        jobs[number] = replace(jobs[number], reading=more)
    return a_snapshot(replace(root, jobs=tuple(jobs)))


def seconds(work: Callable[[], object], turns: int = 5) -> float:
    """Median wall time of `work`."""
    taken = []
    for _ in range(turns):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def samples_of(text: bytes) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    """All samples of a page, as the official parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def run() -> None:
    """Print the table."""
    latest = Latest()
    snapshot = made_up_snapshot(JOBS)
    latest.publish(snapshot)
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(latest))
    process_metrics = ProcessMetrics()
    renderer = Renderer()
    expositions: Mapping[Format, Exposition] = {}

    def scrape() -> bytes:
        live = process_metrics.render(as_openmetrics=False)
        return b"".join(expositions["text"].gzip_body(live))

    def render_and_scrape(changed: Snapshot) -> None:
        nonlocal expositions
        expositions = renderer.render(changed)
        scrape()

    library = seconds(lambda: gzip.compress(generate_latest(registry)), 3)
    library_plain = seconds(lambda: generate_latest(registry), 3)
    first = seconds(lambda: render_and_scrape(snapshot), 1)
    # Without the live samples, whose length differs from one moment to the next.
    page = gzip.decompress(b"".join(expositions["text"].gzip_body(b"")))
    expected = generate_latest(registry)
    assert samples_of(page) == samples_of(expected), "our page is not the library's"
    count = len(samples_of(expected))
    unchanged = seconds(scrape, 20)

    def after(number: int) -> float:
        taken = []
        current = snapshot
        for _ in range(5):
            current = changed(current, number)
            taken.append(seconds(partial(render_and_scrape, current), 1))
        return statistics.median(taken)

    print(f"{JOBS} jobs, {count} samples, page of {len(page) / 1e6:.1f} MB; equal to the library's")
    rows = [
        ("generate_latest (prometheus_client)", library_plain),
        ("generate_latest and gzip", library),
        ("ours, rendered for the first time, gzip", first),
        ("ours, nothing changed, gzip", unchanged),
        ("ours, 1 job changed, gzip", after(1)),
        (f"ours, {JOBS // 100} jobs changed, gzip", after(JOBS // 100)),
        (f"ours, all {JOBS} jobs changed, gzip", after(JOBS)),
    ]
    for name, taken in rows:
        ratio = library_plain / taken
        print(f"  {name:40} {taken * 1000:10.2f} ms   generate_latest / this = {ratio:8.1f}")


if __name__ == "__main__":
    run()
