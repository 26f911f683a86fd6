"""The dashboard of the exporters: whether they scan in time, and what that costs."""

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from grafana_foundation_sdk.models.common import GraphDrawStyle
from panels import Step, board, graph, number, setting, variable, with_rows

EXPORTER = 'job=~"$job", instance=~"$instance"'
WATCHED = f'{EXPORTER}, root=~"$root"'


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
    rows = (
        ("Now", _numbers_of_exporters()),
        ("Scans", _graphs_of_scans()),
        ("Process", _graphs_of_processes()),
    )
    return with_rows(built, rows)


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
            "Time since the last complete scan of each root, and from when on that is too long by "
            "its own scan interval.",
            "s",
            [
                (
                    f"time() - datatrove_root_last_successful_scan_timestamp_seconds{{{WATCHED}}}",
                    legend,
                ),
                (
                    f"clamp_min(3 * datatrove_root_scan_interval_seconds{{{WATCHED}}}, 600)"
                    f" + datatrove_root_last_scan_duration_seconds{{{WATCHED}}}",
                    f"{legend} too old",
                ),
            ],
        ).override_by_query("B", [setting("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]),
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
