"""Panels, and what all dashboards have in common."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.models.common import (
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
    Panel,
    Threshold,
    ThresholdsMode,
    VariableHide,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

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


def documents(
    title: str, description: str, unit: str, expression: str, legend: str
) -> timeseries.Panel:
    """Lines of what tasks counted, which says why there are none."""
    panel = graph(
        title, f"{description}, where the exporter reads it.", unit, [(expression, legend)]
    )
    return panel.no_value(
        "Nothing is known: it needs `read_stats` in the exporter's configuration, and tasks that "
        "count it. See docs/documents.md."
    )


def variable(name: str, label: str, values: str, all_value: str = ".+") -> dashboard.QueryVariable:
    """A choice of any number of label values."""
    return one_of(name, label, values).multi(True).include_all(True).all_value(all_value)


def one_of(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A choice of one value."""
    chosen = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(values)
    chosen = chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return chosen.sort(VariableSort.ALPHABETICAL_ASC)


def page() -> dashboard.QueryVariable:
    """Where the exporter's page is reached, for links; nothing to choose."""
    urls = 'label_values(datatrove_exporter_web_info{job=~"$job"}, external_url)'
    return one_of("page", "Status page", urls).hide(VariableHide.HIDE_VARIABLE)


def link(title: str, url: str) -> DynamicConfigValue:
    """Where a value leads."""
    return setting("links", [{"title": title, "url": url}])


KEPT = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}"
"""What a link to another dashboard takes along."""
TO_JOB = (
    f"/d/datatrove-job?{KEPT}&var-root=${{__data.fields.Root:percentencode}}"
    "&var-job_name=${__value.raw:percentencode}"
)
TO_PAGE = (
    "${page:raw}/jobs/-?root=${__data.fields.Root:percentencode}"
    "&job_name=${__value.raw:percentencode}"
)


def job_links() -> DynamicConfigValue:
    """Of a column of jobs: their dashboard, and their page, which knows tasks, causes and what to
    do."""
    links = [{"title": "Dashboard of this job", "url": TO_JOB}]
    return setting("links", [*links, {"title": "Its page on the exporter", "url": TO_PAGE}])


def lines(title: str, description: str, *queries: str) -> table.Panel:
    """A table of what all queries find, a line for each set of labels."""
    panel = table.Panel().title(title).description(description).datasource(SOURCE).unit("none")
    for ref, expression in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(instant(expression, ref))
    return panel.height(10).span(24).no_value("none")


def progress() -> list[DynamicConfigValue]:
    """How a column of completion is drawn."""
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return [
        setting("unit", "percentunit"),
        setting("min", 0),
        setting("max", 1),
        setting("custom.cellOptions", cell),
    ]


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Areas, one on the other."""
    stacking = common.StackingConfig().mode(StackingMode.NORMAL)
    return panel.stacking(stacking).fill_opacity(30)


RUNBOOKS = "https://github.com/datatrove-exporter/datatrove-exporter/blob/main/docs/runbooks"
TASKS_AN_HOUR = "suffix: tasks/h"
MERGED = DataTransformerConfig(id_val="merge", options={})
OF_A_JOB = {"root": "Root", "job_name": "Job"}
NOT_OF_A_JOB = ("job", "cluster", "namespace", "team", "__name__", "instance")


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


def board(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """What all dashboards have in common."""
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


def with_rows(
    built: dashboard.Dashboard, rows: Iterable[tuple[str, Iterable[cogbuilder.Builder[Panel]]]]
) -> dashboard.Dashboard:
    """Titles of rows, each with its panels, in the order from top to bottom."""
    for title, panels in rows:
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    return built


def mark(name: str, expression: str, colour: str, text: str) -> dashboard.AnnotationQuery:
    """Events drawn into every graph."""
    events = dashboard.AnnotationQuery().name(name).datasource(SOURCE).expr(expression)
    return events.enable(True).icon_color(colour).title_format(text)
