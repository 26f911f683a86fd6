"""Logs of launches under way, in folders made by hand: what is read, when, and how much of it."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.costs import asked
from support.jobs.logged import HOUR, Job, counts, failure, line, scans_of
from support.jobs.task_states import Scans, open_tasks_of

from exporter.config.settings import StallRule
from exporter.datatrove.layout import log_name, marker_name
from exporter.errors import StorageError
from exporter.scanning.probes.limits import Limits
from exporter.scanning.probes.logs import watch as probe
from exporter.storage.base import File
from exporter.storage.base import Path as JobPath
from exporter.storage.filesystems.adapter import Adapter
from exporter.storage.filesystems.generic import GenericStorage
from exporter.storage.local import fingerprint


def calls_of_a_scan(scans: Scans) -> int:
    return sum(asked(scans.storage.requests, scans.read).values())


def test_a_log_is_read_once_when_it_falls_quiet_and_never_while_it_is_written(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, 2)
    job.log(0, line(), seconds_ago=5)
    job.log(1, line(), seconds_ago=5)
    scans, storage = scans_of(job)
    assert counts(scans) == {"unseen": 2}
    for size in (2, 3, 4):
        job.log(0, line() * size, seconds_ago=4)
        assert counts(scans) == {"running": 2}
    assert storage.read == [log_name(1)]
    scans.read()
    scans.read()
    assert storage.read == [log_name(1), log_name(0)]


def test_a_log_that_goes_on_after_its_end_was_read_is_read_again(tmp_path: Path) -> None:
    """A task is started again in the same launch, as Slurm and an operator do."""
    job = Job(tmp_path, 1)
    job.log(0, failure())
    scans, storage = scans_of(job)
    assert counts(scans) == {"failed": 1}
    job.log(0, line() + line(2), seconds_ago=HOUR - 1)
    for _ in range(10):
        scans.read()
    assert counts(scans) == {"running": 1}
    assert storage.read == [log_name(0)] * 2


def test_what_a_scan_leaves_for_later_is_counted_and_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "OF_LOCAL", Limits(reads_of_job=3, reads=3))
    job = Job(tmp_path, 10)
    for rank in range(8):
        job.log(rank, failure(), seconds_ago=HOUR - rank)
    scans, storage = scans_of(job)
    deferred = []
    for _ in range(4):
        reading = scans.read()
        assert reading.logs is not None
        deferred.append(reading.logs.deferred)
    assert deferred == [5, 2, 0, 0]
    assert storage.read[0] == log_name(7)  # the newest comes first
    assert sorted(storage.read) == [log_name(rank) for rank in range(8)]
    assert counts(scans)["failed"] == 8


def test_a_log_that_ended_long_ago_is_read_whatever_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More logs fall quiet before each scan than a scan may read."""
    monkeypatch.setattr(probe, "OF_LOCAL", Limits(reads_of_job=4, reads=4))
    job = Job(tmp_path, 20)
    for rank in range(3):
        job.log(rank, failure(), seconds_ago=5 * HOUR)
    scans, _ = scans_of(job)
    for size in range(1, 6):
        for rank in range(3, 20):
            job.log(rank, line() * size, seconds_ago=70)
        told = counts(scans)
    assert told["failed"] == 3


@pytest.mark.parametrize("ahead", [5, 300])
def test_clocks_that_are_ahead_hide_nothing(tmp_path: Path, ahead: int) -> None:
    job = Job(tmp_path, 2)
    job.log(0, line(), seconds_ago=-ahead)
    scans, _ = scans_of(job)
    scans.read()
    assert counts(scans) == {"running": 1, "waiting": 1}
    job.log(0, failure(), seconds_ago=-ahead)
    scans.read()
    assert counts(scans) == {"failed": 1, "waiting": 1}


