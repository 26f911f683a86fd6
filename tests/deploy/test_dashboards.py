"""The dashboards: as generated, well-formed, and no panel of them empty on a real Prometheus."""

import copy
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from support.jobs import write_executor, write_job
from support.monitoring import DEPLOY, SCRAPE_JOB, exported_names, hurried_rules, rules
from support.processes import Prometheus, prometheus, serving
from support.promql import called_functions, metric_names, selectors
from support.servers import wait_until

GRAFANA = DEPLOY / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
SCRAPED = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"}
"""What Prometheus adds."""

UNITS = {"percentunit", "none", "s", "dateTimeFromNow", "bytes", "reqps"}
NOT_BY_INSTANCE = "overview.json"
"""Shows jobs, whichever exporter watches them: recorded without the label instance."""


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def panels_of(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels, those in collapsed rows included, without the rows."""
    inside = [panel for row in board["panels"] for panel in row.get("panels", ())]
    return [panel for panel in (*board["panels"], *inside) if panel["type"] != "row"]


def variables_of(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def substitute(expression: str, values: dict[str, str]) -> str:
    """What Grafana sends for this expression."""
    values = {"__rate_interval": "1m", **values}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)


def parsed(expression: str) -> Any:
    names = ("job", "instance", "root", "job_name")
    return promql_parser.parse(substitute(expression, {name: f"<{name}>" for name in names}))


@dataclass(frozen=True)
class Query:
    """One expression of a dashboard, and where it stands."""

    board: str
    place: str
    expression: str


def queries() -> list[Query]:
    found = []
    for file in BOARDS:
        board = load(file)
        for panel in panels_of(board):
            found += [
                Query(file.name, f"{panel['title']} {target['refId']}", target["expr"])
                for target in panel["targets"]
            ]
        for annotation in board["annotations"].get("list", ()):
            found.append(Query(file.name, annotation["name"], annotation["expr"]))
    return found


QUERIES = queries()


def name_of(query: Query) -> str:
    return f"{query.board} {query.place}"


def test_the_committed_dashboards_are_what_the_generator_writes(tmp_path: Path) -> None:
    quietly = ("-W", "ignore::DeprecationWarning")
    subprocess.run([sys.executable, *quietly, GRAFANA / "source", tmp_path], check=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == [file.name for file in BOARDS]
    for file in BOARDS:
        assert (tmp_path / file.name).read_text() == file.read_text(), "run: make dashboards"


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.name)
def test_grafanas_schema_knows_everything_in_a_dashboard(file: Path) -> None:
    # Heavy to import, and of use here only.
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()

    def read_and_written(board: dict[str, Any]) -> dict[str, Any]:
        known = Dashboard.from_json(copy.deepcopy(board))
        content: dict[str, Any] = json.loads(JSONEncoder().encode(known))
        return content

    board = load(file)
    assert read_and_written(board) == board
    misspelt = {**board, "refesh": "1m"}
    assert read_and_written(misspelt) != misspelt


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.name)
def test_a_dashboard_keeps_the_rules_of_grafanas_linter(file: Path) -> None:
    board = load(file)
    assert not board["editable"]
    assert board["uid"] == f"datatrove-{file.stem}"
    variables = variables_of(board)
    (source,) = (v for v in variables.values() if v["type"] == "datasource")
    assert (source["name"], source["label"], source["query"]) == (
        "datasource",
        "Data source",
        "prometheus",
    )
    wanted = {"job"} if file.name == NOT_BY_INSTANCE else {"job", "instance"}
    assert wanted <= variables.keys()
    for name, variable in variables.items():
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}", name
            assert variable["refresh"] == 2, name
            assert (variable["multi"], variable["allValue"]) == (True, ".+"), name
            assert variable["label"], name
            if name in ("job", "instance"):
                assert variable["label"] == name.title()
    titles = [panel["title"] for panel in panels_of(board)]
    assert len(set(titles)) == len(titles) > 8
    for panel in panels_of(board):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}", panel["title"]


@pytest.mark.parametrize("query", QUERIES, ids=name_of)
def test_a_query_is_promql_over_what_exists_and_what_was_chosen(query: Query) -> None:
    expression = parsed(query.expression)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert metric_names(expression) <= exported_names() | recorded | SCRAPED
    for name, matchers in selectors(expression):
        assert matchers.get("job") == "<job>", name
        if query.board != NOT_BY_INSTANCE:
            assert matchers.get("instance") == "<instance>", name
    if called_functions(expression) & {"rate", "irate", "increase"}:
        assert "[$__rate_interval]" in query.expression


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.name)
def test_panels_lie_side_by_side(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in load(file)["panels"]:
        place = panel["gridPos"]
        area = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & area, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= area


def test_provisioning_points_at_the_dashboards() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/datatrove.yml").read_text())
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    assert provider["apiVersion"] == source["apiVersion"] == 1
    (entry,) = provider["providers"]
    assert entry["type"] == "file"
    assert entry["options"]["path"] == "/var/lib/grafana/dashboards"
    (prometheus_source,) = source["datasources"]
    assert (prometheus_source["type"], prometheus_source["isDefault"]) == ("prometheus", True)


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the shipped rules and an exporter that has seen everything: jobs that
    move, stalled, complete, cannot be read, were launched again; and a root that is gone."""
    folder = tmp_path_factory.mktemp("dashboards")
    root, gone = folder / "root", folder / "gone"
    now = time.time()
    write_job(root / "moving", tasks=50, completed=range(20), launch=now - 2400)
    write_job(root / "stalled", tasks=50, completed=range(20), launch=now - 86_000)
    write_job(root / "complete", tasks=5, completed=range(5), launch=now - 86_000)
    write_job(root / "unreadable", tasks=5, completed=range(5), launch=now)
    write_job(root / "again", tasks=5, completed=[0], launch=now - 86_000)
    write_job(gone / "job", tasks=5, completed=[0], launch=now)
    roots = [{"name": "prod", "url": str(root)}, {"name": "gone", "url": str(gone)}]
    with serving(folder, roots=roots, scan={"interval": "1s"}) as exporter:
        exporter.wait_until_ready()
        more = {"rule_files": hurried_rules(folder)}
        with prometheus(folder, exporter.port, more, job_name=SCRAPE_JOB) as server:
            wait_until(lambda: len(server.query("datatrove_job_tasks")) == 6, "a scrape", 60)
            shutil.rmtree(gone)
            (root / "unreadable" / "executor.json").write_text("{")
            write_executor(root / "again", tasks=5, launch=now - 80_000)
            yield server


@pytest.fixture(scope="module")
def chosen(watching: Prometheus) -> dict[str, dict[str, str]]:
    """For each dashboard what Grafana would put in for its variables, with all values
    chosen one by one."""
    found: dict[str, dict[str, str]] = {}
    for file in BOARDS:
        values: dict[str, str] = {}
        for name, variable in variables_of(load(file)).items():
            if variable["type"] != "query":
                continue
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match is not None, variable["query"]
            series = f"group by ({match[2]}) ({substitute(match[1], values)})"
            known = wait_until(lambda asked=series: watching.query(asked), series, 60)
            values[name] = "|".join(labels[match[2]] for labels, _ in known)
        found[file.name] = values
    return found


@pytest.mark.timeout(240)
def test_every_variable_has_the_values_there_are(
    watching: Prometheus, chosen: dict[str, dict[str, str]]
) -> None:
    jobs = {"moving", "stalled", "complete", "unreadable", "again", "job"}
    assert set(chosen["overview.json"]["root"].split("|")) == {"prod", "gone"}
    assert set(chosen["overview.json"]["job_name"].split("|")) == jobs
    assert chosen["exporter.json"]["job"] == SCRAPE_JOB
    assert set(chosen["exporter.json"]["root"].split("|")) == {"prod", "gone"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("query", QUERIES, ids=name_of)
def test_no_panel_is_empty(
    query: Query, watching: Prometheus, chosen: dict[str, dict[str, str]]
) -> None:
    expression = substitute(query.expression, chosen[query.board])
    ever = f"count_over_time(({expression})[10m:1s])" if "changes(" in expression else expression
    wait_until(lambda: watching.query(ever), f"an answer to {expression}", 90)
    if query.place.startswith("Stalled "):
        wait_until(lambda: watching.value(expression) == 1, "only one job has stalled", 60)
    if query.place.startswith("Unfinished jobs A"):
        assert {labels["job_name"]: value for labels, value in watching.query(expression)}[
            "moving"
        ] == pytest.approx(0.4)
