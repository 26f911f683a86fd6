"""Commands whose output ends early: a reader that leaves, a closed stream, a full disk."""

import json
import subprocess
from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.processes import COMMAND

SHOWING = [
    "--help",
    "--version",
    "status --help",
    "status logs",
    "status logs --json",
    "status logs --missing --failed",
    "status logs --by state",
    "check-config --reach good.yaml",
]
"""Commands that print something and end with 0."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with jobs and configurations."""
    write_job(tmp_path / "logs/first", tasks=2, completed=range(1))
    (tmp_path / "good.yaml").write_text(json.dumps({"roots": [str(tmp_path / "logs")]}))
    (tmp_path / "bad.yaml").write_text(json.dumps({"roots": [str(tmp_path / "none")]}))
    return tmp_path


def ended(typed: str, where: str, here: Path) -> tuple[int, str]:
    """Exit code and standard error of a command, with its output going `where` a shell says."""
    # The pipe's reader has left when the command begins: `true` would be a race.
    line = f'exec {{pipe}}> >(:); wait $!; "$@" {where}'
    command = ["bash", "-c", line, "bash", *COMMAND, *typed.split()]
    run = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, timeout=60)
    return run.returncode, run.stderr


@pytest.mark.parametrize("where", [">&$pipe", ">&$pipe 2>&1", ">&- 2>&-"])
@pytest.mark.parametrize("typed", SHOWING)
def test_a_command_that_nobody_listens_to_ends_as_it_would_have(
    typed: str, where: str, here: Path
) -> None:
    """With ``set -o pipefail`` a script goes by what was found, not by who read it."""
    assert ended(typed, where, here) == (0, "")


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("status logs --strict", 3),
        ("status logs --fail-incomplete", 3),
        ("status bad.yaml", 1),
        ("status nowhere", 1),
        ("status --wrong", 2),
        ("check-config nowhere.yaml", 1),
        ("check-config --reach bad.yaml", 1),
        ("textfile --config.file=bad.yaml --output=a.prom", 1),
    ],
)
def test_what_fails_for_another_reason_fails(typed: str, code: int, here: Path) -> None:
    """Whoever listens."""
    assert ended(typed, ">&$pipe", here)[0] == code
    assert ended(typed, ">&$pipe 2>&1", here)[0] == code
    assert ended(typed, ">&- 2>&-", here)[0] == code


@pytest.mark.parametrize("typed", SHOWING)
def test_a_full_disk_is_said_in_one_line(typed: str, here: Path) -> None:
    said = "standard output cannot be written: No space left on device\n"
    assert ended(typed, ">/dev/full", here) == (1, said)
    assert ended(typed, ">/dev/full 2>&1", here)[0] == 1


def test_metrics_that_are_cut_short_are_a_failure(here: Path) -> None:
    """They are what was asked for, and not only looked at."""
    code, said = ended("textfile --config.file=good.yaml --output=/dev/stdout", ">&$pipe", here)
    assert (code, said) == (1, "/dev/stdout cannot be written: Broken pipe\n")
