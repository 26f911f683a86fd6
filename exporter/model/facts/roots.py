"""What is known of a root, and of the stages in it: the rows of the table."""

from collections.abc import Callable, Iterable

from exporter.model.facts.fact import AS_OF_SCAN, Fact, Metric, Sample, of_root, of_row
from exporter.model.facts.schemas import (
    COUNT,
    COUNT_OR_NULL,
    FLAG,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
)
from exporter.model.report import RootRow
from exporter.model.snapshot import Root, Totals
from exporter.model.stages.sums import MOST_STAGES, OTHER
from exporter.model.state import STATES


def _stages_in_states(root: Root) -> Iterable[Sample]:
    for stage, totals in root.stages:
        for state, jobs in totals.jobs_in_state.items():
            yield (stage, state), float(jobs)


def _of_stages(name: str, read: Callable[[Totals], float], help_: str) -> Fact[Root, RootRow]:
    """A sum over the jobs of each stage."""
    return Fact(
        f"stage_{name}",
        help_,
        metric=Metric(
            f"datatrove_stage_{name}",
            f"{help_} {_WHICH_STAGES} {AS_OF_SCAN}",
            lambda root: [((stage,), float(read(totals))) for stage, totals in root.stages],
            labels=("stage",),
        ),
    )


_WHICH_STAGES = (
    f"For the first {MOST_STAGES} stages of the root by name, the rest together as {OTHER}; jobs "
    "without a stage are in none."
)

ROOT_FACTS: tuple[Fact[Root, RootRow], ...] = (
    of_row("root", lambda row: row.root.name, "Name of the root.", schema=TEXT),
    of_row("url", lambda row: row.root.url, "Where it lies, without credentials or query.",
        schema=TEXT),
    of_root("up", lambda root: root.up,
        "1 if the last scan could list the root to the end, else 0; 0 before the first scan.",
        schema=FLAG),
    of_row("attempted", lambda row: row.root.attempted, "Whether there was a scan at all.",
        schema=FLAG),
    of_row("error", lambda row: row.root.error, "Why the last scan failed as a whole.",
        schema=TEXT_OR_NULL),
    of_root("last_successful_scan_timestamp", lambda root: root.last_successful_scan_timestamp,
        "Unix time when the last scan that read the whole root ended; absent before the first.",
        schema=NUMBER_OR_NULL),
    of_row("jobs_lost", lambda row: row.root.jobs_lost,
        "How many jobs the root had when it was last read, where that is too long ago for its "
        "sums; else null.", schema=COUNT_OR_NULL),
    of_root("folders_unsearched",
        lambda root: None if root.totals is None else root.folders_unsearched,
        "Folders at max_depth that hold more folders, in which was not looked: jobs in them are "
        "missed. At least so many where each costs a request: no more than a hundred are asked in "
        "each verify_interval. As of the last scan that read the whole root.",
        schema=COUNT_OR_NULL),
    of_row("folders_unread", lambda row: row.root.folders_unread,
        "Folders that could not be listed, and are no jobs by their own names: what lies in them "
        "is not known.", schema=COUNT),
    of_root("folders_denied",
        lambda root: None if root.totals is None else root.folders_denied,
        "Folders that a wildcard in folders found and that are closed to the exporter, such as the "
        "homes of others; no error. As of the last scan that read the whole root.",
        schema=COUNT_OR_NULL),
    Fact("stage_jobs_in_state", "Jobs of each stage by their state.", metric=Metric(
        "datatrove_stage_jobs_in_state",
        "Jobs of each stage that labels give, in each state, hidden ones included: "
        f"{', '.join(STATES)}. {_WHICH_STAGES} {AS_OF_SCAN}",
        _stages_in_states, labels=("stage", "state"))),
    _of_stages("tasks", lambda totals: totals.tasks, "Sum of the tasks of the stage's jobs."),
    _of_stages("tasks_completed", lambda totals: totals.tasks_completed,
        "Sum of the completed tasks of the stage's jobs."),
    of_row("missed", lambda row: row.root.missed,
        "Where jobs may lie that the last scan of the root could not see, in sentences: below "
        "max_depth, in folders that cannot be listed, left out by filters, or nowhere because the "
        "root is empty.", schema=TEXTS),
    of_row("age_seconds", lambda row: row.age_seconds, "Age of what is known.",
        schema=NUMBER_OR_NULL),
    of_row("is_fresh", lambda row: row.is_fresh,
        "Whether that is recent enough to tell a stalled job from a running one.", schema=FLAG),
    of_root("last_scan_duration_seconds", lambda root: root.last_scan_duration_seconds,
        "How long the last scan of the root took, successful or not.", schema=NUMBER_OR_NULL),
    of_root("scan_interval_seconds", lambda root: root.scan_interval_seconds,
        "Configured time between the starts of two scans of the root; absent before the first.",
        schema=NUMBER, needs_scan=True),
    of_root("stalled_after_seconds", lambda root: root.stall.after_seconds,
        "Configured stalled_after: the least time without a completed task after which a job of "
        "the root counts as stalled; absent before the first scan.", needs_scan=True),
    of_root("stalled_gap_factor", lambda root: root.stall.gap_factor,
        "Configured stalled_gap_factor: how many times its longest wait for a completed task so "
        "far a job of the root may wait before it counts as stalled; absent before the first "
        "scan.", needs_scan=True),
    of_root("stalled_long_after_seconds", lambda root: root.stall.long_after_seconds,
        "Configured stalled_long_after: how long after its start a job of the root that completed "
        "nothing counts as stalled, or after its last log was written, while nothing is known of "
        "its pace; absent before the first scan.", needs_scan=True),
    of_root("stalled_tail_factor", lambda root: root.stall.tail_factor,
        "Configured stalled_tail_factor: how many times longer than otherwise a job of the root "
        "may wait in its last tenth; absent before the first scan.", needs_scan=True),
    of_root("stalled_tail_after_seconds", lambda root: root.stall.tail_after_seconds,
        "Configured stalled_tail_after: the least time without a completed task after which a job "
        "of the root counts as stalled in its last tenth; absent before the first scan.",
        needs_scan=True),
    of_root("scan_backoff_seconds", lambda root: root.backoff_seconds,
        "How much longer than the interval the next scan of the root is put off because its "
        "storage keeps failing, give or take a quarter; 0 while it does not, absent before the "
        "first scan.", needs_scan=True),
    of_root("scans_total", lambda root: root.scans,
        "Scans of the root that ended, successful or not.", kind="counter"),
    of_root("scans_skipped_total", lambda root: root.scans_skipped,
        "Scans of the root that were due but did not start, because the one before was still "
        "running or the storage hangs.", kind="counter"),
    Fact("scan_errors", "Failures while scanning.", metric=Metric(
        "datatrove_scan_errors_total",
        "Failures while scanning, by what could not be read (the root, or one job) and why.",
        lambda root: [(key, float(count)) for key, count in root.errors],
        labels=("scope", "reason"), kind="counter")),
    Fact("storage_requests", "Requests sent to the root's storage.", metric=Metric(
        "datatrove_storage_requests_total",
        "Requests (object stores) or system calls (local folders) sent to the root's storage, by "
        "operation. As of the end of the last scan.",
        lambda root: [((operation,), float(count)) for operation, count in root.requests],
        labels=("operation",), kind="counter")),
)  # fmt: skip
"""What is known of a root beside its sums, in the order of the metrics; the sums come after
the first."""
