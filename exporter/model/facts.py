"""The table of facts: what is known of jobs, roots and sums, and where each value shows.

One row says what a value is, how it is read, and where it shows: as a metric, as a field
of the JSON API and of ``status --json``, as a column for people, as an order of rows.
Metric families, the API's description, tables, pages and the choices of ``--sort`` all
come from here; nothing is published that no row names.

To add a value that a `Reading` has, add a row to `JOB_FACTS`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from exporter.datatrove.failure import FAILURE_REASONS
from exporter.datatrove.task_state import TASK_STATES
from exporter.errors import REASONS
from exporter.model.advice import advice
from exporter.model.fact import (
    AS_OF_SCAN,
    COUNT,
    COUNT_OR_NULL,
    FAILURES,
    FLAG,
    LEFT_OUT,
    MOST_RANKS,
    NUMBER,
    NUMBER_OR_NULL,
    RATIO_OR_NULL,
    STEPS,
    TEXT,
    TEXT_BY_NAME,
    TEXT_OR_NULL,
    TEXTS,
    UPSTREAM,
    At,
    Column,
    Fact,
    Metric,
    Place,
    Sample,
    Sort,
    of_job,
    of_reading,
    of_root,
    of_row,
    of_totals,
)
from exporter.model.open_tasks import failures
from exporter.model.report import RootRow, Row, attention, time_left
from exporter.model.snapshot import Job, Root, Totals
from exporter.model.stages.grouping import UNKNOWN
from exporter.model.stages.sums import MOST_STAGES, OTHER
from exporter.model.state import STATES
from exporter.model.steps import (
    of_stats,
    stats_left_out,
    step_documents,
    step_seconds,
    steps_json,
)

_TERMINAL_AND_JOB: tuple[Place, ...] = ("terminal", "job")
_EVERYWHERE: tuple[Place, ...] = ("terminal", "page", "job")


def _info(job: Job) -> Iterable[Sample]:
    if job.reading is not None:
        yield (job.reading.executor, job.reading.slurm_job_name), 1.0


def _upstream(job: Job) -> Iterable[Sample]:
    if (upstream := job.upstream) is not None:
        yield (upstream.root, upstream.job_name, upstream.via), 1.0


def _upstream_json(row: Row) -> dict[str, int | str | None] | None:
    upstream = row.job.upstream
    if upstream is None:
        return None
    return {
        "root": upstream.root,
        "job_name": upstream.job_name,
        "via": upstream.via,
        "tasks": upstream.tasks,
        "tasks_completed": upstream.completed,
    }


def _in_states(root: Root) -> Iterable[Sample]:
    if root.totals is not None:
        for state, jobs in root.totals.jobs_in_state.items():
            yield (state,), float(jobs)


def _tasks_in_states(job: Job) -> Iterable[Sample]:
    if job.reading is not None and job.reading.logs is not None:
        for state, tasks in job.reading.logs.tasks.in_states().items():
            yield (state,), float(tasks)


def _failures(row: Row) -> tuple[dict[str, object], ...] | None:
    if row.logs is None:
        return None
    return tuple(
        {
            "type": group.type or None,
            "where": group.where or None,
            "reason": group.reason,
            "message": group.message or None,
            "tasks": group.tasks,
            "ranks": group.ranks[:MOST_RANKS],
            "last_timestamp": group.last_timestamp,
        }
        for group in failures(row.logs, row.root.show_errors)
    )


def _failed(root: Root) -> Iterable[Sample]:
    if root.totals is not None:
        for reason, tasks in root.totals.tasks_failed.items():
            yield (reason,), float(tasks)


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


_STATES = ", ".join(STATES)
_WHICH_STAGES = (
    f"For the first {MOST_STAGES} stages of the root by name, the rest together as {OTHER}; jobs "
    "without a stage are in none."
)
_WHICH_STEPS = (
    "With read_stats: steps, for jobs that are not complete or became so within the last hour."
)
_TASK_STATES = ", ".join(TASK_STATES)
_BY_THIS_LAUNCH = " (by the last launch where it runs with skip_completed=False)"

JOB_FACTS: tuple[Fact[Job, Row], ...] = (
    of_row("root", lambda row: row.root.name, "Name of the root.", schema=TEXT,
        columns=(Column("Root", "text", 0, ("terminal",)),)),
    of_row("job_name", lambda row: row.job.name,
        "Path of the job folder below its root; `.` for the root itself.", schema=TEXT,
        columns=(Column("Job", "job", 10, ("terminal", "page")),),
        sort=Sort("name", "Name", 2, key=lambda row: (row.job.name, row.root.name))),
    Fact("state", "What the job does, as far as the last scan tells.", lambda row: row.state,
        Metric("datatrove_job_state",
            f"1. The state that the last scan found the job in: {_STATES}.",
            lambda job: [((job.state,), 1.0)], labels=("state",)),
        schema={"$ref": "#/components/schemas/State"},
        columns=(Column("State", "state", 20, ("terminal", "page")),),
        sort=Sort("attention", "Attention first", 1, key=attention)),
    of_row("error", lambda row: row.job.error,
        "Why the last scan could not read the job; the other values are then those of its last "
        "good reading.", schema={**TEXT_OR_NULL, "enum": [*REASONS, None]},
        columns=(Column("Note", "note", 200, ("terminal",), may_be_empty=True),)),
    of_row("as_of_timestamp", lambda row: row.job.as_of,
        "Unix time of the scan that found the job as it is shown, where the root cannot be "
        "scanned any more; null where the last scan got to the job.", schema=NUMBER_OR_NULL),
    of_reading("tasks", lambda reading: reading.tasks,
        "Tasks of the job: world_size of its last launch.", schema=COUNT_OR_NULL),
    of_reading("tasks_completed", lambda reading: reading.tasks_completed,
        "Tasks of the job that have a completion marker.", schema=COUNT_OR_NULL,
        columns=(Column("Done", "done", 30, ("terminal",)),)),
    of_reading("completion_ratio", lambda reading: reading.completion_ratio,
        "Completed tasks divided by tasks of the job, 0 to 1.", schema=RATIO_OR_NULL,
        columns=(Column("%", "percent", 40, ("terminal",), give_way=1),
                 Column("Progress", "progress", 40, ("page",))),
        sort=Sort("progress", "Progress, least first", 3)),
    of_reading("tasks_completed_since_launch", lambda reading: reading.tasks_completed_since_launch,
        "Tasks whose completion marker is not older than the last launch; absent where that is "
        "not known.", schema=COUNT_OR_NULL,
        columns=(Column("Completed since launch", "since_launch", 110, ("job",)),)),
    of_reading("stray_markers", lambda reading: reading.stray_markers,
        "Entries in the job's completions folder that are no marker of one of its tasks, such as "
        "those of a launch with more tasks.", schema=COUNT_OR_NULL,
        columns=(Column("Stray markers", "stray", 120, ("job",)),)),
    of_reading("launch_timestamp", lambda reading: reading.launch_timestamp,
        "Unix time of the job's last launch: when executor.json was last written.",
        schema=NUMBER_OR_NULL,
        columns=(Column("Launched", "launch", 100, _EVERYWHERE, give_way=6),),
        sort=Sort("launch", "Launch, newest first", 8, descending=True)),
    of_reading("last_completion_timestamp", lambda reading: reading.last_completion_timestamp,
        "Unix time of the job's newest completion marker; absent before the first.",
        schema=NUMBER_OR_NULL,
        columns=(Column("Last completion", "last_completion", 50, _EVERYWHERE, give_way=3),),
        sort=Sort("last", "Last completion, newest first", 4, descending=True)),
    of_reading("longest_completion_gap_seconds",
        lambda reading: reading.longest_completion_gap_seconds,
        "Longest wait since the job's last launch: from its start to the first completion, then "
        "between successive ones, as far as these are known; absent before the first completion.",
        schema=NUMBER_OR_NULL,
        columns=(Column("Longest wait", "duration", 60, _TERMINAL_AND_JOB, give_way=5),)),
    of_reading("started", lambda reading: reading.started,
        "1 once the job shows a log, a file of this launch in slurm_logs, or a completion marker, "
        "else 0 (still queued)."),
    of_reading("start_timestamp", lambda reading: reading.start_timestamp,
        "Unix time of the first sign of life since the job's last launch, the end of its time in "
        "a queue; absent before it, and where it is not known.", schema=NUMBER_OR_NULL,
        columns=(Column("Started", "ago", 105, _TERMINAL_AND_JOB, give_way=8, may_be_empty=True),)),
    Fact("tasks_in_state", "Tasks that are not done, by their state; null where nothing is open, "
        "nothing began, or no logs are watched.",
        lambda row: None if row.logs is None else row.logs.tasks.in_states(),
        Metric("datatrove_job_tasks_in_state",
            f"Tasks of a job under way that are not done, by their state: {_TASK_STATES}. Absent "
            f"where no logs are watched. {AS_OF_SCAN}",
            _tasks_in_states, labels=("state",)),
        schema={"type": ["object", "null"], "additionalProperties": COUNT}),
    of_row("failures", _failures, "Why tasks failed, the cause of most tasks "
        "first; null where no logs are watched.", schema=FAILURES),
    of_row("advice", lambda row: advice(row.job), "What to do about the job, in sentences for "
        "people; null where there is nothing to do.", schema=TEXT_OR_NULL),
    of_reading("needs_relaunch", lambda reading: reading.needs_relaunch,
        "1 if nothing of the last launch can finish the job, else 0; absent where no logs are "
        "watched.", schema={"type": ["boolean", "null"]}),
    of_reading("last_log_write_timestamp",
        lambda reading: None if reading.logs is None else reading.logs.last_open_write,
        "Unix time when the log of a task under way was written last; absent where there is none, "
        "or logs do not show while tasks run.", schema=NUMBER_OR_NULL),
    of_reading("longest_log_gap_seconds",
        lambda reading: None if reading.logs is None else reading.logs.longest_gap_seconds,
        "Longest time between two writes of one log since the last launch; absent until that is "
        "known.", schema=NUMBER_OR_NULL),
    of_job("scan_success", lambda job: job.error is None,
        "1 if the last scan that got to the job could read it, else 0. Its other series then keep "
        "their last values for a while. Whether the root can be scanned is datatrove_root_up.",
        as_of_scan=False),
    Fact("upstream", "The job whose output this one reads, and how many tasks it has and has "
        "completed; null where that is not known.", _upstream_json, Metric(
            "datatrove_job_upstream_info",
            "1, with the job whose output this job reads, and by what it was found: order "
            "(stage_order), depends (the folder it waits for) or slurm (the array it waits for).",
            _upstream, labels=("upstream_root", "upstream_job_name", "via")),
        schema=UPSTREAM),
    of_job("upstream_tasks_remaining",
        lambda job: None if job.upstream is None else job.upstream.remaining,
        "Tasks of the job whose output this one reads that have no completion marker; absent where "
        "that job is not known or cannot be read.", schema=COUNT_OR_NULL),
    of_job("upstream_tasks_late",
        lambda job: None if job.upstream is None else job.upstream.late,
        "Tasks of the job whose output this one reads that were not completed a minute after this "
        "one began: missing, or with a newer marker; absent before it began, and where times are "
        "not known.", schema=COUNT_OR_NULL),
    of_row("idle_seconds", lambda row: row.idle_seconds,
        "Time since the newest completion or the launch, for a job under way whose data is fresh.",
        schema=NUMBER_OR_NULL, sort=Sort("idle", "Idle, longest first", 5, descending=True)),
    of_row("stall_threshold_seconds", lambda row: row.stall_threshold_seconds,
        "How long the job may be idle before it counts as stalled, unless its logs are written; "
        "null where only the silence of its logs can tell.", schema=NUMBER_OR_NULL,
        columns=(Column("Stalled after", "threshold", 70, ("job",)),)),
    of_row("tasks_per_hour", lambda row: row.tasks_per_hour,
        "Pace since the last launch.", schema=NUMBER_OR_NULL,
        columns=(Column("Tasks/h", "rate", 80, ("terminal",), give_way=4),
                 Column("Pace", "pace", 80, ("job",))),
        sort=Sort("pace", "Pace, slowest first", 7)),
    of_row("remaining_seconds", lambda row: row.remaining_seconds,
        "Estimated time until the job is complete, for a running one; null once it has passed.",
        schema=NUMBER_OR_NULL,
        columns=(Column("Time left", "time_left", 90, ("terminal", "page"), give_way=2),
                 Column("Time left", "time_left", 45, ("job",))),
        sort=Sort("remaining", "Time left, shortest first", 6, by=time_left)),
    of_row("overdue_seconds", lambda row: row.overdue_seconds,
        "How long ago a running job should have been complete by its estimate.",
        schema=NUMBER_OR_NULL),
    of_row("eta_timestamp", lambda row: row.eta_timestamp,
        "Unix time of the estimated end; null once it has passed.", schema=NUMBER_OR_NULL),
    Fact("info", "Kind of executor that launched the job, and its name in Slurm.", metric=Metric(
        "datatrove_job_info",
        "1. The kind of executor that launched the job (local, slurm, ray, jobs or unknown), and "
        "its name in Slurm.",
        _info, labels=("executor", "slurm_job_name"))),
    Fact("labels", "What the patterns in `labels` find in the job's name, by label.",
        lambda row: dict(row.job.labels or ()), Metric(
            "datatrove_job_labels",
            "1, with the labels that the root's patterns in labels find in the job's name; for "
            "each job of a root that has patterns.",
            lambda job: () if job.labels is None else ((tuple(v for _, v in job.labels), 1.0),),
            labels_of=lambda job: tuple(name for name, _ in job.labels or ())),
        schema=TEXT_BY_NAME),
    of_row("stage", lambda row: row.group.stage or None,
        "Which step of a pipeline the job is: the label stage, else as far as the names of the "
        "root's jobs tell, with `*` for what belongs to the item; it may change as jobs come.",
        schema=TEXT_OR_NULL),
    of_row("item", lambda row: None if row.group == UNKNOWN else row.group.item,
        "What the job works on, such as a dump or a language: all other labels, joined by `/`, "
        "else as the names tell; empty where there is nothing in the name but the stage.",
        schema=TEXT_OR_NULL),
    of_reading("mixed_pipelines", lambda reading: reading.mixed_pipelines,
        "1 if tasks done before the last launch ran other steps than those done since, else 0; "
        "absent where that cannot be told.", schema={"type": ["boolean", "null"]}),
    of_reading("stats_tasks",
        lambda reading: None if reading.stats is None else reading.stats.tasks,
        "Completed tasks that are in the sums of documents and tokens; absent where these are not "
        "read, or not to be trusted.", schema=COUNT_OR_NULL),
    of_reading("documents_read", of_stats(lambda stats: stats.documents_read),
        "Documents that those tasks read: those of the first step that counts them.",
        schema=COUNT_OR_NULL),
    of_reading("documents_written", of_stats(lambda stats: stats.documents_written),
        "Documents that those tasks wrote: those of the last step that writes.",
        schema=COUNT_OR_NULL),
    of_reading("tokens", of_stats(lambda stats: stats.tokens),
        "Tokens of those tasks: those of the last step that counts them.", schema=COUNT_OR_NULL),
    Fact("steps", "What those tasks counted in each step of the pipeline, 32 at most; null where "
        "that is not known.", lambda row: steps_json(row.reading), schema=STEPS),
    Fact("step_documents", "Documents by step.", metric=Metric(
        "datatrove_job_step_documents",
        "Documents that came into a step of the pipeline (in), that it let pass (out) and that it "
        f"dropped, in those tasks. {_WHICH_STEPS} {AS_OF_SCAN}",
        step_documents, labels=("step", "outcome"))),
    Fact("step_seconds", "Time by step.", metric=Metric(
        "datatrove_job_step_seconds",
        "Time that those tasks spent in a step of the pipeline, all together, which is no wall "
        f"time. {_WHICH_STEPS} {AS_OF_SCAN}",
        step_seconds, labels=("step",))),
    of_row("stats_left_out", lambda row: stats_left_out(row.reading),
        "Completed tasks that are not in those sums, and why; null where these are not known.",
        schema=LEFT_OUT),
    of_row("executor", lambda row: None if row.reading is None else row.reading.executor,
        "Kind of executor that launched the job: local, slurm, ray, jobs or unknown.",
        schema=TEXT_OR_NULL,
        columns=(Column("Executor", "executor", 130, _TERMINAL_AND_JOB, give_way=7),)),
    of_row("slurm_job_name",
        lambda row: None if row.reading is None else row.reading.slurm_job_name,
        "Name of the job in Slurm, else empty.", schema=TEXT_OR_NULL),
    of_row("hidden", lambda row: row.job.hidden,
        "Whether the job is in the sums only and has no metrics of its own.", schema=FLAG,
        columns=(Column("Metrics", "hidden", 140, ("job",)),)),
)  # fmt: skip
"""What is known of a job, in the order of the metrics."""


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
        f"{_STATES}. {_WHICH_STAGES} {AS_OF_SCAN}",
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
        f"Jobs of the root in each state, hidden ones included: {_STATES}. {AS_OF_SCAN}",
        _in_states, labels=("state",)),
        schema={"type": "object", "additionalProperties": COUNT}),
    Fact("tasks_failed", "Failed tasks by reason.", lambda totals: totals.tasks_failed, Metric(
        "datatrove_root_tasks_failed",
        f"Tasks of the root's jobs that failed, by reason: {', '.join(FAILURE_REASONS)}. Of jobs "
        f"under way only. {AS_OF_SCAN}",
        _failed, labels=("reason",)),
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


def columns_of(place: Place) -> list[tuple[Fact[Job, Row], Column]]:
    """The columns of a table, or the entries of a job's page, from the first to the last."""
    found = [(fact, c) for fact in JOB_FACTS for c in fact.columns if place in c.places]
    return sorted(found, key=lambda pair: pair[1].order)


SORTS: dict[str, tuple[Sort, Callable[[Row], Any]]] = {
    sort.name: (sort, sort.key or sort.by or of)
    for sort, of in sorted(
        ((fact.sort, fact.of) for fact in JOB_FACTS if fact.sort is not None),
        key=lambda pair: pair[0].order,
    )
}
"""The orders of rows by name, each with the key that it sorts by."""


def job_json(row: Row) -> dict[str, object]:
    """The fields of a job, for JSON."""
    return _fields(JOB_FACTS, row)


def root_json(row: RootRow) -> dict[str, object]:
    """The fields of a root, for JSON, its sums among them."""
    totals = row.root.totals
    sums = None if totals is None else totals_json(totals)
    return {**_fields(ROOT_FACTS, row), "totals": sums}


def totals_json(totals: Totals) -> dict[str, object]:
    """The fields of sums, for JSON."""
    return _fields(SUMS, totals)


def _fields(facts: Iterable[Fact[Any, At]], row: At) -> dict[str, object]:
    return {fact.name: fact.of(row) for fact in facts if fact.schema is not None}
