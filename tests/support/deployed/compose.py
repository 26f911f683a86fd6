"""The stack of deploy/compose as docker compose itself starts it, typed as deploy/README.md has it,
with podman in Docker's place.

podman speaks Docker's protocol; what it lacks, `overrides` say. It has no timer for health checks
without a systemd, so they are run from here.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from support.deployed.containers import ENVIRONMENT, Container, podman
from support.monitoring import hurried_rules
from support.paths import PROJECT
from support.servers import running, wait_until
from support.told import told

_COMPOSE = "docker compose --file deploy/compose/compose.yaml"


class Stack:
    """The stack of the checkout below `folder`, of which these services are there."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self.folder = folder / "deploy" / "compose"
        self.project = f"test-{os.urandom(4).hex()}"

    def service(self, name: str) -> Container:
        return Container(self.type(f"{_COMPOSE} ps --all --quiet {name}").strip())

    def is_up(self, name: str) -> bool:
        started = self.service(name)
        return bool(started.name) and started.inspect("{{.State.Running}}") == "true"

    def type(self, line: str) -> str:
        """What a line prints that is typed where the checkout is, and must succeed."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self._folder,
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=110,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def override(self, overrides: str, services: tuple[str, ...]) -> None:
        """Have `overrides` in the file itself, and no services but these. None is built: that
        asks for Docker's own builder."""
        (self.folder / "overrides.yaml").write_text(overrides)
        also = "--file deploy/compose/overrides.yaml"
        project = f"--project-name {self.project}"
        merged = yaml.safe_load(self.type(f"{_COMPOSE} {also} {project} config --no-interpolate"))
        merged["services"] = {
            name: {key: value for key, value in merged["services"][name].items() if key != "build"}
            for name in services
        }
        (self.folder / "compose.yaml").write_text(yaml.safe_dump(merged))


@contextmanager
def stack(folder: Path, overrides: str, *services: str) -> Iterator[Stack]:
    """These services of a copy of deploy/ below `folder`, whose alerts fire at once."""
    for part in ("compose", "prometheus", "grafana"):
        shutil.copytree(PROJECT / "deploy" / part, folder / "deploy" / part)
    hurried_rules(folder / "deploy" / "prometheus")
    with tempfile.TemporaryDirectory() as short:
        socket = Path(short, "podman.sock")
        listen = f"unix://{socket}"
        service = ["podman", "--log-level=error", "system", "service", "--time=0", listen]
        path = f"{ENVIRONMENT['PATH']}:{Path(sys.executable).parent}"
        environment = {**ENVIRONMENT, "PATH": path, "DOCKER_HOST": listen}
        with running(service, folder / "podman.log", environment):
            wait_until(socket.exists, "podman listens")
            started = Stack(folder, environment)
            started.override(overrides, services)
            (line,) = told("docker compose --file deploy/compose/compose.yaml up")
            over = threading.Event()
            checks = threading.Thread(target=_check_health, args=(started.project, over))
            checks.start()
            command = ["bash", "-c", f"cd {folder} && exec {line}"]
            try:
                with running(command, folder / "up.log", environment):
                    for name in services:
                        wait_until(lambda name=name: started.is_up(name), f"{name} is up", 110)
                    yield started
            finally:
                over.set()
                checks.join()
                started.type(f"{_COMPOSE} down --volumes --timeout=2")


def _check_health(project: str, over: threading.Event) -> None:
    label = f"--filter=label=com.docker.compose.project={project}"
    while not over.wait(1):
        for name in podman("ps", "--quiet", label, "--filter=health=starting").stdout.split():
            podman("healthcheck", "run", name, check=False)
