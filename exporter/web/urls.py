"""Addresses of jobs: in the exporter's own URLs, and as words of a shell command.

A root may be named like a URL, and a job name holds slashes, so an address is
``<prefix>/<root>/<job name>`` with everything in the root's name encoded and the slashes
of the job name kept. Browsers and proxies resolve the segments ``.`` and ``..`` and some
drop empty ones, encoded or not, so these get a mark before them. The job that is its root
itself, ``.``, is the root's address with a slash after it.
"""

import shlex
from urllib.parse import quote, unquote_to_bytes

from exporter.datatrove.layout import display_name

_MARK = "\\."


def job_path(root: str, name: str) -> str:
    """``root/name`` as the path of an address, relative to the prefix."""
    below = "" if name == "." else "/".join(map(_encode, name.split("/")))
    return f"{_encode(root)}/{below}"


def parse_job_path(path: str) -> tuple[str, str] | None:
    """Root and name from an encoded path; slashes may be encoded in the name too. None
    when the path has no such shape."""
    root, slash, below = path.partition("/")
    if not root or not slash:
        return None
    try:
        segments = [part.removeprefix(_MARK) for part in _decode(below).split("/")]
        return _decode(root).removeprefix(_MARK), "/".join(segments) if below else "."
    except UnicodeDecodeError:
        return None


def shell_path(url: str, name: str) -> str:
    """The job's folder, below the root at `url`, as one word of a shell command.

    The backslash sequences of a displayed name mean the same between ``$'`` and ``'``
    (bash, ksh, zsh, POSIX 2024), so also names that cannot be printed can be pasted.
    """
    folder = display_name(url) if name == "." else f"{display_name(url).rstrip('/')}/{name}"
    if "\\" not in folder:
        return shlex.quote(folder)
    quoted = folder.replace("'", "\\'")
    return f"$'{quoted}'"


def _encode(segment: str) -> str:
    if segment in ("", ".", "..") or segment.startswith(_MARK):
        segment = _MARK + segment
    return quote(segment, safe="")


def _decode(encoded: str) -> str:
    return unquote_to_bytes(encoded).decode("utf-8")
