"""The stages on the dashboard of all jobs: where tasks are left, and which items are through."""

from grafana_foundation_sdk.builders import bargauge, table, timeseries
from grafana_foundation_sdk.models.common import BarGaugeDisplayMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig
from panels import KEPT, SOURCE, graph, instant, lines, link, setting, stacked, steps
from queries import KEYS, NOW, PER_JOB, ROOT, with_rest

NO_LABELS = "Stages and items need `labels` in the exporter's configuration: see docs/stages.md."


def _by_stage(name: str, at: str = "") -> str:
    """A sum of each stage; of a root without stages, of the root."""
    each = f"sum by (root, stage) (root_stage:datatrove_stage_{name}:sum{{{ROOT}}}{at})"
    return f"{each} or on (root) sum by (root) (root:datatrove_root_{name}:sum{{{ROOT}}}{at})"


def _left_by_stage(at: str = "") -> str:
    return f"clamp_min(({_by_stage('tasks', at)}) - ({_by_stage('tasks_completed', at)}), 0)"


def remaining() -> timeseries.Panel:
    """Where tasks wait."""
    most, rest = with_rest(_left_by_stage(), _left_by_stage(NOW))
    return stacked(
        graph(
            "Remaining tasks",
            "Tasks that are not completed, of the stages that have most of them now, and of all "
            f"others together. A root without stages is one area. {NO_LABELS}",
            "none",
            [(most, "{{root}} {{stage}}"), (rest, "all others")],
        )
    )


def stages() -> bargauge.Panel:
    """The stages that are least complete."""
    panel = bargauge.Panel().title("Completion of stages").datasource(SOURCE)
    panel = panel.description(
        "Completed tasks over tasks of each stage, the twenty that are least complete; click one "
        f"for its jobs. A root without stages is one bar. {NO_LABELS}"
    )
    panel = panel.unit("percentunit").min(0).max(1).height(9).span(12).no_value("none")
    panel = panel.thresholds(steps((None, "orange"), (0.5, "blue"), (1, "green")))
    panel = panel.display_mode(BarGaugeDisplayMode.BASIC).orientation(VizOrientation.HORIZONTAL)
    share = f"({_by_stage('tasks_completed')}) / (({_by_stage('tasks')}) > 0)"
    one = instant(f"sort(bottomk(20, {share}))", legend="{{root}} {{stage}}")
    to_stage = (
        f"/d/datatrove-stage?{KEPT}&var-root=${{__field.labels.root:percentencode}}"
        "&var-stage=${__field.labels.stage:percentencode}"
    )
    return panel.with_target(one).override_by_regexp(".*", [link("Its jobs", to_stage)])


def matrix() -> table.Panel:
    """How far each item is in each stage. Whatever label the variable names becomes `item`."""
    labels = f"topk by ({KEYS}) (1, datatrove_job_labels{{{ROOT}}})"
    items = f'label_replace({labels}, "item", "$1", "$item", "(.+)")'

    def summed(name: str) -> str:
        of_job = f"{PER_JOB}{name}:max{{{ROOT}}}"
        return f"sum by (item, stage) ({of_job} * on ({KEYS}) group_left (item, stage) {items})"

    panel = lines(
        "Items and stages",
        f"Completed tasks over tasks of each item in each stage. {NO_LABELS}",
        f"{summed('tasks_completed')} / {summed('tasks')}",
    )
    matrix = {"columnField": "stage", "rowField": "item", "valueField": "Value"}
    panel = panel.with_transformation(
        DataTransformerConfig(id_val="groupingToMatrix", options=matrix)
    )
    panel = panel.unit("percentunit").min(0).max(1).no_value(NO_LABELS).height(14)
    panel = panel.thresholds(
        steps((None, "dark-red"), (0.01, "dark-orange"), (0.5, "dark-blue"), (1, "dark-green"))
    )
    to_stage = (
        f"/d/datatrove-stage?{KEPT}&${{root:queryparam}}&var-stage=${{__field.name:percentencode}}"
    )
    cell = setting("custom.cellOptions", {"type": "color-background", "mode": "basic"})
    return panel.override_by_regexp("^(?!item).*$", [cell, link("Jobs of this stage", to_stage)])
