"""Readings, jobs, roots and snapshots in memory, as scans leave them.

Each is plausible as it is; a test names only the fields that it is about, and never
relies on their order.
"""

from typing import Any

from exporter.model.snapshot import Job, Reading, Root, Snapshot, Totals

HOUR = 3600.0
NOW = 1_700_000_000.0
"""When these jobs are looked at (Unix seconds)."""


def a_reading(*, tasks: int = 100, tasks_completed: int = 40, **fields: Any) -> Reading:
    """A job under way: launched by Slurm ten hours ago, since when all that is completed was.

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
    return Reading(tasks=tasks, tasks_completed=tasks_completed, **{**under_way, **fields})


_UNDER_WAY = a_reading()


def a_job(name: str = "job", *, reading: Reading | None = _UNDER_WAY, **fields: Any) -> Job:
    """A job under way that its root's last scan could read."""
    return Job(name=name, reading=reading, **fields)


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
