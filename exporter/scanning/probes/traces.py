"""Finds out which job it is that another shard has: others name it by what it left.

That is the folder it recorded of itself, in ``executor.json``, and of a job that Slurm runs the
numbers of its arrays. Nothing else of it is read here.
"""

from dataclasses import dataclass, replace

from exporter.datatrove.executor_file import (
    EXECUTOR_FILE_LIMIT_BYTES,
    NO_LINEAGE,
    ExecutorFileError,
    Lineage,
    parse_executor,
)
from exporter.datatrove.layout import SLURM_LOGS
from exporter.errors import StorageError
from exporter.scanning.probes.arrays import list_arrays
from exporter.storage.base import Path, Storage, Version


@dataclass(frozen=True, slots=True)
class Traces:
    """`lineage` is as of the last ``executor.json`` that was whole; `array_ids` ascend, and were
    listed when ``slurm_logs/`` was in that `state`."""

    lineage: Lineage = NO_LINEAGE
    is_slurm: bool = False
    array_ids: tuple[int, ...] = ()
    state: object = None


@dataclass(frozen=True, slots=True)
class TracesQuestion:
    """To read ``executor.json`` and, if they are wanted, the numbers of arrays; only those if the
    file was read not long ago. `before` is what was known."""

    before: Traces
    of_file: bool
    of_arrays: bool
    key = "traces"
    cost = 1

    def ask(self, storage: Storage, path: Path) -> Traces:
        """What is known then. What cannot be read stays as it was."""
        found = self.before
        try:
            if self.of_file:
                found = _with_lineage(storage, path, found)
            if self.of_arrays and found.is_slurm and not storage.is_object_store:
                found = _with_arrays(storage, path, found)
        except (StorageError, ExecutorFileError):
            pass
        return found


def _with_lineage(storage: Storage, path: Path, before: Traces) -> Traces:
    unseen = Version(None, None)
    executor = parse_executor(storage.read_executor(path, unseen, EXECUTOR_FILE_LIMIT_BYTES)[1])
    return replace(before, lineage=executor.lineage, is_slurm=executor.kind == "slurm")


def _with_arrays(storage: Storage, path: Path, before: Traces) -> Traces:
    state = before.state
    if storage.is_local:
        state = storage.inner_state(path, SLURM_LOGS, before.state)
        if state is before.state:
            return before
    return replace(before, array_ids=list_arrays(storage, path, before.array_ids), state=state)
