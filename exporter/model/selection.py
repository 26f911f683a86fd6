"""Which rows of a report to show."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.model.report import Row
from exporter.model.state import State


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows to show; the default shows all. `name` is any part of the job_name, in
    upper or lower case, `prefix` its exact beginning; `labels` are pairs of name and value, which
    a job must all have. Empty sets exclude nothing."""

    name: str = ""
    prefix: str = ""
    roots: frozenset[str] = frozenset()
    states: frozenset[State] = frozenset()
    hide_complete: bool = False
    stages: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    has_strays: bool = False

    def keeps(self, row: Row) -> bool:
        """Whether to show the row."""
        return (
            (not self.name or self.name.casefold() in row.job.name.casefold())
            and (not self.prefix or row.job.name.startswith(self.prefix))
            and (not self.roots or row.root.name in self.roots)
            and (not self.states or row.state in self.states)
            and not (self.hide_complete and row.state == "complete")
            and (not self.stages or row.group.stage in self.stages)
            and (not self.items or row.group.item in self.items)
            and (not self.labels or self.labels.issubset(row.job.labels or ()))
            and not (self.has_strays and not (row.reading and row.reading.stray_markers))
        )

    def select(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        """Those to show, in their order."""
        return tuple(rows) if self == _ALL else tuple(row for row in rows if self.keeps(row))


_ALL = Filter()
