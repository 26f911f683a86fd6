"""Writes the Grafana dashboards, ``dashboards/*.json``, from what is said of them here.

``make dashboards`` runs it; the written files are committed, and a test compares them. The
dashboards show what the recording rules record, so load those first.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

ROOT = 'job=~"$job", root=~"$root"'
JOB = f'{ROOT}, job_name=~"$job_name"'
EXPORTER = 'job=~"$job", instance=~"$instance"'
WATCHED = f'{EXPORTER}, root=~"$root"'

PER_JOB = "root_job_name:datatrove_job_"
UNFINISHED = f"{PER_JOB}tasks_remaining:max{{{JOB}}} > 0"

Step = tuple[float | None, str]
"""From this value on (None: from the start), this colour."""


def query(expression: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """A query over the dashboard's time range."""
    built = prometheus.Dataquery().datasource(SOURCE).expr(expression).ref_id(ref)
    return built.legend_format(legend).range()


def instant(expression: str, ref: str = "A", legend: str = "") -> prometheus.Dataquery:
    """A query at the end of the dashboard's time range, as a table."""
    built = prometheus.Dataquery().datasource(SOURCE).expr(expression).ref_id(ref)
    return built.legend_format(legend).instant().format(PromQueryFormat.TABLE)


def steps(*colours: Step) -> dashboard.ThresholdsConfig:
    """Colours by value."""
    listed = [Threshold(value=value, color=colour) for value, colour in colours]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(listed)


def number(
    title: str, description: str, expression: str, unit: str, *colours: Step, legend: str = ""
) -> stat.Panel:
    """One number, six of which fill a line; with `legend`, that text instead of the number."""
    panel = stat.Panel().title(title).description(description).datasource(SOURCE)
    panel = panel.unit(unit).thresholds(steps(*colours)).height(4).span(4).no_value("none")
    if legend:
        return panel.text_mode("name").with_target(query(expression, legend))
    one = prometheus.Dataquery().datasource(SOURCE).expr(expression).ref_id("A").instant()
    return panel.with_target(one)


def graph(
    title: str, description: str, unit: str, queries: Sequence[tuple[str, str]]
) -> timeseries.Panel:
    """Lines over time, two graphs to a line. `queries` are expressions and their legends."""
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE)
    panel = panel.unit(unit).min(0).height(9).span(12)
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull"])
    )
    panel = panel.tooltip(
        common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    )
    for ref, (expression, legend) in zip("ABCDE", queries, strict=False):
        panel = panel.with_target(query(expression, legend, ref))
    return panel


