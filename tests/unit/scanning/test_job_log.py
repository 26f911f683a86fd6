"""What the log says of jobs that can and cannot be read."""

import logging
from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.scans import read

from exporter.errors import StorageError
from exporter.scanning.job_log import JobLog

DENIED = StorageError("denied", "permission denied")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, object]]]:
    return [(r.levelname, r.getMessage(), r.__dict__["fields"]) for r in caplog.records]


def test_each_kind_of_trouble_has_its_line_and_only_a_recovery_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log = JobLog("data")
    log.stats_left_out("e", DENIED)
    log.stats_failed("d", DENIED)
    log.logs_failed("c", DENIED)
    log.recovered("b")
    log.failed("a", DENIED)
    log.write()
    why = {"reason": "denied", "detail": "permission denied"}
    assert lines(caplog) == [
        ("WARNING", "job cannot be read", {"root": "data", "job_name": "a", **why}),
        ("INFO", "job can be read again", {"root": "data", "job_name": "b"}),
        ("WARNING", "job has logs that cannot be read", {"root": "data", "job_name": "c", **why}),
        ("WARNING", "job has stats that cannot be read", {"root": "data", "job_name": "d", **why}),
        ("WARNING", "job has stats that are left out", {"root": "data", "job_name": "e", **why}),
    ]
    caplog.clear()
    log.write()
    assert lines(caplog) == []


def test_of_a_flood_of_jobs_ten_are_named_and_the_others_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = JobLog("data")
    for number in range(10):
        log.logs_failed(f"{number}", DENIED)
    log.write()
    assert len(caplog.records) == 10
    caplog.clear()
    for number in range(13):
        log.logs_failed(f"{number}", DENIED)
    log.write()
    assert len(caplog.records) == 11
    assert lines(caplog)[-1] == (
        "WARNING",
        "more jobs have logs that cannot be read",
        {"root": "data", "jobs": 3},
    )


def test_each_job_that_is_read_has_a_line_for_debugging_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, reading = JobLog("data"), read(write_job(tmp_path / "job", tasks=4, completed=[1, 3]))
    caplog.set_level(logging.INFO)
    log.scanned("job", reading)
    assert lines(caplog) == []
    caplog.set_level(logging.DEBUG)
    log.scanned("job", reading)
    numbers = {"tasks": 4, "tasks_completed": 2}
    assert lines(caplog) == [
        ("DEBUG", "job scanned", {"root": "data", "job_name": "job", **numbers})
    ]
