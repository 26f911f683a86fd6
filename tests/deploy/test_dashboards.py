"""The dashboards: as generated, well-formed, and no panel of them empty on a real Prometheus."""

import copy
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from support.jobs.estate import (
    DUMPS,
    EXPERIMENTS,
    FAILED,
    LABELS,
    STAGES,
    STALLED,
    TASKS,
    completed_of,
    name_of,
    state_of,
    states,
    write_estate,
)
from support.jobs.folders import write_executor, write_job, write_marker
from support.jobs.stats import write_stats
from support.monitoring import DEPLOY, SCRAPE_JOB, exported_names, hurried_rules, rules
from support.processes import COMMAND, Prometheus, prometheus, serving
from support.promql import called_functions, metric_names, selectors
from support.servers import HOST, free_ports, running, wait_until

GRAFANA = DEPLOY / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
SCRAPED = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"}
"""What Prometheus adds."""

UNITS = {
    "percentunit",
    "none",
    "s",
    "dateTimeFromNow",
    "bytes",
    "reqps",
    "short",
    "suffix: tasks/h",
}
OF_EXPORTERS = "exporter.json"
"""The others show jobs, whichever exporter watches them: recorded without the label instance."""
OF_ONE_JOB = "job.json"
TO_LINK_TO = "page"
PAGE = "https://monitor.example.org/datatrove"
RUNBOOKS = "https://github.com/datatrove-exporter/datatrove-exporter/blob/main/docs/runbooks"
RUNS, AGAIN = name_of("signatures", 80), name_of("buckets", 95)


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
    values = {"__rate_interval": "1m", "__range": "5s", "1": "$1", **values}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)


def parsed(expression: str) -> Any:
    names = ("job", "instance", "root", "job_name", "stage", "item")
    return promql_parser.parse(substitute(expression, {name: f"<{name}>" for name in names}))


@dataclass(frozen=True)
class Query:
    """One expression of a dashboard, and where it stands; `over_time`: in a graph."""

    board: str
    place: str
    expression: str
    over_time: bool = False


def queries() -> list[Query]:
    found = []
    for file in BOARDS:
        board = load(file)
        for panel in panels_of(board):
            found += [
                Query(
                    file.name,
                    f"{panel['title']} {target['refId']}",
                    target["expr"],
                    panel["type"] == "timeseries",
                )
                for target in panel["targets"]
            ]
        for annotation in board["annotations"].get("list", ()):
            found.append(Query(file.name, annotation["name"], annotation["expr"]))
    return found


QUERIES = queries()
Series = list[tuple[dict[str, str], float]]


def name_of_query(query: Query) -> str:
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
    wanted = {"job", "instance"} if file.name == OF_EXPORTERS else {"job", TO_LINK_TO}
    assert wanted <= variables.keys()
    for name, variable in variables.items():
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}", name
            assert variable["refresh"] == 2, name
            one = name in (TO_LINK_TO, "item") or (file.name == OF_ONE_JOB and name != "job")
            if not one:
                # With all stages also the jobs that are in none.
                every = ".*" if name == "stage" else ".+"
                assert (variable["multi"], variable["allValue"]) == (True, every), name
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


@pytest.mark.parametrize("file", BOARDS, ids=lambda file: file.name)
def test_a_panel_that_may_stay_empty_says_what_it_needs(file: Path) -> None:
    for panel in panels_of(load(file)):
        told = panel["fieldConfig"]["defaults"].get("noValue", "")
        asked = " ".join(target["expr"] for target in panel["targets"])
        of_stats = re.search("_tokens|_documents|_step_", asked) is not None
        assert ("`read_stats`" in told and "docs/documents.md" in told) == of_stats, panel["title"]
        of_labels = "$item" in asked
        assert ("`labels`" in told and "docs/stages.md" in told) == of_labels, panel["title"]


