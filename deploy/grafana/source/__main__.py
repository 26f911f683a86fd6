"""Writes the Grafana dashboards, ``dashboards/*.json``, as they are described here.

``make dashboards`` runs it: ``python source [FOLDER]``. The written files are committed, and a test
compares them. They show what the recording rules record.
"""

import json
import sys
from pathlib import Path
from typing import Any

from exporters import exporters
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from job import job
from overview import overview
from stage import stage

FOLDER = Path(__file__).parent.parent / "dashboards"

BOARDS = {
    "overview.json": overview,
    "stage.json": stage,
    "job.json": job,
    "exporter.json": exporters,
}


def encode(built: dashboard.Dashboard) -> str:
    """The dashboard as committed."""
    content: dict[str, Any] = json.loads(JSONEncoder().encode(built.build()))
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write all files, into another folder if one is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, build in BOARDS.items():
        (folder / name).write_text(encode(build()))


if __name__ == "__main__":
    main()
