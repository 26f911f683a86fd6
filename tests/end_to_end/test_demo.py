"""The demo's tree is one that datatrove could have written, and it makes progress."""

import itertools
import os
import re
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.processes import COMMAND
from support.servers import running, wait_until

from exporter.commands.demo import DemoTree
from exporter.config.settings import RootConfig
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers


def scan(folder: Path) -> Root:
    return Scheduler([RootConfig("demo", str(folder))], Latest(), Workers(2)).run_once().roots[0]


def completed(root: Root) -> dict[str, tuple[int, int] | None]:
    return {
        job.name: (job.reading.tasks_completed, job.reading.tasks) if job.reading else None
        for job in root.jobs
    }


def test_at_first_no_task_is_done_but_those_of_the_relaunched_job(root: Path) -> None:
    DemoTree(root).write()
    found = scan(root)
    assert completed(found) == {
        "corrupt": None,
        "extract-fails": (0, 24),
        "extract-stalls": (0, 32),
        "minhash/buckets": (0, 14),
        "minhash/clusters": (0, 1),
        "minhash/filter": (0, 60),
        "minhash/signatures": (0, 60),
        "relaunched-with-fewer-tasks": (4, 4),
        "tokenize": (0, 200),
    }
    stray = {job.name: job.reading.stray_markers for job in found.jobs if job.reading}
    assert stray["relaunched-with-fewer-tasks"] == 6
    assert not any(count for name, count in stray.items() if name != "relaunched-with-fewer-tasks")


def test_stages_follow_one_another_and_one_job_stalls(root: Path) -> None:
    tree = DemoTree(root)
    tree.write()
    seen = []
    for _ in range(600):
        tree.advance(0.5)
    for _ in range(3):
        seen.append(completed(scan(root)))
        tree.advance(60)
    assert seen[0] == seen[-1]
    assert seen[-1]["minhash/filter"] == (60, 60)
    assert seen[-1]["tokenize"] == (200, 200)
    assert seen[-1]["extract-stalls"] == (23, 32)


def test_a_task_fails_for_a_reason_that_its_log_tells(root: Path) -> None:
    tree = DemoTree(root)
    tree.write()
    for _ in range(30):
        tree.advance(1)
    log = root / "extract-fails/logs/task_00009.log"
    os.utime(log, (time.time() - 90,) * 2)  # it fell quiet
    for file in root.glob("*/executor.json"):
        os.utime(file, (time.time() - 300,) * 2)
    job = {job.name: job for job in scan(root).jobs}["extract-fails"]
    assert job.state == "failed"
    assert job.reading is not None
    assert job.reading.logs is not None
    (group,) = job.reading.logs.tasks.groups()
    assert (group.cause.type, group.cause.where) == ("IndexError", "extract.py:run:88")
    assert group.ranks == (9,)


@pytest.mark.parametrize("steps", [1, 20, 60])
def test_a_stage_starts_only_when_the_one_before_is_complete(root: Path, steps: int) -> None:
    tree = DemoTree(root)
    tree.write()
    for _ in range(steps):
        tree.advance(1)
    done = completed(scan(root))
    stages = [done[f"minhash/{s}"] for s in ("signatures", "buckets", "clusters", "filter")]
    for before, after in itertools.pairwise(stages):
        assert before is not None
        assert after is not None
        assert after[0] == 0 or before[0] == before[1]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (":0", "localhost"),
        ("[::]:0", "localhost"),
        ("0.0.0.0:0", "localhost"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "[::1]"),
    ],
)
def test_the_address_to_open_can_be_opened(tmp_path: Path, address: str, host: str) -> None:
    command = [*COMMAND, "demo", f"--web.listen-address={address}"]
    log = tmp_path / "log"
    with running(command, log, {"PYTHONUNBUFFERED": "1"}):
        match = wait_until(lambda: re.search(r"Open (http\S+)", log.read_text()), "it is said")
        assert match[1].rpartition(":")[0] == f"http://{host}"
        assert urlopen(f"{match[1]}api/v1/openapi.json", timeout=30).status == 200
