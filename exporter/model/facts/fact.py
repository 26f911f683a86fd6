"""What a row of the table of facts is made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack

from exporter.model.job import Job, Reading
from exporter.model.report import RootRow, Row
from exporter.model.snapshot import Root, Totals

Value = (
    str
    | float
    | tuple[str | int | Mapping[str, object], ...]
    | Mapping[Any, int | str | None]
    | None
)
Subject = TypeVar("Subject")
At = TypeVar("At")
# What a metric reads (Job, Root, Totals), and the same at the time of a report (Row, RootRow,
# Totals).
Sample = tuple[tuple[str, ...], float]
"""Values of a metric's own labels, and the sample's value."""


@dataclass(frozen=True, slots=True)
class Metric(Generic[Subject]):
    """A metric family. `name` is as scraped (counters end in ``_total``); `labels` come
    after those that the subject itself gives, and `labels_of` names them where they are not the
    same for all; `samples` reads one subject."""

    name: str
    help: str
    samples: Callable[[Subject], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"
    labels_of: Callable[[Subject], tuple[str, ...]] | None = None

    def names(self, subject: Subject) -> tuple[str, ...]:
        """The labels of this subject's samples beside those that it gives itself."""
        return self.labels if self.labels_of is None else self.labels_of(subject)


Place = Literal["terminal", "page", "job"]
"""The table of ``status``, the status page's table, and a job's own page."""

Format = Literal[
    "text", "count", "percent", "duration", "ago",
    "job", "state", "done", "progress", "rate", "note", "last_completion", "time_left",
    "launch", "threshold", "pace", "since_launch", "stray", "executor", "hidden",
]  # fmt: skip
"""How a cell reads. The first five do for any value of that kind, the others are for one."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people, or an entry on a job's page, in the `places` named; those with
    the lowest `order` come first. Where a terminal has not enough room, those with the
    highest `give_way` go first; 0 never goes. One that `may_be_empty` is left out of a
    table in which it would be."""

    title: str
    format: Format
    order: int
    places: tuple[Place, ...]
    give_way: int = 0
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of rows: its `name` in commands and addresses, its `label` for people. Rows
    come by the fact's value, or by another one (`by`), or by the `key`, which is never None or
    the same for two rows; by default the largest first where `descending`. The lowest `order`
    is offered first."""

    name: str
    label: str
    order: int
    descending: bool = False
    by: Callable[[Row], float | None] | None = None
    key: Callable[[Row], Any] | None = None


@dataclass(frozen=True, slots=True)
class Fact(Generic[Subject, At]):
    """One value of a subject, and where it shows.

    `of` reads it, at the time of a report; a `metric` reads the subject alone, as of the
    last scan, and `overall` the sums over all roots. `help` is one sentence for people.
    `schema` is the JSON Schema of the field `name`; without one there is no such field.
    """

    name: str
    help: str
    of: Callable[[At], Value] = lambda _: None
    metric: Metric[Subject] | None = None
    schema: Mapping[str, Any] | None = None
    columns: tuple[Column, ...] = ()
    sort: Sort | None = None
    overall: Metric[Totals] | None = None


AS_OF_SCAN = "As of the last scan, not the scrape."
_WHILE_KNOWN = "Absent while nothing is known of a root that a scan was tried of."


class Shows(TypedDict, total=False):
    """Where a fact shows, beside the metrics."""

    schema: Mapping[str, Any]
    columns: tuple[Column, ...]
    sort: Sort


def counts(
    read: Callable[[Subject], Mapping[Any, float] | None],
) -> Callable[[Subject], Iterable[Sample]]:
    """Samples of a family with one label: a number for each of its values."""

    def samples(subject: Subject) -> Iterable[Sample]:
        for value, number in (read(subject) or {}).items():
            yield (value,), float(number)

    return samples


def _number(
    scope: str,
    name: str,
    read: Callable[[Subject], float | None],
    help_: str,
    kind: Literal["gauge", "counter"] = "gauge",
) -> Metric[Subject]:
    """A family of one sample for each subject, of none where the number is not known. Times
    are named by their unit as well, as is usual for metrics."""

    def samples(subject: Subject) -> Iterable[Sample]:
        number = read(subject)
        return () if number is None else (((), float(number)),)

    unit = "_seconds" if name.endswith("_timestamp") else ""
    return Metric(f"datatrove_{scope}{name}{unit}", help_, samples, kind=kind)


def of_job(
    name: str,
    read: Callable[[Job], float | None],
    help_: str,
    *,
    as_of_scan: bool = True,
    **shows: Unpack[Shows],
) -> Fact[Job, Row]:
    """A number that a scan finds."""
    text = f"{help_} {AS_OF_SCAN}" if as_of_scan else help_
    family = _number("job_", name, read, text)
    return Fact(name, help_, lambda row: read(row.job), family, **shows)


def of_reading(
    name: str, read: Callable[[Reading], float | None], help_: str, **shows: Unpack[Shows]
) -> Fact[Job, Row]:
    """The same, known once the job could be read."""

    def of_last(job: Job) -> float | None:
        return None if (reading := job.reading) is None else read(reading)

    return of_job(name, of_last, help_, **shows)


def of_row(
    name: str, of: Callable[[At], Value], help_: str, **shows: Unpack[Shows]
) -> Fact[Any, At]:
    """A value that is no metric: text, or what depends on the time of the report."""
    return Fact(name, help_, of, **shows)


def of_root(
    name: str,
    read: Callable[[Root], float | None],
    help_: str,
    *,
    schema: Mapping[str, Any] | None = None,
    kind: Literal["gauge", "counter"] = "gauge",
    needs_scan: bool = False,
) -> Fact[Root, RootRow]:
    """A number that is known of a root; if it `needs_scan`, a metric from the first one on."""

    def of_metric(root: Root) -> float | None:
        return read(root) if root.attempted or not needs_scan else None

    family = _number("root_", name, of_metric, help_, kind)
    return Fact(name, help_, lambda row: read(row.root), family, schema)


def of_totals(
    name: str,
    read: Callable[[Totals], float | None],
    help_: str,
    schema: Mapping[str, Any],
    of_root: str,
    *,
    overall: str = "",
    as_of_scan: bool = True,
) -> Fact[Root, Totals]:
    """A sum over jobs, of one root and over all. `help_` is that of the API's field, `of_root`
    and `overall` are those of the metrics; without the latter there is none over everything."""

    def of_metric(root: Root) -> float | None:
        return None if root.totals is None else read(root.totals)

    text = f"{of_root} {AS_OF_SCAN}" if as_of_scan else of_root
    overall = f"{overall} {_WHILE_KNOWN} {AS_OF_SCAN}" if overall else ""
    every = _number("", name, read, overall) if overall else None
    return Fact(name, help_, read, _number("root_", name, of_metric, text), schema, overall=every)
