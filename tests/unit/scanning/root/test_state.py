"""What is kept of a root, hidden, counted and dropped; no storage, no clock."""

import logging
from collections import Counter
from dataclasses import replace

import pytest
from support.snapshots.readings import DAY, HOUR, a_job, a_reading, an_unreadable_job
from support.snapshots.readings import NOW as WALL

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import RootConfig, StallRule
from exporter.config.shard import Shard
from exporter.datatrove.pace import pace_of
from exporter.datatrove.ranks import Markers
from exporter.datatrove.throughput import Hourly
from exporter.errors import StorageError
from exporter.model.job import Reading
from exporter.model.snapshot import Root
from exporter.model.upstream import Upstream
from exporter.scanning.discovery import FolderToVisit
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.root.state import RootState
from exporter.storage.base import Folder, Look, Path, Version

NOW = 1000.0
READING = a_reading(tasks=10, tasks_completed=4, last_completion_timestamp=WALL - 100)
COMPLETE = replace(READING, tasks_completed=10)
DENIED = StorageError("denied", "Permission denied")


def state_of(**options: object) -> RootState:
    return RootState(RootConfig("r", "/r", stale_after_seconds=60, **options))


def scan(
    state: RootState,
    jobs: dict[str, Reading | StorageError],
    *,
    unlisted: dict[str, StorageError] | None = None,
    now: float = NOW,
) -> Root:
    """One whole scan that finds `jobs` and cannot list the folders in `unlisted`."""
    found: set[Path] = set()
    for name, result in jobs.items():
        path = tuple(name.split("/"))
        found.add(path)
        failed = isinstance(result, StorageError)
        state.job_scanned(
            path, JobScan(None, None, result) if failed else JobScan(result, None), now
        )
    failed_folders = {tuple(name.split("/")): e for name, e in (unlisted or {}).items()}
    for path, error in failed_folders.items():
        state.folder_failed(path, error, now)
    state.scan_ended(found, found, failed_folders, duration_seconds=1.5, wall_time=WALL + now - NOW)
    return state.health.root


def fail(state: RootState, *, now: float, reason: str = "unavailable") -> Root:
    """One scan that cannot list the root."""
    error = StorageError(reason, "no answer")
    state.scan_failed(set(), error, duration_seconds=0.5, now=now, wall_time=WALL + now - NOW)
    return state.health.root


def errors_of(root: Root) -> dict[tuple[str, str], int]:
    return {key: count for key, count in root.errors if count}


def test_before_the_first_scan_nothing_is_known_and_every_counter_is_zero() -> None:
    root = state_of().health.root
    assert (root.up, root.attempted, root.jobs, root.totals) == (False, False, (), None)
    assert len(root.errors) == 18
    assert not errors_of(root)


def test_a_scan_publishes_jobs_by_name_and_their_sums() -> None:
    root = scan(state_of(), {"b": READING, "a": COMPLETE, "c": DENIED})
    assert [job.name for job in root.jobs] == ["a", "b", "c"]
    assert root.totals is not None
    assert (root.totals.jobs, root.totals.jobs_completed, root.totals.jobs_unreadable) == (3, 1, 1)
    assert (root.totals.tasks, root.totals.tasks_completed) == (20, 14)
    assert (root.up, root.scans, root.last_scan_duration_seconds) == (True, 1, 1.5)
    assert root.last_successful_scan_timestamp == WALL
    assert errors_of(root) == {("job", "denied"): 1}


def test_a_job_that_did_not_change_stays_the_same_object() -> None:
    state = state_of()
    before = scan(state, {"a": READING, "b": READING}).jobs
    after = scan(state, {"a": replace(READING), "b": COMPLETE}).jobs
    assert after[0] is before[0]
    assert after[1] is not before[1]
    denied = scan(state, {"a": DENIED, "b": COMPLETE}).jobs
    still_denied = scan(state, {"a": DENIED, "b": COMPLETE}).jobs
    assert denied[0] is not after[0]
    assert (still_denied[0] is denied[0], still_denied[1] is after[1]) == (True, True)


