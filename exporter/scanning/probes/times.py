"""Asks when the tasks of a complete job were completed, where that is not known any more.

On disks each marker costs a call, so nobody asks that of a job that was complete when it was
first seen; and nobody keeps the times of one that has become so. Both is made good here for
jobs of which another reads: each marker is asked for once, as many in a scan as its owner allows.
Elsewhere one listing tells all.
"""

from array import array
from dataclasses import dataclass

from exporter.datatrove.layout import COMPLETIONS, rank_of
from exporter.datatrove.ranks import UNKNOWN
from exporter.storage.base import Path, Storage


@dataclass(frozen=True, slots=True)
class Times:
    """Of the first `asked` ranks the `oldest_ns`, None where none has a time; and all of them in
    `modified_ns`, UNKNOWN for those without one. That is None once it is of no more use."""

    asked: int = 0
    oldest_ns: int | None = None
    modified_ns: "array[int] | None" = None


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
        if storage.is_local:
            ranks = range(before.asked, min(self.tasks, before.asked + self.most))
            times = storage.marker_times(path, ranks)
        else:
            files = storage.list_files(path, COMPLETIONS, list)
            by_rank = {rank: f.modified_ns for f in files if (rank := rank_of(f.name)) is not None}
            times = [by_rank.get(rank) for rank in range(before.asked, self.tasks)]
        known.extend(UNKNOWN if time_ns is None else time_ns for time_ns in times)
        oldest_ns = min((time_ns for time_ns in known if time_ns != UNKNOWN), default=None)
        is_done = len(known) >= self.tasks
        return Times(len(known), oldest_ns, None if is_done and not self.keeps_all else known)
