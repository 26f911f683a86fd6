"""Unpacks the archives in tests/data."""

import tarfile
from pathlib import Path

from support.paths import DATA


def unpack(name: str, folder: Path) -> Path:
    """The folder, with the archive's files and their modification times in it."""
    with tarfile.open(DATA / name) as archive:
        if hasattr(tarfile, "data_filter"):  # not in Python 3.11.3, as Debian 12 has it
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    return folder
