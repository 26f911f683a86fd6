"""Jobs of a pipeline as rows of a report, with the times of their completions."""

from exporter.datatrove.throughput import Hourly
from exporter.model.job import Job, Reading
from exporter.model.names.grouping import groups_of
from exporter.model.report import Row
from support.snapshots.readings import DAY, NOW, a_job, a_reading, report_of


def worked(*ago: float, launched: float = 20 * DAY, tasks: int = 1000) -> Reading:
    """A job under way with a completion so many seconds ago each."""
    times = sorted(int((NOW - seconds) * 1e9) for seconds in ago)
    return a_reading(
        tasks=tasks,
        tasks_completed=len(ago),
        launch_timestamp=NOW - launched,
        last_completion_timestamp=NOW - min(ago) if ago else None,
        started=bool(ago),
        start_timestamp=NOW - launched if ago else None,
        by_hour=Hourly.of_ordered(times, int(NOW * 1e9)),
    )


def daily(*tasks: int, launched: float = 20 * DAY, of: int = 1000) -> Reading:
    """So many completions on each of the last days, the last one first."""
    ago = [(day + 0.5) * DAY for day, count in enumerate(tasks) for _ in range(count)]
    return worked(*ago, launched=launched, tasks=of)


def finished(tasks: int = 9, *, ago: float = DAY) -> Reading:
    """A job that was complete when it was first seen."""
    return a_reading(tasks=tasks, tasks_completed=tasks, last_completion_timestamp=NOW - ago)


def rows_of(*jobs: Job, **root: object) -> tuple[Row, ...]:
    """Their rows, with the stages that their names tell."""
    ordered = sorted(jobs, key=lambda job: job.name)
    groups = groups_of([job.name for job in ordered])
    return report_of(*ordered, groups=groups, **root).rows


def rows_of_states(stage_order: tuple[str, ...] = (), **states: str) -> tuple[Row, ...]:
    """Jobs in these states; names with ``__`` for each slash."""
    jobs = []
    for name, state in states.items():
        reading = finished() if state == "complete" else worked()
        job = a_job(name.replace("__", "/"), reading=reading)
        jobs.append(Job(job.name, job.reading, state=state))
    return rows_of(*jobs, stage_order=stage_order)