def test_labels_come_from_the_name_and_stay_whatever_becomes_of_the_job() -> None:
    state = state_of(labels=(parse_label_pattern("{stage}/{dump}"),))
    for result in (READING, COMPLETE, DENIED, READING):
        root = scan(state, {"base/d": result, "other": result, ".": result})
        assert [job.labels for job in root.jobs] == [(), (("stage", "base"), ("dump", "d")), ()]
    assert scan(state_of(), {"base/d": READING}).jobs[0].labels is None


def test_shards_tell_the_same_stages_apart_so_that_their_sums_add_up() -> None:
    """There are more stages than are told apart, so what is left over depends on all of them."""
    names = [f"stage-{number:03}/d" for number in range(230)] + ["stage-000/e", "no-stage"]
    sums = {}
    for count in (1, 3):
        added: Counter[tuple[str, str]] = Counter()
        for shard in (Shard(index, count) for index in range(count)):
            state = state_of(labels=(parse_label_pattern("{stage}/{dump}"),), shard=shard)
            for name in names:
                path = tuple(name.split("/"))
                state.folder_listed(path, Folder((), has_executor_file=True), NOW, thorough=True)
            paths = {tuple(name.split("/")) for name in names}
            own = {path for path in paths if shard.owns("r", "/".join(path))}
            for path in own:
                state.job_scanned(path, JobScan(READING, None), NOW)
            state.scan_ended(own, paths, (), duration_seconds=1.0, wall_time=WALL)
            for stage, totals in state.health.root.stages:
                added += Counter({(stage, "jobs"): totals.jobs, (stage, "tasks"): totals.tasks})
        sums[count] = added
    assert sums[3] == sums[1]
    assert len(sums[1]) == 2 * 201
    assert (sums[1]["stage-000", "jobs"], sums[1]["other", "tasks"]) == (2, 300)


def states_of(root: Root) -> dict[str, str]:
    return {job.name: job.state for job in root.jobs}


def test_each_scan_decides_the_state_of_each_job_as_of_its_own_time() -> None:
    """Also of those in which nothing changed; a job whose state is the same is the same."""
    state = state_of(abandoned_after_seconds=7200.0)
    jobs = {"a": READING, "b": COMPLETE, "c": DENIED}
    first = scan(state, jobs)
    assert states_of(first) == {"a": "running", "b": "complete", "c": "unreadable"}
    second = scan(state, jobs, now=NOW + 3600)
    assert states_of(second) == {"a": "stalled", "b": "complete", "c": "unreadable"}
    third = scan(state, jobs, now=NOW + 7200)
    assert states_of(third) == {"a": "abandoned", "b": "complete", "c": "unreadable"}
    assert third.jobs[1] is first.jobs[1]
    assert third.jobs[2] is first.jobs[2]
    assert third.totals is not None
    assert third.totals.jobs_in_state["abandoned"] == 1


def test_the_thresholds_are_those_of_the_root() -> None:
    jobs = {"a": replace(READING, last_completion_timestamp=WALL - 1900)}
    assert states_of(scan(state_of(), jobs)) == {"a": "running"}
    strict = state_of(stall=StallRule(900.0, 1.0, DAY))
    assert states_of(scan(strict, jobs)) == {"a": "stalled"}


def test_for_an_hour_after_an_outage_no_job_is_newly_called_stalled() -> None:
    """Not so after a scan that came late, or an outage too short for anything to be old."""
    state, jobs = state_of(), {"a": READING}
    scan(state, jobs)
    fail(state, now=NOW + 30)
    assert states_of(scan(state, jobs, now=NOW + 3600)) == {"a": "running"}
    assert states_of(scan(state, jobs, now=NOW + 7199)) == {"a": "running"}
    assert states_of(scan(state, jobs, now=NOW + 7201)) == {"a": "stalled"}
    fail(state, now=NOW + 7300)
    assert states_of(scan(state, jobs, now=NOW + 7400)) == {"a": "stalled"}
    late = state_of()
    scan(late, jobs)
    assert states_of(scan(late, jobs, now=NOW + 3600)) == {"a": "stalled"}
    short = state_of()
    scan(short, {"a": replace(READING, last_completion_timestamp=WALL - 3500)})
    fail(short, now=NOW + 30)
    assert states_of(scan(short, jobs, now=NOW + 500)) == {"a": "running"}
    assert states_of(scan(short, jobs, now=NOW + 3600)) == {"a": "stalled"}


