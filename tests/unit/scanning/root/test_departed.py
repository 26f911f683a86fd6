"""What is kept of jobs that are gone."""

from dataclasses import replace

from support.snapshots.readings import DAY, NOW, a_job, a_reading
from support.snapshots.stages import worked

from exporter.datatrove.ranks import Markers
from exporter.datatrove.throughput import KEPT_HOURS
from exporter.model.job import Job, Reading
from exporter.model.names.grouping import Group
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.root.departed import Departed
from exporter.storage.base import Look, Version

GROUP = Group("filter/*", "d")
LABELS = (("dump", "d"),)
TWICE, ONCE = worked(3600, 3600), worked(3600)


def departed(*readings: Reading | None) -> Departed:
    """Jobs of these readings that went, named by number."""
    found = Departed()
    jobs = {(str(n),): a_job(str(n), reading=r, labels=LABELS) for n, r in enumerate(readings)}
    found.went(jobs, {"0": GROUP})
    return found


def names(found: Departed, *present: str, now: float = NOW) -> list[str]:
    return [job.name for job in found.published({(name,) for name in present}, now)]


def scan_of(reading: Reading) -> JobScan:
    version = Version(1, "a")
    look = Look(version, Markers(), has_logs=False)
    return JobScan(reading, Memory(look, version, None, reading=reading))


def test_those_that_completed_something_lately_are_kept() -> None:
    found = departed(TWICE, a_reading(), None, worked())
    (job,) = found.published((), NOW)
    assert (job.name, job.group, job.by_hour) == ("0", GROUP, TWICE.by_hour)
    assert job.labels == LABELS
    assert found.published((), NOW) is found.published((), NOW)
    assert names(found, now=NOW + 20 * DAY) == []


def test_one_that_comes_back_has_what_it_did() -> None:
    found = departed(TWICE)
    scan = found.came_back(("0",), scan_of(ONCE))
    assert scan.reading is not None
    assert scan.memory is not None
    assert scan.reading.by_hour == scan.memory.by_hour == TWICE.by_hour
    assert scan.memory.reading is scan.reading
    assert names(found) == []
    assert found.came_back(("1",), scan) is scan


def test_one_that_comes_back_complete_need_not_be_asked_when() -> None:
    scan = departed(TWICE).came_back(("0",), scan_of(replace(ONCE, by_hour=None)))
    assert scan.reading is not None
    assert scan.reading.by_hour == TWICE.by_hour


def test_one_that_cannot_be_read_is_not_back_yet_and_not_counted_twice() -> None:
    found = departed(TWICE)
    broken = JobScan(None, None)
    assert found.came_back(("0",), broken) is broken
    assert names(found, "0") == []
    assert names(found) == ["0"]


def test_one_that_was_moved_is_not_kept() -> None:
    twice, once = (replace(r, launch_timestamp=NOW - 0.123) for r in (TWICE, ONCE))
    found = departed(twice, once, replace(twice, launch_timestamp=NOW - 0.124))
    found.drop_moved([a_job("elsewhere", reading=replace(twice)), a_job("x", reading=worked())])
    assert names(found) == ["1", "2"]


def test_times_of_whole_seconds_do_not_tell_that_it_was_moved() -> None:
    found = departed(TWICE)
    found.drop_moved([a_job("elsewhere", reading=TWICE)])
    assert names(found) == ["0"]


def test_their_number_has_an_end_and_the_last_to_go_are_kept() -> None:
    found = Departed()
    for at in range(5100):
        found.went({(str(at),): Job(str(at), ONCE)}, {})
    assert names(found) == [str(at) for at in range(100, 5100)]


def test_what_is_too_old_goes() -> None:
    edge = NOW + (KEPT_HOURS - 1) * 3600
    found = departed(ONCE)
    assert names(found, now=edge - 3600) == ["0"]
    assert names(found, now=edge + 3600) == []
