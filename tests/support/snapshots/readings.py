"""Readings, jobs, roots and snapshots in memory, as scans leave them.

Each is plausible as it is; a test names only the fields that it is about, and never
relies on their order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from exporter.config.settings import DEFAULT_STALL_RULE as STALL
from exporter.config.settings import RootConfig, StallRule
from exporter.datatrove.failure import Cause
from exporter.datatrove.task_state import Failure, OpenTasks, TaskState
from exporter.model.job import Job, Logs, Reading
from exporter.model.report import Report, Row, report_on
from exporter.model.snapshot import Root, Snapshot, Totals
from exporter.model.stall import with_state

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_700_000_000.0
"""When these jobs are looked at (Unix seconds)."""


def a_reading(*, tasks: int = 100, tasks_completed: int = 40, **fields: Any) -> Reading:
    """A job under way: launched by Slurm ten hours ago, since when all that is completed was.
    It did not wait in a queue.

    Ranks and history are empty unless given.
    """
    under_way = {
        "tasks_completed_since_launch": tasks_completed,
        "stray_markers": 0,
        "launch_timestamp": NOW - 10 * HOUR,
        "last_completion_timestamp": NOW - 600,
        "longest_completion_gap_seconds": 1200.0,
        "started": True,
        "executor": "slurm",
        "slurm_job_name": "tokenize",
    }
    under_way |= {"start_timestamp": fields.get("launch_timestamp", NOW - 10 * HOUR)}
    return Reading(tasks=tasks, tasks_completed=tasks_completed, **{**under_way, **fields})


def some_logs(
    failed: Iterable[int] | Mapping[int, Failure] = (),
    *,
    others: int = 0,
    is_live: bool = True,
    needs_relaunch: bool = False,
    deferred: int = 0,
    **ranks: Iterable[int],
) -> Logs:
    """Logs that tell of these `failed` ranks, each with its failure or with one of no known
    cause, and of `ranks` in other states (``running=[4]``); the others wait, or are unseen."""
    failures = failed if isinstance(failed, Mapping) else dict.fromkeys(failed, UNEXPLAINED)
    told: dict[TaskState, Iterable[int]] = {"failed": failures, **ranks}  # type: ignore[dict-item]
    states = {rank: state for state, each in told.items() for rank in each}
    tasks = OpenTasks(
        states, failures, others, "waiting" if is_live else "unseen", needs_relaunch, is_live
    )
    return Logs(tasks, deferred=deferred)


UNEXPLAINED = Failure(Cause("other"))
UNDER_WAY = a_reading()


def a_job(
    name: str = "job",
    *,
    reading: Reading | None = UNDER_WAY,
    stall: StallRule = STALL,
    **fields: Any,
) -> Job:
    """A job under way that its root's last scan could read, in the state that it has now, or
    that it had `as_of` then."""
    config, as_of = RootConfig("root", "/data", stall=stall), fields.pop("as_of", None)
    job = with_state(Job(name=name, reading=reading, **fields), config, as_of or NOW)
    return replace(job, as_of=as_of)


def an_unreadable_job(name: str = "broken", **fields: Any) -> Job:
    """A job that no scan could read yet."""
    return Job(name=name, **{"reading": None, "error": "denied", **fields})


def an_unscanned_root(name: str = "root", **fields: Any) -> Root:
    """A root before its first scan."""
    return Root(name=name, **{"scan_interval_seconds": 60.0, "url": "/data", **fields})


def a_root(name: str = "root", *jobs: Job, **fields: Any) -> Root:
    """A root with these jobs that was scanned 5 seconds ago."""
    scanned = {
        "up": True,
        "attempted": True,
        "jobs": jobs,
        "totals": Totals.of_jobs(jobs),
        "last_successful_scan_timestamp": NOW - 5,
        "last_scan_duration_seconds": 0.2,
        "scans": 1,
    }
    return an_unscanned_root(name, **{**scanned, **fields})


def a_snapshot(*roots: Root) -> Snapshot:
    """These roots at one moment."""
    return Snapshot(roots=roots)


def completed(count: int, *, ago: float, launched: float = 10 * HOUR, gap: float) -> Reading:
    """So many of 100 tasks completed since the launch, the last of them so long `ago`."""
    return replace(
        UNDER_WAY,
        tasks_completed=count,
        tasks_completed_since_launch=count,
        launch_timestamp=NOW - launched,
        start_timestamp=NOW - launched,
        last_completion_timestamp=NOW - ago,
        longest_completion_gap_seconds=gap,
    )


def nothing_completed(*, launched: float, started: bool, inherited: int = 0) -> Reading:
    """Nothing since the launch; before it, so many tasks. It left its queue at once if it
    `started`."""
    return replace(
        UNDER_WAY,
        tasks_completed=inherited,
        tasks_completed_since_launch=0,
        launch_timestamp=NOW - launched,
        last_completion_timestamp=NOW - launched - 5 * DAY if inherited else None,
        longest_completion_gap_seconds=None,
        started=started or inherited > 0,
        start_timestamp=NOW - launched if started else None,
    )


def root_of(*jobs: Job, name: str = "r", age: float | None = 5.0, **changes: object) -> Root:
    """A root scanned so many seconds ago; with None, one whose first scan did not succeed yet."""
    if age is None:
        return an_unscanned_root(name, **{"up": True, "attempted": True, "jobs": jobs, **changes})
    return a_root(name, *jobs, last_successful_scan_timestamp=NOW - age, **changes)


def report_of(*jobs: Job, **root: object) -> Report:
    return report_on(a_snapshot(root_of(*jobs, **root)), NOW)


def row_of(
    reading: Reading | None, error: str | None = None, stall: StallRule = STALL, **root: object
) -> Row:
    job = a_job(reading=reading, error=error, stall=stall)
    (row,) = report_of(job, stall=stall, **root).rows
    return row


def made(job_name: str, reading: Reading | None, error: str | None = None) -> Job:
    return a_job(job_name, reading=reading, error=error)


MANY = (
    made("ends later", completed(10, ago=60, gap=600)),
    made("ended", replace(completed(100, ago=900, gap=600))),
    made("ended just now", completed(100, ago=60, gap=600)),
    made("end unknown", nothing_completed(launched=60, started=True)),
    made("ends soon", completed(90, ago=60, gap=600)),
    made("queued", nothing_completed(launched=60, started=False)),
    made("broken", None, "invalid"),
    made("stalled for long", completed(10, ago=8 * HOUR, gap=600)),
    made("stalled", completed(10, ago=2 * HOUR, gap=600)),
    made("also broken", UNDER_WAY, "denied"),
)
"""Jobs in every state, in several of the orders that there are within one."""