def test_the_jobs_of_a_root_tell_when_its_cluster_paused() -> None:
    hours = [WALL - 40 * HOUR + n * 600 for n in range(240)]
    times = [time for time in hours if not WALL - 20 * HOUR < time < WALL - 8 * HOUR]
    pace = pace_of([round(time * 1e9) for time in times[:-20]], 0, round(times[0] * 1e9))
    reading = replace(
        READING,
        launch_timestamp=times[0],
        start_timestamp=times[0],
        last_completion_timestamp=times[-21],
        longest_completion_gap_seconds=(pace.longest_gap_ns or 0) / 1e9,
        waits=pace.waits,
    )
    jobs = dict.fromkeys("abcde", reading)
    assert set(states_of(scan(state_of(), jobs)).values()) == {"stalled"}
    assert states_of(scan(state_of(), {"a": reading})) == {"a": "running"}


def test_a_hidden_job_that_did_not_change_stays_the_same_object() -> None:
    state = state_of(max_per_root=1)
    before = scan(state, {"a": READING, "b": COMPLETE}).jobs
    after = scan(state, {"a": READING, "b": replace(COMPLETE)}).jobs
    assert after[1].hidden
    assert after[1] is before[1]


def test_a_job_that_is_no_longer_found_goes_at_once() -> None:
    state = state_of()
    scan(state, {"a": READING, "b": READING})
    root = scan(state, {"a": READING})
    assert [job.name for job in root.jobs] == ["a"]


def test_an_empty_root_has_no_jobs_and_an_unreachable_one_has_no_number_of_jobs() -> None:
    empty = scan(state_of(), {})
    assert empty.totals is not None
    assert empty.totals.jobs == 0
    assert empty.totals.tasks_completed_ratio is None
    assert fail(state_of(), now=NOW).totals is None


def test_an_unreadable_job_keeps_its_last_values_for_a_while() -> None:
    state = state_of()
    scan(state, {"a": READING})
    assert scan(state, {"a": DENIED}, now=NOW + 10).jobs == (
        a_job("a", reading=READING, error="denied"),
    )
    assert state.next_expiry == NOW + 70
    state.expire(NOW + 69, WALL)
    assert state.health.root.jobs[0].reading == READING
    state.expire(NOW + 70, WALL)
    assert state.health.root.jobs == (an_unreadable_job("a", error="denied"),)
    assert scan(state, {"a": READING}, now=NOW + 80).jobs == (a_job("a", reading=READING),)
    assert state.next_expiry == float("inf")


def test_a_job_whose_values_are_gone_stays_the_same_object_when_those_of_others_go() -> None:
    state = state_of()
    scan(state, {"a": READING, "b": READING})
    scan(state, {"a": DENIED, "b": READING}, now=NOW + 10)
    scan(state, {"a": DENIED, "b": DENIED}, now=NOW + 20)
    state.expire(NOW + 70, WALL)
    first = state.health.root.jobs[0]
    state.expire(NOW + 80, WALL)
    assert [job.reading for job in state.health.root.jobs] == [None, None]
    assert state.health.root.jobs[0] is first


def test_a_failure_that_lasts_is_not_prolonged_by_more_scans() -> None:
    state = state_of()
    scan(state, {"a": READING})
    for later in (10, 30, 50):
        scan(state, {"a": DENIED}, now=NOW + later)
    assert state.next_expiry == NOW + 70


