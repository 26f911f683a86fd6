"""Rows of a report as grids of items × stages, and which view of them fits. Pure.

    grids = grids_of(rows)          # grids.grids, and grids.apart: the rows that are in none
    default_view(rows)              # "grid", "stages" or "list"

Stages of a root that share an item are a family. A family is a grid if it is small enough to look
at, and full enough to be worth it. Work is proportional to the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from exporter.model.names.name_part import is_called_something
from exporter.model.report import Row
from exporter.model.stages.table import pipeline_order
from exporter.model.state import STATES

View = Literal["grid", "stages", "list"]

_STAGES = range(2, 17)
_LEAST_ITEMS = 2
_LEAST_JOBS = 8
_LEAST_FILLED = 1 / 3
_JOBS_OF_A_STAGE = 3
_STAGES_WITH_A_LARGE_ONE = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """The jobs of one item at one stage: `worst` is the one that needs attention first, None
    where there is no job. `waits_for` is the worst job of the nearest earlier stage of the item
    that is not complete, None if all earlier ones are."""

    stage: str
    rows: tuple[Row, ...] = ()
    worst: Row | None = None
    waits_for: Row | None = None

    @property
    def is_blocked(self) -> bool:
        """Its job cannot begin: an earlier stage is not done."""
        is_waiting = self.worst is not None and self.worst.state == "waiting"
        return is_waiting and self.waits_for is not None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item, with a cell for each stage of its grid, also where there is no job."""

    item: str
    cells: tuple[Cell, ...]

    @property
    def is_complete(self) -> bool:
        """All its jobs are complete, and one of the last stage is among them."""
        there = [cell.worst for cell in self.cells if cell.worst is not None]
        return self.cells[-1].worst is not None and all(row.state == "complete" for row in there)


@dataclass(frozen=True, slots=True)
class Grid:
    """A family of stages in the order of the pipeline, and its items by name: the `open` ones, and
    the `complete` ones, which are folded."""

    root: str
    stages: tuple[str, ...]
    open: tuple[ItemRow, ...]
    complete: tuple[ItemRow, ...]
    jobs: int


@dataclass(frozen=True, slots=True)
class Grids:
    """The grids, that of most jobs first; and `apart`, the rows that are in none, as they came."""

    grids: tuple[Grid, ...]
    apart: tuple[Row, ...]


def grids_of(rows: Iterable[Row]) -> Grids:
    """Every grid that the rows make; stages come as in the table."""
    rows = list(rows)
    grids, in_grids = [], set[tuple[str, str]]()
    for (root, stages), members in _families(rows).items():
        if _is_worth_it(stages, members):
            grids.append(_grid(root, members))
            in_grids |= {(root, stage) for stage in stages}
    grids.sort(key=lambda grid: (-grid.jobs, grid.root, grid.stages))
    apart = tuple(row for row in rows if not (_key(row) in in_grids and row.group.item))
    return Grids(tuple(grids), apart)


def default_view(rows: Iterable[Row], grids: Sequence[Grid] | None = None) -> View:
    """The view that shows best what these rows are; `grids` are theirs, if they are known."""
    rows = list(rows)
    if grids is None:
        grids = grids_of(rows).grids
    if 2 * sum(grid.jobs for grid in grids) >= max(1, len(rows)):
        return "grid"
    counted = Counter(map(_key, rows)).items()
    of_stages = {key: jobs for key, jobs in counted if is_called_something(key[1])}
    large = sum(jobs >= _JOBS_OF_A_STAGE for jobs in of_stages.values())
    are_stages = large > 1 or (large and len(of_stages) >= _STAGES_WITH_A_LARGE_ONE)
    return "stages" if are_stages or grids else "list"


def _key(row: Row) -> tuple[str, str]:
    return row.root.name, row.group.stage


def _families(rows: Iterable[Row]) -> dict[tuple[str, frozenset[str]], list[Row]]:
    """Rows with an item by root and family of stages."""
    by_stage = defaultdict[tuple[str, str], list[Row]](list)
    for row in rows:
        if row.group.stage and row.group.item:
            by_stage[_key(row)].append(row)
    first_of_item: dict[tuple[str, str], tuple[str, str]] = {}
    parents = {key: key for key in by_stage}

    def head(key: tuple[str, str]) -> tuple[str, str]:
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for key, members in by_stage.items():
        root, _ = key
        for first in {first_of_item.setdefault((root, row.group.item), key) for row in members}:
            parents[head(key)] = head(first)
    families = defaultdict[tuple[str, str], list[tuple[str, str]]](list)
    for key in by_stage:
        families[head(key)].append(key)
    return {
        (root, frozenset(stage for _, stage in keys)): [
            row for key in keys for row in by_stage[key]
        ]
        for (root, _), keys in families.items()
    }


def _is_worth_it(stages: frozenset[str], members: Sequence[Row]) -> bool:
    items = len({row.group.item for row in members})
    filled = len({row.group for row in members}) / (items * len(stages))
    return (
        len(stages) in _STAGES
        and items >= _LEAST_ITEMS
        and len(members) >= _LEAST_JOBS
        and filled >= _LEAST_FILLED
    )


def _grid(root: str, members: Sequence[Row]) -> Grid:
    by_stage, by_item = defaultdict[str, list[Row]](list), defaultdict[str, list[Row]](list)
    for row in members:
        by_stage[row.group.stage].append(row)
        by_item[row.group.item].append(row)
    stages = tuple(pipeline_order(by_stage))
    items = [ItemRow(item, _cells(stages, rows)) for item, rows in sorted(by_item.items())]
    unfinished = tuple(item for item in items if not item.is_complete)
    complete = tuple(item for item in items if item.is_complete)
    return Grid(root, stages, unfinished, complete, len(members))


def _cells(stages: Sequence[str], rows: Sequence[Row]) -> tuple[Cell, ...]:
    by_stage = defaultdict[str, list[Row]](list)
    for row in rows:
        by_stage[row.group.stage].append(row)
    cells, waits_for = [], None
    for stage in stages:
        alike = tuple(by_stage[stage]) if stage in by_stage else ()
        worst = min(alike, key=lambda row: STATES.index(row.state), default=None)
        cells.append(Cell(stage, alike, worst, waits_for))
        if worst is not None and worst.state != "complete":
            waits_for = worst
    return tuple(cells)
