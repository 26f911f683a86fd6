"""What is known of a job: the rows of the table."""

from collections.abc import Iterable, Mapping

from exporter.datatrove.task_state import TASK_STATES, TaskState
from exporter.errors import REASONS
from exporter.model.advice import advice
from exporter.model.facts.fact import (
    AS_OF_SCAN,
    Column,
    Fact,
    Metric,
    Place,
    Sample,
    Sort,
    counts,
    of_job,
    of_reading,
    of_row,
)
from exporter.model.facts.schemas import (
    COUNT,
    COUNT_OR_NULL,
    FAILURES,
    FLAG,
    LEFT_OUT,
    MOST_RANKS,
    NUMBER_OR_NULL,
    RATIO_OR_NULL,
    STEPS,
    TEXT,
    TEXT_BY_NAME,
    TEXT_OR_NULL,
    UPSTREAM,
)
from exporter.model.job import Job
from exporter.model.names.grouping import UNKNOWN
from exporter.model.open_tasks import failures
from exporter.model.report import Row, attention, time_left
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


def _tasks_in_states(job: Job) -> Mapping[TaskState, int] | None:
    if job.reading is None or job.reading.logs is None:
        return None
    return job.reading.logs.tasks.in_states()


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


_WHICH_STEPS = (
    "With read_stats: steps, for jobs that are not complete or became so within the last hour."
)

JOB_FACTS: tuple[Fact[Job, Row], ...] = (
    of_row("root", lambda row: row.root.name, "Name of the root.", schema=TEXT,
        columns=(Column("Root", "text", 0, ("terminal",)),)),
    of_row("job_name", lambda row: row.job.name,
        "Path of the job folder below its root; `.` for the root itself.", schema=TEXT,
        columns=(Column("Job", "job", 10, ("terminal", "page")),),
        sort=Sort("name", "Name", 2, key=lambda row: (row.job.name, row.root.name))),
    Fact("state", "What the job does, as far as the last scan tells.", lambda row: row.state,
        Metric("datatrove_job_state",
            f"1. The state that the last scan found the job in: {', '.join(STATES)}.",
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
            "Tasks of a job under way that are not done, by their state: "
            f"{', '.join(TASK_STATES)}. Absent where no logs are watched. {AS_OF_SCAN}",
            counts(_tasks_in_states), labels=("state",)),
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
