"""Addresses of jobs: in the exporter's own URLs, and as words of a shell command.

An address is ``{root}/{job_name}``, both percent-encoded; that of a job which is its root, ``.``,
may end with the slash. Proxies decode slashes and then merge those that follow each other, or
refuse a path with encoded ones; they and browsers resolve the segments ``.`` and ``..``. So

* an address is understood with its slashes decoded, or decoded and merged, if it is then that
  of one job only;
* a link is the form in which nothing is left to decode or merge. Where that means more than
  one job, or has something that others are known to change or refuse, the names are in the
  link's query, ``-?root=…&job_name=…``, which all pass on as it is.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_to_bytes, urlencode

from exporter.datatrove.layout import display_name
from exporter.model.upstream import JobKey

_CHANGED = re.compile(r"(^|/)\.\.?(/|$)|[\\%?#;\x00-\x1f\x7f]|^$")
# What a merged path may not have in a link: segments that are resolved; characters that
# Traefik refuses in encoded form, or that end what ingress-nginx's pattern matches.


class Addresses:
    """The addresses of some jobs."""

    def __init__(self, jobs: Iterable[JobKey]) -> None:
        self._jobs: dict[str, list[JobKey]] = {}
        for job in jobs:
            for path in _paths(job):
                self._jobs.setdefault(_merged(path), []).append(job)

    def link(self, job: JobKey) -> str:
        """The job's address as it stands in links, relative to the prefix."""
        path = _merged(_paths(job)[0])
        if self._jobs.get(path) == [job] and not _CHANGED.search(path):
            return quote(path, safe="/:")
        return f"-?{urlencode({'root': job[0], 'job_name': job[1]})}"

    def find(self, path: str, query: Mapping[str, str]) -> JobKey | None:
        """The job of this address, a path as it was sent and the decoded query; None if there
        is none, or may be more than one."""
        try:
            root, *below = (_decode(part) for part in path.split("/"))
        except UnicodeDecodeError:
            return None
        whole = "/".join((root, *below))
        named: JobKey | None = None
        if "root" in query:
            named = query["root"], query.get("job_name", "")
        elif below and ("/" in root or (len(below) == 1 and "/" in below[0])):
            named = root, "/".join(below) or "."  # nobody decoded it on the way
        if named is not None:
            return named if named in self._jobs.get(_merged(_paths(named)[0]), ()) else None
        found = [
            job
            for job in self._jobs.get(_merged(whole), ())
            if any(whole in (path, _merged(path)) for path in _paths(job))
        ]
        return found[0] if len(found) == 1 else None


def shell_path(url: str, name: str) -> str:
    """The job's folder, below the root at `url`, as one word of a shell command.

    Between ``$'`` and ``'`` the backslash sequences of a displayed name stand for its bytes
    (bash, ksh, zsh, POSIX 2024), so a name that cannot be printed can be pasted as well.
    """
    folder = display_name(url) if name == "." else f"{display_name(url).rstrip('/')}/{name}"
    if "\\" not in folder:
        return shlex.quote(folder)
    quoted = folder.replace("'", "\\'")
    return f"$'{quoted}'"


def _paths(job: JobKey) -> tuple[str, ...]:
    """The decoded forms of a job's address, that of its links first."""
    root, name = job
    return (f"{root}/", f"{root}/.") if name == "." else (f"{root}/{name}",)


def _merged(path: str) -> str:
    """The path without slashes that follow others or stand first."""
    return re.sub("//+", "/", path).lstrip("/")


def _decode(encoded: str) -> str:
    return unquote_to_bytes(encoded).decode("utf-8")