def variable(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A choice of any number of label values."""
    chosen = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(values)
    chosen = chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    chosen = chosen.sort(VariableSort.ALPHABETICAL_ASC)
    return chosen.multi(True).include_all(True).all_value(".+")


def setting(name: str, value: object) -> DynamicConfigValue:
    """One property of a column."""
    return DynamicConfigValue(id_val=name, value=value)


def order(name: str, *, descending: bool) -> common.TableSortByFieldState:
    """By this column."""
    return common.TableSortByFieldState().display_name(name).desc(descending)


def columns(renamed: dict[str, str], hidden: Sequence[str]) -> DataTransformerConfig:
    """Columns in this order under these names."""
    options = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {name: index for index, name in enumerate(renamed)},
        "renameByName": renamed,
    }
    return DataTransformerConfig(id_val="organize", options=options)


MERGED = DataTransformerConfig(id_val="merge", options={})
OF_A_JOB = {"root": "Root", "job_name": "Job"}
NOT_OF_A_JOB = ("job", "__name__", "instance")


def board(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """What both dashboards have in common."""
    built = dashboard.Dashboard(title).uid(uid).description(description).tags(["datatrove"])
    built = built.readonly().refresh("1m").time("now-24h", "now").timezone("browser")
    built = built.tooltip(DashboardCursorSync.CROSSHAIR)
    built = built.with_variable(
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    )
    built = built.with_variable(
        variable("job", "Job", "label_values(datatrove_exporter_build_info, job)")
    )
    return built.link(
        dashboard.DashboardLink("Datatrove dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["datatrove"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def mark(name: str, expression: str, colour: str, text: str) -> dashboard.AnnotationQuery:
    """Events drawn into every graph."""
    events = dashboard.AnnotationQuery().name(name).datasource(SOURCE).expr(expression)
    return events.enable(True).icon_color(colour).title_format(text)


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
        ("Now", _numbers_of_jobs()),
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
            "Stalled",
            "Jobs without a completion for longer than their own pace explains.",
            f"count({PER_JOB}stalled_seconds:min{{{JOB}}}) or vector(0)",
            "none",
            good,
            (1, "red"),
        ),
        number(
            "Last to finish",
            "When the last of the jobs will be complete at its pace so far. Stalled jobs, and "
            "those that have completed nothing yet, are left out.",
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


def _unfinished_jobs() -> table.Panel:
    idle, threshold = f"{PER_JOB}idle_seconds:min", f"{PER_JOB}stall_threshold_seconds:max"
    done, tasks = f"{PER_JOB}tasks_completed:max", f"{PER_JOB}tasks:max"
    queries = (
        f"{done}{{{JOB}}} / {tasks}{{{JOB}}} and {UNFINISHED}",
        f"{done}{{{JOB}}} and {UNFINISHED}",
        f"{tasks}{{{JOB}}} and {UNFINISHED}",
        f"{idle}{{{JOB}}}",
        f"{threshold}{{{JOB}}} and {UNFINISHED}",
        f"{idle}{{{JOB}}} / {threshold}{{{JOB}}}",
        f"(time() + {PER_JOB}time_left_seconds:max{{{JOB}}}) * 1000",
    )
    panel = table.Panel().title("Unfinished jobs").datasource(SOURCE).unit("none")
    panel = panel.description(
        "A line per job, first those that wait longest by their own measure: at 100 % of its "
        "limit a job counts as stalled, except in its last tenth."
    )
    panel = panel.height(10).span(24).no_value("")
    for ref, expression in zip("ABCDEFG", queries, strict=True):
        panel = panel.with_target(instant(expression, ref))
    names = ("Progress", "Completed", "Tasks", "Idle", "Limit", "Idle of limit", "Done")
    renamed = OF_A_JOB | {f"Value #{ref}": name for ref, name in zip("ABCDEFG", names, strict=True)}
    panel = panel.with_transformation(MERGED).with_transformation(columns(renamed, NOT_OF_A_JOB))
    panel = panel.sort_by([order("Idle of limit", descending=True)])
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
    late = [
        {"value": None, "color": "green"},
        {"value": 0.5, "color": "orange"},
        {"value": 1, "color": "red"},
    ]
    return (
        panel.override_by_name("Job", [setting("links", [link])])
        .override_by_name("Idle", [setting("unit", "s")])
        .override_by_name("Limit", [setting("unit", "s")])
        .override_by_name(
            "Idle of limit",
            [
                setting("unit", "percentunit"),
                setting("thresholds", {"mode": "absolute", "steps": late}),
                setting("custom.cellOptions", {"type": "color-text"}),
            ],
        )
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
            "Idle, and its limit",
            "Time since the last completion or the launch, and how long that may be at the job's "
            "own pace. Choose a job to see why it was called stalled.",
            "s",
            [
                (f"{PER_JOB}idle_seconds:min{{{JOB}}}", f"{legend} idle"),
                (
                    f"{PER_JOB}stall_threshold_seconds:max{{{JOB}}} and {UNFINISHED}",
                    f"{legend} limit",
                ),
            ],
        ).override_by_query("B", [setting("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]),
    ]


def _complete_jobs() -> table.Panel:
    complete = f"{PER_JOB}tasks_remaining:max{{{JOB}}} == 0"
    last = f"max without (instance, pod) (datatrove_job_last_completion_timestamp_seconds{{{JOB}}})"
    launch = f"max without (instance, pod) (datatrove_job_launch_timestamp_seconds{{{JOB}}})"
    panel = table.Panel().title("Complete jobs").datasource(SOURCE).unit("none")
    panel = panel.description(
        "Jobs whose tasks are all completed, newest first. The duration is from the last launch "
        "to the last completion."
    )
    panel = panel.height(10).span(24).no_value("")
    queries = (
        f"{PER_JOB}tasks:max{{{JOB}}} and {complete}",
        f"{last} * 1000 and {complete}",
        f"clamp_min({last} - {launch}, 0) and {complete}",
    )
    for ref, expression in zip("ABC", queries, strict=True):
        panel = panel.with_target(instant(expression, ref))
    renamed = OF_A_JOB | {"Value #A": "Tasks", "Value #B": "Completed", "Value #C": "Duration"}
    panel = panel.with_transformation(MERGED).with_transformation(columns(renamed, NOT_OF_A_JOB))
    panel = panel.sort_by([order("Completed", descending=True)])
    return panel.override_by_name("Completed", [setting("unit", "dateTimeAsIso")]).override_by_name(
        "Duration", [setting("unit", "s")]
    )


def exporters() -> dashboard.Dashboard:
    """How well the exporters work."""
    built = board(
        "Datatrove / Exporter",
        "datatrove-exporter",
        "Whether the exporters scan every root in time, and what that costs.",
    )
    instances = 'label_values(datatrove_exporter_build_info{job=~"$job"}, instance)'
    roots = f"label_values(datatrove_root_up{{{EXPORTER}}}, root)"
    built = built.with_variable(variable("instance", "Instance", instances))
    built = built.with_variable(variable("root", "Root", roots))
    for row, panels in (
        ("Now", _numbers_of_exporters()),
        ("Scans", _graphs_of_scans()),
        ("Process", _graphs_of_processes()),
    ):
        built = built.with_row(dashboard.Row(row))
        for panel in panels:
            built = built.with_panel(panel)
    return built


def _numbers_of_exporters() -> list[stat.Panel]:
    good: Step = (None, "green")
    bad: Step = (1, "red")
    return [
        number(
            "Exporters down",
            "Exporters that Prometheus cannot scrape.",
            f"count(up{{{EXPORTER}}} == 0) or vector(0)",
            "none",
            good,
            bad,
        ),
        number(
            "Roots down",
            "Roots whose last scan failed, counted once per exporter.",
            f"count(datatrove_root_up{{{WATCHED}}} == 0) or vector(0)",
            "none",
            good,
            bad,
        ),
        number(
            "Unreadable jobs",
            "Jobs that the last scan found and could not read.",
            f"sum(datatrove_root_jobs_unreadable{{{WATCHED}}})",
            "none",
            good,
            (1, "orange"),
        ),
        number(
            "Shards",
            "Different shards that are being scraped; 1 where the jobs are not divided.",
            f"count(count by (job, shard) (instance:datatrove_exporter_shard:info{{{EXPORTER}}}))",
            "none",
            (None, "blue"),
        ),
        number(
            "Configuration",
            "1 if every exporter runs with its current configuration, 0 if one refused it.",
            f"min(datatrove_exporter_config_last_reload_successful{{{EXPORTER}}})",
            "none",
            (None, "red"),
            (1, "green"),
        ),
        number(
            "Version",
            "Versions of the exporter that are running.",
            f"count by (version) (datatrove_exporter_build_info{{{EXPORTER}}})",
            "none",
            (None, "blue"),
            legend="{{version}}",
        ),
    ]


def _graphs_of_scans() -> list[timeseries.Panel]:
    legend = "{{root}} {{instance}}"
    return [
        graph(
            "Age of the data",
            "Time since the last complete scan of each root.",
            "s",
            [
                (
                    f"time() - datatrove_root_last_successful_scan_timestamp_seconds{{{WATCHED}}}",
                    legend,
                )
            ],
        ),
        graph(
            "Scan duration",
            "How long the last scan of each root took, and the time between two scans.",
            "s",
            [
                (f"datatrove_root_last_scan_duration_seconds{{{WATCHED}}}", legend),
                (f"datatrove_root_scan_interval_seconds{{{WATCHED}}}", f"{legend} interval"),
            ],
        ).override_by_query("B", [setting("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]),
        graph(
            "Errors",
            "Failures while scanning, by what could not be read and why.",
            "none",
            [
                (
                    "sum by (root, scope, reason) "
                    f"(increase(datatrove_scan_errors_total{{{WATCHED}}}[$__rate_interval])) > 0",
                    "{{root}} {{scope}} {{reason}}",
                )
            ],
        ).draw_style(GraphDrawStyle.BARS),
        graph(
            "Scans",
            "Scans that ended, and scans that were due and did not start because the one before "
            "was still running.",
            "none",
            [
                (
                    "sum by (root) "
                    f"(increase(datatrove_root_scans_total{{{WATCHED}}}[$__rate_interval]))",
                    "{{root}}",
                ),
                (
                    "sum by (root) (increase("
                    f"datatrove_root_scans_skipped_total{{{WATCHED}}}[$__rate_interval]))",
                    "{{root}} skipped",
                ),
            ],
        ),
        graph(
            "Storage requests",
            "Requests or system calls to storage, a second.",
            "reqps",
            [
                (
                    "sum by (root, operation) "
                    f"(rate(datatrove_storage_requests_total{{{WATCHED}}}[$__rate_interval]))",
                    "{{root}} {{operation}}",
                )
            ],
        ),
        graph(
            "Scan workers",
            "Workers there are, those that read now, and threads that hang in storage.",
            "none",
            [
                (f"datatrove_exporter_scan_workers{{{EXPORTER}}}", "{{instance}} all"),
                (f"datatrove_exporter_scan_workers_busy{{{EXPORTER}}}", "{{instance}} busy"),
                (f"datatrove_exporter_scan_workers_stuck{{{EXPORTER}}}", "{{instance}} stuck"),
            ],
        ),
    ]


def _graphs_of_processes() -> list[timeseries.Panel]:
    legend = "{{instance}}"
    return [
        graph(
            "Scrape duration",
            "How long Prometheus waited for the metrics.",
            "s",
            [(f"scrape_duration_seconds{{{EXPORTER}}}", legend)],
        ),
        graph(
            "Samples",
            "Samples in one scrape.",
            "none",
            [(f"scrape_samples_scraped{{{EXPORTER}}}", legend)],
        ),
        graph(
            "Memory",
            "Resident memory of the exporters.",
            "bytes",
            [(f"process_resident_memory_bytes{{{EXPORTER}}}", legend)],
        ),
        graph(
            "Processor time",
            "Processors in use.",
            "none",
            [
                (
                    f"rate(process_cpu_seconds_total{{{EXPORTER}}}[$__rate_interval])",
                    legend,
                )
            ],
        ),
    ]


BOARDS = {"overview.json": overview, "exporter.json": exporters}


def encode(built: dashboard.Dashboard) -> str:
    """The dashboard as committed."""
    content: dict[str, Any] = json.loads(JSONEncoder().encode(built.build()))
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write both files."""
    FOLDER.mkdir(exist_ok=True)
    for name, build in BOARDS.items():
        (FOLDER / name).write_text(encode(build()))


if __name__ == "__main__":
    main()
