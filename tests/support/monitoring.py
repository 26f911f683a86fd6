"""The rules shipped below ``deploy/``, and Alertmanager as a process."""

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from exporter.metrics.families import JOB_FAMILIES, OVERALL_FAMILIES, ROOT_FAMILIES
from exporter.metrics.process_metrics import ProcessMetrics
from support.paths import PROJECT
from support.processes import get, needs
from support.servers import HOST, free_ports, is_listening, running, wait_until

DEPLOY = PROJECT / "deploy"
RULE_FILES = sorted((DEPLOY / "prometheus").glob("*.rules.yml"))
SCRAPE_JOB = "datatrove-exporter"
"""The scrape job that the shipped rules are written for."""


def rules() -> list[dict[str, Any]]:
    """All shipped rules, in order."""
    files = [yaml.safe_load(file.read_text()) for file in RULE_FILES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The shipped alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def exported_names() -> set[str]:
    """The names of all metrics that the exporter publishes."""
    families = (*JOB_FAMILIES, *ROOT_FAMILIES, *OVERALL_FAMILIES)
    process_metrics = ProcessMetrics()
    process_metrics.watch_workers(1, lambda: 0, lambda: 0)
    process_metrics.reached_at("https://monitor.example.org")
    text = process_metrics.render(as_openmetrics=False).decode()
    own = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    return {family.name for family in families} | own


def hurried_rules(folder: Path, seconds: Mapping[str, str] | None = None) -> list[str]:
    """Copies of the rule files whose alerts fire at once, and are over at once. Nothing
    else is changed but the numbers in `seconds`, each of which must occur."""
    files = []
    missing = set(seconds or ())
    for file in RULE_FILES:
        text = re.sub(r"^( +)for: \w+$", r"\1for: 1s", file.read_text(), flags=re.MULTILINE)
        text = re.sub(r"^ +keep_firing_for: \w+\n", "", text, flags=re.MULTILINE)
        for old, new in (seconds or {}).items():
            text, count = re.subn(rf"(?<![\w.]){old}(?![\w.])", new, text)
            if count:
                missing.discard(old)
        copy = folder / file.name
        copy.write_text(text)
        files.append(str(copy))
    assert not missing, missing
    return files


@dataclass
class Receiver:
    """An HTTP server that Alertmanager sends to. `alerts` are those received so far, each
    with the path it was sent to; `messages` are those that they came in: path, status of the
    whole, number of alerts."""

    url: str
    messages: list[tuple[str, str, int]] = field(default_factory=list)
    alerts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def named(self, name: str, **labels: str) -> list[tuple[str, dict[str, Any]]]:
        """The received alerts of this name that have these labels."""
        wanted = {"alertname": name, **labels}
        return [entry for entry in self.alerts if wanted.items() <= entry[1]["labels"].items()]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = json.loads(body)
            received.messages.append((self.path, message["status"], len(message["alerts"])))
            received.alerts += [(self.path, alert) for alert in message["alerts"]]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    received = Receiver(f"http://{HOST}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def example_alertmanager() -> dict[str, Any]:
    """The shipped example of Alertmanager's configuration."""
    file = DEPLOY / "alertmanager" / "alertmanager.example.yml"
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def hurried_alertmanager(url: str) -> dict[str, Any]:
    """The example, sending at once, to a path with the receiver's name below `url`."""
    config = example_alertmanager()
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for sender in config["receivers"]:
        sender["webhook_configs"] = [{"url": f"{url}/{sender['name']}"}]
    return config


def send_alerts(port: int, *labels: Mapping[str, str], resolved: bool = False) -> None:
    """Tell Alertmanager of these alerts, as Prometheus does."""
    ends = {"endsAt": datetime.now(UTC).isoformat()} if resolved else {}
    body = json.dumps([{"labels": each, **ends} for each in labels])
    with closing(http.client.HTTPConnection(HOST, port, timeout=30)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/v2/alerts", body=body, headers=headers)
        assert connection.getresponse().status == 200


@contextmanager
def alertmanager(folder: Path, config: Mapping[str, Any]) -> Iterator[int]:
    """Alertmanager with this configuration; its port."""
    (port,) = free_ports(1)
    file, log = folder / "alertmanager.yml", folder / "alertmanager.log"
    file.write_text(json.dumps(config))
    program = Path(needs("prometheus-alertmanager"))
    command = [
        # Unpacked, not installed, it finds its templates from there.
        *("env", f"--chdir={program.parents[2]}", program),
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, log) as process:

        def has_started() -> bool:
            assert process.poll() is None, log.read_text()
            return is_listening(port) and get(port, "/-/ready").status == 200

        wait_until(has_started, "Alertmanager is ready")
        yield port


def sending_to(port: int) -> dict[str, Any]:
    """Prometheus' configuration for this Alertmanager."""
    target = {"static_configs": [{"targets": [f"{HOST}:{port}"]}]}
    return {"alertmanagers": [target]}
