"""Looks at what Slurm wrote of each element of a job's arrays, into ``slurm_logs/``.

A task's own log stops where the task was killed; the element's output tells by what. Only
elements of ranks that are not done are looked at:

* Which ranks an element has, it names itself, near its beginning, which is read once. So that
  this need not be read of all of them, the first element of each array tells how the others of
  that array are mapped to the launch's ranks; where it does not fit this launch, or names none,
  each is read.
* Its end is read once whenever it falls quiet. Of several elements with the same rank that of
  the array with the highest number counts: Slurm counts arrays up.
* The job that sums up statistics runs only once all elements of the last array are over. Its
  output looks like that of an array of one element, and says so.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.datatrove.executor_file import Executor
from exporter.datatrove.layout import RANKS_TO_RUN, SLURM_LOGS
from exporter.datatrove.slurm_output import (
    ArrayMap,
    ElementEnd,
    ElementKey,
    element_of,
    end_of_element,
    is_merge_of_stats,
    output_name,
    rank_of_element,
    ranks_from,
    ranks_to_run,
)
from exporter.errors import REASONS
from exporter.scanning.probes.limits import Budget
from exporter.storage.base import File, Path, Storage, or_none

_HEAD_BYTES = 4096
_END_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Element:
    """One output. `ranks` are empty while they are not known; `was_asked`: its beginning was
    read. `end` is None until its end was read as it is now; `is_quiet`: it is as it was at the
    look before."""

    file: File
    ranks: tuple[int, ...] = ()
    was_asked: bool = False
    is_merge: bool = False
    end: ElementEnd | None = None
    is_quiet: bool = False

    @property
    def modified_ns(self) -> int:
        return self.file.modified_ns or 0


@dataclass(frozen=True, slots=True)
class Elements:
    """What was seen of a launch. `maps` are of arrays of which one element named its rank: None
    where that did not fit the launch."""

    state: object = None
    keys: tuple[ElementKey, ...] = ()
    by_key: Mapping[ElementKey, Element] = field(default_factory=dict)
    ranks: tuple[int, ...] | None = None
    maps: Mapping[int, ArrayMap | None] = field(default_factory=dict)
    deferred: int = 0

    def of_launch(self, launch_ns: int) -> dict[ElementKey, Element]:
        """Those written since the launch."""
        return {k: e for k, e in self.by_key.items() if e.modified_ns >= launch_ns}

    def by_rank(self, launch_ns: int) -> dict[int, Element]:
        """The element that counts of each rank."""
        found = sorted(self.of_launch(launch_ns).items(), key=lambda item: item[0])
        return {rank: element for _, element in found for rank in element.ranks}

    def is_over(self, launch_ns: int, executor: Executor) -> bool:
        """Nothing of the launch runs any more."""
        merges = {array for (array, _), e in self.of_launch(launch_ns).items() if e.is_merge}
        arrays = {array for array, _ in self.keys}.difference(
            array for (array, _), element in self.by_key.items() if element.is_merge
        )
        if not (merges and arrays) or (executor.slurm.in_parallel and len(arrays) > 1):
            return False
        return max(merges) > max(arrays)


def look_at_elements(
    look: "ElementLook", before: Elements, is_open: Callable[[int], bool]
) -> Elements:
    """The elements of ranks that are open. Raises what the storage does."""
    state = look.storage.inner_state(look.path, SLURM_LOGS, before.state)
    keys = before.keys
    if state is not before.state:
        names = (file.name for file in look.storage.list_files(look.path, SLURM_LOGS))
        keys = tuple(key for name in names if (key := element_of(name)) is not None)
    seen = replace(before, state=state, keys=keys)
    if not keys:
        return replace(seen, by_key={}, deferred=0)
    if seen.ranks is None:
        file = or_none(lambda: look.storage.read_part(look.path, RANKS_TO_RUN), *REASONS)
        seen = replace(seen, ranks=ranks_to_run(file or b""))
    known = {array for array, _ in seen.by_key} | set(seen.maps)
    firsts = {array: index for array, index in sorted(keys, reverse=True) if array not in known}
    if firsts:
        looked_at = look.at(seen, list(firsts.items()))
        seen = replace(looked_at, by_key={**seen.by_key, **looked_at.by_key})
    return look.at(seen, _wanted(keys, seen, is_open))


def _wanted(
    keys: Iterable[ElementKey], seen: Elements, is_open: Callable[[int], bool]
) -> list[ElementKey]:
    """The elements to look at: for each rank that is open, those of the array with the highest
    number; all whose ranks nobody knows; and those that sum up."""
    wanted: list[ElementKey] = []
    taken: set[int] = set()
    for key in sorted(keys, reverse=True):
        element = seen.by_key.get(key)
        ranks = element.ranks if element is not None and element.was_asked else ()
        array_map = seen.maps.get(key[0])
        if not ranks and array_map is not None:
            ranks = array_map.ranks_of(key[1])
        if ranks:
            if any(is_open(rank) and rank not in taken for rank in ranks):
                wanted.append(key)
                taken.update(ranks)
        elif element is None or element.is_merge or not element.was_asked or array_map is None:
            wanted.append(key)
    return wanted


@dataclass(frozen=True, slots=True)
class ElementLook:
    """A look at the elements of one launch. `has_fallen_quiet` tells of a rank whether its log
    is missing, or was not written lately."""

    storage: Storage
    path: Path
    executor: Executor
    launch_ns: int
    now_ns: int
    budget: Budget
    quiet_after_ns: int
    has_fallen_quiet: Callable[[int], bool]

    def at(self, seen: Elements, chosen: Sequence[ElementKey]) -> Elements:
        """What is known with a look at the chosen ones; all others are forgotten."""
        granted = self.budget.stats(len(chosen), self.path)
        names = [output_name(key) for key in chosen[:granted]]
        statuses = self.storage.stat_files(self.path, SLURM_LOGS, names)
        by_key = {key: e for key in chosen[granted:] if (e := seen.by_key.get(key)) is not None}
        for key, file in zip(chosen[:granted], statuses, strict=True):
            if file is not None:
                by_key[key] = self._with_status(seen.by_key.get(key), file)
        maps = dict(seen.maps)
        left = len(chosen) - granted
        to_read = [key for key in by_key if self._is_to_read(by_key[key])]
        may_read = self.budget.reads(len(to_read), self.path)
        for key in sorted(to_read, reverse=True)[:may_read]:
            by_key[key] = self._read(key, by_key[key], seen.ranks or (), maps)
        self._map_the_only_array(by_key, seen.ranks or (), maps)
        for key, element in by_key.items():
            if not element.ranks and (array_map := maps.get(key[0])) and not element.is_merge:
                by_key[key] = replace(element, ranks=array_map.ranks_of(key[1]))
        deferred = left + len(to_read) - may_read
        return replace(seen, by_key=by_key, maps=maps, deferred=deferred)

    def _with_status(self, before: Element | None, file: File) -> Element:
        is_quiet = self.now_ns - (file.modified_ns or 0) > self.quiet_after_ns
        if before is None:
            return Element(file, is_quiet=is_quiet)
        if before.file == file:
            return replace(before, is_quiet=True)
        # One that named no rank may only have begun.
        was_asked = before.was_asked and bool(before.ranks or before.is_merge)
        return replace(before, file=file, end=None, is_quiet=is_quiet, was_asked=was_asked)

    def _is_to_read(self, element: Element) -> bool:
        if element.modified_ns < self.launch_ns or element.is_merge:
            return False
        if not element.was_asked:
            return True
        return element.end is None and self._may_have_ended(element)

    def _may_have_ended(self, element: Element) -> bool:
        ranks = element.ranks
        return element.is_quiet and (not ranks or any(map(self.has_fallen_quiet, ranks)))

    def _read(
        self,
        key: ElementKey,
        element: Element,
        ranks: tuple[int, ...],
        maps: dict[int, ArrayMap | None],
    ) -> Element:
        name, end = f"{SLURM_LOGS}/{element.file.name}", b""
        if not element.was_asked:
            head = or_none(lambda: self.storage.read_part(self.path, name), *REASONS) or b""
            first = rank_of_element(head[:_HEAD_BYTES])
            element = replace(element, was_asked=True, is_merge=is_merge_of_stats(head))
            if element.is_merge:
                return element
            if first is not None:
                slurm = self.executor.slurm
                if maps.get(key[0]) is None:
                    maps[key[0]] = ArrayMap.of_element(key[1], first, ranks, slurm)
                element = replace(element, ranks=ranks_from(first, ranks, slurm))
            if len(head) == element.file.size:
                end = head
        if self._may_have_ended(element):
            if not end:
                read = or_none(
                    lambda: self.storage.read_part(self.path, name, of_end=True), *REASONS
                )
                end = read or b""
            may_requeue = self.executor.slurm.may_requeue
            element = replace(
                element, end=end_of_element(end[-_END_BYTES:], may_requeue=may_requeue)
            )
        return element

    def _map_the_only_array(
        self,
        by_key: Mapping[ElementKey, Element],
        ranks: tuple[int, ...],
        maps: dict[int, ArrayMap | None],
    ) -> None:
        """A launch of one array needs no element that names its rank."""
        fresh = {
            array
            for (array, _), element in by_key.items()
            if element.modified_ns >= self.launch_ns and not element.is_merge
        }
        if len(fresh) == 1 and (array := fresh.pop()) not in maps:
            maps[array] = ArrayMap(ranks, self.executor.slurm.tasks_per_job, 0)
