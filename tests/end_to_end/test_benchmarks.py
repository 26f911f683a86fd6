"""Every benchmark still runs: those that can be small make one small round, the others start."""

import os
import subprocess
import sys

import pytest
from support.paths import TESTS

SCRIPTS = {script.stem: script for script in (TESTS / "benchmarks").glob("*.py")}
SMALL = {
    # script: arguments, and what the environment says
    "alarms": (["--runs", "1"], {}),
    "noise": (["--hours", "1", "--dumps", "2"], {}),
    "pages": ([], {"BENCH_ESTATES": "2+10", "BENCH_TURNS": "1"}),
    "scan": (["homes"], {"BENCH_USERS": "2", "BENCH_USER_JOBS": "2", "BENCH_OTHERS": "2"}),
    "scrape": ([], {"BENCH_JOBS": "20"}),
    "status": ([], {"BENCH_STATUS_JOBS": "2", "BENCH_STATUS_TASKS": "3"}),
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_round_of_the_benchmark_ends_well(name: str) -> None:
    arguments, sizes = SMALL[name]
    assert ran([str(SCRIPTS[name]), *arguments], sizes) != ""


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - SMALL))
def test_the_benchmark_starts(name: str) -> None:
    """What it imports is there; a round takes long, or servers."""
    ran(["-c", "import runpy, sys; runpy.run_path(sys.argv[1])", str(SCRIPTS[name])], {})


def ran(command: list[str], sizes: dict[str, str]) -> str:
    """What Python prints when it runs this, which must end well."""
    path = os.pathsep.join([str(TESTS / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **sizes, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout
