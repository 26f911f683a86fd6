"""The exporter as a process: signals, also as process 1, and who reads its standard error."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from support.paths import PROJECT
from support.processes import COMMAND, Exporter, Page, get, serving
from support.servers import HOST, free_ports, is_listening, running, wait_until
from support.terminal import CONTROL_C, CONTROL_Z, Terminal, terminal

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
        assert "msg=stopping" in exporter.output


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


# --- Terminals


@contextmanager
def serving_on_a_terminal(root: Path, *before: str) -> Iterator[tuple[Terminal, int]]:
    """``serve`` on a terminal, and its port."""
    (port,) = free_ports(1)
    listen = f"--web.listen-address={HOST}:{port}"
    with terminal([*before, *COMMAND, "serve", listen, str(root)]) as shown:
        # nohup sends its output to a file, unless that is told otherwise.
        wait_until(lambda: is_listening(port), "it listens")
        wait_until(lambda: get(port, "/-/ready").status == 200, "it is ready")
        yield shown, port


def test_a_terminal_that_is_closed_ends_what_it_shows(root: Path) -> None:
    """Nobody would find it, and the next one would find its port taken."""
    with serving_on_a_terminal(root) as (shown, port):
        shown.close()
        assert shown.process.wait(timeout=30) == 0
        assert not is_listening(port)


def test_sighup_on_a_terminal_reloads(root: Path) -> None:
    with serving_on_a_terminal(root) as (shown, _):
        shown.process.send_signal(signal.SIGHUP)
        shown.wait_for(lambda text: "configuration loaded" in text)
        shown.press(CONTROL_C)
        assert shown.wait() == 0


IN_THE_BACKGROUND = ("bash", "-c", 'set -m; "$@" & wait', "bash")
MOVED_THERE = ("bash", "-c", 'set -m; "$@"; bg; disown; sleep 60', "bash")
"""Once it is stopped."""


def reload_by_sighup(pid: int, port: int) -> None:
    def loaded() -> float | None:
        page = Page(get(port, "/metrics").body.decode())
        return page.value("datatrove_exporter_config_last_reload_success_timestamp_seconds")

    before = loaded()
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: loaded() != before, "it is loaded anew")


@pytest.mark.parametrize("before", [("nohup",), IN_THE_BACKGROUND, MOVED_THERE])
def test_what_was_told_to_outlive_its_terminal_does(
    root: Path, before: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under nohup, or in the background of a shell that says nothing to it, also since later."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "pid"
    mark = ("bash", "-c", f'echo $$ >{own}; exec "$@"', "bash")
    with serving_on_a_terminal(root, *before, *mark) as (shown, port):
        pid = int(own.read_text())
        try:
            if before == MOVED_THERE:
                shown.press(CONTROL_Z)
                shown.wait_for(lambda text: re.search(r"\[1\]\+ .* &", text))
            reload_by_sighup(pid, port)  # so it knows of all signals before
            shown.close()
            reload_by_sighup(pid, port)
        finally:
            os.kill(pid, signal.SIGKILL)


# --- Standard error that nobody reads


@contextmanager
def serving_into_a_full_pipe(folder: Path, root: Path) -> Iterator[tuple[Exporter, int]]:
    """``serve`` whose standard error is a pipe that takes nothing more, and that pipe's end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    os.set_blocking(writer, True)
    (port,) = free_ports(1)
    config = {"roots": [{"url": str(root), "name": "r"}], "scan": {"interval": "1s"}}
    (folder / "exporter.yaml").write_text(json.dumps(config))
    into_pipe = ["sh", "-c", f'exec "$@" 2>/proc/{os.getpid()}/fd/{writer}', "sh"]
    options = [f"--config.file={folder / 'exporter.yaml'}", f"--web.listen-address={HOST}:{port}"]
    with running([*into_pipe, *COMMAND, "serve", *options], folder / "log") as process:
        exporter = Exporter(process, folder / "log")
        exporter.port = port
        wait_until(lambda: is_listening(port), "it listens")
        os.close(writer)
        yield exporter, reader
    os.close(reader)


def test_a_full_pipe_stops_neither_scans_nor_the_first_sigterm(
    tmp_path: Path, root: Path, make_job: Callable[..., Path]
) -> None:
    job = make_job("j", tasks=3, completed=[0])

    def has_completed(tasks: int, page: Page) -> bool:
        found = page.value("datatrove_job_tasks_completed", root="r", job_name="j")
        return found == tasks

    with serving_into_a_full_pipe(tmp_path, root) as (exporter, _):
        for done in (1, 2):
            exporter.wait_for(
                partial(has_completed, done),
                "what is there is counted",
            )
            (make_job("bad", tasks=1) / "executor.json").write_text("{")  # which it logs
            (job / "completions" / "00001").touch()
        assert exporter.get("/-/healthy").status == 200
        assert exporter.end(signal.SIGTERM) == 0


def test_what_waited_in_a_full_pipe_is_read_once_somebody_reads(tmp_path: Path, root: Path) -> None:
    with serving_into_a_full_pipe(tmp_path, root) as (exporter, reader):
        exporter.wait_until_ready()
        read = b""
        while b"msg=started" not in read:
            read += os.read(reader, 4096)
        exporter.process.send_signal(signal.SIGTERM)
        while data := os.read(reader, 4096):
            read += data
        lines = read.lstrip(b"x").decode().splitlines()
        assert lines[0].startswith("ts=")
        assert lines[-1].endswith("msg=stopping")
        assert exporter.process.wait(timeout=30) == 0


# --- The journal


def test_on_the_journal_lines_have_priorities(tmp_path: Path, root: Path) -> None:
    """Standard error is the journal where JOURNAL_STREAM names its device and inode."""
    (tmp_path / "log").touch()
    config = tmp_path / "config.yaml"
    config.write_text("roots: [gone]\nscan: {interval: 1s}\n")
    found = (tmp_path / "log").stat()
    command = [*COMMAND, "serve", f"--config.file={config}", f"--web.listen-address={HOST}:0"]
    journal = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    with running(command, tmp_path / "log", journal) as process:
        exporter = Exporter(process, tmp_path / "log").wait_for_port()
        exporter.wait_for_lines("level=warn")
        assert exporter.end(signal.SIGTERM) == 0
    numbers = {"info": "6", "warn": "4", "error": "3"}
    for line in exporter.lines:
        match = re.fullmatch(r"<(\d)>ts=\S+ level=(\w+) .*", line)
        assert match is not None, line
        assert match[1] == numbers[match[2]]
    config.write_text("roots: []\nscan: {intervall: 1s}\n")
    with running(command, tmp_path / "log", journal) as process:
        assert process.wait(timeout=30) == 1
    assert all(line.startswith(f"<3>{config}:") for line in exporter.lines)
    assert len(exporter.lines) == 2


@pytest.mark.parametrize("journal", ["", "1:1", "8", "x:y"])
def test_elsewhere_lines_have_none(tmp_path: Path, journal: str) -> None:
    """As where standard error is redirected, though the service's was the journal."""
    with running(
        [*COMMAND, "serve", "--config.file=gone"], tmp_path / "log", {"JOURNAL_STREAM": journal}
    ) as process:
        assert process.wait(timeout=30) == 1
    assert (tmp_path / "log").read_text().startswith("gone: cannot be read")
