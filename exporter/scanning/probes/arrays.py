"""Finds the numbers of the Slurm arrays that a job ran as: jobs that wait for it name the last.

Names of outputs in ``slurm_logs/`` tell them. While a launch is under way its log look lists
these names anyway. So they are listed here only where no such look was taken: once when the
launch is first seen to have begun, and once when it is done.

Of a folder with more names than are read, in no order, the last array may be missed: then nobody
waits for this job, as far as is known, and never for another one. Arrays that were once seen stay.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest

from exporter.datatrove.layout import SLURM_LOGS
from exporter.datatrove.slurm_output import ElementKey, element_of
from exporter.errors import REASONS
from exporter.storage.base import Path, Storage, or_none

_MOST = 1000
# Every launch adds a few. Those with the highest numbers are the newest.
_MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Arrays:
    """The numbers (`ids`) as of the launch at `launch_ns`, ascending. Once they are `final`, that
    launch adds none."""

    launch_ns: int | None
    ids: tuple[int, ...] = ()
    is_final: bool = False


def find_arrays(
    storage: Storage,
    path: Path,
    launch_ns: int | None,
    before: Arrays | None,
    seen: Iterable[ElementKey],
    *,
    is_complete: bool,
) -> Arrays | None:
    """The arrays of a job that has begun; `before` itself where nothing is new. `seen` are the
    elements that a look at its logs has found by now, if one was taken. Object stores have none:
    Slurm writes to disks."""
    is_same_launch = before is not None and before.launch_ns == launch_ns
    known = before.ids if before is not None else ()
    if storage.is_object_store or (before is not None and is_same_launch and before.is_final):
        return before
    keys = list(seen)
    if is_complete or not (keys or is_same_launch):
        ids = or_none(lambda: list_arrays(storage, path, known), *REASONS)
        if ids is None:  # it is tried again when the job next changes
            return before
    elif keys:
        ids = _newest(keys)
    else:
        return before
    found = Arrays(launch_ns, ids, is_final=is_complete)
    return before if found == before else found


def list_arrays(storage: Storage, path: Path, known: Iterable[int] = ()) -> tuple[int, ...]:
    """The numbers that the names in ``slurm_logs/`` tell, ascending; and those that are `known`, if
    there are more names than are read."""
    files = storage.list_files(path, SLURM_LOGS, at_most=_MOST_NAMES)
    keys = [key for file in files if (key := element_of(file.name)) is not None]
    return _newest(keys, known if len(files) >= _MOST_NAMES else ())


def _newest(keys: Iterable[ElementKey], known: Iterable[int] = ()) -> tuple[int, ...]:
    return tuple(sorted(nlargest(_MOST, {*known, *(array for array, _ in keys)})))
