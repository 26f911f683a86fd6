"""What needs somebody, and in which order."""

from dataclasses import replace

from support.snapshots.readings import (
    DAY,
    HOUR,
    NOW,
    a_job,
    a_reading,
    a_root,
    a_snapshot,
    an_unreadable_job,
    an_unscanned_root,
    completed,
    report_of,
    some_logs,
)

from exporter.model.problems import first_of, problems_of
from exporter.model.report import report_on
from exporter.model.selection import Filter
from exporter.model.upstream import Upstream


def test_what_moved_last_comes_first_and_healthy_jobs_not_at_all() -> None:
    report = report_of(
        a_job("stalled long ago", reading=completed(10, ago=2 * DAY, launched=3 * DAY, gap=600)),
        a_job("stalled just now", reading=completed(10, ago=2 * HOUR, gap=600)),
        a_job("abandoned", reading=completed(10, ago=30 * DAY, launched=31 * DAY, gap=600)),
        a_job("under way", reading=completed(10, ago=60, gap=600)),
    )
    found = [each.row.job_name for each in problems_of(report) if each.row]
    assert found == ["stalled just now", "stalled long ago"]


def test_a_lost_root_is_one_line_whatever_its_jobs_were() -> None:
    old = [
        a_job(f"stalled {n}", reading=completed(10, ago=2 * HOUR, gap=600), as_of=NOW - 60)
        for n in range(6)
    ]
    lost = a_root("scratch", *old, up=False, error="not_found: no such folder")
    (problem,) = problems_of(report_on(a_snapshot(lost), NOW))
    assert (problem.kinds, problem.row) == (("root",), None)
    assert problem.why == "cannot be scanned: no such folder (6 jobs)"


def test_a_root_before_its_first_scan_is_no_problem() -> None:
    assert problems_of(report_on(a_snapshot(an_unscanned_root()), NOW)) == []


def test_what_is_left_is_told_by_cause() -> None:
    logs = some_logs(failed=[3, 17])
    reading = replace(a_reading(), executor="local", logs=logs, needs_relaunch=True)
    (problem,) = problems_of(report_of(a_job(reading=reading)))
    assert problem.why.startswith("60 left: 2 failed ")


def test_an_unreadable_job_says_why() -> None:
    (problem,) = problems_of(report_of(an_unreadable_job(error="denied")))
    assert (problem.since, problem.why) == (None, "access denied")


def test_strays_are_told_while_they_are_recent() -> None:
    fresh = replace(completed(100, ago=HOUR, gap=600), stray_markers=2)
    stale = replace(fresh, last_completion_timestamp=NOW - 2 * DAY, launch_timestamp=NOW - 3 * DAY)
    stale = replace(stale, start_timestamp=NOW - 3 * DAY)
    report = report_of(a_job("fresh", reading=fresh), a_job("stale", reading=stale))
    (problem,) = problems_of(report)
    assert (problem.kinds, problem.why) == (("strays",), "2 stray markers")


def test_a_job_that_two_pipelines_ran_is_told_while_it_is_recent() -> None:
    fresh = replace(completed(100, ago=HOUR, gap=600), mixed_pipelines=True)
    stale = replace(fresh, last_completion_timestamp=NOW - 2 * DAY, launch_timestamp=NOW - 3 * DAY)
    stale = replace(stale, start_timestamp=NOW - 3 * DAY)
    same = replace(fresh, mixed_pipelines=False)
    report = report_of(
        *(a_job(name, reading=r) for name, r in zip("abc", (fresh, stale, same), strict=True))
    )
    (problem,) = problems_of(report)
    assert (problem.kinds, problem.why) == (("mixed",), "run by two pipelines")


def test_a_job_is_one_line_that_says_all_of_it() -> None:
    stalled = replace(completed(10, ago=2 * HOUR, gap=600), stray_markers=1)
    (problem,) = problems_of(report_of(a_job(reading=stalled)))
    assert problem.kinds == ("state", "strays")
    assert problem.why == "90 left; 1 stray marker"


def test_a_filter_leaves_out_jobs_and_the_roots_that_it_does_not_name() -> None:
    stalled = completed(10, ago=2 * HOUR, gap=600)
    here = a_root("here", a_job("a", reading=stalled), a_job("b", reading=stalled))
    lost = a_root("lost", up=False, error="denied: no")
    report = report_on(a_snapshot(here, lost), NOW)

    def found(wanted: Filter) -> list[str]:
        return [p.row.job_name if p.row else p.root.root.name for p in problems_of(report, wanted)]

    assert found(Filter()) == ["lost", "a", "b"]
    assert found(Filter(name="B")) == ["lost", "b"]
    assert found(Filter(roots=frozenset({"here"}), states=frozenset({"failed"}))) == []


def test_what_nobody_can_read_does_not_hide_a_new_stall() -> None:
    stalled = [
        a_job(f"s{n:02}", reading=completed(10, ago=(2 + n) * HOUR, gap=600)) for n in range(20)
    ]
    denied = [an_unreadable_job(f"d{n:02}") for n in range(20)]
    lost = a_root("lost", up=False, error="denied: no", last_successful_scan_timestamp=NOW - DAY)
    report = report_on(a_snapshot(a_root("r", *stalled, *denied), lost), NOW)
    shown = [p.row.job_name if p.row else "lost" for p in first_of(problems_of(report), 12)]
    assert shown == [*(f"d{n:02}" for n in range(4)), *(f"s{n:02}" for n in range(8)), "lost"]
    only_denied = report_on(a_snapshot(a_root("r", stalled[0], *denied)), NOW)
    assert len(first_of(problems_of(only_denied), 12)) == 12
    assert first_of(problems_of(only_denied), 30) == problems_of(only_denied)


def test_a_root_that_was_never_read_says_so() -> None:
    lost = a_root("new", up=False, error="denied: no", last_successful_scan_timestamp=None)
    (problem,) = problems_of(report_on(a_snapshot(lost), NOW))
    assert (problem.since, problem.why) == (None, "cannot be scanned: no (never read)")


def test_a_root_that_is_not_scanned_in_time_is_a_problem() -> None:
    slow = a_root("slow", last_successful_scan_timestamp=NOW - DAY)
    (problem,) = problems_of(report_on(a_snapshot(slow), NOW))
    assert problem.why.startswith("is not scanned in time: ")


def test_a_job_that_began_before_its_upstream_was_done_needs_somebody_though_it_is_complete() -> (
    None
):
    """However long ago: its output is wrong until it runs again."""
    upstream = Upstream("root", "sig", "slurm", tasks=12, completed=12, late=3)
    reading = completed(100, ago=30 * DAY, launched=31 * DAY, gap=600)
    (problem,) = problems_of(report_of(a_job(reading=reading, upstream=upstream)))
    assert problem.kinds == ("late",)
    assert problem.why == "began before 3 tasks of sig were done"
    in_order = replace(upstream, late=0)
    assert problems_of(report_of(a_job(reading=reading, upstream=in_order))) == []
