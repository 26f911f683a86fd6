"""Missing ranks of jobs, and their logs, in real folders."""

from pathlib import Path

from support.jobs.folders import write_job
from support.scans import read
from support.snapshots.readings import a_job, report_of

from exporter.commands.status.logs.missing import Missing, missing_of
from exporter.config.settings import RootConfig
from exporter.workers import Workers


def missing(root: Path, *names: str) -> dict[str, Missing]:
    """What is missing of the jobs of this root, by name."""
    rows = report_of(*(a_job(name, reading=read(root / name)) for name in names)).rows
    workers = Workers(2)
    found = missing_of([RootConfig("r", str(root))], rows, workers)
    workers.close()
    return {name: each for (_, name), each in found.items()}


def test_logs_are_those_of_ranks_that_are_missing(root: Path) -> None:
    write_job(root / "job", tasks=6, completed=[1, 2], logs=[4, 0, 1, 6])
    (root / "job/logs/notes.txt").touch()
    found = missing(root, "job")["job"]
    assert found.runs == ((0, 0), (3, 5))
    assert found.logs is not None
    assert [(log.rank, log.path) for log in found.logs.found] == [
        (rank, f"{root}/job/logs/task_{rank:05d}.log") for rank in (0, 4)
    ]


def test_of_a_complete_job_nothing_is_missing_and_a_waiting_one_has_no_logs(root: Path) -> None:
    write_job(root / "done", tasks=2, completed=[0, 1], logs=[0, 1])
    write_job(root / "queued", tasks=2)
    found = missing(root, "done", "queued")
    assert list(found) == ["queued"]
    assert found["queued"].runs == ((0, 1),)
    assert found["queued"].logs is not None
    assert (found["queued"].logs.found, found["queued"].logs.error) == ((), None)


def test_logs_that_cannot_be_listed_are_told_as_why(root: Path) -> None:
    write_job(root / "job", tasks=3, completed=[1])
    (root / "job" / "logs").symlink_to(root / "job" / "logs")  # a loop
    found = missing(root, "job")["job"]
    assert found.runs == ((0, 0), (2, 2))
    assert found.logs is not None
    assert found.logs.error is not None
    assert "bug" not in found.logs.error.detail
