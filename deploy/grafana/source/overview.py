"""The dashboard of the jobs: how far they are, which have stalled, when they will be done."""

from grafana_foundation_sdk.builders import common, dashboard, stat, table, timeseries
from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig
from panels import (
    SOURCE,
    Step,
    board,
    columns,
    graph,
    instant,
    mark,
    number,
    order,
    setting,
    variable,
)

ROOT = 'job=~"$job", root=~"$root"'
JOB = f'{ROOT}, job_name=~"$job_name"'

PER_JOB = "root_job_name:datatrove_job_"
UNFINISHED = f"{PER_JOB}tasks_remaining:max{{{JOB}}} > 0"
STATE = f"{PER_JOB}state:group{{{JOB}}}"
LAST = f"max without (instance, pod) (datatrove_job_last_completion_timestamp_seconds{{{JOB}}})"
LONGEST = f"max without (instance, pod) (datatrove_job_longest_completion_gap_seconds{{{JOB}}})"
IDLE = f"clamp_min(time() - {LAST}, 0)"

MERGED = DataTransformerConfig(id_val="merge", options={})
OF_A_JOB = {"root": "Root", "job_name": "Job"}
NOT_OF_A_JOB = ("job", "__name__", "instance")


def overview() -> dashboard.Dashboard:
    """How far the jobs are."""
    built = board(
        "Datatrove / Overview",
        "datatrove-overview",
        "How far datatrove's jobs are, which have stalled, and when they will be done.",
    )
    roots = 'label_values(root:datatrove_root_tasks:sum{job=~"$job"}, root)'
    jobs = f"label_values({PER_JOB}tasks:max{{{ROOT}}}, job_name)"
    built = built.with_variable(variable("root", "Root", roots))
    built = built.with_variable(variable("job_name", "Datatrove job", jobs))
    stalls = f'ALERTS{{alertname=~"DatatroveJob.+", alertstate="firing", {JOB}}}'
    launches = f"changes(datatrove_job_launch_timestamp_seconds{{{JOB}}}[2m]) > 0"
    built = built.annotation(mark("Alerts", stalls, "red", "{{alertname}} {{job_name}}"))
    built = built.annotation(mark("Launches", launches, "blue", "Launch {{job_name}}"))
    for row, panels in (
        ("Now", [*_numbers_of_jobs(), _jobs_by_state(), *_failures()]),
        ("Jobs", [_unfinished_jobs(), _firing_alerts()]),
        ("Progress", _graphs_of_jobs()),
    ):
        built = built.with_row(dashboard.Row(row))
        for panel in panels:
            built = built.with_panel(panel)
    return built.with_row(dashboard.Row("Complete").with_panel(_complete_jobs()))


def _numbers_of_jobs() -> list[stat.Panel]:
    plain: Step = (None, "blue")
    good: Step = (None, "green")
    return [
        number(
            "Tasks completed",
            "Completed tasks over all tasks of the chosen roots, jobs that are shown no more "
            "included.",
            f"sum(root:datatrove_root_tasks_completed:sum{{{ROOT}}})"
            f" / sum(root:datatrove_root_tasks:sum{{{ROOT}}})",
            "percentunit",
            plain,
            (1, "green"),
        ),
        number(
            "Unfinished",
            "Jobs with tasks left.",
            f"count({UNFINISHED}) or vector(0)",
            "none",
            plain,
        ),
        number(
            "Failed or stalled",
            "Jobs that their last launch cannot finish, and jobs idle or silent for longer than "
            "their own pace explains.",
            f'count({PER_JOB}state:group{{{JOB}, state=~"failed|stalled"}}) or vector(0)',
            "none",
            good,
            (1, "red"),
        ),
        number(
            "Last to finish",
            "When the last of the jobs will be complete at its pace so far. Stalled and overdue "
            "jobs, and those that have completed nothing yet, are left out.",
            f"(time() + max({PER_JOB}time_left_seconds:max{{{JOB}}})) * 1000",
            "dateTimeFromNow",
            plain,
        ),
        number(
            "Oldest data",
            "Age of what is known of the root that was scanned longest ago.",
            f"max(root:datatrove_root_data_age_seconds:max{{{ROOT}}})",
            "s",
            good,
            (600, "orange"),
            (900, "red"),
        ),
        number(
            "Alerts",
            "Alerts about the jobs and their exporters.",
            'count(ALERTS{alertname=~"Datatrove.+", alertstate="firing", job=~"$job"})'
            " or vector(0)",
            "none",
            good,
            (1, "red"),
        ),
    ]


