"""Which job another one reads from, and how much of that came too late."""

from exporter.datatrove.executor_file import Lineage
from exporter.datatrove.ranks import Markers
from exporter.model.upstream import Kin, Progress, Upstream, upstreams, with_progress


def _placed(dump: str, stage: str) -> Kin:
    return Kin(labels=(("dump", dump), ("stage", stage)))


def test_the_upstream_is_the_job_that_recorded_the_folder_another_one_depends_on() -> None:
    """Wherever the folders lie now: both wrote down where they were."""
    jobs = {("r", "a"): Kin(Lineage(own=1)), ("r", "b"): Kin(Lineage(own=2, upstream=1))}
    assert upstreams(jobs, {}) == {("r", "b"): Upstream("r", "a", "depends")}


def test_the_upstream_may_lie_in_another_root() -> None:
    jobs = {("q", "a"): Kin(Lineage(own=1)), ("r", "b"): Kin(Lineage(own=2, upstream=1))}
    assert upstreams(jobs, {}) == {("r", "b"): Upstream("q", "a", "depends")}


def test_of_a_folder_and_its_copy_neither_is_the_upstream() -> None:
    jobs = {("r", name): Kin(Lineage(own=1)) for name in ("a", "copy")}
    assert upstreams({**jobs, ("r", "b"): Kin(Lineage(own=2, upstream=1))}, {}) == {}


def test_of_a_folder_and_its_copy_in_another_root_the_one_of_the_same_root_is_the_upstream() -> (
    None
):
    jobs = {(root, "a"): Kin(Lineage(own=1)) for root in ("q", "r")}
    found = upstreams({**jobs, ("r", "b"): Kin(Lineage(own=2, upstream=1))}, {})
    assert found == {("r", "b"): Upstream("r", "a", "depends")}


def test_a_job_is_not_its_own_upstream() -> None:
    assert upstreams({("r", "a"): Kin(Lineage(own=1, upstream=1))}, {}) == {}


def test_the_upstream_is_the_job_with_slurms_number_in_the_same_root() -> None:
    waiting = Kin(Lineage(slurm_id=27))
    jobs = {
        ("r", "a"): Kin(array_ids=(20, 27)),
        ("q", "x"): Kin(array_ids=(27,)),
        ("r", "b"): waiting,
    }
    assert upstreams(jobs, {}) == {("r", "b"): Upstream("r", "a", "slurm")}


def test_the_configured_order_of_stages_goes_before_what_the_executor_waited_for() -> None:
    jobs = {
        ("r", "a"): _placed("1", "first"),
        ("r", "other"): _placed("2", "first"),
        ("r", "b"): Kin(Lineage(upstream=1), _placed("1", "second").labels),
        ("r", "c"): Kin(Lineage(own=1)),
    }
    found = upstreams(jobs, {"r": ("first", "second")})
    assert found == {("r", "b"): Upstream("r", "a", "order")}


def test_a_stage_without_a_configured_place_has_no_upstream_by_order() -> None:
    jobs = {("r", "a"): _placed("1", "first"), ("r", "b"): _placed("1", "extra")}
    assert upstreams(jobs, {"r": ("first", "second")}) == {}


def _late(upstream: Progress, job: Progress) -> int | None:
    return with_progress(Upstream("r", "a", "order"), upstream, job, 60.0).late


def _at(*seconds: float) -> Markers:
    return Markers.of_times({rank: round(at * 1e9) for rank, at in enumerate(seconds)})


BEGAN = Progress(4, 1, began=100.0)


def test_tasks_are_late_that_are_missing_or_newer_than_the_tolerance_allows() -> None:
    assert _late(Progress(5, 3, last=160.5, markers=_at(100.0, 160.0, 160.5)), BEGAN) == 3


def test_an_upstream_whose_newest_task_was_done_in_time_needs_no_other_times() -> None:
    assert _late(Progress(5, 5, last=160.0), BEGAN) == 0
    assert _late(Progress(5, 4, last=160.0), BEGAN) == 1
    assert _late(Progress(5, 0), BEGAN) == 5


def test_without_all_times_nobody_knows_how_many_tasks_are_late() -> None:
    assert _late(Progress(5, 5, last=161.0), BEGAN) is None
    assert _late(Progress(3, 3, last=161.0, markers=_at(1.0, 161.0)), BEGAN) is None
    assert _late(Progress(3, 3), BEGAN) is None


def test_markers_of_a_launch_with_more_tasks_are_not_late() -> None:
    assert _late(Progress(1, 1, last=200.0, markers=_at(90.0, 200.0)), BEGAN) == 0


def test_no_task_is_late_for_a_job_that_did_not_begin() -> None:
    assert _late(Progress(5, 0), Progress(4, 0)) is None


def test_of_an_upstream_that_cannot_be_read_it_is_known_what_was_late() -> None:
    upstream = Upstream("r", "a", "order", tasks=5, completed=5)
    unreadable = Progress(5, 4, is_readable=False, last=1.0)
    assert with_progress(upstream, unreadable, BEGAN) == Upstream("r", "a", "order", late=1)
    assert with_progress(upstream, None, BEGAN) == Upstream("r", "a", "order")
