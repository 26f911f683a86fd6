"""Lists what is in a folder that may hold a job or lead to one. Only links cost a system call."""

import os
from dataclasses import dataclass

from exporter.datatrove.layout import EXECUTOR_FILE


@dataclass(frozen=True, slots=True)
class Entries:
    """The names of sub-folders, links to folders among them; of these `links` also where each
    really leads. `has_executor_entry`: something is called ``executor.json``."""

    subfolders: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    has_executor_entry: bool


def list_entries(folder: str) -> Entries:
    """The entries of a folder. Raises OSError."""
    subfolders: dict[str, None] = {}  # a file system may list a name twice
    links = []
    has_executor_entry = False
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == EXECUTOR_FILE:
                has_executor_entry = True
            elif _is_folder(entry):
                subfolders[entry.name] = None
                if entry.is_symlink():
                    links.append((entry.name, real_path(entry.path)))
    return Entries(tuple(subfolders), tuple(links), has_executor_entry)


def real_path(folder: str) -> str:
    """Where it really lies, without a slash at the end."""
    return os.path.realpath(folder).rstrip("/")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """The entry is a folder or a link to one. A link that leads nowhere, or round in circles,
    is no folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False