def _jobs_by_state() -> stat.Panel:
    by_state = f"sum by (state) (root:datatrove_root_jobs_in_state:sum{{{ROOT}}})"
    panel = number(
        "Jobs by state",
        "As the last scans found them, jobs that are shown no more included. Abandoned ones need "
        "nobody.",
        by_state,
        "none",
        (None, "blue"),
        legend="{{state}}",
    )
    return panel.text_mode("value_and_name").span(24)


def _failures() -> list[timeseries.Panel]:
    """Several exporters may watch a root: each task counts once."""
    failed = (
        "topk(9, sum by (reason) (max by (job, root, reason) "
        f"(datatrove_root_tasks_failed{{{ROOT}}})))"
    )
    in_state = 'max by (job, root, job_name) (datatrove_job_tasks_in_state{{{}, state="{}"}})'
    return [
        graph(
            "Failed and silent tasks",
            "Tasks of jobs under way that failed, and those whose logs were not written for too "
            "long. The job's page on the exporter says which, and what to do.",
            "none",
            [
                (f"sum({in_state.format(JOB, state)}) or vector(0)", state)
                for state in ("failed", "silent")
            ],
        ),
        graph(
            "Failed tasks by reason",
            "Why tasks of jobs under way failed, hidden jobs included.",
            "none",
            [(failed, "{{reason}}")],
        ),
    ]


def _unfinished_jobs() -> table.Panel:
    done, tasks = f"{PER_JOB}tasks_completed:max", f"{PER_JOB}tasks:max"
    queries = (
        f"{done}{{{JOB}}} / {tasks}{{{JOB}}} and {UNFINISHED}",
        f"{done}{{{JOB}}} and {UNFINISHED}",
        f"{tasks}{{{JOB}}} and {UNFINISHED}",
        f"{STATE} and ignoring (state) {UNFINISHED}",
        f"{IDLE} and {UNFINISHED}",
        f"{LONGEST} and {UNFINISHED}",
        f"(time() + {PER_JOB}time_left_seconds:max{{{JOB}}}) * 1000",
    )
    panel = table.Panel().title("Unfinished jobs").datasource(SOURCE).unit("none")
    panel = panel.description(
        "A line per job, first those that completed something longest ago. The state says whether "
        "that is too long by the job's own pace."
    )
    panel = panel.height(10).span(24).no_value("")
    for ref, expression in zip("ABCDEFG", queries, strict=True):
        panel = panel.with_target(instant(expression, ref))
    names = {"A": "Progress", "B": "Completed", "C": "Tasks", "E": "Idle", "F": "Longest wait"}
    named = {f"Value #{ref}": name for ref, name in {**names, "G": "Done"}.items()}
    renamed = OF_A_JOB | {"state": "State"} | named
    hidden = (*NOT_OF_A_JOB, "Value #D")
    panel = panel.with_transformation(MERGED).with_transformation(columns(renamed, hidden))
    panel = panel.sort_by([order("Idle", descending=True)])
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    panel = panel.override_by_name(
        "Progress",
        [
            setting("unit", "percentunit"),
            setting("min", 0),
            setting("max", 1),
            setting("custom.cellOptions", cell),
        ],
    )
    link = {
        "title": "Only this job",
        "url": "/d/datatrove-overview?${__url_time_range}&${datasource:queryparam}"
        "&${job:queryparam}&var-root=${__data.fields.Root:percentencode}&var-job_name=${__value.raw:percentencode}",
    }
    return (
        panel.override_by_name("Job", [setting("links", [link])])
        .override_by_name("Idle", [setting("unit", "s")])
        .override_by_name("Longest wait", [setting("unit", "s")])
        .override_by_name("Done", [setting("unit", "dateTimeFromNow")])
    )


