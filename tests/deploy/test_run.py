"""The ways to run it, each read by the tool that will read it: Helm, kubectl, compose,
systemd, jsonnet; and what they start is a command that exists."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import _gojsonnet
import helm_python
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor
from support.deployed.manifests import (
    CHART,
    DEPLOY,
    Documents,
    kustomize,
    of_kind,
    render,
    workload,
)
from support.jobs.folders import write_job
from support.paths import PROJECT
from support.processes import needs

from exporter.cli import main
from exporter.commands.targets import load_config

BIN = Path(sys.executable).parent

RULES = sorted((DEPLOY / "prometheus").glob("*.rules.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
VALUES = [CHART / "values.yaml", *sorted((CHART / "ci").glob("*-values.yaml"))]
MANIFESTS = [DEPLOY / "kubernetes" / "base", *sorted((DEPLOY / "kubernetes/overlays").iterdir())]
OPERATOR_KINDS = {"ServiceMonitor": ServiceMonitor, "PrometheusRule": PrometheusRule}


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed; with `environment` nothing else is in it."""
    result = subprocess.run(
        [str(part) for part in command],
        env=environment or None,
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def rule_groups() -> list[Any]:
    return [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]


def single_spaced(groups: list[Any]) -> Any:
    return json.loads(re.sub(r"(\\n| )+", " ", json.dumps(groups)).replace(' "', '"'))


def check_command(arguments: list[str]) -> dict[str, Any]:
    """What the command line means; it is wrong usage if it means nothing."""
    command, *options = arguments
    return main.commands[command].make_context(command, options).params


def check_documents(documents: Documents) -> None:
    """Against the schemas of Kubernetes and of the Prometheus operator, with no key that
    they do not know."""
    for document in documents:
        model = OPERATOR_KINDS.get(document["kind"])
        if model is None:
            kubernetes_validate.validate(document, "1.37.0", strict=True)
        else:
            read = model.model_validate(document)
            assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == document


def container(documents: Documents) -> dict[str, Any]:
    (found,) = workload(documents)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def check_workload(documents: Documents) -> None:
    """It may do nothing but read, its selectors find it, and its command exists."""
    pod = workload(documents)["spec"]["template"]
    inside = container(documents)
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert inside["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(mount["readOnly"] for mount in inside["volumeMounts"])
    assert {mount["name"] for mount in inside["volumeMounts"]} == {
        volume["name"] for volume in pod["spec"]["volumes"]
    }
    name = workload(documents)["metadata"]["name"]
    check_command([part.replace("$(POD_NAME)", f"{name}-2") for part in inside["args"]])

    def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
        return bool(selector) and selector.items() <= labels.items()

    labels = pod["metadata"]["labels"]
    (service,) = of_kind(documents, "Service")
    assert selects(workload(documents)["spec"]["selector"]["matchLabels"], labels)
    assert selects(service["spec"]["selector"], labels)
    for policy in of_kind(documents, "NetworkPolicy"):
        assert selects(policy["spec"]["podSelector"]["matchLabels"], labels)
    for monitor in of_kind(documents, "ServiceMonitor"):
        assert selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "datatrove-exporter"


def test_copies_of_rules_and_dashboards_are_what_they_are_copies_of() -> None:
    path = str(PROJECT / "scripts" / "copy-rules")
    spec = importlib.util.spec_from_loader("copy_rules", SourceFileLoader("copy_rules", path))
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    copies = script.copies()
    assert len(copies) == len(RULES) + 2 * len(DASHBOARDS) + 1
    for file, text in copies.items():
        assert file.read_text() == text, f"{file} is out of date: run scripts/copy-rules"
    assert set((CHART / "files").iterdir()) <= set(copies)


# --- Helm


@pytest.fixture(params=VALUES, ids=lambda file: file.stem)
def values(request: pytest.FixtureRequest) -> Any:
    file: Path = request.param
    return {} if file.name == "values.yaml" else yaml.safe_load(file.read_text())


def test_helm_lints_and_renders_what_kubernetes_takes(values: dict[str, Any]) -> None:
    report = helm_python.lint(str(CHART), values, strict=True)
    assert not report["errors"]
    assert all(message["severity"] < 2 for message in report["messages"])
    documents, _ = render(values)
    check_documents(documents)
    check_workload(documents)
    assert all(d["metadata"]["namespace"] == "monitoring" for d in documents)


def test_the_chart_holds_the_rules_and_dashboards() -> None:
    documents, _ = render(yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text()))
    (rule,) = of_kind(documents, "PrometheusRule")
    assert rule["spec"]["groups"] == rule_groups()
    shown = [d for d in of_kind(documents, "ConfigMap") if "grafana_dashboard" in str(d)]
    assert [json.loads(text) for d in shown for text in d["data"].values()] == [
        json.loads(file.read_text()) for file in DASHBOARDS
    ]


def test_the_charts_configuration_is_one(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = [d for d in of_kind(render(values)[0], "ConfigMap") if "config.yaml" in d["data"]]
    assert len(maps) == (0 if "existingConfigSecret" in values else 1)
    secret = tmp_path / "secret"
    secret.write_text("s")
    monkeypatch.setenv("S3_KEY", "k")
    for found in maps:
        text = found["data"]["config.yaml"].replace("/run/secrets/s3-keys/secret", str(secret))
        (tmp_path / "config.yaml").write_text(text)
        assert load_config(str(tmp_path / "config.yaml")).roots


def test_shards_are_pods_that_know_their_number() -> None:
    documents, notes = render({"shards": 3})
    assert workload(documents)["kind"] == "StatefulSet"
    assert workload(documents)["spec"]["replicas"] == 3
    (option,) = (part for part in container(documents)["args"] if "--shard" in part)
    assert option == "--shard=$(POD_NAME)/3"
    assert "3 exporters share the jobs" in notes
    assert workload(render({})[0])["kind"] == "Deployment"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"config": {"roots": []}}, "roots"),
        ({"shards": 0}, "shards"),
        ({"imge": {}}, "imge"),
        ({"serviceMonitor": {"interval": "often"}}, "interval"),
        ({"jobFolders": [{"mountPath": "/data/logs"}]}, "volume"),
        (
            {"jobFolders": [{"mountPath": "/a", "volume": {"name": "a", "emptyDir": {}}}]},
            "jobFolders[0].volume: expected one source and no name",
        ),
        ({"shards": 2, "replicas": 2}, "replicas: each shard has one pod"),
    ],
)
def test_wrong_values_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(named)):
        render(wrong)


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("/data/logs", True),
        ({"url": "/data/logs/below"}, True),
        ("s3://b/logs", True),
        ("/data/logs2", False),
        ({"url": "/plain"}, False),
    ],
)
def test_a_local_root_without_a_volume_is_pointed_out(root: Any, found: bool) -> None:
    mounted = [{"mountPath": path, "volume": {"emptyDir": {}}} for path in ("/a", "/data/logs/")]
    notes = render({"config": {"roots": [root]}, "jobFolders": mounted})[1]
    assert ("is a local folder, but jobFolders mounts none there" not in notes) is found
    assert "/data/logs is a local folder" in render({})[1]