@pytest.mark.parametrize("query", QUERIES, ids=name_of_query)
def test_a_query_is_promql_over_what_exists_and_what_was_chosen(query: Query) -> None:
    expression = parsed(query.expression)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert metric_names(expression) <= exported_names() | recorded | SCRAPED
    for name, matchers in selectors(expression):
        assert matchers.get("job") == "<job>", name
        if query.board == OF_EXPORTERS:
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


def test_dashboards_lead_from_one_to_the_next_and_to_pages_and_runbooks() -> None:
    texts = {file.name: file.read_text() for file in BOARDS}
    assert "/d/datatrove-stage?" in texts["overview.json"]
    assert "/d/datatrove-job?" in texts["stage.json"]
    known = {f"datatrove-{file.stem}" for file in BOARDS}
    for name, text in texts.items():
        assert set(re.findall(r"/d/([\w-]+)", text)) <= known, name
    for name in ("overview.json", "stage.json", "job.json"):
        assert "${page:raw}/jobs/-?root=" in texts[name], name
    for name in ("overview.json", "job.json"):
        assert f"{RUNBOOKS}/${{__value.raw}}.md" in texts[name], name


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the shipped rules and an exporter of six hundred jobs, and of a root that
    is gone. One job cannot be read any more, one is launched again, one completes a task."""
    folder = tmp_path_factory.mktemp("dashboards")
    now = time.time()
    write_estate(folder, now)
    write_job(folder / "gone/job", tasks=5, completed=[0], launch=now)
    again, corrupt = (folder / "fineweb" / name for name in (AGAIN, name_of("buckets", 0)))
    roots = [{"name": name, "url": str(folder / name)} for name in ("fineweb", "scratch", "gone")]
    roots[0] |= {"labels": LABELS, "read_stats": "steps"}
    for marker in (folder / "fineweb" / RUNS / "completions").iterdir():
        write_stats(folder / "fineweb" / RUNS, int(marker.name))
    config = {"roots": roots, "scan": {"interval": "2s"}, "web": {"external_url": PAGE}}
    with serving(folder, **config) as exporter:
        exporter.wait_until_ready()
        more = {"rule_files": hurried_rules(folder)}
        with prometheus(folder, exporter.port, more, job_name=SCRAPE_JOB) as server:
            wait_until(lambda: len(server.query("datatrove_job_tasks")) == 601, "a scrape", 60)
            shutil.rmtree(folder / "gone")
            (corrupt / "executor.json").write_text("{")
            write_executor(again, tasks=10, launch=now - 60, partition="cpu")
            write_marker(folder / "scratch/running-0", "00009", now)
            failed = 'root_job_name:datatrove_job_state:group{state="failed"}'
            wait_until(lambda: server.query(failed), "the failure is known", 60)
            yield server


@pytest.fixture(scope="module")
def chosen(watching: Prometheus) -> dict[str, dict[str, str]]:
    """For each dashboard what Grafana would put in for its variables: all values, one by one; for
    those of which one is chosen, the pipeline's root and a job that runs or failed."""
    found: dict[str, dict[str, str]] = {}
    for file in BOARDS:
        values: dict[str, str] = {}
        for name, variable in variables_of(load(file)).items():
            if variable["type"] != "query":
                continue
            if name == "item":
                names = watching.label_names("datatrove_job_labels")
                (values[name],) = filter(re.compile(variable["regex"].strip("/")).match, names)
                continue
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match is not None, variable["query"]
            series = f"group by ({match[2]}) ({substitute(match[1], values)})"
            known = wait_until(lambda asked=series: watching.query(asked), series, 60)
            values[name] = "|".join(labels[match[2]] for labels, _ in known)
            if name == "stage":
                values[name] = variable["allValue"]
        if file.name == OF_ONE_JOB:
            values |= {"root": "fineweb", "job_name": f"{RUNS}|{AGAIN}|{name_of(*FAILED)}"}
        found[file.name] = values
    return found


