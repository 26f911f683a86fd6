"""States of tasks while datatrove runs them: of launches that fail, are killed, and run again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.jobs import pipelines
from support.jobs.pipelines import datatrove_process
from support.jobs.task_states import Scans, open_tasks_of

from exporter.config.settings import StallRule
from exporter.datatrove.task_state import OpenTasks
from exporter.model.job import Reading
from exporter.scanning.probes.logs import look
from exporter.storage.local.storage import LocalStorage

SOON = 20.0


@pytest.fixture(autouse=True)
def quiet_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log has fallen quiet after half a second, not a minute."""
    monkeypatch.setattr(look, "_QUIET_NS", 5 * 10**8)


def until_told(scans: Scans, **wanted: int) -> tuple[Reading, OpenTasks]:
    """The first reading that tells these states."""
    deadline = time.monotonic() + SOON
    while True:
        reading = scans.scan().reading if scans.is_there() else None
        tasks = open_tasks_of(reading) if reading is not None else None
        told = {s: n for s, n in tasks.in_states().items() if n} if tasks is not None else {}
        if told == wanted and tasks is not None and reading is not None:
            return reading, tasks
        assert time.monotonic() < deadline, f"{told}, not {wanted}"
        time.sleep(0.1)


@contextmanager
def launched(job: Path, log: Path, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A launch that goes on, in a process group of its own."""
    order = repr({"folder": str(job), "failing": [], **options})
    code = f"import sys; sys.path.insert(0, {str(Path(pipelines.__file__).parent)!r}); "
    code += f"import pipelines; pipelines._run(**{order})"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", code], stderr=output, text=True, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_launch_that_failed_is_told_by_the_first_scan(tmp_path: Path) -> None:
    job = tmp_path / "job"
    with datatrove_process(tmp_path / "stderr") as datatrove:
        datatrove.launch(job, tasks=4, failing=[2])
    scans = Scans(LocalStorage(str(tmp_path)), "job")
    reading, tasks = until_told(scans, failed=1, unseen=1)
    assert reading.needs_relaunch
    (group,) = tasks.groups()
    assert (group.ranks, group.cause.type) == ((2,), "RuntimeError")
    assert group.cause.where.startswith("pipelines.py:step:")


def test_a_job_that_is_launched_again_after_a_failure_is_complete_in_the_end(
    tmp_path: Path,
) -> None:
    job = tmp_path / "job"
    scans = Scans(LocalStorage(str(tmp_path)), "job")
    with datatrove_process(tmp_path / "stderr") as datatrove:
        datatrove.launch(job, tasks=3, failing=[1])
        until_told(scans, failed=1, unseen=1)
        datatrove.launch(job, tasks=3)
    reading = scans.read()
    assert (reading.is_complete, reading.logs, reading.needs_relaunch) == (True, None, False)


def test_a_task_that_was_killed_is_silent_and_then_runs_again(tmp_path: Path) -> None:
    """Nothing is written of it, ever; that others took so much less time tells."""
    job = tmp_path / "job"
    rule = StallRule(after_seconds=1.0, gap_factor=1.0)
    scans = Scans(LocalStorage(str(tmp_path)), "job", stall=rule)
    with launched(job, tmp_path / "first", tasks=6, workers=2, hanging=[1]) as process:
        until_told(scans, running=1)
        os.killpg(process.pid, signal.SIGKILL)
        _, tasks = until_told(scans, silent=1)
    assert dict(tasks.states) == {1: "silent"}
    with launched(job, tmp_path / "second", tasks=6, workers=2, hanging=[1]):
        reading, _ = until_told(scans, running=1)
    assert not reading.needs_relaunch
