"""Visitors and their queue: what is visited, and what is not once the scan is over."""

import threading
from pathlib import Path

import pytest
from support.jobs.folders import write_job

from exporter.config.settings import RootConfig
from exporter.scanning.discovery import FolderToVisit
from exporter.scanning.root.storage import RootStorage
from exporter.scanning.root.visitor import CHECK, Visit, Visitor, VisitQueue, VisitReport
from exporter.storage import open_storage
from exporter.workers import Workers


def reports_of(queue: VisitQueue, folder: Path) -> list[VisitReport]:
    """What one visitor reports until it ends."""
    workers, reports, over = Workers(1), [], threading.Event()
    storage = RootStorage(RootConfig("r", str(folder)), workers, open_storage)

    def report(told: VisitReport) -> None:
        reports.append(told)
        if told.visit is None:
            over.set()

    workers.submit(storage, Visitor(queue, storage, report).run)
    assert over.wait(20)
    workers.close()
    return reports


def test_a_visitor_makes_the_visits_that_are_queued_and_says_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "exporter.scanning.root.visitor._SLICE_SECONDS", 20.0
    )  # also on a busy machine
    write_job(tmp_path / "job", tasks=3, completed=[0])
    queue = VisitQueue()
    queue.add(Visit(FolderToVisit(())))
    queue.add(Visit(FolderToVisit(("job",))))
    root, job, end = reports_of(queue, tmp_path)
    assert [target.path for target in root.below] == [("job",)]
    assert root.is_over
    assert job.job is not None
    assert job.job.reading is not None
    assert job.job.reading.tasks_completed == 1
    assert end.visit is None
    assert len(queue) == 0


def test_no_visit_is_made_that_was_taken_when_the_scan_ended(tmp_path: Path) -> None:
    """The scan did not see it, so it does not know that its folder may hang."""

    class ClosedMeanwhile(VisitQueue):
        def take(self) -> Visit | None:
            visit = super().take()
            self.close()
            return visit

    queue = ClosedMeanwhile()
    queue.add(Visit(FolderToVisit(())))
    assert [report.visit for report in reports_of(queue, tmp_path)] == [None]


def test_a_check_comes_first_and_what_is_dropped_is_counted() -> None:
    queue = VisitQueue()
    queue.add(Visit(FolderToVisit(("a",))))
    queue.add(CHECK)
    assert queue.take() is CHECK
    queue.add(Visit(FolderToVisit(("b",))))
    assert queue.drop() == 2
    assert queue.take() is None
