"""What needs somebody, as columns of text."""

from dataclasses import replace

from support.snapshots.readings import (
    HOUR,
    NOW,
    a_job,
    a_root,
    a_snapshot,
    an_unreadable_job,
    completed,
)

from exporter.commands.status.tables.layout import lines
from exporter.commands.status.tables.problems import problem_columns
from exporter.model.problems import problem_json, problems_of
from exporter.model.report import report_on
from exporter.model.snapshot import Root


def table(*roots: Root) -> list[str]:
    report = report_on(a_snapshot(*roots), NOW)
    problems = [*map(problem_json, problems_of(report))]
    return list(lines(problem_columns(report, problems, report.rows)))


STALLED = a_job("s", reading=completed(40, ago=9 * HOUR, gap=600))


def test_a_job_is_told_with_how_far_it_is_and_how_long_it_is_silent() -> None:
    assert table(a_root("r", STALLED, an_unreadable_job("b"))) == [
        "JOB  STATE           %  SILENT  WHY",
        "b    ✗ unreadable    -  -       access denied",
        "s    ! stalled     40%  9h      60 left",
    ]


def test_one_lost_root_alone_has_a_name() -> None:
    lost = replace(a_root("r", up=False, error="denied: no"), last_successful_scan_timestamp=None)
    heading, line = table(lost)
    assert heading.split() == ["ROOT", "JOB", "STATE", "%", "SILENT", "WHY"]
    assert line.split()[:6] == ["r", "-", "✗", "root", "-", "-"]
    assert line.endswith("cannot be scanned: no (never read)")
