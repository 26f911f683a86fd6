"""An archive of job folders that real datatrove runs left, and the truth about each."""

import json
from pathlib import Path

from support.jobs import archives
from support.paths import DATA

TRUTH: dict[str, dict] = json.loads((DATA / "truth.json").read_text())
READABLE = [name for name, truth in TRUTH.items() if truth["world_size"] is not None]
UNREADABLE = [name for name in TRUTH if name not in READABLE]
COMPLETE = [name for name in READABLE if TRUTH[name]["complete"]]

KINDS = {"hf_jobs": "jobs"}
"""Kinds of executor that the archive calls by another word than the exporter."""


def unpack(folder: Path) -> Path:
    """The archive's job folders, with their modification times."""
    return archives.unpack("real_jobs.tar.gz", folder)