def test_an_unreachable_root_keeps_its_values_for_a_while_and_then_has_none() -> None:
    state = state_of()
    good = scan(state, {"a": READING, "b": COMPLETE})
    bad = fail(state, now=NOW + 10)
    assert (bad.up, bad.error) == (False, "unavailable: no answer")
    assert [job.reading for job in bad.jobs] == [READING, COMPLETE]
    assert [(job.error, job.as_of) for job in bad.jobs] == [(None, WALL), (None, WALL)]
    assert bad.totals is not None
    assert (bad.totals.tasks, bad.totals.jobs_unreadable, bad.jobs_lost) == (20, 0, None)
    assert bad.last_successful_scan_timestamp == good.last_successful_scan_timestamp
    assert fail(state, now=NOW + 20).jobs[0] is bad.jobs[0]
    state.expire(NOW + 70, WALL)
    lost = state.health.root
    assert (lost.jobs, lost.totals, lost.jobs_lost) == ((), None, 2)
    assert fail(state, now=NOW + 80).jobs_lost == 2
    again = scan(state, {"a": READING}, now=NOW + 100)
    assert (again.up, again.error, again.jobs_lost) == (True, None, None)
    assert again.jobs == (a_job("a", reading=READING),)


def test_jobs_of_a_root_that_comes_back_are_new_again_whether_they_can_be_read_or_not() -> None:
    state = state_of()
    scan(state, {"a": READING, "b": DENIED, "c": DENIED})
    failed = fail(state, now=NOW + 10)
    assert [(job.error, job.as_of) for job in failed.jobs] == [
        (None, WALL),
        ("denied", WALL),
        ("denied", WALL),
    ]
    assert scan(state, {"a": DENIED, "b": READING, "c": DENIED}, now=NOW + 20).jobs == (
        a_job("a", reading=READING, error="denied"),
        a_job("b", reading=READING),
        an_unreadable_job("c"),
    )


def test_a_scan_that_is_given_up_half_way_makes_old_only_what_it_did_not_reach() -> None:
    """What it read is new, and a job whose own visit hung is unreadable."""
    state = state_of()
    scan(state, {"a": READING, "b": READING, "c": READING})
    late = StorageError("timeout", "not read within 5 s")
    more = replace(READING, tasks_completed=7)
    state.job_scanned(("a",), JobScan(more, None), NOW + 10)
    state.folder_failed(("b",), late, NOW + 10)
    state.scan_failed({("a",)}, late, duration_seconds=5, now=NOW + 10, wall_time=WALL + 10)
    assert state.health.root.jobs == (
        a_job("a", reading=more),
        a_job("b", reading=READING, error="timeout"),
        a_job("c", reading=READING, as_of=WALL),
    )
    assert [job.as_of for job in fail(state, now=NOW + 20).jobs] == [WALL + 10, WALL + 10, WALL]


def test_a_root_of_which_scans_read_a_part_for_too_long_shows_nothing_in_between() -> None:
    state = state_of()
    scan(state, {"a": READING})
    fail(state, now=NOW + 10)
    state.expire(NOW + 70, WALL)
    state.job_scanned(("a",), JobScan(READING, None), NOW + 80)
    late = StorageError("timeout", "late")
    state.scan_failed({("a",)}, late, duration_seconds=5, now=NOW + 80, wall_time=WALL + 80)
    assert (state.health.root.jobs, state.health.root.jobs_lost) == ((), 1)


def test_an_empty_root_that_becomes_unreachable_keeps_its_0_jobs_for_a_while() -> None:
    """As any other root keeps its jobs; then there is no number."""
    state = state_of()
    empty = scan(state, {}).totals
    assert fail(state, now=NOW + 10).totals == empty
    assert state.next_expiry == NOW + 70
    state.expire(NOW + 69, WALL)
    assert state.health.root.totals == empty
    state.expire(NOW + 70, WALL)
    assert (state.health.root.totals, state.health.root.jobs_lost) == (None, 0)
    assert state.next_expiry == float("inf")
    assert fail(state, now=NOW + 80).totals is None
    assert state.next_expiry == float("inf")
    assert scan(state, {}, now=NOW + 90).totals == empty