def test_logs_that_are_too_many_to_be_asked_for_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "OF_LOCAL", Limits(reads_of_job=50, reads=50, stats=4))
    job = Job(tmp_path, 10)
    for rank in range(10):
        job.log(rank, line())
    scans, _ = scans_of(job)
    for _ in range(12):
        scans.read()
    job.log(9, failure(), seconds_ago=HOUR - 1)
    for _ in range(12):
        scans.read()
    assert counts(scans) == {"failed": 1, "running": 9}


def test_a_failed_look_costs_the_states_and_never_the_markers(tmp_path: Path) -> None:
    job = Job(tmp_path, 3)
    job.done(0, HOUR)
    job.log(1, failure())
    scans, storage = scans_of(job)
    storage.refusal = StorageError("denied", "permission denied")
    first, second = scans.scan(), scans.scan()
    assert first.log_error is not None
    assert first.log_error.reason == "denied"
    assert second.log_error is None  # told once
    for found in (first, second):
        assert found.error is None
        assert found.reading is not None
        assert (found.reading.tasks_completed, found.reading.logs) == (1, None)
        assert found.reading.needs_relaunch is None
    storage.refusal = None
    assert counts(scans) == {"failed": 1, "waiting": 1} or counts(scans) == {
        "failed": 1,
        "unseen": 1,
    }


def test_nobody_looks_at_logs_where_nobody_is_to(tmp_path: Path) -> None:
    job = Job(tmp_path, 2)
    job.log(0, failure())
    scans, storage = scans_of(job, watch_logs="never")
    reading = scans.read()
    assert (reading.logs, reading.needs_relaunch, storage.read) == (None, None, [])


@pytest.mark.parametrize(
    ("show", "kept"),
    [
        ("none", ("program", "", "", "")),
        ("types", ("program", "KeyError", "steps.py:run:7", "")),
        ("text", ("program", "KeyError", "steps.py:run:7", "'hf_secret'")),
    ],
)
def test_no_more_is_kept_of_a_failure_than_may_be_shown(
    tmp_path: Path, show: str, kept: tuple[str, ...]
) -> None:
    job = Job(tmp_path, 1)
    job.log(0, failure())
    scans, _ = scans_of(job, show_errors=show)
    tasks = open_tasks_of(scans.read())
    assert tasks is not None
    cause = tasks.failures[0].cause
    assert (cause.reason, cause.type, cause.where, cause.message) == kept
    assert ("hf_secret" in repr(scans.memory)) == (show == "text")


def test_a_steady_job_costs_its_open_logs_and_four_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_SETTLING_SECONDS", 0.0)
    job = Job(tmp_path, 30)
    for rank in range(10):
        job.done(rank, HOUR)
    for rank in range(10, 15):
        job.log(rank, line())
    watched, _ = scans_of(job)
    alone, _ = scans_of(job, watch_logs="never")
    for scans in (watched, alone):  # until nothing is new any more
        for _ in range(3):
            scans.read()
    assert 5 < calls_of_a_scan(watched) - calls_of_a_scan(alone) <= 4 + 5


def test_a_complete_job_costs_nothing_more(tmp_path: Path) -> None:
    job = Job(tmp_path, 2)
    for rank in range(2):
        job.done(rank, HOUR)
        job.log(rank, line())
    watched, storage = scans_of(job)
    alone, _ = scans_of(job, watch_logs="never")
    assert calls_of_a_scan(watched) == calls_of_a_scan(alone)
    assert storage.read == []
    assert watched.read().needs_relaunch is False


# --- Where logs show once they are closed


