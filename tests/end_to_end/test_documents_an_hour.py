"""What a real Prometheus records, with the shipped rules, of a pipeline that really runs."""

import time
from bisect import bisect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jobs.step_pipelines import launch, launched, write_documents, write_tokenizer
from support.monitoring import RULE_FILES, SCRAPE_JOB
from support.processes import Prometheus, prometheus, serving
from support.servers import HOST, free_ports, wait_until

BEFORE, TASKS, DOCUMENTS = 250, 290, 20
"""More tasks are done before anybody watches than a scan reads files."""
SECONDS_EACH = 0.03
WORDS = 7 * 3 + 13 * 10  # of the documents of a task: every third is short
SUMS = "root_job_name:datatrove_job_documents_written:max"
RATES = {
    "root_job_name:datatrove_job_documents_written:per_hour": DOCUMENTS,
    "root_job_name:datatrove_job_tokens:per_hour": WORDS,
    "root_stage:datatrove_job_documents_written:per_hour": DOCUMENTS,
    "root_stage:datatrove_job_tokens:per_hour": WORDS,
}


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    return {
        "data": str(write_documents(tmp_path / "data", files=TASKS, documents=DOCUMENTS)),
        "tokenizer": str(write_tokenizer(tmp_path / "tokenizer.json")),
        "output": str(tmp_path / "output"),
    }


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def watching(tmp_path: Path, port: int) -> Iterator[Prometheus]:
    more = {"rule_files": [str(file) for file in RULE_FILES]}
    with prometheus(tmp_path, port, more, job_name=SCRAPE_JOB) as server:
        yield server


def test_rates_are_the_truth_over_a_restart_of_the_exporter_and_a_relaunch(
    tmp_path: Path, source: dict[str, Any], port: int, watching: Prometheus
) -> None:
    """A third of the way in a task fails, which ends the launch; two thirds in, the next launch is
    killed and the exporter started anew. Nothing of that is a pace."""
    logs = tmp_path / "logs"
    job = logs / "dump/count"
    config = {
        "roots": [{"url": str(logs), "labels": ["{dump}/{stage}"], "read_stats": "steps"}],
        "scan": {"interval": "1s"},
        "web": {"listen_address": f"{HOST}:{port}"},
    }
    a_third = (TASKS - BEFORE) // 3
    launch("steady", job, executor={"tasks": TASKS, "local_tasks": BEFORE}, **source)
    source |= {"executor": {"tasks": TASKS}, "seconds": SECONDS_EACH}
    with serving(tmp_path, **config):
        wait_until(lambda: watching.value(SUMS) is not None, "enough stats are read")
        first = time.time()
        with launched("steady", job, fails_at=BEFORE + a_third, **source) as run:
            run.communicate(timeout=300)
        with launched("steady", job, **source):
            wait_until(lambda: len(done(job)) > 2 * a_third, "two thirds are done", seconds=300)
    with launched("steady", job, **source) as run, serving(tmp_path, **config) as exporter:
        exporter.wait_until_ready()
        wait_until(lambda: len(done(job)) > 3 * a_third - 3, "nearly all is done", seconds=300)
        for name, each in RATES.items():
            assert watching.value(name) == pytest.approx(an_hour(job, each, first), rel=0.1), name
            steepest = watching.value(f"max_over_time({name}[10m:1s])")
            assert steepest is not None
            assert steepest < 1.5 * fastest(job, each), name
        run.communicate(timeout=300)
    assert len(done(job)) == TASKS - BEFORE


def done(job: Path) -> list[float]:
    """When the tasks were completed that somebody watched, in order."""
    markers = (job / "completions").glob("*")
    return sorted(marker.stat().st_mtime for marker in markers if int(marker.name) >= BEFORE)


def an_hour(job: Path, each: int, first: float) -> float:
    """The slope of a straight line through what was done at every second since the `first`, each
    task counting so much."""
    times, now = done(job), time.time()
    counts = [bisect(times, first + second) for second in range(int(now - first) + 1)]
    middle = (len(counts) - 1) / 2
    slope = sum((at - middle) * count for at, count in enumerate(counts))
    return 3600 * each * slope / sum((at - middle) ** 2 for at in range(len(counts)))


def fastest(job: Path, each: int) -> float:
    """The pace of the shortest five tasks in a row."""
    times = done(job)
    return 3600 * 5 * each / min(b - a for a, b in zip(times, times[5:], strict=False))
