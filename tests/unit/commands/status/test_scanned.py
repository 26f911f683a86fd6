"""What is said below the table of jobs."""

import pytest
from support.snapshots.readings import a_job, a_reading, report_of, root_of

from exporter.commands.status.scanned import remarks
from exporter.config.settings import RootConfig
from exporter.model.report import report_on
from exporter.model.snapshot import Root, Snapshot, Totals

DEPTH = "r: no jobs found, up to 3 folders deep (--max-depth)"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("/data/logs/", "; logs/ may lie inside a job, one folder up"),
        ("s3://bucket/logs?token=x", "; logs/ may lie inside a job, one folder up"),
        ("s3://bucket/runs", ""),
        ("s3://logs", ""),
        ("s3://logs/", ""),
    ],
)
def test_a_root_that_is_named_as_a_folder_inside_a_job_may_be_one(url: str, hint: str) -> None:
    """Beside how deep was looked, for its name proves nothing; and a bucket is in no job."""
    report = report_on(Snapshot((Root("r", 30.0, url=url, up=True, totals=Totals()),)), 0.0)
    assert list(remarks([RootConfig("r", url)], report)) == [f"{DEPTH}{hint}"]


@pytest.mark.parametrize(("launch", "count"), [(1_700_000_000.0, 1), (None, 0)])
def test_logs_count_as_unread_only_where_they_would_tell(launch: float | None, count: int) -> None:
    """A repository of the Hub tells no times, so nobody looks at its logs."""
    report = report_of(a_job(reading=a_reading(launch_timestamp=launch)))
    said = list(remarks([RootConfig("r", "hf://datasets/who/what")], report))
    assert [": logs of 1 job cannot be read: " in line for line in said] == [True] * count


def test_roots_without_a_job_of_the_prefix_that_all_are_asked_for_share_a_line() -> None:
    """Whoever asks for a job by its name has it in one of them. What else may hide it is said."""
    missed = (
        "--prefix, folders and include leave out all 5 jobs found",
        "1 folder cannot be read: x",
    )
    names, done = ("a", "b", "c"), a_job(reading=a_reading(tasks_completed=100))
    roots = (Root(name, 30.0, up=True, totals=Totals(), missed=missed) for name in names)
    report = report_on(Snapshot((*roots, root_of(done, name="d"))), 0.0)
    asked = [RootConfig(name, f"/{name}", prefix="CC") for name in ("a", "b", "c", "d")]
    assert list(remarks(asked, report)) == [
        *(f"{name}: 1 folder cannot be read: x" for name in names),
        "a and 2 more: no jobs found whose name starts with CC",
    ]
    other = RootConfig("c", "/c", prefix="C")
    assert len(list(remarks([*asked[:2], other, asked[3]], report))) == 9
