"""How a root's jobs are shown: sorted, summed up, hidden; values alone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from support.snapshots.readings import NOW as WALL
from support.snapshots.readings import a_job, a_reading, an_unreadable_job, an_unscanned_root

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import RootConfig
from exporter.model.job import Reading
from exporter.model.snapshot import Root
from exporter.scanning.root.publish import with_jobs

READING = a_reading(tasks=10, tasks_completed=4, last_completion_timestamp=WALL - 100)
COMPLETE = replace(READING, tasks_completed=10)
BEFORE = an_unscanned_root(up=True)


def shown(
    jobs: Mapping[str, Reading | None],
    before: Root = BEFORE,
    *,
    is_lost: bool = False,
    **options: object,
) -> Root:
    """The root with these jobs; those without a reading were denied."""
    new = [
        a_job(name, reading=reading) if reading else an_unreadable_job(name)
        for name, reading in jobs.items()
    ]
    return with_jobs(before, new, RootConfig("r", "/r", **options), WALL, is_lost=is_lost)


def test_jobs_are_shown_by_name_with_their_sums() -> None:
    root = shown({"b": READING, "c": None, "a": COMPLETE})
    assert [job.name for job in root.jobs] == ["a", "b", "c"]
    assert root.totals is not None
    assert (root.totals.jobs, root.totals.tasks, root.totals.tasks_completed) == (3, 20, 14)


def test_a_job_is_the_very_same_object_and_while_it_is_hidden_the_one_from_before() -> None:
    config = RootConfig("r", "/r", max_per_root=1)
    jobs = [a_job("a", reading=READING), a_job("b", reading=COMPLETE)]
    before = with_jobs(BEFORE, jobs, config, WALL)
    assert before.jobs[0] is jobs[0]
    assert before.jobs[1] == a_job("b", reading=COMPLETE, hidden=True)
    after = with_jobs(before, jobs, config, WALL)
    assert after.jobs[0] is jobs[0]
    assert after.jobs[1] is before.jobs[1]
    denied = a_job("b", reading=COMPLETE, error="denied")
    changed = with_jobs(after, [jobs[0], denied], config, WALL)
    assert changed.jobs[1] == replace(denied, hidden=True)


@pytest.mark.parametrize(
    ("before", "is_known"),
    [
        (BEFORE, True),
        (an_unscanned_root(), False),
        (an_unscanned_root(error="denied: no"), False),
        (replace(BEFORE, up=False, error="denied: no", totals=shown({}).totals), True),
    ],
    ids=["read", "never tried", "never read", "no longer read"],
)
def test_a_root_that_was_not_read_has_no_number_of_jobs(before: Root, is_known: bool) -> None:
    assert (shown({}, before).totals is not None) == is_known


def test_a_root_that_is_lost_has_no_number_of_jobs_and_keeps_the_last_one_apart() -> None:
    unread = replace(shown({"a": READING}), up=False, error="denied: no")
    lost = shown({}, unread, is_lost=True)
    assert (lost.totals, lost.jobs_lost) == (None, 1)
    assert shown({}, lost).jobs_lost == 1


def test_the_jobs_of_a_root_that_can_no_longer_be_read_are_still_counted() -> None:
    unread = replace(shown({"a": READING}), up=False, error="denied: no")
    root = shown({"a": READING}, unread)
    assert root.totals is not None
    assert root.totals.jobs == 1


@pytest.mark.parametrize(
    ("after", "hidden"),
    [(None, set()), (0.0, {"new", "old"}), (200.0, {"old"}), (1e6, set())],
)
def test_completed_jobs_are_hidden_after_a_while_and_stay_in_the_sums(
    after: float | None, hidden: set[str]
) -> None:
    root = shown(
        {
            "new": COMPLETE,
            "old": replace(COMPLETE, last_completion_timestamp=WALL - 300),
            "running": replace(READING, last_completion_timestamp=WALL - 300),
            "run again": replace(
                COMPLETE,
                last_completion_timestamp=WALL - 300,
                tasks_completed_since_launch=4,
                repeats_completed=True,
            ),
        },
        hide_completed_after_seconds=after,
    )
    assert {job.name for job in root.jobs if job.hidden} == hidden
    assert root.totals is not None
    assert (root.totals.jobs, root.totals.jobs_completed) == (4, 2)
    assert root.totals.jobs_hidden == len(hidden)
    assert root.totals.tasks_completed == 34


def test_beyond_the_limit_jobs_without_need_of_attention_are_hidden_first() -> None:
    """Complete ones, then abandoned, then waiting ones; then the last by name."""
    queued = replace(READING, tasks_completed=0, started=False, start_timestamp=None)
    left = replace(
        READING, last_completion_timestamp=1.0, launch_timestamp=1.0, start_timestamp=1.0
    )
    jobs = {
        "a": COMPLETE, "b": READING, "c": None, "d": READING, "e": COMPLETE, "f": queued, "g": left,
    }  # fmt: skip
    limits = {
        7: "abcdefg", 6: "abcdfg", 5: "bcdfg", 4: "bcdf", 3: "bcd", 2: "bc", 0: "",
    }  # fmt: skip
    for limit, names in limits.items():
        root = shown(jobs, max_per_root=limit)
        assert "".join(job.name for job in root.jobs if not job.hidden) == names
        assert root.totals is not None
        assert root.totals.jobs == 7
        assert root.jobs_unwatched == max(0, 3 - limit)
        in_state = {state: jobs for state, jobs in root.totals.jobs_in_state.items() if jobs}
        assert in_state == {
            "unreadable": 1, "running": 2, "waiting": 1, "abandoned": 1, "complete": 2,
        }  # fmt: skip


def test_stages_have_the_sums_of_their_jobs_hidden_and_unreadable_ones_too() -> None:
    labels = (("stage", "base"), ("dump", "d"))
    jobs = [
        a_job("a", reading=READING, labels=labels),
        a_job("b", reading=COMPLETE, labels=labels),
        an_unreadable_job("c", labels=labels),
        a_job("d", reading=READING, labels=()),
    ]
    config = RootConfig("r", "/r", max_per_root=1, labels=(parse_label_pattern("{stage}/{dump}"),))
    root = with_jobs(BEFORE, jobs, config, WALL)
    ((stage, totals),) = root.stages
    assert (stage, totals.jobs, totals.jobs_hidden) == ("base", 3, 3 - 1)
    assert (totals.tasks, totals.tasks_completed) == (20, 14)
    assert totals.jobs_in_state["unreadable"] == 1
    assert with_jobs(root, [], config, WALL, is_lost=True).stages == ()
    assert with_jobs(BEFORE, jobs, RootConfig("r", "/r"), WALL).stages == ()


def test_groups_are_found_anew_only_when_names_change_and_labels_come_first() -> None:
    patterns = (parse_label_pattern("{dump}-{stage}"),)
    config = RootConfig("r", "/r", labels=patterns)
    jobs = [
        a_job("d-filter", labels=(("dump", "d"), ("stage", "filter"))),
        a_job("minhash/CC-MAIN-2014-23", labels=()),
    ]
    root = with_jobs(BEFORE, jobs, config, WALL)
    assert [tuple(group) for group in root.groups] == [
        ("filter", "d"), ("minhash/*", "CC-MAIN-2014-23"),
    ]  # fmt: skip
    again = with_jobs(root, [replace(job, reading=COMPLETE) for job in jobs], config, WALL)
    assert again.groups is root.groups
    fewer = with_jobs(again, jobs[1:], config, WALL)
    assert [group.item for group in fewer.groups] == ["CC-MAIN-2014-23"]
