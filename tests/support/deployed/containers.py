"""Real containers of the images that scripts/build-images built, by Debian's podman."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.paths import CACHE
from support.processes import Answer, Page, get
from support.servers import is_listening, wait_until

FOLDER = CACHE / "containers"
ENVIRONMENT = {
    "CONTAINERS_STORAGE_CONF": str(FOLDER / "storage.conf"),
    "CONTAINERS_CONF": str(FOLDER / "containers.conf"),
    "PATH": f"{FOLDER / 'bin'}:{os.environ['PATH']}",
}
IMAGE = "localhost/datatrove-exporter:demo"
BARE_IMAGE = "localhost/datatrove-exporter:bare"
"""Without the extras."""
CONFIG = "/etc/datatrove-exporter"
HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",  # which docker does not have, either
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
"""As deploy/README.md has it, and without a /tmp."""


def podman(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """What one of podman's commands prints; it must succeed, if not told otherwise."""
    done = subprocess.run(
        ["podman", "--log-level=fatal", *map(str, arguments)],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done


class Container:
    """A container that runs, or ran."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str) -> str:
        """What a command prints that is run in it, as its user."""
        return podman("exec", self.name, *command).stdout

    def signal(self, name: str) -> None:
        podman("kill", f"--signal={name}", self.name)

    def stop(self) -> int:
        """Ask it to end (SIGTERM; after 10 seconds SIGKILL). Its exit code."""
        podman("stop", self.name)
        return int(self.inspect("{{.State.ExitCode}}"))

    def wait(self) -> int:
        """The exit code of one that ends by itself."""
        return int(podman("wait", self.name).stdout)

    def inspect(self, what: str) -> str:
        return podman("inspect", f"--format={what}", self.name).stdout.strip()

    @property
    def memory_bytes(self) -> int:
        """How much memory it may have, as the kernel holds it to."""
        group = "/sys/fs/cgroup"
        read = f"cat {group}/memory.max 2>&- || cat {group}/memory/memory.limit_in_bytes"
        return int(self.run("sh", "-c", read))

    def is_healthy(self) -> bool:
        """Run the image's HEALTHCHECK now, as Docker does every 30 seconds."""
        return podman("healthcheck", "run", self.name, check=False).returncode == 0

    @property
    def logs(self) -> str:
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    @property
    def port(self) -> int:
        """Where the published port is found on this machine."""
        return int(podman("port", self.name).stdout.split("\n")[0].rpartition(":")[2])

    def get(self, path: str) -> Answer:
        return get(self.port, path)

    def page(self) -> Page:
        return Page(self.get("/metrics").body.decode())

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.inspect("{{.State.Running}}") == "true", self.logs
            port = self.port
            try:
                return is_listening(port) and get(port, "/-/ready").status == 200
            except OSError:  # the port is podman's until the exporter takes it
                return False

        wait_until(is_ready, "the exporter in the container is ready")


@contextmanager
def container(*arguments: str | Path, image: str = IMAGE, **options: str) -> Iterator[Container]:
    """A hardened container, removed at the end; `arguments` for the program in it come after
    ``--``, before it podman's. More of podman's in `options`, by name."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = ["run", "--detach", *HARDENED, *given, *arguments[:split], image]
    started = Container(podman(*command, *arguments[split + 1 :]).stdout.strip())
    try:
        yield started
    finally:
        podman("rm", "--force", "--time=0", "--volumes", started.name, check=False)


def write_config(folder: Path, config: object, name: str = "config.yaml") -> None:
    """Write a configuration as editors do and ConfigMaps come: the new file takes the old
    one's place."""
    draft = folder / f".{name}.new"
    draft.write_text(json.dumps(config))
    draft.chmod(0o644)
    draft.rename(folder / name)
