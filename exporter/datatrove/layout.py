"""The layout of a job folder: its files and folders, and how names are spelled.

This module does no I/O. Facts about the layout were read in, and tried with, datatrove
0.10.1; it has been the same since v0.0.1.
"""

import heapq
import re
from collections.abc import Sequence

EXECUTOR_FILE = "executor.json"
COMPLETIONS = "completions"
LOGS = "logs"
STATS = "stats"
MERGED_STATS = "stats.json"
SLURM_LOGS = "slurm_logs"
RANKS_TO_RUN = "ranks_to_run.json"

INNER_FOLDERS = frozenset({COMPLETIONS, LOGS, STATS, SLURM_LOGS, "server_logs", "checkpoints"})
"""Folders which datatrove fills *inside* a job; no job lies below them. Outside a
job these are ordinary names (datatrove's default logging_dir is ``logs/<time>``)."""


def rank_of(name: str) -> int | None:
    """The rank whose marker has this name, or None: ``f"{rank:05d}"`` and nothing else
    (``str.isdigit`` alone would let Arabic digits pass, ``int`` alone ``000001``)."""
    if not (name.isascii() and name.isdigit()):
        return None
    if len(name) == 5 or (5 < len(name) <= 18 and name[0] != "0"):
        return int(name)
    return None


def marker_name(rank: int) -> str:
    """The file name of a rank's completion marker."""
    return str(rank).zfill(5)  # as f"{rank:05d}", in half the time


_LOG_NAME = re.compile(r"task_(\d+)\.log", re.ASCII)


def rank_of_log(name: str) -> int | None:
    """The rank whose log in ``logs/`` has this file name, or None."""
    match = _LOG_NAME.fullmatch(name)
    return rank_of(match[1]) if match else None


def log_name(rank: int) -> str:
    """The file name of a rank's log in ``logs/``."""
    return f"task_{marker_name(rank)}.log"


def log_file(rank: int) -> str:
    """Where a rank's log lies, below the job's folder."""
    return f"{LOGS}/{log_name(rank)}"


def stats_file(rank: int) -> str:
    """Where a rank's stats lie, below the job's folder."""
    return f"{STATS}/{marker_name(rank)}.json"


def of_newest_arrays(names: Sequence[str], limit: int) -> list[str]:
    """One file for each of the `limit` Slurm arrays with the highest numbers. `names` are those
    in ``slurm_logs/``: ``<array>_<index>.out``. Slurm counts arrays up, and a launch comes
    before all files of its arrays: one of them tells as much as all."""
    one_of_each = {name.partition("_")[0]: name for name in names}
    newest = heapq.nlargest(limit, one_of_each, key=lambda array: (len(array), array))
    return [one_of_each[array] for array in newest]


_NEEDS_ESCAPE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")


def display_name(path: str) -> str:
    """A folder name as people and Prometheus see it: valid UTF-8, one line, and two
    different names never become one.

    `path` is as Python decodes file names (bytes that are not UTF-8 are lone surrogates).
    Such bytes and control characters appear as ``\\xNN``, and a backslash is doubled.
    """
    # Most names need none, and to look is faster than to replace.
    return _NEEDS_ESCAPE.sub(_escape, path) if _NEEDS_ESCAPE.search(path) else path


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\\":
        return "\\\\"
    if "\udc80" <= character <= "\udcff":  # a byte, as os.fsdecode hands it over
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def path_of(job_name: str) -> tuple[str, ...]:
    """The folder names that make up a `job_name`: the inverse of joining them and
    `display_name`. ``.`` is the root itself."""
    if job_name == ".":
        return ()
    if "\\" in job_name:
        plain = job_name.encode("utf-8", "surrogateescape")
        job_name = _ESCAPE.sub(_unescape, plain).decode("utf-8", "surrogateescape")
    return tuple(job_name.split("/"))


_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def _unescape(match: re.Match[bytes]) -> bytes:
    return b"\\" if match[1] is None else bytes.fromhex(match[1].decode())
