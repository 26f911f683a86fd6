"""The shipped rules, their tests, runbooks and routes, by Prometheus' and Alertmanager's tools."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from support.monitoring import (
    DEPLOY,
    PROJECT,
    RULE_FILES,
    SCRAPE_JOB,
    alertmanager,
    alerts,
    example_alertmanager,
    exported_names,
    rules,
    send_alerts,
)
from support.processes import get, needs
from support.promql import metric_names
from support.servers import wait_until
from support.told import told

from exporter.model.snapshot import FRESH_INTERVALS, FRESH_SECONDS

PROMETHEUS = DEPLOY / "prometheus"
EXAMPLE = DEPLOY / "alertmanager" / "alertmanager.example.yml"
RUNBOOK_BASE = "https://github.com/datatrove-exporter/datatrove-exporter/blob/main/docs/runbooks"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
OF_SHARDS = {"datatrove_exporter_shard", "datatrove_exporter_shards"}
"""Published by exporters that divide the jobs."""

ALERTS = alerts()
ABOUT_A_JOB = {
    "DatatroveJobFailed",
    "DatatroveJobStalled",
    "DatatroveJobUnreadable",
    "DatatroveJobStrayMarkers",
    "DatatroveJobRanOnIncompleteUpstream",
    "DatatroveJobBlocked",
    "DatatroveJobMixedPipelines",
    "DatatroveTasksSilent",
}
"""Alerts about one job, which link to its page."""
ABOUT_A_ROOT = {
    "DatatroveJobVanished",
    "DatatroveJobsAbandoned",
    "DatatroveRootNeverScanned",
    "DatatroveScanErrors",
    "DatatroveScanStale",
}
"""Alerts about a root, or a job that has no page any more, which link to the root's page."""


