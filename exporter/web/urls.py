"""Addresses of jobs: in the exporter's own URLs, and as words of a shell command.

An address is ``<prefix>/<root>/<job name>``. The root may be named like a URL, so its
slashes are percent-encoded; those of the job name are kept. Browsers and proxies resolve
the segments ``.`` and ``..``, and some drop empty ones, encoded or not: such a segment
gets a mark before it. The job that is its root itself, ``.``, has the root's address with a
slash after it.
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
    """Root and name from an encoded path; slashes of the name may be encoded, too. None if
    the path is no address of a job."""
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

    Between ``$'`` and ``'`` the backslash sequences of a displayed name stand for its bytes
    (bash, ksh, zsh, POSIX 2024), so a name that cannot be printed can be pasted as well.
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
