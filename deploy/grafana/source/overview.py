"""The dashboard of all jobs: which states they are in, where the pipeline waits, when it ends."""

from grafana_foundation_sdk.builders import dashboard, stat, table, timeseries
from grafana_foundation_sdk.models.common import GraphDrawStyle
from overview_stages import matrix, remaining, stages
from panels import (
    MERGED,
    NOT_OF_A_JOB,
    OF_A_JOB,
    RUNBOOKS,
    SOURCE,
    TASKS_AN_HOUR,
    TO_PAGE,
    Step,
    board,
    columns,
    graph,
    instant,
    job_links,
    lines,
    link,
    mark,
    number,
    one_of,
    order,
    page,
    progress,
    setting,
    steps,
    variable,
    with_rows,
)
from queries import KEYS, NOW, PER_JOB, ROOT, idle, pace, ratio, with_rest

STATES = {
    "unreadable": "red",
    "failed": "red",
    "stalled": "orange",
    "running": "blue",
    "waiting": "text",
    "abandoned": "text",
    "complete": "green",
}
FIRING = 'ALERTS{alertname=~"Datatrove.+", alertstate="firing", job=~"$job"}'


def overview() -> dashboard.Dashboard:
    """How far the jobs are."""
    built = board(
        "Datatrove / Overview",
        "datatrove-overview",
        "Which states datatrove's jobs are in, which stage is the slowest, and when all is done.",
    )
    roots = 'label_values(root:datatrove_root_tasks:sum{job=~"$job"}, root)'
    built = built.with_variable(variable("root", "Root", roots))
    known = "__name__|job|instance|pod|cluster|namespace|team|root|job_name|stage|exported_.*"
    item = one_of("item", "Rows of the matrix", "label_names(datatrove_job_labels)")
    built = built.with_variable(item.regex(f"/^(?!({known})$).*$/"))
    built = built.with_variable(page())
    stalls = f'ALERTS{{alertname=~"DatatroveJob.+", alertstate="firing", {ROOT}}}'
    by_alert = f"count by (alertname, root) ({stalls})"
    built = built.annotation(mark("Alerts", by_alert, "red", "{{alertname}} {{root}}"))
    rows = (
        ("Now", [_states(), *_numbers()]),
        ("Stages", [remaining(), stages(), matrix()]),
        ("To do", [_firing_alerts(), _jobs_to_look_at()]),
        ("Progress", _graphs()),
    )
    return with_rows(built, rows)


def _states() -> stat.Panel:
    panel = stat.Panel().title("Jobs by state").datasource(SOURCE).unit("none")
    panel = panel.description(
        "As the last scans found them, jobs that are shown no more included. Unreadable, failed "
        "and stalled ones need somebody; abandoned ones nobody."
    )
    panel = panel.text_mode("value_and_name").height(4).span(24).no_value("none")
    for ref, (state, colour) in zip("ABCDEFG", STATES.items(), strict=True):
        counted = f'sum(root:datatrove_root_jobs_in_state:sum{{{ROOT}, state="{state}"}})'
        panel = panel.with_target(instant(counted, ref, state))
        none = (None, "text")
        ranges = steps(none, (1, colour)).build()
        coloured = {
            "mode": "absolute",
            "steps": [{"value": step.value, "color": step.color} for step in ranges.steps],
        }
        settings = [setting("displayName", state), setting("thresholds", coloured)]
        settings.append(link("On the exporter's page", f"${{page:raw}}/?state={state}"))
        panel = panel.override_by_query(ref, settings)
    return panel