def test_jobs_below_a_folder_that_cannot_be_listed_are_unreadable_not_gone() -> None:
    state = state_of()
    scan(state, {"x/a": READING, "x/b": READING, "y": READING})
    root = scan(state, {"y": READING}, unlisted={"x": DENIED})
    assert [(job.name, job.error) for job in root.jobs] == [
        ("x/a", "denied"),
        ("x/b", "denied"),
        ("y", None),
    ]
    assert errors_of(root) == {("job", "denied"): 1}


@pytest.mark.parametrize("replaced", [(), ("dump",)], ids=["the root", "a folder above"])
def test_a_completed_job_is_looked_at_again_once_a_folder_above_it_is_another(
    replaced: Path,
) -> None:
    state, job, other = state_of(), ("dump", "a"), ("b",)
    paths: list[Path] = [(), ("dump",), job, other]
    memory = Memory(Look(Version("v", 1), Markers(), has_logs=True), Version("v", 1), None)

    def listed(identity: int, *, of: list[Path]) -> None:
        for path in of:
            folder = Folder((), has_executor_file=path in (job, other), identity=identity)
            state.folder_listed(path, folder, NOW, thorough=False)

    listed(1, of=paths)
    for path in (job, other):
        state.job_scanned(path, JobScan(COMPLETE, memory), NOW)
    listed(1, of=[(), ("dump",)])
    assert state.settled_folder(job, NOW) is not None
    listed(2, of=[replaced])
    assert state.settled_folder(job, NOW) is None
    visit = state.visit_to(FolderToVisit(job), NOW)
    assert (visit.folder, visit.memory, visit.list_thoroughly) == (None, None, True)
    assert (state.settled_folder(other, NOW) is None) == (replaced == ())


def test_an_unknown_folder_that_cannot_be_listed_may_be_a_job() -> None:
    state = state_of()
    root = scan(state, {"y": READING}, unlisted={"x": DENIED})
    assert root.jobs == (
        an_unreadable_job("x", error="denied"),
        a_job("y", reading=READING),
    )
    assert [job.name for job in scan(state, {"y": READING}).jobs] == ["y"]


def test_a_folder_left_out_by_the_configuration_may_be_unreadable() -> None:
    state = state_of(exclude=("lost+found",))
    root = scan(state, {}, unlisted={"lost+found": DENIED})
    assert root.jobs == ()
    assert not errors_of(root)