def test_a_web_configuration_that_probes_may_not_know_is_pointed_out() -> None:
    secret = {"web": {"existingSecret": "web"}}
    assert "say so in probes" in render(secret)[1]
    assert "say so in probes" not in render({**secret, "probes": {"scheme": "HTTPS"}})[1]


def test_the_schema_knows_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def check(schema: dict[str, Any], values: dict[str, Any], path: str) -> None:
        for key, value in values.items():
            assert key in schema["properties"], f"{path}{key}"
            if isinstance(value, dict) and schema["properties"][key].get("properties"):
                check(schema["properties"][key], value, f"{path}{key}.")

    check(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")


# --- Manifests


@pytest.mark.parametrize("folder", MANIFESTS, ids=lambda folder: folder.name)
def test_kubectl_builds_what_kubernetes_takes(folder: Path) -> None:
    documents = kustomize(folder)
    check_documents(documents)
    check_workload(documents)


def test_the_operators_manifests_hold_the_rules_and_dashboards() -> None:
    documents = kustomize(DEPLOY / "kubernetes" / "overlays" / "operator")
    (rule,) = of_kind(documents, "PrometheusRule")
    # kustomize writes folded text with other line breaks, which PromQL does not mind.
    assert single_spaced(rule["spec"]["groups"]) == single_spaced(rule_groups())
    (shown,) = (d for d in of_kind(documents, "ConfigMap") if "dashboards" in d["metadata"]["name"])
    assert sorted(shown["data"].values()) == sorted(file.read_text() for file in DASHBOARDS)


def test_the_readmes_examples_name_the_image_the_roots_and_the_claim(tmp_path: Path) -> None:
    """Each as it stands there, in a folder beside deploy/."""
    values, overlay = re.findall(
        r"```yaml\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL
    )
    place = tmp_path / "my-exporter"
    place.mkdir()
    (place / "kustomization.yaml").write_text(overlay)
    (place / "config.yaml").write_text("roots: [/data/logs]\n")
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "deploy" / "kubernetes")
    for documents in (kustomize(place), render(yaml.safe_load(values))[0]):
        check_documents(documents)
        check_workload(documents)
        assert container(documents)["image"] == "registry.example.org/datatrove-exporter:0.1.0"
        (config,) = of_kind(documents, "ConfigMap")
        assert yaml.safe_load(config["data"]["config.yaml"])["roots"] == ["/data/logs"]
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in workload(documents)["spec"]["template"]["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert claims == ["pipelines"]


def test_manifests_of_shards_name_one_number() -> None:
    documents = kustomize(DEPLOY / "kubernetes" / "overlays" / "sharded")
    shards = workload(documents)["spec"]["replicas"]
    assert f"--shard=$(POD_NAME)/{shards}" in container(documents)["args"]


# --- Compose


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    file = DEPLOY / "compose" / "compose.yaml"
    result = run(BIN / "docker-compose", "-f", file, "config", "--format=json")
    found = json.loads(result.stdout)["services"]
    assert isinstance(found, dict)
    return found


def test_services_are_reached_from_this_machine_only_and_may_do_little(
    services: dict[str, dict[str, Any]],
) -> None:
    assert set(services) == {"jobs", "exporter", "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service["user"].startswith("0:"), name


def test_what_services_mount_is_there_and_read_only(services: dict[str, dict[str, Any]]) -> None:
    binds = [v for s in services.values() for v in s["volumes"] if v["type"] == "bind"]
    assert len(binds) >= 5
    for bind in binds:
        assert Path(bind["source"]).exists(), bind["source"]
        assert bind["read_only"]
    (jobs,) = (v for v in services["exporter"]["volumes"] if v["source"] == "jobs")
    assert jobs["read_only"]


def test_the_stacks_commands_and_configurations_are_good(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    for name in ("jobs", "exporter"):
        check_command(services[name]["command"])
    stack = DEPLOY / "compose"
    assert load_config(str(stack / "exporter" / "config.yaml")).roots[0].name == "demo"
    config = tmp_path / "prometheus.yaml"
    text = (stack / "prometheus" / "prometheus.yaml").read_text()
    config.write_text(text.replace("/etc/datatrove-rules", str(DEPLOY / "prometheus")))
    checked = run(needs("promtool"), "check", "config", config).stdout
    assert f"{len(RULES)} rule files found" in checked
    run(needs("amtool"), "check-config", stack / "alertmanager" / "alertmanager.yaml")


# --- systemd and cron


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the program where it is here."""
    text = (DEPLOY / "systemd" / "datatrove-exporter.service").read_text()
    file = tmp_path / "datatrove-exporter.service"
    file.write_text(text.replace("/opt/datatrove-exporter/bin", str(BIN)))
    return file


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    assert not run(needs("systemd-analyze"), "verify", "--man=no", unit).stderr


def test_the_unit_is_exposed_to_little(unit: Path) -> None:
    """2.0 of 10 at most; what remains is that it opens sockets and reads job folders."""
    run(needs("systemd-analyze"), "security", "--offline=true", "--threshold=20", unit)


def test_the_unit_starts_a_command_that_exists(unit: Path) -> None:
    start = re.search(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert start is not None
    program, *arguments = shlex.split(start[1])
    assert Path(program).exists()
    defaults = (DEPLOY / "systemd" / "datatrove-exporter.default").read_text()
    options = re.findall(r"^#?ARGS=(.*)$", defaults, re.MULTILINE)
    assert len(options) == 2
    for option in options:
        check_command([*(a for a in arguments if a != "$ARGS"), *shlex.split(option)])


def test_a_reload_of_a_file_with_mistakes_fails_before_the_signal_is_sent(
    unit: Path, tmp_path: Path
) -> None:
    (reload,) = re.findall(r"^ExecReload=(.*)$", unit.read_text(), re.MULTILINE)
    config = tmp_path / "config.yaml"
    command = shlex.split(reload.replace("/etc/datatrove-exporter/config.yaml", str(config)))
    for text, signalled, says in (
        ("roots: [.]\n", True, ""),
        ("roots: []\n", False, f"{config}:1: roots: must not be empty\n"),
    ):
        config.write_text(text)
        with subprocess.Popen(["sleep", "60"]) as exporter:
            checked = subprocess.run(
                command,
                env={**os.environ, "MAINPID": str(exporter.pid)},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            exporter.terminate()
        assert (checked.returncode == 0, checked.stdout, checked.stderr) == (signalled, "", says)
        assert exporter.returncode == -(signal.SIGHUP if signalled else signal.SIGTERM)


def test_the_cron_line_writes_metrics(tmp_path: Path) -> None:
    (line,) = (
        line
        for line in (DEPLOY / "slurm" / "datatrove-exporter.crontab").read_text().splitlines()
        if not line.startswith("#")
    )
    command = line.split(maxsplit=5)[5].replace("/var/lib/node_exporter/textfile", "$HOME")
    write_job(tmp_path / "logs" / "job", tasks=3, completed=[0])
    (tmp_path / "datatrove-exporter.yaml").write_text("roots: [logs]\n")
    program = tmp_path / ".local" / "bin" / "datatrove-exporter"
    program.parent.mkdir(parents=True)
    program.symlink_to(BIN / "datatrove-exporter")
    run("/bin/sh", "-c", command, HOME=str(tmp_path), PATH="/usr/bin:/bin")
    assert "datatrove_job_tasks_completed{" in (tmp_path / "datatrove.prom").read_text()


# --- Mixin


def evaluate(mixin: str) -> dict[str, Any]:
    snippet = f"""
    local m = {mixin};
    {{ alerts: m.prometheusAlerts, rules: m.prometheusRules, dashboards: m.grafanaDashboards }}
    """
    result = json.loads(_gojsonnet.evaluate_snippet("test", snippet, jpathdir=[str(PROJECT)]))
    assert isinstance(result, dict)
    return result


def test_the_mixin_is_the_rules_and_dashboards() -> None:
    mixin = evaluate("import 'deploy/mixin/mixin.libsonnet'")
    assert [*mixin["alerts"]["groups"], *mixin["rules"]["groups"]] == rule_groups()
    assert mixin["dashboards"] == {
        f"datatrove-{file.name}": json.loads(file.read_text()) for file in DASHBOARDS
    }


def test_a_mixin_for_another_scrape_job_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```jsonnet\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
    mixin = evaluate(example)
    text = json.dumps(mixin["alerts"])
    assert '\\"datatrove-exporter\\"' not in text
    assert '\\"pipelines\\"' in text
    for group in mixin["alerts"]["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["runbook_url"] == f"https://wiki.example.org/{rule['alert']}"
    for name in ("alerts", "rules"):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(mixin[name]))
        run(needs("promtool"), "check", "rules", file)
