"""The compose stack, up: with images of Debian's Prometheus and Alertmanager, and without Grafana,
of which there is none to be had."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployed.compose import Stack, stack
from support.deployed.containers import IMAGE
from support.processes import Prometheus
from support.servers import wait_until
from support.told import told

RECEIVER = """
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 8000), Receiver).serve_forever()
"""
# Ports that others on this machine may have; a volume whose size podman does not limit; a tenth
# of the time; and somebody who is told.
OVERRIDES = f"""
services:
  jobs:
    image: {IMAGE}
    command: [demo, --write-only, --directory=/data/logs, --speed=2]
  exporter:
    image: {IMAGE}
    ports: !override ["127.0.0.1::10170"]
  prometheus:
    image: localhost/prom/prometheus:v3.5.0
    ports: !override ["127.0.0.1::9090"]
  alertmanager:
    image: localhost/prom/alertmanager:v0.28.1
    ports: !override ["127.0.0.1::9093"]
  receiver:
    image: {IMAGE}
    entrypoint: [python, -c, {json.dumps(RECEIVER)}]
    networks: [demo]
    healthcheck: {{disable: true}}
volumes:
  jobs:
    driver_opts: {{o: "uid=65532,gid=65532,mode=0755"}}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("compose")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    with stack(
        folder, OVERRIDES, "jobs", "exporter", "prometheus", "alertmanager", "receiver"
    ) as started:
        yield started


def replaced(file: Path, old: str, new: str) -> None:
    """Edit as editors do: another file takes its place."""
    draft = file.with_suffix(".new")
    text = file.read_text()
    assert old in text
    draft.write_text(text.replace(old, new))
    draft.rename(file)


def watching(up: Stack) -> Prometheus:
    return Prometheus(up.service("prometheus").port)


def test_every_service_is_up_and_may_do_little(up: Stack) -> None:
    for name, user in (
        ("jobs", "65532"),
        ("exporter", "65532"),
        ("prometheus", "65534"),
        ("alertmanager", "65534"),
    ):
        service = up.service(name)
        assert service.inspect("{{.State.Running}}") == "true", service.logs
        status = service.run("cat", "/proc/1/status")
        assert f"\nUid:\t{user}\t" in status, name
        assert "\nCapBnd:\t0000000000000000\n" in status, name
        assert "\nNoNewPrivs:\t1\n" in status, name
        assert service.inspect("{{.HostConfig.ReadonlyRootfs}}") == "true"
        assert service.inspect("{{.HostConfig.PidsLimit}}") == "256"
        assert service.memory_bytes == 512 << 20


def test_the_job_makers_jobs_get_to_prometheus_and_its_rules(up: Stack) -> None:
    done = "sum(root_job_name:datatrove_job_tasks_completed:max)"
    first = wait_until(lambda: watching(up).value(done), "tasks complete")
    wait_until(lambda: (watching(up).value(done) or 0) > first, "more tasks complete")
    assert watching(up).value('up{job="datatrove-exporter"}') == 1
    assert "level=error" not in up.service("prometheus").logs


def test_an_alert_gets_to_a_receiver(up: Stack) -> None:
    """Whom a changed configuration of Alertmanager names, loaded on SIGHUP."""
    hook = "receivers:\n  - name: nobody\n    webhook_configs: [{url: http://receiver:8000/}]"
    file = up.folder / "alertmanager" / "alertmanager.yaml"
    replaced(file, "receivers:\n  - name: nobody", hook)
    replaced(file, "  receiver: nobody", "  receiver: nobody\n  group_wait: 1s")
    up.service("alertmanager").signal("HUP")
    told = wait_until(
        lambda: re.findall(r'"alertname":"(\w+)"', up.service("receiver").logs), "one is told", 100
    )
    of_the_demo = ("Failed", "Unreadable", "StrayMarkers", "RanOnIncompleteUpstream")
    assert set(told) <= {f"DatatroveJob{what}" for what in of_the_demo}


def test_configurations_that_change_are_taken_up(up: Stack) -> None:
    exporter = up.service("exporter")
    replaced(up.folder / "exporter" / "config.yaml", "name: demo", "name: renamed")
    wait_until(lambda: 'root="renamed"' in exporter.get("/metrics").body.decode(), "it is loaded")
    replaced(
        up.folder / "prometheus" / "prometheus.yaml",
        "job_name: datatrove-exporter",
        "job_name: other",
    )
    (line,) = told("docker compose --file deploy/compose/compose.yaml kill")
    up.type(line)
    wait_until(lambda: watching(up).value('up{job="other"}'), "it is loaded")
