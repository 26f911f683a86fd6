"""A real systemd as process 1 of a container: of the system that scripts/build-images made.

Nothing it writes stays. It has a network of its own, and no control over memory and devices where
this machine's control groups are those of Linux before 5 (cgroup v1)."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.deployed.containers import FOLDER
from support.servers import running, wait_until

UNIT = "datatrove-exporter"


class System:
    """A system that has started."""

    def __init__(self, init: int) -> None:
        self._enter = ["nsenter", f"--target={init}", "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        self._root = Path(f"/proc/{init}/root")

    def try_(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root."""
        return subprocess.run(
            [*self._enter, *command],
            input=stdin,
            env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""},
            capture_output=True,
            check=False,
            text=True,
            timeout=100,
        )

    def run(self, *command: str, stdin: str = "") -> str:
        """What a command prints that must succeed."""
        done = self.try_(*command, stdin=stdin)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def type(self, line: str) -> str:
        """What a line prints that is typed into a shell, and must succeed."""
        return self.run("sh", "-c", line)

    def write(self, path: str, text: str) -> None:
        self.run(
            "sh",
            "-c",
            'mkdir -p "$(dirname "$0")" && cat > "$0.new" && mv "$0.new" "$0"',
            path,
            stdin=text,
        )

    def add_address(self, address: str) -> None:
        """Give it an address that only it has; its network is no other's."""
        command = ["ip", "address", "add", address, "dev", "lo"]
        subprocess.run([*self._enter[:2], "--net", *command], check=True)

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", *arguments)

    def show(self, name: str) -> str:
        """A property of the exporter's unit."""
        return self.systemctl("show", "--value", f"--property={name}", UNIT).strip()

    def wait_for_state(self, state: str) -> None:
        wait_until(
            lambda: self.show("ActiveState") == state,
            f"the unit is {state}; {self.show('ActiveState')}",
            seconds=200,
        )

    def journal(self, *options: str) -> str:
        """The exporter's lines, oldest first."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--output=cat", f"--unit={UNIT}", *options)

    def get(self, path: str) -> str:
        """The body that the exporter answers with; nothing unless that is a success."""
        program = (
            "import sys, urllib.request as u;"
            "print(u.urlopen('http://127.0.0.1:10170' + sys.argv[1], timeout=10).read().decode())"
        )
        return self.try_("python3", "-c", program, path).stdout


@contextmanager
def system() -> Iterator[System]:
    """A freshly started system."""
    command = [
        "systemd-nspawn",
        "--register=no",
        "--keep-unit",
        "--boot",
        f"--directory={FOLDER / 'system'}",
        "--volatile=overlay",
        "--private-network",
    ]
    with tempfile.TemporaryDirectory() as folder, running(command, Path(folder, "log")) as nspawn:

        def init() -> int:
            assert nspawn.poll() is None, Path(folder, "log").read_text(errors="replace")
            children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
            found = [c for c in children if Path(f"/proc/{c}/comm").read_text() == "systemd\n"]
            return int(found[0]) if found else 0

        started = System(wait_until(init, "systemd is there"))
        wait_until(
            lambda: started.try_("systemctl", "is-system-running").stdout == "running\n",
            "the system runs",
            seconds=60,
        )
        try:
            yield started
        finally:
            started.try_("systemctl", "exit", "--force", "--force")
            nspawn.wait(timeout=30)