@pytest.mark.timeout(240)
def test_every_variable_has_the_values_there_are(chosen: dict[str, dict[str, str]]) -> None:
    assert set(chosen["overview.json"]["root"].split("|")) == {"fineweb", "scratch", "gone"}
    assert chosen["overview.json"]["item"] == "dump"
    assert chosen["overview.json"]["page"] == PAGE
    assert chosen["exporter.json"]["job"] == SCRAPE_JOB
    assert set(chosen["exporter.json"]["root"].split("|")) == {"fineweb", "scratch", "gone"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("query", QUERIES, ids=name_of_query)
def test_no_panel_is_empty(
    query: Query, watching: Prometheus, chosen: dict[str, dict[str, str]]
) -> None:
    expression = substitute(query.expression, chosen[query.board])
    if query.place in ("Pace B", "Failed tasks by reason B"):
        assert watching.query(expression) == []  # what nine leave of fewer
        return
    if query.place == "Remaining tasks B":
        expression = expression.replace("topk(9", "topk(1")
    ever = f"count_over_time(({expression})[10m:1s])" if "changes(" in expression else expression
    wait_until(lambda: watching.query(ever), f"an answer to {expression}", 90)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("root", [".+", "scratch"])
@pytest.mark.parametrize("query", [q for q in QUERIES if q.over_time], ids=name_of_query)
def test_a_graph_has_ten_lines_at_most(
    query: Query, root: str, watching: Prometheus, chosen: dict[str, dict[str, str]]
) -> None:
    """Of six hundred jobs, over all of the time shown; those of exporters have a line per root."""
    values = {**chosen[query.board], "root": root}
    assert len(watching.over(substitute(query.expression, values), 60, 2)) <= 10


@pytest.fixture
def ask(watching: Prometheus, chosen: dict[str, dict[str, str]]) -> Callable[..., Series]:
    """What a panel shows, by its dashboard and title, with other values for some variables."""

    def asked(board: str, place: str, **values: str) -> Series:
        (query,) = (q for q in QUERIES if (q.board, q.place) == (board, place))
        return watching.query(substitute(query.expression, {**chosen[board], **values}))

    return asked


def done(stage: str) -> int:
    return sum(completed_of(stage, number) for number in range(len(DUMPS)))


@pytest.mark.timeout(240)
def test_the_overview_counts_every_job_in_its_state(ask: Callable[..., Series]) -> None:
    order = ("unreadable", "failed", "stalled", "running", "waiting", "abandoned", "complete")
    shown = {}
    for ref, state in zip("ABCDEFG", order, strict=True):
        ((_, shown[state]),) = ask("overview.json", f"Jobs by state {ref}", root="fineweb|scratch")
    expected = states() + Counter(EXPERIMENTS) + Counter(unreadable=1) - Counter(complete=1)
    assert shown == expected
    assert sum(shown.values()) == 600


@pytest.mark.timeout(240)
def test_the_overview_shows_each_stage(ask: Callable[..., Series]) -> None:
    of_each = TASKS * len(DUMPS)
    left = {name(labels): value for labels, value in ask("overview.json", "Remaining tasks A")}
    stages = {f"fineweb {stage}": of_each - done(stage) for stage in STAGES}
    # The stages of the other root are not known: it is one area.
    assert left == {**stages, "scratch": 20 * 8 + 5, "gone": 4}
    (rest,) = ask("overview.json", "Remaining tasks B", root="fineweb|scratch") or [({}, 0)]
    assert rest[1] == 0
    share = {
        name(labels): value for labels, value in ask("overview.json", "Completion of stages A")
    }
    for stage in STAGES:
        assert share[f"fineweb {stage}"] == pytest.approx(done(stage) / of_each)
    assert list(share) == sorted(share, key=lambda each: share[each])


def name(labels: dict[str, str]) -> str:
    return " ".join(labels[label] for label in ("root", "stage") if label in labels)


@pytest.mark.timeout(240)
def test_the_matrix_has_a_cell_for_each_item_and_stage(ask: Callable[..., Series]) -> None:
    cells = {
        (labels["stage"], labels["item"]): value
        for labels, value in ask("overview.json", "Items and stages A")
    }
    for stage in STAGES:
        for number, dump in enumerate(DUMPS):
            assert cells.pop((stage, dump)) == completed_of(stage, number) / TASKS
    assert not cells


@pytest.mark.timeout(240)
def test_the_jobs_to_look_at_are_those_that_need_somebody(ask: Callable[..., Series]) -> None:
    found = {
        labels["job_name"]: labels["state"]
        for labels, _ in ask("overview.json", "Failed, stalled and unreadable jobs A")
    }
    assert found == {
        name_of(*STALLED): "stalled",
        name_of(*FAILED): "failed",
        name_of("buckets", 0): "unreadable",
    }


@pytest.mark.timeout(240)
def test_a_stage_shows_its_own_jobs_and_all_stages_show_all(ask: Callable[..., Series]) -> None:
    def jobs(stage: str, root: str = "fineweb|scratch") -> set[str]:
        found = ask("stage.json", "Unfinished jobs A", stage=stage, root=root)
        return {labels["job_name"] for labels, _ in found}

    unfinished = {
        stage: {
            name_of(stage, number)
            for number in range(len(DUMPS))
            if state_of(stage, number) != "complete"
        }
        for stage in STAGES
    }
    assert jobs("filter") == unfinished["filter"]
    assert jobs("filter|tokenize") == unfinished["filter"] | unfinished["tokenize"]
    # Those of the root without labels are in no stage.
    of_scratch = jobs(".*", "scratch")
    assert len(of_scratch) == 21
    assert jobs(".*") == of_scratch.union(*unfinished.values())
    ((_, left),) = ask("stage.json", "Tasks left A", stage="filter")
    assert left == TASKS * len(DUMPS) - done("filter")
    ((_, share),) = ask("stage.json", "Tasks completed A", stage="filter")
    assert share == pytest.approx(done("filter") / TASKS / len(DUMPS))


@pytest.mark.timeout(240)
def test_the_slowest_are_those_that_run_and_are_furthest_behind(ask: Callable[..., Series]) -> None:
    found = ask("stage.json", "Completion of the ten slowest A", stage="signatures")
    ratios = {labels["job_name"]: value for labels, value in found}
    running = {name_of("signatures", number): 0.4 for number in range(80, 84)}
    assert ratios == {**running, name_of(*FAILED): 0.9}
    slow = ask("stage.json", "The ten slowest A", stage="signatures")
    assert {labels["job_name"] for labels, _ in slow} == set(running)


@pytest.mark.timeout(240)
def test_the_demo_shows_tokens_an_hour_of_a_job_that_runs(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [*COMMAND, "demo", f"--web.listen-address={HOST}:{port}"]
    more = {"rule_files": hurried_rules(tmp_path)}
    runs = {"root": "demo", "stage": "filter", "job_name": "minhash/2023-50/filter"}
    filters = {"root": "demo", "stage": "extract", "job_name": "extract/2024-26"}
    shown = [
        ("stage.json", "Tokens an hour A", runs),
        ("stage.json", "Documents written an hour A", filters),
        ("job.json", "Tokens an hour A", runs),
        ("job.json", "Documents written an hour A", filters),
        ("job.json", "Dropped by each step A", filters),
        ("job.json", "Time in each step A", filters),
    ]
    with (
        running(command, tmp_path / "demo.log"),
        prometheus(tmp_path, port, more, job_name=SCRAPE_JOB) as server,
    ):
        for board, place, values in shown:
            (query,) = (q for q in QUERIES if (q.board, q.place) == (board, place))
            asked = substitute(query.expression, {"job": SCRAPE_JOB, **values})

            def known(asked: str = asked) -> bool:
                return any(value > 0 for _, value in server.query(asked))

            wait_until(known, asked, 90)
