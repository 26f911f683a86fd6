"""Settings as values: cheap to have."""

import subprocess
import sys

PROGRAM = """
import sys
from exporter.config import addresses, durations, settings, shard
print(*{"pydantic", "yaml", "click", "logging"} & sys.modules.keys())
"""


def test_settings_are_imported_without_what_reads_files() -> None:
    """``status`` of a local folder would wait for it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""
