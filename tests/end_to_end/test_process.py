"""The exporter as a process: signals, also as process 1, and who reads its standard error."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

from support.paths import PROJECT
from support.processes import COMMAND, serving
from support.servers import running, wait_until

AS_PROCESS_1 = [
    *("unshare", "--pid", "--fork", "--kill-child"),
    *(() if os.geteuid() == 0 else ("--user", "--map-current-user")),
]


def child_of(pid: int) -> int:
    """The one child of a process."""
    children = wait_until(
        lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), "it has a child"
    )
    return int(children[0])


# --- Signals


def test_as_process_1_it_ends_by_sigterm_while_it_still_imports(tmp_path: Path) -> None:
    """The kernel throws away a signal for process 1 that has no handler for it."""
    imports = tmp_path / "imports"
    (tmp_path / "click.py").write_text(
        f"import time, pathlib; pathlib.Path({str(imports)!r}).touch(); time.sleep(60)"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    with running([*AS_PROCESS_1, *COMMAND, "serve"], tmp_path / "log", environment) as process:
        wait_until(imports.exists, "it imports")
        os.kill(child_of(process.pid), signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM


def test_as_process_1_it_stops_as_any_other_once_it_serves(root: Path, tmp_path: Path) -> None:
    with serving(tmp_path, before=AS_PROCESS_1, roots=[str(root)]) as exporter:
        os.kill(child_of(exporter.process.pid), signal.SIGTERM)
        assert exporter.process.wait(timeout=30) == 0
        assert "msg=stopping" in exporter.lines[-1]


def test_the_handler_of_process_1_is_there_before_anything_else_is_imported() -> None:
    program = (
        "import os, signal, sys; before = set(sys.modules); import exporter.__main__;"
        "print(signal.getsignal(signal.SIGTERM) is exporter.__main__._end);"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [*AS_PROCESS_1, sys.executable, "-P", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.splitlines() == ["True", "exporter exporter.__main__"]


def test_the_script_begins_where_the_handler_is_set() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"datatrove-exporter": "exporter.__main__:main"}
