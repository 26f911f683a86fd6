"""Reads ``executor.json``: how many tasks a job has, and what runs them.

This module does no I/O: bytes come in, values go out. Facts about the format were read in,
and tried with, datatrove 0.10.1.
"""

import hashlib
import json
import re
from dataclasses import dataclass

from exporter.datatrove.layout import display_name
from exporter.errors import Reason

EXECUTOR_FILE_LIMIT_BYTES = 64 * 1024 * 1024
"""An in-memory pipeline of 5,000 documents gave 10.7 MB; nothing honest is larger."""

_SMALL_FILE_BYTES = 128 * 1024
# Parsed whatever its layout. Every executor.json without documents in it is 36 KB at most.

_PARSE_LIMIT_BYTES = 4 * 1024 * 1024
# json.loads holds the interpreter lock, and so stops all threads, for about 0.2 s per megabyte.

_LARGEST_WORLD_SIZE = 2**53
# A sample is a double; beyond this the published number would not be the real one.


class ExecutorFileError(ValueError):
    """``executor.json`` does not say how many tasks the job has. The text holds nothing of the
    file's content, which may be secret. `may_be_half`: it may just be being written."""

    def __init__(
        self, problem: str, *, reason: Reason = "invalid", may_be_half: bool = False
    ) -> None:
        super().__init__(problem)
        self.reason: Reason = reason
        self.may_be_half = may_be_half


@dataclass(frozen=True, slots=True)
class SlurmArray:
    """How a Slurm launch spreads its ranks over the elements of its arrays: `tasks_per_job` to an
    element, `max_size` elements to an array (None: all), the arrays one after the other or
    `in_parallel`. Without `may_requeue` sbatch was told that an element is not started again."""

    tasks_per_job: int = 1
    max_size: int | None = None
    in_parallel: bool = False
    may_requeue: bool = True


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a job names itself and the one it waits for: `own` and `upstream` are 64-bit hashes of
    the folders (`logging_dir`) that both recorded of themselves, for comparison only, and
    `slurm_id` is the number of the upstream's last Slurm array (``depends_job_id``). Each is None
    where the file does not tell. Folders may be secret, and are not kept."""

    own: int | None = None
    upstream: int | None = None
    slurm_id: int | None = None


NO_LINEAGE = Lineage()


@dataclass(frozen=True, slots=True)
class Executor:
    """The part of ``executor.json`` that the exporter keeps; the rest may be secret."""

    world_size: int
    kind: str
    slurm_job_name: str
    skip_completed: bool
    is_slice: bool = False
    """Launched for some of the tasks only (``local_tasks``). Every slice writes the file anew,
    so its time says nothing about the tasks of the others."""

    slurm: SlurmArray = SlurmArray()
    nodes_per_task: int = 1
    lineage: Lineage = NO_LINEAGE

    @property
    def repeats_completed(self) -> bool:
        """The launch runs every task, also those that have a marker from before."""
        return not self.skip_completed and not self.is_slice


_KIND_BY_KEY = {
    "start_method": "local",
    "partition": "slurm",
    "flavor": "jobs",
    "ray_remote_kwargs": "ray",
}
_KEYS = frozenset(
    {*_KIND_BY_KEY, "world_size", "job_name", "skip_completed", "local_tasks", "nodes_per_task"}
    | {"tasks_per_job", "max_array_size", "max_array_launch_parallel"}
)


def parse_executor(data: bytes) -> Executor:
    """Read the content of ``executor.json``; raises ExecutorFileError, with reason
    ``too_large`` for one of more than 4 MiB that is not laid out as datatrove does. The kind of
    executor is not stored by datatrove and is inferred from its attributes.
    """
    top_level = _large_file_keys(data) if len(data) > _SMALL_FILE_BYTES else None
    if top_level is None:
        if len(data) > _PARSE_LIMIT_BYTES:
            raise ExecutorFileError(
                f"larger than {_PARSE_LIMIT_BYTES} bytes and not as datatrove writes it",
                reason="too_large",
                may_be_half=data.startswith(_HEAD),
            )
        top_level = _parse_object(data)
    world_size = top_level.get("world_size")
    if "world_size" not in top_level:
        raise ExecutorFileError("world_size is missing")
    if type(world_size) is not int:  # bool is an int, and is not a size
        raise ExecutorFileError(f"world_size is not an integer but {_json_type(world_size)}")
    if not 1 <= world_size <= _LARGEST_WORLD_SIZE:
        raise ExecutorFileError("world_size is not between 1 and 2**53")
    kind = next((k for key, k in _KIND_BY_KEY.items() if key in top_level), "unknown")
    job_name = top_level.get("job_name") if kind == "slurm" else None
    return Executor(
        world_size=world_size,
        kind=kind,
        slurm_job_name=display_name(job_name[:128]) if isinstance(job_name, str) else "",
        skip_completed=top_level.get("skip_completed") is not False,
        is_slice=top_level.get("local_tasks") not in (None, world_size),
        slurm=_slurm_array(top_level),
        nodes_per_task=_count(top_level.get("nodes_per_task")) or 1,
        lineage=_lineage(top_level),
    )


_FOLDER = re.compile(r"""DataFolder\(path=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"), fs=""")
# How datatrove's json.dumps(..., default=str) writes it. The path is as repr() quotes it, the
# same for the same path; what follows names an object's address, which differs.


