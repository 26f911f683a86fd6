"""Decides which folders below a root to visit, and which of them are wanted jobs.

Pure decisions on names. A job is a folder that holds a regular file ``executor.json``. Jobs
may lie inside jobs, but not inside the folders that datatrove itself fills. A folder reached
through a symbolic link counts under the name it was reached by; a link back to a folder on
the way to itself is not followed. Numbers of devices and inodes do not tell which folders are
the same: mounts that show several file systems have some twice (openzfs #14932, kata #3507,
mergerfs #692), so where a link leads is told by its path. A loop made of bind mounts ends at
`max_depth`.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from exporter.config import folders
from exporter.config.settings import RootConfig
from exporter.datatrove.layout import INNER_FOLDERS, display_name, path_of
from exporter.storage.base import Folder, Path


def job_name(path: Path) -> str:
    """The `job_name` of the job folder at `path` (relative to its root). The root itself is
    ``.``; an object store may have a folder of that name as well."""
    if path == (".",):
        return r"\x2e"
    return display_name("/".join(path)) if path else "."


def number_of(path: Path) -> int:
    """A fixed number below 2**32 for each folder, by which folders take turns."""
    return zlib.crc32("/".join(path).encode("utf-8", "surrogateescape"))


def jitter(path: Path) -> float:
    """A fixed number from 0 to 1 for each folder. What is due once per interval is first due
    after this part of the interval, so never for all folders at once."""
    return number_of(path) / 2**32


def is_at_or_below(path: Path, folder: Path) -> bool:
    """It is that folder, or lies in it, however deep."""
    return path[: len(folder)] == folder


def _names_in(job_name: str) -> list[str]:
    """Names of the folders that a `job_name` is made of."""
    return [] if job_name == "." else job_name.split("/")


def _names(path: Path) -> list[str]:
    return _names_in(job_name(path))


def is_wanted(name: str, config: RootConfig) -> bool:
    """A job of this name is to be read."""
    return passes_filters(name, config) and config.shard.owns(config.name, name)


def is_elsewhere(name: str, config: RootConfig) -> bool:
    """A job of this name is there, and left to other shards or not asked for. One that is left
    out by prefix or patterns of the configuration is nobody's."""
    is_whole = config.shard.count == 1 and not config.asked_prefix
    return not is_whole and _is_configured(name, config) and not is_wanted(name, config)


def passes_filters(name: str, config: RootConfig) -> bool:
    """Neither prefix nor patterns leave out a job of this name. Patterns are shell globs on the
    whole `job_name`, in which ``*`` also matches ``/``."""
    return name.startswith(config.asked_prefix) and _is_configured(name, config)


def _is_configured(name: str, config: RootConfig) -> bool:
    return (
        name.startswith(config.prefix)
        and (not config.folders or folders.fits(_names_in(name), config.folders))
        and (not config.include or any(fnmatchcase(name, glob) for glob in config.include))
        and not any(fnmatchcase(name, glob) for glob in config.exclude)
    )


def _may_hold_wanted(path: Path, config: RootConfig) -> bool:
    """The folder, or one below it, can have a name with the prefix, and one that `folders` name."""
    if config.prefix and not _leads_to(config.prefix, job_name(path)):
        return False
    return not config.folders or folders.leads_to(_names(path), config.folders)


def _leads_to(prefix: str, name: str) -> bool:
    """Names of jobs in this folder or below it may begin so."""
    return name.startswith(prefix) or prefix.startswith(name + "/")


def may_be_or_hold_wanted(path: Path, config: RootConfig) -> bool:
    """There can be a job to read in this folder or below it, for all that its name tells. What
    `exclude` names is left alone with all that it holds."""
    name = job_name(path)
    if is_wanted(name, config):
        return True
    is_excluded = any(fnmatchcase(name, glob) for glob in config.exclude)
    is_deepest = len(path) >= config.max_depth
    may_hold = _may_hold_wanted(path, config) and _leads_to(config.asked_prefix, name)
    return not is_excluded and not is_deepest and may_hold


def count_pruned(path: Path, folder: Folder, config: RootConfig) -> int:
    """How many folders in this one are not visited because of their names."""
    return sum(not _may_hold_wanted((*path, name), config) for name in folder.subfolders)


@dataclass(frozen=True, slots=True)
class FolderToVisit:
    """A folder that was seen and not yet listed. `real_path` is where it really lies, None for
    the root and where no links are known of; `ancestors` are those of the folders above it. One
    that `is_assumed` was not seen: `folders` say that it may be there."""

    path: Path
    real_path: str | None = None
    ancestors: frozenset[str] = frozenset()
    is_assumed: bool = False


def folders_below(
    target: FolderToVisit, folder: Folder, config: RootConfig
) -> Sequence[FolderToVisit]:
    """The folders to visit next, given the listing of the target."""
    if len(target.path) >= config.max_depth:
        return ()
    return list(_below(target, folder, config))


def is_unsearched(target: FolderToVisit, folder: Folder, config: RootConfig) -> bool:
    """The target holds folders that would be visited if it did not lie at the greatest depth."""
    return len(target.path) >= config.max_depth and any(_below(target, folder, config))


def _below(target: FolderToVisit, folder: Folder, config: RootConfig) -> Iterator[FolderToVisit]:
    place, ancestors = target.real_path if target.path else folder.real_path, target.ancestors
    if place is not None:
        ancestors = ancestors | {place}
    links = dict(folder.links)
    is_listed = wants_subfolders(target.path, config) or len(target.path) >= config.max_depth
    for name in folder.subfolders if is_listed else _literals_below(target.path, config):
        if folder.has_executor_file and name in INNER_FOLDERS:
            continue
        path = (*target.path, name)
        inner = None if place is None else links.get(name, f"{place}/{name}")
        if inner in ancestors or not _may_hold_wanted(path, config):
            continue
        if not config.folders:
            yield FolderToVisit(path, inner, ancestors)
            continue
        for below in _places_at(path, config):
            real = None if inner is None else "/".join((inner, *below[len(path) :]))
            is_assumed = not is_listed or below != path
            if _may_hold_wanted(below, config):
                yield FolderToVisit(below, real, ancestors, is_assumed=is_assumed)


def wants_subfolders(path: Path, config: RootConfig) -> bool:
    """To know which folders below this one to visit, its listing is needed."""
    return not config.folders or folders.needs_listing(_names(path), config.folders)


def is_nobodys(path: Path, config: RootConfig) -> bool:
    """That this folder cannot be read is no error: a wildcard of `folders` found it."""
    return bool(config.folders) and folders.is_below_wildcard(_names(path), config.folders)


def _literals_below(path: Path, config: RootConfig) -> list[str]:
    return [path_of(name)[0] for name in folders.literals_below(_names(path), config.folders)]


def _places_at(path: Path, config: RootConfig) -> Iterator[Path]:
    """The folders to visit at this one or below it."""
    for way in folders.places(_names(path), config.folders, config.max_depth - len(path)):
        yield (*path, *(path_of(name)[0] for name in way))
