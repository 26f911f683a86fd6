"""The orders of rows that the table of facts offers."""

from collections.abc import Callable, Iterable
from typing import Any

from exporter.model.facts.fact import Sort
from exporter.model.facts.jobs import JOB_FACTS
from exporter.model.report import Row

SORTS: dict[str, tuple[Sort, Callable[[Row], Any]]] = {
    sort.name: (sort, sort.key or sort.by or of)
    for sort, of in sorted(
        ((fact.sort, fact.of) for fact in JOB_FACTS if fact.sort is not None),
        key=lambda pair: pair[0].order,
    )
}
"""The orders of rows by name, each with the key that it sorts by."""


def sort_rows(rows: Iterable[Row], by: str, *, descending: bool | None = None) -> list[Row]:
    """Rows in the order that `SORTS` has under this name, turned as its label says if that is not
    told; those alike by job_name and root. Rows without the value come last either way."""
    sort, key = SORTS[by]
    descending = sort.descending if descending is None else descending
    if sort.key is not None:  # no two rows are alike
        return sorted(rows, key=key, reverse=descending)
    # Two sorts by strings take half the time of one by pairs of them.
    by_name = sorted(sorted(rows, key=lambda row: row.root.name), key=lambda row: row.job.name)
    values = [key(row) for row in by_name]
    known = [place for place, value in enumerate(values) if value is not None]
    known.sort(key=values.__getitem__, reverse=descending)
    unknown = [row for row, value in zip(by_name, values, strict=True) if value is None]
    return [by_name[place] for place in known] + unknown
