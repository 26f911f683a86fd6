"""The Makefile's environment, with a stand-in for the Python that it is made by."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PROJECT

STAND_IN = f"""#!/bin/sh
if [ "$*" != "-m venv --clear .venv" ]; then exec {sys.executable} "$@"; fi
rm -rf .venv
mkdir -p .venv/bin
printf '#!/bin/sh\\nexec {sys.executable} "$@"\\n' >.venv/bin/python
printf '#!/bin/sh\\n' >.venv/bin/pip
chmod +x .venv/bin/*
"""
TOO_OLD = "#!/bin/sh\necho 'Python 3.11 or newer is needed' >&2; exit 1\n"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / "exporter").mkdir()
    return tmp_path


def make(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """``make .venv/bin/python`` by such a Python."""
    stand_in = script(folder / "python", python)
    command = ["make", f"PYTHON={stand_in}", ".venv/bin/python"]
    # Tests that make itself runs have its settings in their environment.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=folder, env=alone, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "answers",
    ["exit 1", "echo False", "echo \"No module named 'pip'\" >&2; exit 1"],
)
def test_an_environment_that_is_of_no_use_is_made_anew(folder: Path, answers: str) -> None:
    """One of an old Python, or whose making was interrupted; its marks go, too."""
    script(folder / ".venv" / "bin" / "python", f"#!/bin/sh\n{answers}\n")
    (folder / ".venv" / ".dev").touch()
    run = make(folder, STAND_IN)
    assert run.returncode == 0, run.stderr
    assert sys.executable in (folder / ".venv" / "bin" / "python").read_text()
    assert not (folder / ".venv" / ".dev").exists()


def test_an_environment_that_can_be_used_stays(folder: Path) -> None:
    assert make(folder, STAND_IN).returncode == 0
    (folder / ".venv" / ".dev").touch()
    run = make(folder, STAND_IN)
    assert (run.returncode, run.stdout) == (0, "make: '.venv/bin/python' is up to date.\n")
    assert (folder / ".venv" / ".dev").exists()


def test_a_python_that_is_too_old_is_told_and_makes_nothing(folder: Path) -> None:
    run = make(folder, TOO_OLD)
    assert run.returncode != 0
    assert run.stderr.startswith("Python 3.11 or newer is needed\n")
    assert not (folder / ".venv").exists()