@pytest.mark.parametrize(
    "options",
    [{"include": ("*/job",)}, {"prefix": "team/dump"}, {"shard": Shard(1, 2)}],
    ids=["include", "prefix", "shard"],
)
def test_a_folder_that_cannot_be_listed_and_may_hold_wanted_jobs_is_told(
    options: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it is no job by its own name."""
    state = state_of(**options)
    root = scan(state, {}, unlisted={"team": DENIED})
    assert (root.jobs, root.folders_unread) == ((), 1)
    assert root.missed == ("1 folder cannot be read: team (denied: Permission denied)",)
    assert errors_of(root) == {("job", "denied"): 1}
    scan(state, {}, unlisted={"team": DENIED})
    assert [record.fields.get("detail", "") for record in caplog.records] == [*root.missed]
    root = scan(state, {})
    assert (root.folders_unread, root.missed) == (0, ())


@pytest.mark.parametrize("options", [{"max_depth": 1}, {"exclude": ("te*",)}, {"prefix": "x/"}])
def test_a_folder_that_can_hold_no_wanted_job_is_left_out(options: dict[str, object]) -> None:
    root = scan(state_of(**{"include": ("*/job",), **options}), {}, unlisted={"team": DENIED})
    assert (root.jobs, root.missed, errors_of(root)) == ((), (), {})


def test_a_first_scan_that_did_not_end_publishes_what_it_read_and_no_sums() -> None:
    state = state_of()
    state.job_scanned(("a",), JobScan(READING, None), NOW)
    late = StorageError("timeout", "late")
    state.scan_failed({("a",)}, late, duration_seconds=5, now=NOW, wall_time=WALL)
    assert state.health.root.jobs == (a_job("a", reading=READING),)
    assert state.health.root.totals is None


def test_a_state_is_logged_when_it_changes_and_not_at_each_scan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "exporter")
    state = state_of()
    for _ in range(3):
        scan(state, {"a": DENIED, "b": READING})
    for _ in range(3):
        fail(state, now=NOW + 10)
    for _ in range(3):
        scan(state, {"a": READING, "b": READING}, now=NOW + 20)
    assert [record.getMessage() for record in caplog.records] == [
        "job cannot be read",
        "first scan done",
        "root cannot be read",
        "root can be read again",
        "job can be read again",
    ]


def test_what_is_missed_is_logged_once_and_again_when_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "exporter")
    state = state_of(max_depth=1)

    def visit(*, b_holds_more: bool | None) -> Root:
        for name, holds_more in (("a", True), ("b", b_holds_more)):
            folder = Folder((), has_executor_file=False)
            state.folder_listed((name,), folder, NOW, thorough=False, holds_more=holds_more)
        state.scan_ended(set(), {("a",), ("b",)}, (), duration_seconds=1.5, wall_time=WALL)
        return state.health.root

    visit(b_holds_more=False)
    assert visit(b_holds_more=False).folders_unsearched == 1
    visit(b_holds_more=True)
    assert visit(b_holds_more=None).folders_unsearched == 2, "nobody looked"
    assert visit(b_holds_more=False).folders_unsearched == 1
    state.scan_ended(set(), {()}, (), duration_seconds=1.5, wall_time=WALL)
    assert (state.health.root.folders_unsearched, state.health.root.missed) == (0, ())
    told = [
        f"{record.getMessage()} {record.fields.get('detail', '')}".split(",")[0]
        for record in caplog.records
    ]
    assert told == [
        "jobs may be missed 1 folder at max_depth 1 holds more folders",
        "first scan done ",
        "jobs may be missed 2 folders at max_depth 1 hold more folders",
        "jobs may be missed 1 folder at max_depth 1 holds more folders",
        "no jobs are missed any more ",
    ]


def test_folders_that_were_never_asked_for_more_are_not_taken_to_hold_none() -> None:
    state, folder = state_of(max_depth=1), Folder((), has_executor_file=False)
    names = {("a",): True, ("b",): None}

    def visit() -> Root:
        state.folder_listed((), Folder(("a", "b"), has_executor_file=False), NOW, thorough=False)
        for path, holds_more in names.items():
            state.folder_listed(path, folder, NOW, thorough=False, holds_more=holds_more)
        listed = {(), *names}
        state.scan_ended(set(), listed, (), duration_seconds=1.5, wall_time=WALL)
        return state.health.root

    assert visit().missed[0].startswith("at least 1 folder at max_depth 1 holds more")
    names["b",] = False
    assert visit().missed[0].startswith("1 folder at")
    names["b",] = None
    assert visit().missed[0].startswith("1 folder at"), "it was asked before"


def test_a_root_that_is_another_folder_than_before_and_empty_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As after its file system was unmounted. That its own jobs go is no news."""
    state = state_of()

    def visit(identity: int, *jobs: str) -> None:
        folder = Folder(jobs, has_executor_file=False, identity=identity)
        state.folder_listed((), folder, NOW, thorough=False)
        paths = {(name,) for name in jobs}
        for path in paths:
            state.job_scanned(path, JobScan(READING, None), NOW)
        state.scan_ended(paths, {(), *paths}, (), duration_seconds=1.5, wall_time=WALL)

    for identity, jobs in ((1, ["a"]), (2, ["a"]), (2, []), (3, []), (3, ["a"])):
        visit(identity, *jobs)
    assert not caplog.records
    for _ in range(2):
        visit(4)
    assert [record.getMessage() for record in caplog.records] == [
        "the root is another folder than before, and empty"
    ]


def test_what_is_missed_of_a_root_that_fails_stays_said() -> None:
    state = state_of(max_depth=0)
    folder = Folder(("a",), has_executor_file=False)
    state.folder_listed((), folder, NOW, thorough=True, holds_more=True)
    state.scan_ended(set(), {()}, (), duration_seconds=1.5, wall_time=WALL)
    assert fail(state, now=NOW + 10).missed


def test_many_bad_jobs_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    scan(state_of(), {f"j{n}": DENIED for n in range(500)})
    assert len(caplog.records) == 11
    assert caplog.records[-1].fields["jobs"] == 490


WORKED = replace(
    READING, by_hour=Hourly.of_ordered([round(WALL - HOUR) * 10**9], round(WALL) * 10**9)
)


def departed(root: Root) -> list[str]:
    return [job.name for job in root.departed]


def test_a_job_that_is_gone_is_kept_with_what_it_completed() -> None:
    state = state_of()
    scan(state, {"filter/CC-MAIN-2020-05": WORKED, "filter/CC-MAIN-2020-10": READING})
    root = scan(state, {})
    (job,) = root.departed
    assert (job.name, job.group.stage) == ("filter/CC-MAIN-2020-05", "filter/*")
    assert job.by_hour == WORKED.by_hour


def test_a_job_that_was_moved_is_not_kept_beside_the_new_one() -> None:
    state = state_of()
    moved = replace(WORKED, launch_timestamp=WALL - HOUR - 0.5)
    scan(state, {"a": moved, "b": READING})
    assert departed(scan(state, {"c": moved, "b": READING})) == []


def test_jobs_of_a_lost_root_are_not_counted_and_come_back_with_what_they_did() -> None:
    state = state_of()
    scan(state, {"a": WORKED, "b": WORKED})
    fail(state, now=NOW + 10)
    assert departed(fail(state, now=NOW + 100)) == []
    look = Look(Version(1, "a"), Markers(), has_logs=False)
    reading = replace(READING, by_hour=None)
    back = JobScan(reading, Memory(look, look.executor, None, reading=reading))
    state.job_scanned(("a",), back, NOW + 110)
    state.scan_ended({("a",)}, {("a",)}, (), duration_seconds=1.0, wall_time=WALL + 110)
    root = state.health.root
    assert departed(root) == ["b"]
    assert root.jobs[0].reading is not None
    assert root.jobs[0].reading.by_hour == WORKED.by_hour


def test_another_folder_in_a_jobs_place_does_not_undo_its_work() -> None:
    state = state_of()
    scan(state, {"a": WORKED})
    for identity in (1, 2):
        folder = Folder((), has_executor_file=True, identity=(1, identity))
        state.folder_listed(("a",), folder, NOW, thorough=True)
    look = Look(Version(1, "a"), Markers(), has_logs=False)
    new = JobScan(READING, Memory(look, look.executor, None, reading=READING))
    state.job_scanned(("a",), new, NOW)
    state.scan_ended({("a",)}, {("a",)}, (), duration_seconds=1.0, wall_time=WALL)
    (job,) = state.health.root.jobs
    assert job.reading is not None
    assert job.reading.by_hour == WORKED.by_hour
    assert departed(state.health.root) == []


def test_an_upstream_that_changes_between_two_scans_shows_at_once_and_hides_nothing() -> None:
    """That of a job in another root, which was scanned later."""
    state = state_of(hide_completed_after_seconds=0.0)
    root = scan(state, {"done": COMPLETE, "other": READING, "under way": READING})
    assert set(state.jobs.kin) == {"done", "other", "under way"}
    upstream = Upstream("q", "before", "depends", tasks=3, completed=1)
    state.connect({"done": upstream, "under way": upstream})
    done, other, under_way = state.health.root.jobs
    assert (done.hidden, done.upstream) == (True, upstream)
    assert other is root.jobs[1]
    assert (under_way.hidden, under_way.upstream) == (False, upstream)
    assert scan(state, {"done": COMPLETE, "other": READING, "under way": READING}).jobs == (
        done,
        other,
        under_way,
    )
    state.connect({"done": None})
    assert state.health.root.jobs[0].upstream is None
