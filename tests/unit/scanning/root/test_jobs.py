"""The jobs of a root by folder and by name; no storage, no clock."""

import pytest
from support.snapshots.readings import a_job

from exporter.config.settings import RootConfig
from exporter.model.upstream import Upstream
from exporter.scanning.root.elsewhere import Elsewhere
from exporter.scanning.root.job_state import JobState
from exporter.scanning.root.jobs import RootJobs
from exporter.storage.base import Path


@pytest.fixture
def jobs() -> RootJobs:
    jobs = RootJobs(Elsewhere(RootConfig("root", "/root")))
    for path in (("a",), ("a", "x"), ("ab",)):
        jobs.add(path, JobState(a_job("/".join(path)), 0.0))
    return jobs


def test_jobs_below_a_folder_are_told_by_whole_names(jobs: RootJobs) -> None:
    assert set(jobs.at_or_below(("a",))) == {("a",), ("a", "x")}
    assert set(jobs.at_or_below(())) == set(jobs.paths())
    assert jobs.at_or_below(("a", "x", "y")) == {}


def test_what_is_known_of_places_is_the_same_object_until_a_job_comes_or_goes(
    jobs: RootJobs,
) -> None:
    kin = jobs.kin
    assert set(kin) == {"a", "a/x", "ab"}
    assert jobs.drop(()) == {}
    assert jobs.kin is kin
    dropped: Path = ("ab",)
    assert [state.job.name for state in jobs.drop([dropped]).values()] == ["ab"]
    assert set(jobs.kin) == {"a", "a/x"}
    assert (jobs.named("ab"), jobs.progress_of("ab")) == (None, None)
    jobs.add(dropped, JobState(a_job("ab"), 0.0))
    assert set(jobs.kin) == set(kin)


def test_a_job_that_is_connected_has_its_upstream_from_then_on(jobs: RootJobs) -> None:
    upstream = Upstream("r", "ab", "order")
    assert set(jobs.kin) == {"a", "a/x", "ab"}
    (connected,) = jobs.connect({"a": upstream}).values()
    assert connected.upstream == upstream
    assert jobs.named("a") is connected
    state = jobs.get(("a",))
    assert state is not None
    assert state.job is connected