def _lineage(top_level: dict[str, object]) -> Lineage:
    depends = top_level.get("depends")
    upstream = depends.get("logging_dir") if isinstance(depends, dict) else None
    job_id = top_level.get("depends_job_id")
    if isinstance(job_id, str) and re.fullmatch("[0-9]{1,16}", job_id):
        job_id = int(job_id)
    return Lineage(
        _folder_hash(top_level.get("logging_dir")), _folder_hash(upstream), _count(job_id)
    )


def _folder_hash(value: object) -> int | None:
    folder = _FOLDER.match(value) if isinstance(value, str) else None
    if folder is None:
        return None
    path = folder[1].encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(path, digest_size=8).digest())


def _slurm_array(top_level: dict[str, object]) -> SlurmArray:
    arguments = top_level.get("_sbatch_args")
    return SlurmArray(
        tasks_per_job=_count(top_level.get("tasks_per_job")) or 1,
        max_size=_count(top_level.get("max_array_size")),
        in_parallel=top_level.get("max_array_launch_parallel") is True,
        may_requeue=not (isinstance(arguments, dict) and "no-requeue" in arguments),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _parse_object(data: bytes) -> dict[str, object]:
    if not data.strip():
        raise ExecutorFileError("the file is empty", may_be_half=True)
    try:
        # bytes, not str: a byte order mark is accepted, and so are UTF-16 and -32.
        value = json.loads(data)
    except (ValueError, RecursionError):
        # ValueError covers JSONDecodeError, UnicodeDecodeError and oversized numbers;
        # their texts quote the file.
        raise ExecutorFileError("not valid JSON", may_be_half=True) from None
    if not isinstance(value, dict):
        raise ExecutorFileError(f"not a JSON object but {_json_type(value)}")
    return value


_HEAD = b'{\n    "'
_TAIL = re.compile(rb'\n    "world_size": (-?\d{1,32})\n\}\s*\Z')
_BOOLEANS = {b"true": True, b"false": False, None: None}
_MEMBER = re.compile(rb'"(\w{1,64})": (?:"([^"\\\n]{0,256})"|(true|false)|(-?\d{1,16})(?=[,\n])|)')


def _large_file_keys(data: bytes) -> dict[str, object] | None:
    """The top-level members that matter of a large file, without parsing it; None unless
    its beginning and end prove that datatrove laid it out.

    datatrove writes with ``indent=4`` and ``world_size`` last. JSON strings hold no raw line
    break, so in such a file a line that starts with exactly four spaces and a quote is a
    top-level member, and the last one closes the object. Short strings and booleans come
    with their values, all other members without.
    """
    tail = _TAIL.search(data, len(data) - 128)
    if tail is None or not data.startswith(_HEAD):
        return None
    members: dict[str, object] = {}
    position = data.find(b'\n    "')
    while position >= 0:
        if member := _MEMBER.match(data, position + 5):
            key, text, boolean, number = member.groups()
            if (name := key.decode("utf-8", "replace")) in _KEYS:  # there may be millions
                value = text.decode("utf-8", "replace") if text is not None else _BOOLEANS[boolean]
                members[name] = int(number) if number is not None else value
        position = data.find(b'\n    "', position + 6)
    members["world_size"] = int(tail[1])
    return members


def _json_type(value: object) -> str:
    names = {bool: "a boolean", float: "a fraction", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "null" if value is None else "a number")