def _firing_alerts() -> table.Panel:
    panel = table.Panel().title("Firing alerts").datasource(SOURCE).unit("none")
    panel = panel.description("Alerts about the jobs and their exporters, by severity.")
    panel = panel.height(6).span(24).no_value("")
    firing = 'ALERTS{alertname=~"Datatrove.+", alertstate="firing", job=~"$job"}'
    renamed = {"severity": "Severity", "alertname": "Alert", **OF_A_JOB, "instance": "Exporter"}
    panel = panel.with_target(instant(firing))
    return panel.with_transformation(
        columns(renamed, ("Value", "__name__", "alertstate", "job"))
    ).sort_by([order("Severity", descending=False)])


def _graphs_of_jobs() -> list[timeseries.Panel]:
    done, tasks = f"{PER_JOB}tasks_completed:max", f"{PER_JOB}tasks:max"
    legend = "{{root}} {{job_name}}"
    return [
        graph(
            "Completion",
            "Completed tasks over tasks of each job that was unfinished.",
            "percentunit",
            [(f"{done}{{{JOB}}} / {tasks}{{{JOB}}} and {UNFINISHED}", legend)],
        ).max(1),
        graph(
            "Remaining tasks",
            "Tasks without a completion marker, of all jobs of a root.",
            "none",
            [(f"sum by (root) ({PER_JOB}tasks_remaining:max{{{JOB}}})", "{{root}}")],
        )
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        .fill_opacity(20),
        graph(
            "Pace",
            "Tasks completed in the hour before, of all jobs of a root.",
            "none",
            [(f"sum by (root) (clamp_min(delta({done}{{{JOB}}}[1h]), 0))", "{{root}}")],
        ).draw_style(GraphDrawStyle.BARS),
        graph(
            "Idle, and the longest wait",
            "Time since the last completion, and the longest wait since the job's start, which is "
            "the measure of its pace.",
            "s",
            [
                (f"{IDLE} and {UNFINISHED}", f"{legend} idle"),
                (f"{LONGEST} and {UNFINISHED}", f"{legend} longest"),
            ],
        ).override_by_query("B", [setting("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]),
    ]


def _complete_jobs() -> table.Panel:
    complete = f"{PER_JOB}tasks_remaining:max{{{JOB}}} == 0"
    launch = f"max without (instance, pod) (datatrove_job_launch_timestamp_seconds{{{JOB}}})"
    panel = table.Panel().title("Complete jobs").datasource(SOURCE).unit("none")
    panel = panel.description(
        "Jobs whose tasks are all completed, newest first. The duration is from the last launch "
        "to the last completion."
    )
    panel = panel.height(10).span(24).no_value("")
    queries = (
        f"{PER_JOB}tasks:max{{{JOB}}} and {complete}",
        f"{LAST} * 1000 and {complete}",
        f"clamp_min({LAST} - {launch}, 0) and {complete}",
    )
    for ref, expression in zip("ABC", queries, strict=True):
        panel = panel.with_target(instant(expression, ref))
    renamed = OF_A_JOB | {"Value #A": "Tasks", "Value #B": "Completed", "Value #C": "Duration"}
    panel = panel.with_transformation(MERGED).with_transformation(columns(renamed, NOT_OF_A_JOB))
    panel = panel.sort_by([order("Completed", descending=True)])
    return panel.override_by_name("Completed", [setting("unit", "dateTimeAsIso")]).override_by_name(
        "Duration", [setting("unit", "s")]
    )
