"""An archive of job folders that a real Slurm cluster left, and when each one's launch started.

``jobs`` are as they were at the end, ``before_relaunch`` three of them before they were launched
again. `STARTED` is when the first task of the last launch began, by sacct; None if none did.
"""

from pathlib import Path

from support.jobs import archives

STARTED: dict[str, int | None] = {
    "array_too_big": None,
    "arrays/buckets": 1795709665,
    "arrays/signatures": 1795709591,
    "broken_env": 1795710279,
    "cancelled": 1795709646,
    "chain_failed/buckets": 1795710494,
    "chain_failed/filter": 1795710505,
    "chain_failed/signatures": 1795710485,
    "chain_ok/buckets": 1795709592,
    "chain_ok/cluster": 1795709606,
    "chain_ok/filter": 1795709619,
    "chain_ok/signatures": 1795709579,
    "fail_once": 1795710485,
    "held": 1795710243,
    "oom": 1795709612,
    "preempted": 1795710130,
    "relaunch_fewer": 1795710485,
    "requeue_usr1": 1795709673,
    "timeout": 1795709642,
}

LATE_SECONDS = 17
"""A task begins to write its log so long after Slurm started it, at most: it imports Python."""


def unpack(folder: Path) -> Path:
    """The archive, with its modification times."""
    return archives.unpack("slurm_jobs.tar.gz", folder)


def markers_in_order(job: Path) -> list[Path]:
    """The markers of a job folder, the oldest first."""
    return sorted(job.glob("completions/*"), key=lambda marker: marker.stat().st_mtime_ns)
