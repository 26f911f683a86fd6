"""The dashboard of one job: how far, at what pace, and what its tasks do."""

from grafana_foundation_sdk.builders import dashboard, stat, table, timeseries
from grafana_foundation_sdk.models.common import GraphDrawStyle
from grafana_foundation_sdk.models.dashboard import DashboardLinkType
from panels import (
    RUNBOOKS,
    TASKS_AN_HOUR,
    Step,
    board,
    columns,
    documents,
    graph,
    lines,
    link,
    mark,
    number,
    one_of,
    page,
    setting,
    stacked,
    with_rows,
)
from queries import JOB, PER_JOB, ROOT, idle, last_completion, longest_gap, pace, ratio

PAGE = "${page:raw}/jobs/-?root=${root:percentencode}&job_name=${job_name:percentencode}"


def job() -> dashboard.Dashboard:
    """One job."""
    built = board(
        "Datatrove / Job",
        "datatrove-job",
        "One job: how far it is, at what pace, and what its tasks do.",
    )
    roots = 'label_values(root:datatrove_root_tasks:sum{job=~"$job"}, root)'
    jobs = f"label_values({PER_JOB}tasks:max{{{ROOT}}}, job_name)"
    built = built.with_variable(one_of("root", "Root", roots))
    built = built.with_variable(one_of("job_name", "Datatrove job", jobs))
    built = built.with_variable(page())
    to_page = dashboard.DashboardLink("This job's page on the exporter").url(PAGE)
    built = built.link(to_page.type(DashboardLinkType.LINK))
    stalls = f'ALERTS{{alertname=~"Datatrove.+", alertstate="firing", {JOB}}}'
    launches = f"changes(datatrove_job_launch_timestamp_seconds{{{JOB}}}[2m]) > 0"
    built = built.annotation(mark("Alerts", stalls, "red", "{{alertname}}"))
    built = built.annotation(mark("Launches", launches, "blue", "Launch"))
    rows = (
        ("Now", [*_numbers(), _alerts()]),
        ("Progress", _graphs()),
        ("Documents and tokens", _documents()),
    )
    return with_rows(built, rows)


def _numbers() -> list[stat.Panel]:
    plain: Step = (None, "blue")
    state = number(
        "State",
        "As the last scan found it. The job's page on the exporter says why, and what to do.",
        f"{PER_JOB}state:group{{{JOB}}}",
        "none",
        plain,
        legend="{{state}}",
    )
    done, tasks = (f"{PER_JOB}{name}:max{{{JOB}}}" for name in ("tasks_completed", "tasks"))
    return [
        state,
        number(
            "Tasks completed",
            "Completed tasks over tasks.",
            ratio(JOB),
            "percentunit",
            plain,
            (1, "green"),
        ),
        number("Completed", "Tasks with a completion marker.", done, "none", plain),
        number("Tasks", "Tasks in all.", tasks, "none", plain),
        number(
            "Last completion",
            "When the last task completed.",
            f"{last_completion(JOB)} * 1000",
            "dateTimeFromNow",
            plain,
        ),
        number(
            "Done",
            "When it will be complete at its pace so far; nothing unless it runs, and once that "
            "time has passed.",
            f"(time() + {PER_JOB}time_left_seconds:max{{{JOB}}}) * 1000",
            "dateTimeFromNow",
            plain,
        ),
    ]


def _alerts() -> table.Panel:
    panel = lines(
        "Firing alerts",
        "About this job.",
        f'ALERTS{{alertname=~"Datatrove.+", alertstate="firing", {JOB}}}',
    )
    renamed = {"severity": "Severity", "alertname": "Alert", "stage": "Stage"}
    hidden = ("Value", "__name__", "alertstate", "job", "root", "job_name", "state")
    panel = panel.with_transformation(columns(renamed, hidden)).height(6)
    return panel.override_by_name("Alert", [link("What to do", f"{RUNBOOKS}/${{__value.raw}}.md")])


def _graphs() -> list[timeseries.Panel]:
    done = f"{PER_JOB}tasks_completed:max{{{JOB}}}"
    return [
        graph(
            "Completion",
            "Completed tasks over tasks.",
            "percentunit",
            [(ratio(JOB), "{{job_name}}")],
        ).max(1),
        graph(
            "Pace",
            "Tasks completed in the hour before.",
            TASKS_AN_HOUR,
            [(pace(done), "tasks/h")],
        ).draw_style(GraphDrawStyle.BARS),
        stacked(
            graph(
                "Tasks that are left",
                "What they do, as far as logs tell: where logs show only at their end, what is not "
                "failed is unseen.",
                "none",
                [
                    (
                        f"max by (state) (datatrove_job_tasks_in_state{{{JOB}}})",
                        "{{state}}",
                    )
                ],
            )
        ),
        graph(
            "Idle, and the longest wait",
            "Time since the last completion, and the longest wait since the job's start, which is "
            "the measure of its pace.",
            "s",
            [(idle(JOB), "idle"), (longest_gap(JOB), "longest wait")],
        ).override_by_query("B", [setting("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]),
    ]


def _documents() -> list[timeseries.Panel]:
    """Where the exporter reads what tasks counted."""
    step = f"root_job_name_step:datatrove_job_step_documents:dropped_ratio{{{JOB}}}"
    seconds = f"max by (step) (datatrove_job_step_seconds{{{JOB}}})"
    return [
        documents(
            "Tokens an hour",
            "Of the hour before",
            "short",
            f"{PER_JOB}tokens:per_hour{{{JOB}}}",
            "tokens/h",
        ),
        documents(
            "Documents written an hour",
            "Of the hour before",
            "short",
            f"{PER_JOB}documents_written:per_hour{{{JOB}}}",
            "documents/h",
        ),
        documents(
            "Dropped by each step",
            "Of the documents that came to it",
            "percentunit",
            step,
            "{{step}}",
        ).max(1),
        stacked(documents("Time in each step", "Of all tasks together", "s", seconds, "{{step}}")),
    ]
