"""What the tests' own set-up promises."""

import subprocess
import sys

from support.paths import PROJECT


def test_processes_of_tests_can_be_interrupted_where_the_tests_themselves_cannot() -> None:
    """As under nohup, or in the background of a shell: what is ignored is inherited."""
    program = (
        "import os, signal, subprocess; import conftest;"
        "os.kill(os.getpid(), signal.SIGINT);"
        "print([-subprocess.run(['sh', '-c', f'kill -{n} $$; exit 0']).returncode for n in (1, 2)])"
    )
    ignoring = ["sh", "-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh"]
    run = subprocess.run(
        [*ignoring, sys.executable, "-c", program],
        cwd=PROJECT / "tests",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout == "[1, 2]\n"
