"""Nothing grows over thousands of scans under faults."""

import subprocess
import sys

import pytest
from support.paths import TESTS


@pytest.mark.timeout(1000)
def test_thousands_of_scans_under_faults_leave_nothing_behind() -> None:
    """Longer ones: ``make soak``."""
    script = TESTS / "benchmarks" / "soak.py"
    run = subprocess.run(
        [sys.executable, script, "10000"], capture_output=True, text=True, check=False, timeout=980
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr[-2000:]}"
