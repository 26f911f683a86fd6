"""The table of facts: what is known of jobs, roots and sums, and where each value shows.

One row says what a value is, how it is read, and where it shows: as a metric, as a field
of the JSON API and of ``status --json``, as a column for people, as an order of rows.
Metric families, the API's description, tables, pages and the choices of ``--sort`` all
come from here; nothing is published that no row names.

To add a value that a `Reading` has, add a row to ``jobs``.
"""

from collections.abc import Iterable
from typing import Any

from exporter.model.facts.fact import At, Column, Fact, Place
from exporter.model.facts.jobs import JOB_FACTS
from exporter.model.facts.orders import SORTS, sort_rows
from exporter.model.facts.roots import ROOT_FACTS
from exporter.model.facts.sums import SUMS
from exporter.model.job import Job
from exporter.model.report import RootRow, Row
from exporter.model.snapshot import Totals

__all__ = [
    "JOB_FACTS",
    "ROOT_FACTS",
    "SORTS",
    "SUMS",
    "columns_of",
    "job_json",
    "root_json",
    "sort_rows",
    "totals_json",
]


def columns_of(place: Place) -> list[tuple[Fact[Job, Row], Column]]:
    """The columns of a table, or the entries of a job's page, from the first to the last."""
    found = [(fact, c) for fact in JOB_FACTS for c in fact.columns if place in c.places]
    return sorted(found, key=lambda pair: pair[1].order)


def job_json(row: Row) -> dict[str, object]:
    """The fields of a job, for JSON."""
    return _fields(JOB_FACTS, row)


def root_json(row: RootRow) -> dict[str, object]:
    """The fields of a root, for JSON, its sums among them."""
    totals = row.root.totals
    sums = None if totals is None else totals_json(totals)
    return {**_fields(ROOT_FACTS, row), "totals": sums}


def totals_json(totals: Totals) -> dict[str, object]:
    """The fields of sums, for JSON."""
    return _fields(SUMS, totals)


def _fields(facts: Iterable[Fact[Any, At]], row: At) -> dict[str, object]:
    return {fact.name: fact.of(row) for fact in facts if fact.schema is not None}
