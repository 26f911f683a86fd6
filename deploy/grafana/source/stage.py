"""The dashboard of one stage, or of several: its jobs, and which of them are the slowest."""

from grafana_foundation_sdk.builders import dashboard, stat, table, timeseries
from grafana_foundation_sdk.models.common import GraphDrawStyle
from panels import (
    MERGED,
    NOT_OF_A_JOB,
    OF_A_JOB,
    TASKS_AN_HOUR,
    Step,
    board,
    columns,
    documents,
    graph,
    job_links,
    lines,
    number,
    order,
    page,
    progress,
    setting,
    variable,
    with_rows,
)
from queries import (
    KEYS,
    NOW,
    PER_JOB,
    ROOT,
    idle,
    last_completion,
    longest_gap,
    pace,
    ratio,
    unfinished,
)

STAGE = f'{PER_JOB}stage:group{{{ROOT}, stage=~"$stage"}}'
IN_NONE = f'{PER_JOB}tasks:max{{{ROOT}, stage=~"$stage"}}'
"""No job has the label itself: all of them where all stages are chosen, else none."""
CHOSEN = f"({STAGE} or on ({KEYS}) {IN_NONE})"
CHOSEN_NOW = f"({STAGE}{NOW} or on ({KEYS}) {IN_NONE}{NOW})"
STATE = f"{PER_JOB}state:group{{{ROOT}}}"


def of_stage(jobs: str) -> str:
    """Those in a chosen stage; all, also those in none, where all stages are chosen."""
    return f"({jobs}) and on ({KEYS}) {CHOSEN}"


def stage() -> dashboard.Dashboard:
    """The jobs of some stages."""
    built = board(
        "Datatrove / Stage",
        "datatrove-stage",
        "The jobs of one stage of a pipeline: how far, which are the slowest, which stalled.",
    )
    roots = 'label_values(root:datatrove_root_tasks:sum{job=~"$job"}, root)'
    stages = f"label_values({PER_JOB}stage:group{{{ROOT}}}, stage)"
    built = built.with_variable(variable("root", "Root", roots))
    built = built.with_variable(variable("stage", "Stage", stages, ".*"))
    built = built.with_variable(page())
    rows = (
        ("Now", _numbers()),
        ("Progress", _graphs()),
        ("Documents and tokens", _documents()),
        ("Jobs", [_slowest(), _unfinished(), _complete()]),
    )
    return with_rows(built, rows)


def _numbers() -> list[stat.Panel]:
    plain: Step = (None, "blue")
    done, tasks = (f"{PER_JOB}{name}:max{{{ROOT}}}" for name in ("tasks_completed", "tasks"))
    bad = f'{PER_JOB}state:group{{{ROOT}, state=~"failed|stalled|unreadable"}}'
    left = of_stage(f"{PER_JOB}tasks_remaining:max{{{ROOT}}}")
    a_day = f"sum({of_stage(f'clamp_min(delta({done}[1d]), 0)')})"
    return [
        number(
            "Tasks completed",
            "Completed tasks over tasks of the jobs of the chosen stages.",
            f"sum({of_stage(done)}) / sum({of_stage(tasks)})",
            "percentunit",
            plain,
            (1, "green"),
        ),
        number(
            "Jobs left",
            "Jobs with tasks left.",
            f"count({of_stage(unfinished(ROOT))}) or vector(0)",
            "none",
            plain,
        ),
        number(
            "Need somebody",
            "Jobs that are failed, stalled or unreadable.",
            f"count({of_stage(bad)}) or vector(0)",
            "none",
            (None, "green"),
            (1, "red"),
        ),
        number("Tasks left", "Tasks that are not completed.", f"sum({left})", "none", plain),
        number(
            "Tasks in a day",
            "Tasks completed in the last 24 hours.",
            a_day,
            "none",
            plain,
        ),
        number(
            "Done about",
            "When all tasks that are left will be completed, if every day brings as many as the "
            "last one. That counts stalled jobs in: they have to be launched again.",
            f"(time() + sum({left}) / ({a_day} > 0) * 86400) * 1000",
            "dateTimeFromNow",
            plain,
        ),
    ]


def _under_way(at: str = "") -> str:
    """How far the jobs are that run or should run."""
    states = f'{PER_JOB}state:group{{{ROOT}, state=~"failed|stalled|running"}}{at}'
    return f"{ratio(ROOT, at)} and on ({KEYS}) {states}"