def run(*command: str | Path, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [needs(str(command[0])), *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_promtool_finds_nothing_to_say_about_the_rules() -> None:
    result = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(RULE_FILES) == 3


def test_the_scrape_example_is_valid_and_loads_every_rule_file() -> None:
    (line,) = told("promtool check config")
    file = str(PROMETHEUS / "scrape.example.yml")
    result = run("bash", "-c", line.replace("/etc/prometheus/prometheus.yml", file))
    assert result.returncode == 0, result.stdout + result.stderr
    example = yaml.safe_load((PROMETHEUS / "scrape.example.yml").read_text())
    assert sorted(example["rule_files"]) == [file.name for file in RULE_FILES]
    assert [scraped["job_name"] for scraped in example["scrape_configs"]] == [SCRAPE_JOB]


def test_the_rules_pass_their_tests() -> None:
    (line,) = told("promtool test rules")
    result = run("bash", "-c", line)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("SUCCESS") == len([*(PROMETHEUS / "tests").glob("*.yml")])


def test_runbooks_are_moved_by_the_line_that_the_readme_has(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts" / "copy-rules", tmp_path / "scripts")
    for line in (*told("sed "), *told("scripts/copy-rules")):
        assert run("bash", "-c", line, folder=tmp_path).returncode == 0, line
    for place in ("prometheus", "helm/datatrove-exporter/files"):
        alerts = (tmp_path / "deploy" / place / "datatrove-alerts.rules.yml").read_text()
        assert RUNBOOK_BASE not in alerts
        for name in ALERTS:
            assert f"https://wiki.example.org/datatrove/{name}.md" in alerts


def test_every_rule_is_named_in_its_tests() -> None:
    text = "".join(file.read_text() for file in (PROMETHEUS / "tests").glob("*.yml"))
    for rule in rules():
        name = rule.get("alert") or rule["record"]
        if name != "instance:datatrove_exporter_shard:info":  # in every sum of a root
            assert name in text, name


def test_a_few_changes_to_the_rules_are_noticed() -> None:
    # All of them take half an hour: make mutate-rules, whose result is committed.
    script = PROJECT / "scripts" / "mutate_rules.py"
    result = run(sys.executable, script, "--sample=3", "--seed=6", "--workers=1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 of " in result.stdout


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_the_rules_use_metrics_that_are_exported_or_recorded(rule: dict[str, Any]) -> None:
    recorded = {known["record"] for known in rules() if "record" in known}
    known = exported_names() | recorded | OF_SHARDS | {"up"}
    assert metric_names(promql_parser.parse(rule["expr"])) <= known


def test_the_rules_have_the_reports_numbers() -> None:
    by_name = {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules()}
    recent = f"({FRESH_INTERVALS} * datatrove_root_scan_interval_seconds, {FRESH_SECONDS:g})"
    assert recent in by_name["instance_root:datatrove_root_is_fresh:bool"]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is_and_where_to_read_more(name: str) -> None:
    alert = ALERTS[name]
    assert re.fullmatch(r"Datatrove[A-Z][A-Za-z]+", name)
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    has_page = name in ABOUT_A_JOB | ABOUT_A_ROOT
    links = {"runbook_url", "page_url"} if has_page else {"runbook_url"}
    assert alert["annotations"].keys() == {"summary", "description", *links}
    assert re.fullmatch(r"[A-Z][^{}]+\.", alert["annotations"]["summary"])
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOK_BASE}/{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook(name: str) -> None:
    text = (PROJECT / "docs" / "runbooks" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert "```" in diagnosis
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
        names = metric_names(promql_parser.parse(block))
        assert names <= exported_names() | recorded | OF_SHARDS | {"up", "ALERTS"}


def test_there_are_no_runbooks_of_alerts_that_do_not_exist() -> None:
    pages = {file.stem for file in (PROJECT / "docs" / "runbooks").glob("*.md")}
    assert pages - {"README"} == set(ALERTS)


def test_the_figures_of_false_and_late_alarms_are_those_of_the_simulation() -> None:
    """All of it takes a minute: make alarms, whose result is committed."""
    script = PROJECT / "tests" / "benchmarks" / "alarms.py"
    result = run(sys.executable, script, "--runs=4")
    assert result.returncode == 0, result.stdout + result.stderr
    committed = (PROMETHEUS / "tests" / "alarms.txt").read_text()

    def kinds(text: str) -> list[str]:
        return re.findall(r"^(.+?) +(?:no )?logs +[\d.]+ %", text, re.MULTILINE)

    assert kinds(result.stdout) == kinds(committed)
    assert len(kinds(committed)) == 22


# --- Routes


def test_amtool_accepts_the_example() -> None:
    result = run("amtool", "check-config", EXAMPLE)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_sent_to_those_its_severity_concerns(name: str) -> None:
    severity = ALERTS[name]["labels"]["severity"]
    to = {"critical": "oncall", "warning": "team", "info": "notes"}[severity]
    labels = [f"alertname={name}", f"severity={severity}", f"job={SCRAPE_JOB}", "root=prod"]
    command = ("amtool", "config", "routes", "test", f"--config.file={EXAMPLE}")
    result = run(*command, f"--verify.receivers={to}", *labels)
    assert result.returncode == 0, result.stdout + result.stderr
    assert run(*command, "--verify.receivers=nobody", *labels).returncode == 1


@pytest.fixture(scope="module")
def alertmanager_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    config = example_alertmanager()
    for sender in config["receivers"]:
        del sender["webhook_configs"]
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), config) as port:
        yield port


EXPORTER = ("cluster", "namespace", "team", "job", "instance")
INHIBITED = [
    ("DatatroveExporterDown", "DatatroveScanStale", EXPORTER),
    ("DatatroveExporterDown", "DatatroveScanErrors", EXPORTER),
    ("DatatroveExporterDown", "DatatroveRootNeverScanned", EXPORTER),
    ("DatatroveScanStale", "DatatroveScanErrors", (*EXPORTER, "root")),
    ("DatatroveRootNeverScanned", "DatatroveScanErrors", (*EXPORTER, "root")),
]


@pytest.mark.parametrize(("by", "what", "equal"), INHIBITED)
def test_what_says_nothing_new_is_not_sent(
    alertmanager_port: int, by: str, what: str, equal: tuple[str, ...]
) -> None:
    same = dict.fromkeys((*EXPORTER, "root"), f"{by} {what}")
    other = [{**same, label: "other"} for label in equal]
    targets = [{"alertname": what, **labels} for labels in (same, *other)]
    send_alerts(alertmanager_port, {"alertname": by, **same}, *targets)

    def states() -> list[list[str]] | None:
        answer = get(alertmanager_port, "/api/v2/alerts")
        known = {
            tuple(sorted(alert["labels"].items())): alert["status"]["inhibitedBy"]
            for alert in json.loads(answer.body)
        }
        found = [known.get(tuple(sorted(labels.items()))) for labels in targets]
        return found if found[0] and all(each is not None for each in found) else None

    inhibited, *not_inhibited = wait_until(states, f"{what} is inhibited by {by}", 30)
    assert len(inhibited) == 1
    assert not any(not_inhibited)


def test_every_inhibition_is_tried() -> None:
    tried = {(by, what, equal) for by, what, equal in INHIBITED}
    for rule in example_alertmanager()["inhibit_rules"]:
        sources, targets = (
            [name for name in ALERTS if re.fullmatch(re.search(r'"(.*)"', matcher)[1], name)]
            for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        )
        for by, what in itertools.product(sources, targets):
            tried.remove((by, what, tuple(rule["equal"])))
    assert not tried


def test_an_inhibition_is_between_alerts_that_have_what_has_to_be_equal() -> None:
    """Labels that both lack are equal, too, and would inhibit across instances and roots."""
    own = {
        "DatatroveExporterDown": {"job", "instance"},
        "DatatroveScanStale": {"job", "instance", "root"},
        "DatatroveScanErrors": {"job", "instance", "root"},
        "DatatroveRootNeverScanned": {"job", "instance", "root"},
    }
    for by, what, equal in INHIBITED:
        assert {"job", "instance"} <= set(equal) & own[by] & own[what]
        assert ("root" in equal) == ("root" in own[by] & own[what])