def _numbers() -> list[stat.Panel]:
    plain: Step = (None, "blue")
    good: Step = (None, "green")
    done, tasks = "root:datatrove_root_tasks_completed:sum", "root:datatrove_root_tasks:sum"

    def today(series: str) -> str:
        selected = f"{series}{{{ROOT}}}"
        return f"sum(clamp_min({selected} - {selected} offset $__range, 0))"

    return [
        number(
            "Tasks completed",
            "Completed tasks over all tasks of the chosen roots, jobs that are shown no more "
            "included.",
            f"sum({done}{{{ROOT}}}) / sum({tasks}{{{ROOT}}})",
            "percentunit",
            plain,
            (1, "green"),
        ),
        number(
            "Tasks completed today",
            "Since midnight, in roots that were known then. Markers that were removed meanwhile "
            "are taken off.",
            today(done),
            "none",
            plain,
        ).time_from("now/d"),
        number(
            "Jobs completed today",
            "Since midnight, in roots that were known then.",
            today("root:datatrove_root_jobs_completed:sum"),
            "none",
            plain,
        ).time_from("now/d"),
        number(
            "Last to finish",
            "When the last of the running jobs will be complete at its pace so far. Those that "
            "wait, are stalled or overdue, or have completed nothing yet are left out.",
            f"(time() + max({PER_JOB}time_left_seconds:max{{{ROOT}}})) * 1000",
            "dateTimeFromNow",
            plain,
        ),
        number(
            "Roots with old data",
            "Roots of which no exporter knows anything recent, by each root's own scan interval. "
            "What is shown of them is old, and stalls in them go unseen.",
            f"count(max by (job, root) (instance_root:datatrove_root_is_fresh:bool{{{ROOT}}}) == 0)"
            " or vector(0)",
            "none",
            good,
            (1, "red"),
        ),
        number(
            "Alerts",
            "Alerts about the jobs and their exporters.",
            f"count({FIRING}) or vector(0)",
            "none",
            good,
            (1, "red"),
        ),
    ]


def _firing_alerts() -> table.Panel:
    renamed = {"severity": "Severity", "alertname": "Alert", "root": "Root", "stage": "Stage"}
    renamed |= {"job_name": "Job", "instance": "Exporter"}
    panel = lines("Firing alerts", "About the jobs and their exporters, by severity.", FIRING)
    panel = panel.height(7)
    hidden = ("Value", "__name__", "alertstate", "job", "state")
    panel = panel.with_transformation(columns(renamed, hidden))
    runbook = link("What to do", f"{RUNBOOKS}/${{__value.raw}}.md")
    panel = panel.override_by_name("Alert", [runbook])
    panel = panel.override_by_name("Job", [link("Its page on the exporter", TO_PAGE)])
    return panel.sort_by([order("Severity", descending=False)])


def _jobs_to_look_at() -> table.Panel:
    state = f'{PER_JOB}state:group{{{ROOT}, state=~"failed|stalled|unreadable"}}'
    these = f"and on ({KEYS}) {state}"
    panel = lines(
        "Failed, stalled and unreadable jobs",
        "The newest first. Their pages on the exporter say which tasks are left, why, and what to "
        "do.",
        state,
        f"{ratio(ROOT)} {these}",
        f"{PER_JOB}tasks_remaining:max{{{ROOT}}} {these}",
        f"{idle(ROOT)} {these}",
    )
    renamed = OF_A_JOB | {"state": "State", "Value #B": "Progress", "Value #C": "Tasks left"}
    renamed |= {"Value #D": "Idle"}
    panel = panel.with_transformation(MERGED)
    panel = panel.with_transformation(columns(renamed, (*NOT_OF_A_JOB, "Value #A")))
    panel = panel.override_by_name("Progress", progress()).override_by_name("Job", [job_links()])
    panel = panel.override_by_name("Idle", [setting("unit", "s")])
    return panel.sort_by([order("Idle", descending=False)])


def _graphs() -> list[timeseries.Panel]:
    """Several exporters may watch a root: each task counts once."""
    done = "root:datatrove_root_tasks_completed:sum"
    at_pace, others = with_rest(
        f"sum by (root) ({pace(f'{done}{{{ROOT}}}')})",
        f"sum by (root) (clamp_min(delta({done}{{{ROOT}}}[1h]{NOW}), 0))",
    )

    def why(at: str = "") -> str:
        return f"sum by (reason) (root:datatrove_root_tasks_failed:sum{{{ROOT}}}{at})"

    reasons, more = with_rest(f"{why()} > 0", f"{why(NOW)} > 0")

    def in_state(state: str) -> str:
        selected = f'datatrove_job_tasks_in_state{{{ROOT}, state="{state}"}}'
        return f"sum(max by (job, root, job_name) ({selected})) or vector(0)"

    return [
        graph(
            "Pace",
            "Tasks completed in the hour before, by root.",
            TASKS_AN_HOUR,
            [(at_pace, "{{root}}"), (others, "all others")],
        ).draw_style(GraphDrawStyle.BARS),
        graph(
            "Failed and silent tasks",
            "Tasks of jobs under way that failed, and those whose logs were not written for too "
            "long. The job's page on the exporter says which, and what to do.",
            "none",
            [(in_state(state), state) for state in ("failed", "silent")],
        ),
        graph(
            "Failed tasks by reason",
            "Why tasks of jobs under way failed, hidden jobs included.",
            "none",
            [(reasons, "{{reason}}"), (more, "all others")],
        ),
    ]