def _graphs() -> list[timeseries.Panel]:
    legend = "{{root}} {{job_name}}"
    slowest = f"bottomk(10, ({_under_way(NOW)}) and on ({KEYS}) {CHOSEN_NOW})"
    longest = (
        f"topk(10, ({idle(ROOT, NOW)} and on ({KEYS}) {STATE}{NOW}) and on ({KEYS}) {CHOSEN_NOW})"
    )
    done = f"{PER_JOB}tasks_completed:max{{{ROOT}}}"
    return [
        graph(
            "Remaining tasks",
            "Tasks that are not completed, of all jobs of the chosen stages.",
            "none",
            [(f"sum({of_stage(f'{PER_JOB}tasks_remaining:max{{{ROOT}}}')})", "remaining")],
        ).fill_opacity(30),
        graph(
            "Pace",
            "Tasks completed in the hour before, of all jobs of the chosen stages.",
            TASKS_AN_HOUR,
            [(f"sum({of_stage(pace(done))})", "tasks/h")],
        ).draw_style(GraphDrawStyle.BARS),
        graph(
            "Completion of the ten slowest",
            "Completed tasks over tasks of the ten jobs that are furthest behind now, of those "
            "that run, failed or stalled.",
            "percentunit",
            [(f"{ratio(ROOT)} and on ({KEYS}) {slowest}", legend)],
        ).max(1),
        graph(
            "Idle, the ten longest",
            "Time since the last completion, of the ten jobs under way that have completed nothing "
            "for longest.",
            "s",
            [(f"{idle(ROOT)} and on ({KEYS}) {longest}", legend)],
        ),
    ]


def _documents() -> list[timeseries.Panel]:
    """Where the exporter reads what tasks counted."""
    return [
        documents(
            f"{what} an hour",
            "Of the hour before, of all jobs of the chosen stages",
            "short",
            f"sum({of_stage(f'{PER_JOB}{metric}:per_hour{{{ROOT}}}')})",
            f"{what.lower()}/h",
        )
        for what, metric in (("Tokens", "tokens"), ("Documents written", "documents_written"))
    ]


def _slowest() -> table.Panel:
    panel = lines(
        "The ten slowest",
        "Running jobs of the chosen stages that take longest at their pace so far.",
        f"topk(10, {of_stage(f'{PER_JOB}time_left_seconds:max{{{ROOT}}}')})",
    )
    renamed = OF_A_JOB | {"Value": "Time left"}
    panel = panel.with_transformation(columns(renamed, NOT_OF_A_JOB)).height(8)
    panel = panel.override_by_name("Job", [job_links()])
    panel = panel.override_by_name("Time left", [setting("unit", "s")])
    return panel.sort_by([order("Time left", descending=True)])


def _unfinished() -> table.Panel:
    left = unfinished(ROOT)
    panel = lines(
        "Unfinished jobs",
        "A line per job, first those that completed something longest ago. The state says whether "
        "that is too long by the job's own pace.",
        of_stage(f"{ratio(ROOT)} and {left}"),
        of_stage(f"{PER_JOB}tasks_completed:max{{{ROOT}}} and {left}"),
        of_stage(f"{PER_JOB}tasks:max{{{ROOT}}} and {left}"),
        of_stage(f"{STATE} and ignoring (state) {left}"),
        of_stage(idle(ROOT)),
        of_stage(f"{longest_gap(ROOT)} and {left}"),
        of_stage(f"(time() + {PER_JOB}time_left_seconds:max{{{ROOT}}}) * 1000"),
    )
    names = {"A": "Progress", "B": "Completed", "C": "Tasks", "E": "Idle", "F": "Longest wait"}
    named = {f"Value #{ref}": name for ref, name in {**names, "G": "Done"}.items()}
    renamed = OF_A_JOB | {"state": "State"} | named
    panel = panel.with_transformation(MERGED)
    panel = panel.with_transformation(columns(renamed, (*NOT_OF_A_JOB, "Value #D")))
    panel = panel.override_by_name("Progress", progress()).override_by_name("Job", [job_links()])
    panel = panel.override_by_name("Idle", [setting("unit", "s")])
    panel = panel.override_by_name("Longest wait", [setting("unit", "s")])
    panel = panel.override_by_name("Done", [setting("unit", "dateTimeFromNow")])
    return panel.sort_by([order("Idle", descending=True)])


def _complete() -> table.Panel:
    complete = f"{PER_JOB}tasks_remaining:max{{{ROOT}}} == 0"
    launch = f"max without (instance, pod) (datatrove_job_launch_timestamp_seconds{{{ROOT}}})"
    last = last_completion(ROOT)
    panel = lines(
        "Complete jobs",
        "Jobs whose tasks are all completed, newest first. The duration is from the last launch "
        "to the last completion.",
        of_stage(f"{PER_JOB}tasks:max{{{ROOT}}} and {complete}"),
        of_stage(f"{last} * 1000 and {complete}"),
        of_stage(f"clamp_min({last} - {launch}, 0) and {complete}"),
    )
    renamed = OF_A_JOB | {"Value #A": "Tasks", "Value #B": "Completed", "Value #C": "Duration"}
    panel = panel.with_transformation(MERGED).with_transformation(columns(renamed, NOT_OF_A_JOB))
    panel = panel.override_by_name("Job", [job_links()])
    panel = panel.override_by_name("Completed", [setting("unit", "dateTimeAsIso")])
    panel = panel.override_by_name("Duration", [setting("unit", "s")])
    return panel.sort_by([order("Completed", descending=True)])
