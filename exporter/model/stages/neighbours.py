"""The jobs before and after one, and what it means if the one before is not done. Pure."""

from collections.abc import Iterable

from exporter.model.formatting import counted
from exporter.model.job import Job
from exporter.model.report import Row
from exporter.model.upstream import Upstream


def before(rows: Iterable[Row], row: Row) -> Row | None:
    """The row of its upstream; None where that is not known."""
    upstream = row.job.upstream
    if upstream is None:
        return None
    return next((other for other in rows if other.key == upstream.key), None)


def after(rows: Iterable[Row], row: Row) -> list[Row]:
    """The rows of the jobs that read its output, by name."""
    reading = (
        other
        for other in rows
        if other.job.upstream is not None and other.job.upstream.key == row.key
    )
    return sorted(reading, key=lambda other: (other.root.name, other.job_name))


def blocked_by(job: Job) -> Upstream | None:
    """The upstream of a job that waits, if that is not done."""
    upstream = job.upstream
    is_blocked = job.state == "waiting" and upstream is not None and upstream.remaining
    return upstream if is_blocked else None


def in_words(job: Job) -> str:
    """What is to be said of its upstream: ``blocked by minhash/signatures (11/12)``, or that it
    came too late; else nothing."""
    if (blocking := blocked_by(job)) is not None:
        return f"blocked by {blocking.job_name} ({blocking.completed}/{blocking.tasks})"
    return late_in_words(job)


def late_in_words(job: Job) -> str:
    """``began before 3 tasks of minhash/signatures were done``; nothing if it did not."""
    upstream = job.upstream
    if upstream is None or not upstream.late:
        return ""
    tasks = counted(upstream.late, "task")
    were = "were" if upstream.late != 1 else "was"
    return f"began before {tasks} of {upstream.job_name} {were} done"
