"""What is summed over jobs, of one root and over all: the rows of the table."""

from exporter.datatrove.failure import FAILURE_REASONS
from exporter.model.facts.fact import AS_OF_SCAN, Fact, Metric, counts, of_totals
from exporter.model.facts.schemas import COUNT, RATIO_OR_NULL
from exporter.model.snapshot import Root, Totals
from exporter.model.state import STATES

_BY_THIS_LAUNCH = " (by the last launch where it runs with skip_completed=False)"

SUMS: tuple[Fact[Root, Totals], ...] = (
    of_totals("jobs", lambda totals: totals.jobs, "Job folders found.", COUNT,
        "Job folders found below the root, hidden and unreadable ones included.",
        overall="Job folders found below all roots."),
    of_totals("jobs_completed", lambda totals: totals.jobs_completed,
        "Jobs whose tasks are all done.", COUNT,
        f"Jobs of the root whose tasks are all done{_BY_THIS_LAUNCH}.",
        overall=f"Jobs of all roots whose tasks are all done{_BY_THIS_LAUNCH}."),
    of_totals("jobs_unreadable", lambda totals: totals.jobs_unreadable,
        "Jobs that the last scan of their root could not read; none because the root could not "
        "be scanned.", COUNT,
        "Jobs of the root that the last scan that got to them could not read; a root that cannot "
        "be scanned is down, and its jobs are not unreadable.", as_of_scan=False),
    Fact("jobs_in_state", "Jobs by their state.", lambda totals: totals.jobs_in_state, Metric(
        "datatrove_root_jobs_in_state",
        f"Jobs of the root in each state, hidden ones included: {', '.join(STATES)}. {AS_OF_SCAN}",
        counts(lambda root: None if root.totals is None else root.totals.jobs_in_state),
        labels=("state",)),
        schema={"type": "object", "additionalProperties": COUNT}),
    Fact("tasks_failed", "Failed tasks by reason.", lambda totals: totals.tasks_failed, Metric(
        "datatrove_root_tasks_failed",
        f"Tasks of the root's jobs that failed, by reason: {', '.join(FAILURE_REASONS)}. Of jobs "
        f"under way only. {AS_OF_SCAN}",
        counts(lambda root: None if root.totals is None else root.totals.tasks_failed),
        labels=("reason",)),
        schema={"type": "object", "additionalProperties": COUNT}),
    of_totals("logs_deferred", lambda totals: totals.logs_deferred,
        "Logs left for later scans.", COUNT,
        "Logs of the root's jobs that the last scan left for later, because it looks at so many "
        "at most."),
    of_totals("jobs_hidden", lambda totals: totals.jobs_hidden,
        "Jobs without metrics of their own.", COUNT,
        "Jobs of the root that are read and in its sums but have no series of their own, because "
        "of hide_completed_after or max_per_root."),
    of_totals("jobs_completed_ratio", lambda totals: totals.jobs_completed_ratio,
        "Completed jobs divided by jobs.", RATIO_OR_NULL,
        "Completed jobs divided by jobs of the root, 0 to 1; absent without jobs.",
        overall="Completed jobs divided by jobs over all roots, 0 to 1; absent without jobs."),
    of_totals("tasks", lambda totals: totals.tasks, "Sum of the jobs' tasks.", COUNT,
        "Sum of the tasks of the root's jobs.",
        overall="Sum of the tasks of all jobs of all roots."),
    of_totals("tasks_completed", lambda totals: totals.tasks_completed,
        "Sum of the completed tasks.", COUNT,
        "Sum of the completed tasks of the root's jobs.",
        overall="Sum of the completed tasks of all jobs of all roots."),
    of_totals("tasks_completed_ratio", lambda totals: totals.tasks_completed_ratio,
        "Completed tasks divided by tasks.", RATIO_OR_NULL,
        "Completed tasks divided by tasks of the root, 0 to 1; absent without tasks.",
        overall="Completed tasks divided by tasks over all roots, 0 to 1; absent without tasks."),
)  # fmt: skip
"""What is summed over jobs, in the order of the metrics."""
