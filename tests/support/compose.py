"""The stack of deploy/compose as docker compose itself starts it, with podman in Docker's place.

podman speaks Docker's protocol; what it lacks, `overrides` say. It has no timer for health checks
without a systemd, so they are run from here.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.containers import ENVIRONMENT, Container, podman
from support.monitoring import hurried_rules
from support.paths import PROJECT
from support.servers import running, wait_until

_COMPOSE = Path(sys.executable).with_name("docker-compose")


class Stack:
    """The stack, up. `folder` is the copy of deploy/compose that it was started from."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self.folder = folder
        self._names = names

    def service(self, name: str) -> Container:
        return Container(self._names[name])


@contextmanager
def stack(folder: Path, overrides: str, *services: str) -> Iterator[Stack]:
    """These services of a copy of deploy/compose below `folder`, whose alerts fire at once."""
    place = folder / "compose"
    for part in ("compose", "prometheus", "grafana"):
        shutil.copytree(PROJECT / "deploy" / part, folder / part)
    hurried_rules(folder / "prometheus")
    (place / "overrides.yaml").write_text(overrides)
    project = f"test-{os.urandom(4).hex()}"
    files = [f"--file={place / name}" for name in ("compose.yaml", "overrides.yaml")]
    with tempfile.TemporaryDirectory() as short:
        socket = Path(short, "podman.sock")
        service = [
            "podman",
            "--log-level=error",
            "system",
            "service",
            "--time=0",
            f"unix://{socket}",
        ]
        environment = {**ENVIRONMENT, "DOCKER_HOST": f"unix://{socket}"}

        def compose(*arguments: str) -> str:
            done = subprocess.run(
                [_COMPOSE, f"--project-name={project}", *files, *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                text=True,
                timeout=110,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        with running(service, folder / "podman.log", environment):
            wait_until(socket.exists, "podman listens")
            over = threading.Event()
            checks = threading.Thread(target=_check_health, args=(project, over))
            checks.start()
            try:
                compose("up", "--detach", "--no-build", "--pull=never", *services)
                names = {name: compose("ps", "--all", "--quiet", name).strip() for name in services}
                yield Stack(place, names)
            finally:
                over.set()
                checks.join()
                compose("down", "--volumes", "--timeout=2")


def _check_health(project: str, over: threading.Event) -> None:
    label = f"--filter=label=com.docker.compose.project={project}"
    while not over.wait(1):
        for name in podman("ps", "--quiet", label, "--filter=health=starting").stdout.split():
            podman("healthcheck", "run", name, check=False)
