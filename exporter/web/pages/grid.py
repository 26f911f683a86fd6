"""Items × stages: which of the items are on a page, so that none is too heavy to look at."""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from exporter.model.report import Report, Row
from exporter.model.stages.grid import Grid, Grids, ItemRow, View, default_view, grids_of
from exporter.web.pages.scope import paging
from exporter.web.query import Query

_CELLS = 600
_APART = 20


@dataclass(frozen=True, slots=True)
class GridPage:
    """One grid as far as it is on a page: some of its open items, and some of the complete ones."""

    grid: Grid
    open: tuple[ItemRow, ...]
    complete: tuple[ItemRow, ...]


def view_of(scope: Report, query: Query) -> tuple[str, dict[str, Any] | None]:
    """The view that is asked for, or that suits; and of a grid the values of the template."""
    if query.view not in ("", "grid"):
        return query.view, None
    grids = grids_of(scope.rows)
    view = query.view or _suited_view(scope, grids)
    return view, _grid_page(grids, query) if view == "grid" else None


def _suited_view(scope: Report, grids: Grids) -> View:
    """The view that suits one of the roots, the richest of them."""
    rows_of = defaultdict[str, list[Row]](list)
    for row in scope.rows:
        rows_of[row.root.name].append(row)
    of_roots = {
        default_view(rows, [grid for grid in grids.grids if grid.root == root])
        for root, rows in rows_of.items()
    }
    return next((view for view in _RICHEST_FIRST if view in of_roots), "list")


_RICHEST_FIRST: tuple[View, ...] = ("grid", "stages")


def _grid_page(grids: Grids, query: Query) -> dict[str, Any]:
    """The values of the template. Open items of all grids come before complete ones."""
    items = [(at, item) for at, grid in enumerate(grids.grids) for item in grid.open]
    items += [(at, item) for at, grid in enumerate(grids.grids) for item in grid.complete]
    widest = max((len(grid.stages) for grid in grids.grids), default=1)
    per_page = max(1, _CELLS // widest)
    pages = max(1, -(-len(items) // per_page))
    page = min(query.page, pages)
    shown = sorted(items[(page - 1) * per_page : page * per_page], key=itemgetter(0))
    return {
        "grids": [
            _page_of(grids.grids[at], [item for _, item in of_grid])
            for at, of_grid in groupby(shown, key=itemgetter(0))
        ],
        "apart": grids.apart[:_APART],
        "number_apart": len(grids.apart),
        "list_query": replace(query, view="list", page=1).encode(),
        **paging(replace(query, page=page), pages),
    }


def _page_of(grid: Grid, items: list[ItemRow]) -> GridPage:
    complete = set(map(id, grid.complete))
    return GridPage(
        grid,
        tuple(item for item in items if id(item) not in complete),
        tuple(item for item in items if id(item) in complete),
    )
