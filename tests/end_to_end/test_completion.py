"""Completion of the command line in a real bash, with what click brings along."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.terminal import Terminal, terminal
from support.told import told

NAME = "datatrove-exporter"
(IN_BASH,) = (line for line in told("eval ") if "bash_source" in line)


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A shell as an operator has it once the line of the documentation is in its start-up file."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "somewhere").mkdir()
    command = folder / "datatrove-exporter"
    code = "import sys; sys.argv[0] = 'datatrove-exporter'; from exporter.__main__ import main; "
    command.write_text(f"#!{sys.executable}\n{code}main()\n")
    command.chmod(0o755)
    shell = ["bash", "--noprofile", "--norc", "-i"]
    with terminal(shell, columns=200) as drawn:
        start = f'PATH={folder}:$PATH; cd {folder}; bind "set bell-style none"; {IN_BASH}'
        drawn.press(f"{start}; echo is' 'ready\n".encode())
        drawn.wait_for(lambda text: "is ready" in text)
        yield drawn


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("datatrove-exporter sta", "datatrove-exporter status "),
        ("datatrove-exporter status --wat", "datatrove-exporter status --watch "),
        ("datatrove-exporter status --sort rem", "--sort remaining "),
        ("datatrove-exporter status --state stal", "--state stalled "),
        ("datatrove-exporter status --by ite", "--by item "),
        ("datatrove-exporter status some", "datatrove-exporter status somewhere/"),
        ("datatrove-exporter serve --config.file some", "--config.file somewhere/"),
    ],
)
def test_a_word_is_completed(bash: Terminal, typed: str, completed: str) -> None:
    before = len(bash.text)
    bash.press(f"{typed}\t".encode())
    bash.wait_for(lambda text: completed in text[before:])
    bash.press(b"\x15")  # the line is erased


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed_by_the_command(shell: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"from exporter.cli import main; main(prog_name='{NAME}')"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path),
             "_DATATROVE_EXPORTER_COMPLETE": f"{shell}_source"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert f"{shell}_complete" in run.stdout
    assert "datatrove-exporter" in run.stdout
    if (found := shutil.which(shell)) is not None:
        subprocess.run([found, "-n"], input=run.stdout, text=True, check=True, timeout=60)
