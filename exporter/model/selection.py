"""Which rows of a report to show, and in which order."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.model.facts import SORTS
from exporter.model.report import Row
from exporter.model.stall import State


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows to show; the default shows all. `name` is any part of the job_name, in
    upper or lower case, `prefix` its exact beginning; empty sets exclude nothing."""

    name: str = ""
    prefix: str = ""
    roots: frozenset[str] = frozenset()
    states: frozenset[State] = frozenset()
    hide_complete: bool = False

    def keeps(self, row: Row) -> bool:
        """Whether to show the row."""
        return (
            self.name.casefold() in row.job_name.casefold()
            and row.job_name.startswith(self.prefix)
            and (not self.roots or row.root.name in self.roots)
            and (not self.states or row.state in self.states)
            and not (self.hide_complete and row.state == "complete")
        )


def sort_rows(rows: Iterable[Row], by: str, *, descending: bool = False) -> list[Row]:
    """Rows in the order that `SORTS` has under this name, those alike by job_name and root.
    Rows without the value come last either way."""
    _, key = SORTS[by]
    in_order = sorted(rows, key=lambda row: (row.job_name, row.root.name))
    known = [row for row in in_order if key(row) is not None]
    known.sort(key=key, reverse=descending)
    return [*known, *(row for row in in_order if key(row) is None)]