class FarStorage(GenericStorage):
    """A folder as a storage that is not the operating system's. `meanwhile` happens once, right
    after the next listing of logs."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"file://{root}", {}, Adapter())
        self.meanwhile: Callable[[], object] = bool

    def list_files(self, path: JobPath, inner: str, *more: object, **options: object) -> list[File]:
        files = super().list_files(path, inner, *more, **options)  # type: ignore[arg-type]
        happens, self.meanwhile = self.meanwhile, bool
        happens()
        return files


def test_a_task_that_completes_between_two_listings_never_failed(tmp_path: Path) -> None:
    """Its log is there, and its marker was not yet when the scan looked for it."""
    job = Job(tmp_path, 3)
    job.log(0, line())
    job.log(1, failure())
    storage = FarStorage(tmp_path)
    storage.meanwhile = lambda: job.done(0, HOUR)
    scans = Scans(storage, "job")
    reading = scans.read()
    tasks = open_tasks_of(reading)
    assert tasks is not None
    assert set(tasks.failures) == {1}
    assert reading.tasks_completed == 1


def test_a_job_that_completes_meanwhile_is_complete(tmp_path: Path) -> None:
    job = Job(tmp_path, 1)
    job.log(0, line())
    storage = FarStorage(tmp_path)
    storage.meanwhile = lambda: job.done(0, HOUR)
    reading = Scans(storage, "job").read()
    assert (reading.tasks_completed, reading.logs, reading.needs_relaunch) == (1, None, False)


def test_a_job_launched_again_meanwhile_is_told_of_by_the_next_scan(tmp_path: Path) -> None:
    job = Job(tmp_path, 2, keys='"skip_completed": true')
    job.log(0, failure())
    storage = FarStorage(tmp_path)
    again = '{"start_method": "spawn", "world_size": 2}'
    storage.meanwhile = lambda: job.write("executor.json", again, 60)
    scans = Scans(storage, "job")
    assert scans.read().logs is None
    assert counts(scans) == {"unseen": 2}


def test_logs_are_listed_once_in_their_interval_and_what_is_left_is_read_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "OF_REMOTE", Limits(reads_of_job=2, reads=2))
    job = Job(tmp_path, 9, keys='"skip_completed": true')
    for rank in range(5):
        job.log(rank, failure())
    storage = FarStorage(tmp_path)
    scans = Scans(storage, "job")
    listed: list[None] = []
    types = []
    for _ in range(4):
        storage.meanwhile = lambda: listed.append(None)
        tasks = open_tasks_of(scans.read())
        assert tasks is not None
        types.append(sum(f.cause.type == "KeyError" for f in tasks.failures.values()))
        assert len(tasks.failures) == 5
    assert types == [2, 4, 5, 5]
    assert len(listed) == 1


# --- Tasks that are silent


def a_job_with_a_silent_task(root: Path, *, silence: int) -> Job:
    """Three tasks took half an hour each and were silent for ten minutes at most; a fourth began
    before the last of them, and wrote nothing for so many seconds."""
    job = Job(root, 6)
    for rank in range(3):
        job.log(rank, line() + line(10) + line(20) + line(30))
        job.done(rank, 6 * HOUR - rank * 600)
    job.log(3, line() + line(5), seconds_ago=silence)
    return job


def test_a_task_that_wrote_nothing_for_longer_than_others_explain_is_silent(
    tmp_path: Path,
) -> None:
    job = a_job_with_a_silent_task(tmp_path, silence=int(6.5 * HOUR))
    scans, storage = scans_of(job)
    reading = scans.read()
    assert reading.logs is not None
    assert reading.logs.longest_gap_seconds == 600
    assert counts(scans) == {"silent": 1, "waiting": 2}
    assert sorted(storage.read) == [log_name(rank) for rank in range(4)]


@pytest.mark.parametrize(
    ("silence", "factor", "completed"),
    [(HOUR * 0.9, 3, 3), (2 * HOUR, 30, 3), (6.5 * HOUR, 3, 2), (5 * HOUR, 3, 3)],
    ids=["for too short a time", "for less than others", "few completed", "none began later"],
)
def test_a_task_is_not_silent_unless_all_speaks_for_it(
    tmp_path: Path, silence: float, factor: float, completed: int
) -> None:
    job = a_job_with_a_silent_task(tmp_path, silence=int(silence))
    for rank in range(completed, 3):
        (job.folder / "completions" / marker_name(rank)).unlink()
        (job.folder / "logs" / log_name(rank)).unlink()
    scans, _ = scans_of(job, stall=StallRule(gap_factor=factor))
    assert "silent" not in counts(scans)


def test_nobody_is_silent_until_all_that_completed_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "OF_LOCAL", Limits(50, 500, learned=1))
    job = a_job_with_a_silent_task(tmp_path, silence=int(6.5 * HOUR))
    scans, _ = scans_of(job)
    assert ["silent" in counts(scans) for _ in range(4)] == [False, False, True, True]


def test_nothing_is_read_to_learn_while_tasks_write(tmp_path: Path) -> None:
    job = a_job_with_a_silent_task(tmp_path, silence=90)
    scans, storage = scans_of(job)
    scans.read()
    assert storage.read == [log_name(3)]


def test_the_longest_gap_is_learned_by_watching_three_writes(tmp_path: Path) -> None:
    job = Job(tmp_path, 2)
    gaps = []
    for size, ago in enumerate((1200, 900, 200, 100), start=1):
        job.log(0, line() * size, seconds_ago=ago)
        if size == 1:
            scans, _ = scans_of(job)
        reading = scans.read()
        assert reading.logs is not None
        gaps.append(reading.logs.longest_gap_seconds)
    assert gaps == [None, None, pytest.approx(700, abs=2), pytest.approx(700, abs=2)]


# --- Logs that are none, or worse


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1b]" * 40_000,
        b"x" * 70_000,
        b"[" * 1_000_000,
        random.Random(1).randbytes(200_000),
        ('  File "' * 9_000).encode(),
        (line(1, "ERROR", "x" * 60_000) + "KeyError: x\n").encode(),
        ("\n" + "  " + line(1, "ERROR", "executor.base:_run_for_rank")).encode(),
        b"\xff\xfe" + failure().encode("utf-16"),
    ],
    ids=[
        *("empty", "escapes", "no line break", "brackets", "binary", "half frames", "a long name"),
        *("a header within a line", "another encoding"),
    ],
)
def test_what_is_no_log_is_of_a_task_that_runs_as_far_as_anybody_knows(
    tmp_path: Path, data: bytes
) -> None:
    job = Job(tmp_path, 2)
    job.log(0, data)
    scans, _ = scans_of(job)
    told = counts(scans)
    assert "failed" not in told
    assert sum(told.values()) == 2


@pytest.mark.parametrize(
    "kind", ["fifo", "folder", "link to a device", "link to a secret", "sparse"]
)
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, kind: str) -> None:
    job = Job(tmp_path, 2)
    file = job.folder / "logs" / log_name(0)
    secret = tmp_path / "secret"
    secret.write_text(failure("ValueError: hf_secret"))
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "sparse":
        with file.open("wb") as sparse:
            sparse.truncate(10 * 2**30)
    else:
        file.symlink_to("/dev/zero" if kind == "link to a device" else secret)
    job.log(1, failure())
    scans, _ = scans_of(job, show_errors="text")
    os.utime(file, (time.time() - HOUR,) * 2, follow_symlinks=False)
    reading = scans.scan().reading
    assert reading is not None
    tasks = open_tasks_of(reading)
    assert tasks is not None
    assert set(tasks.failures) <= {1}
    assert "secret" not in repr(tasks.states)


def test_a_forged_log_changes_the_state_of_its_own_rank_alone(tmp_path: Path) -> None:
    job = Job(tmp_path, 3)
    forged = failure("ValueError: \x1b[31m<script>") + line(
        2, "ERROR", "executor.base:_run_for_rank"
    )
    job.log(0, forged + "rank=1 failed\n")
    job.log(1, line())
    scans, _ = scans_of(job, show_errors="text")
    tasks = open_tasks_of(scans.read())
    assert tasks is not None
    assert dict(tasks.states) == {0: "failed", 1: "running"}
