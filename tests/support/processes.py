"""The exporter and Prometheus as processes, and their answers."""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.servers import HOST, free_ports, is_listening, running, wait_until

Labels = frozenset[tuple[str, str]]

# A superuser may read what nobody may read; without these two rights it may not.
_NO_SUPERUSER = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
COMMAND = [*(_NO_SUPERUSER if os.geteuid() == 0 else ()), sys.executable, "-P", "-m", "exporter"]
"""The exporter, for which file permissions hold whoever runs the tests."""


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def get(
    port: int,
    path: str,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    method: str = "GET",
) -> Answer:
    """The answer to one request; over TLS with the context of a client."""
    client = (
        http.client.HTTPConnection(HOST, port, timeout=60)
        if tls is None
        else http.client.HTTPSConnection(HOST, port, timeout=60, context=tls)
    )
    with closing(client) as connection:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())


class Page:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"twice on one page: {key}"
                self.samples[key] = sample.value

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with exactly these labels, or None."""
        return self.samples.get((name, frozenset(labels.items())))

    def having(self, **labels: str) -> dict[str, float]:
        """Samples that have (at least) these labels, by name; of many one, by chance."""
        return {
            name: value
            for (name, own), value in self.samples.items()
            if labels.items() <= dict(own).items()
        }

    def errors(self, root: str) -> dict[tuple[str, str], float]:
        """Errors of a root that were counted, by (scope, reason)."""
        return {
            (dict(own)["scope"], dict(own)["reason"]): value
            for (name, own), value in self.samples.items()
            if name == "datatrove_scan_errors_total" and ("root", root) in own and value
        }


class Exporter:
    """A running exporter."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.port = 0

    def wait_for_port(self) -> "Exporter":
        """Return once it listens. It says where, having chosen a free port itself."""

        def announced() -> re.Match[str] | None:
            assert self.process.poll() is None, self.output
            return re.search(r"msg=started .*\bport=(\d+)|\"port\": (\d+)", self.output)

        match = wait_until(announced, "the exporter starts")
        self.port = int(match[1] or match[2])
        return self

    @property
    def output(self) -> str:
        """Everything it printed so far; a line of the log comes a little after what it tells."""
        return self._log.read_bytes().decode()

    @property
    def lines(self) -> list[str]:
        """The lines of its log, split at line feeds and nowhere else."""
        return self.output.split("\n")[:-1]

    def wait_for_lines(self, text: str, count: int = 1) -> list[str]:
        """The lines of its log with this text, as soon as there are so many of them."""

        def lines_if_told() -> list[str]:
            lines = [line for line in self.lines if text in line]
            return lines if len(lines) >= count else []

        return wait_until(lines_if_told, f"{text} is told")

    def get(self, path: str, **headers: str) -> Answer:
        return get(self.port, path, {k.replace("_", "-"): v for k, v in headers.items()})

    def page(self) -> Page:
        answer = self.get("/metrics")
        assert answer.status == 200
        return Page(answer.body.decode())

    def wait_for(
        self, condition: Callable[[Page], object], what: str, *, seconds: float = 30
    ) -> Page:
        """The first page for which `condition` holds."""

        def page_if_met() -> Page | None:
            page = self.page()
            return page if condition(page) else None

        return wait_until(page_if_met, what, seconds=seconds)

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.get("/-/ready").status == 200, "every root was scanned once")

    def wait_until_told(self) -> None:
        """Return once it logged its first scan: what comes later in the log, somebody caused."""
        self.wait_for_lines("first scan done")

    def end(self, signal_number: int) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=30)


@contextmanager
def serving(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    **config: Any,
) -> Iterator[Exporter]:
    """``serve`` with this configuration, on a free port. `folder` is for its files;
    `before` are commands that run it, such as prlimit."""
    file, log = folder / "exporter.yaml", folder / "exporter.log"
    config["web"] = {"listen_address": f"{HOST}:0", **config.get("web", {})}
    file.write_text(json.dumps(config))
    command = [*before, *COMMAND, "serve", f"--config.file={file}", *options]
    with running(command, log, environment) as process:
        yield Exporter(process, log).wait_for_port()


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = f"http://{HOST}:{port}"

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series of an instant query's result."""
        answer = get(self._port, f"/api/v1/query?{urlencode({'query': promql})}")
        assert answer.status == 200, answer.body
        result = json.loads(answer.body)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def over(self, promql: str, seconds: float, step: float) -> list[dict[str, str]]:
        """Labels of each series of a query over this time until now, however short it was."""
        now = time.time()
        asked = {"query": promql, "start": now - seconds, "end": now, "step": step}
        answer = get(self._port, f"/api/v1/query_range?{urlencode(asked)}")
        assert answer.status == 200, answer.body
        return [series["metric"] for series in json.loads(answer.body)["data"]["result"]]

    def label_names(self, metric: str) -> list[str]:
        """The names of the labels that series of this metric have."""
        answer = get(self._port, f"/api/v1/labels?{urlencode({'match[]': metric})}")
        assert answer.status == 200, answer.body
        names: list[str] = json.loads(answer.body)["data"]
        return names

    def value(self, promql: str) -> float | None:
        """The value of the one series, or None if there is no series."""
        series = self.query(promql)
        assert len(series) <= 1, series
        return series[0][1] if series else None


def needs(command: str) -> str:
    """The path of a command that pip cannot install."""
    path = shutil.which(command)
    if path is None:
        pytest.fail(f"{command} is not on PATH; scripts/install-servers fetches it")
    return path


@contextmanager
def prometheus(
    folder: Path, target_port: int, more: Mapping[str, Any] | None = None, **scrape: Any
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes one exporter every second; `folder` is for its files,
    `scrape` is added to its scrape configuration, `more` beside that."""
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        **(more or {}),
        "scrape_configs": [
            {
                "job_name": "datatrove",
                "static_configs": [{"targets": [f"{HOST}:{target_port}"]}],
                **scrape,
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    command = [
        needs("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    with running(command, folder / "prometheus.log") as process:

        def has_started() -> bool:
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            return is_listening(port) and get(port, "/-/ready").status == 200

        wait_until(has_started, "Prometheus is ready")
        yield Prometheus(port)
