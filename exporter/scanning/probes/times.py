"""Asks when the tasks of a complete job were completed, where that is not known any more.

On disks each marker costs a call, so nobody asks that of a job that was complete when it was
first seen; and nobody keeps the times of one that has become so. Both is made good here for
jobs of which another reads: each marker is asked for once, as many in a scan as its owner allows.
Elsewhere one listing tells all.

A folder that was copied without its times, or touched, has markers that look as new as the copy.
The end of one log tells when its task was done: where that contradicts its marker, times say
nothing of this job.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from exporter.datatrove.layout import COMPLETIONS, log_file, rank_of
from exporter.datatrove.logs import may_have_ended_at
from exporter.datatrove.ranks import UNKNOWN
from exporter.errors import REASONS
from exporter.storage.base import Path, Storage, or_none


@dataclass(frozen=True, slots=True)
class Times:
    """Of the first `asked` ranks the `oldest_ns`, None where none has a time; and all of them in
    `modified_ns`, UNKNOWN for those without one. That is None once it is of no more use. They
    `are_of_copy` where they are not those of the tasks."""

    asked: int = 0
    oldest_ns: int | None = None
    modified_ns: "array[int] | None" = None
    are_of_copy: bool = False


@dataclass(frozen=True, slots=True)
class TimesQuestion:
    """To ask for the times of `tasks` markers, `most` of them now and the others later; all times
    are kept, or the oldest only. `before` is what was asked already."""

    tasks: int
    most: int
    keeps_all: bool
    before: Times = Times()

    @property
    def key(self) -> bool:
        return self.keeps_all

    @property
    def cost(self) -> int:
        """Markers that are asked for their times now, at most."""
        return min(self.tasks, self.most)

    def ask(self, storage: Storage, path: Path) -> Times:
        """What is known then. Raises what the storage does."""
        before = self.before
        if before.modified_ns is None:
            before = Times()
        known = array("q", before.modified_ns or ())
        now = self.most if storage.is_local else self.tasks  # elsewhere one listing tells all
        ranks = range(before.asked, min(self.tasks, before.asked + now))
        times = times_of(storage, path, ranks)
        known.extend(times.get(rank, UNKNOWN) for rank in ranks)
        oldest_ns = min((time_ns for time_ns in known if time_ns != UNKNOWN), default=None)
        is_done = len(known) >= self.tasks
        if not (is_done and self.keeps_all):
            return Times(len(known), oldest_ns, None if is_done else known)
        rank = max(range(len(known)), key=known.__getitem__)
        are_of_copy = not may_have_ended_at(_end_of_log(storage, path, rank), known[rank])
        return Times(len(known), oldest_ns, known, are_of_copy)


def _end_of_log(storage: Storage, path: Path, rank: int) -> bytes:
    read = partial(storage.read_part, path, log_file(rank), of_end=True)
    return or_none(read, *REASONS) or b""


def times_of(storage: Storage, path: Path, ranks: Sequence[int]) -> dict[int, int]:
    """When these tasks were completed, as far as the storage tells; each a call on disks. Raises
    what the storage does."""
    if storage.is_local:
        asked = zip(ranks, storage.marker_times(path, ranks), strict=True)
        return {rank: time_ns for rank, time_ns in asked if time_ns is not None}
    files = storage.list_files(path, COMPLETIONS, list)
    by_rank = {rank_of(file.name): file.modified_ns for file in files}
    return {rank: ns for rank in ranks if (ns := by_rank.get(rank)) is not None}
