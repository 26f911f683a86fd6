"""Filters, order and paging from the query of a URL: one meaning for page and API."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, cast, get_args
from urllib.parse import parse_qsl, urlencode

from exporter.model.facts import SORTS, sort_rows
from exporter.model.report import Row
from exporter.model.selection import Filter
from exporter.model.state import STATES

Order = Literal["asc", "desc"]
View = Literal["", "stages", "grid", "list", "problems"]
"""What the status page shows; empty for what suits the jobs."""
Each = TypeVar("Each")

PER_PAGE = 200
MAX_PER_PAGE = 1000
_MAX_PAGE = 1_000_000
_MAX_TEXT = 1024
_SINGLE = ("name", "hide_complete", "strays", "sort", "order", "page", "per_page", "view")
_NAMES = frozenset({*_SINGLE, "root", "state", "stage", "item", "label"})
_OF_PAGES = frozenset({"view"})


class QueryError(ValueError):
    """A parameter has no meaning; one line for people that quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows, in which order, and which page of them (from 1); and on the status page, which
    view of them."""

    filter: Filter = field(default_factory=Filter)
    sort: str = "attention"
    order: Order = "asc"
    page: int = 1
    per_page: int = PER_PAGE
    view: View = ""

    def select(self, rows: Iterable[Row]) -> Sequence[Row]:
        """All rows that match, in order. `rows` come in the order of attention."""
        kept = self.filter.select(rows)
        if self.sort == "attention" and self.order == "asc":
            return kept
        return sort_rows(kept, self.sort, descending=self.order == "desc")

    def cut(self, rows: Sequence[Each]) -> Sequence[Each]:
        """Those of all that are on this page."""
        start = (self.page - 1) * self.per_page
        return rows[start : start + self.per_page]

    def pages(self, total: int) -> int:
        """How many pages `total` rows fill; at least 1."""
        return max(1, -(-total // self.per_page))

    @property
    def is_natural(self) -> bool:
        """Whether the rows come in the sort's own order."""
        return self.order == natural_order(self.sort)

    def sorted_by(self, sort: str) -> "Query":
        """The same rows from the first page in another order; in the opposite one if
        they are in this order already."""
        order = natural_order(sort)
        if sort == self.sort and order == self.order:
            order = "asc" if order == "desc" else "desc"
        return replace(self, sort=sort, order=order, page=1)

    def encode(self) -> str:
        """The shortest query that means this."""
        return urlencode(self.pairs())

    def encode_for_api(self) -> str:
        """The same for the API, which knows no views, and every page of it."""
        return urlencode(replace(self, view="", page=1, per_page=PER_PAGE).pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """The names and values of that query."""
        wanted = self.filter
        is_default = self.sort == "attention" and self.order == "asc"
        pairs = [
            ("name", wanted.name),
            *(("root", root) for root in sorted(wanted.roots)),
            *(("state", state) for state in STATES if state in wanted.states),
            *(("stage", stage) for stage in sorted(wanted.stages)),
            *(("item", item) for item in sorted(wanted.items)),
            *(("label", f"{name}:{value}") for name, value in sorted(wanted.labels)),
            ("hide_complete", "true" if wanted.hide_complete else ""),
            ("strays", "true" if wanted.has_strays else ""),
            ("sort", "" if is_default else self.sort),
            ("order", "" if self.is_natural else self.order),
            ("page", "" if self.page == 1 else str(self.page)),
            ("per_page", "" if self.per_page == PER_PAGE else str(self.per_page)),
            ("view", self.view),
        ]
        return [(name, value) for name, value in pairs if value]


def natural_order(sort: str) -> Order:
    """The order in which a sort is useful when none is named."""
    return "desc" if SORTS[sort][0].descending else "asc"


def parse_query(
    pairs: Iterable[tuple[str, str]], *, strict: bool, names: Collection[str] = _NAMES
) -> Query:
    """The query of decoded name-value pairs; raises QueryError. Without `strict` (a form in a
    browser) parameters of other names and empty values mean nothing."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in names and (strict or value) and not (strict and name in _OF_PAGES):
            given.setdefault(name, []).append(value)
        elif strict:
            known = sorted({*names} - {*_OF_PAGES})
            raise QueryError(f"unknown parameter; there are {', '.join(known)}")
    for name in _SINGLE:
        if len(given.get(name, ())) > 1:
            raise QueryError(f"{name}: more than once")
    if any(len(value) > _MAX_TEXT for values in given.values() for value in values):
        raise QueryError("a value is too long")
    one = {name: values[0] for name, values in given.items()}
    sort = _choice("sort", one.get("sort", "attention"), SORTS)
    states = frozenset(_choice("state", state, STATES) for state in given.get("state", ()))
    labels = frozenset(map(_label, given.get("label", ())))
    order = _choice("order", one.get("order", natural_order(sort)), get_args(Order))
    return Query(
        Filter(
            name=one.get("name", ""),
            roots=frozenset(given.get("root", ())),
            states=states,
            hide_complete=_flag("hide_complete", one),
            stages=frozenset(given.get("stage", ())),
            items=frozenset(given.get("item", ())),
            labels=labels,
            has_strays=_flag("strays", one),
        ),
        sort=sort,
        order=cast("Order", order),
        page=_number("page", one.get("page", "1"), _MAX_PAGE),
        per_page=_number("per_page", one.get("per_page", str(PER_PAGE)), MAX_PER_PAGE),
        view=cast("View", _choice("view", one.get("view", ""), get_args(View))),
    )


def came_from_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """What the page showed from which a job was reached, where its address says so (``from``)."""
    query = dict(pairs).get("from", "")
    try:
        return parse_query(parse_qsl(query), strict=False)
    except (QueryError, ValueError):
        return Query()


def _choice(name: str, value: str, choices: Collection[str]) -> str:
    if value not in choices:
        raise QueryError(f"{name}: expected one of {', '.join(choices)}")
    return value


def _flag(name: str, one: Mapping[str, str]) -> bool:
    return _choice(name, one.get(name, "false"), ("true", "false")) == "true"


def _label(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name and colon and value):
        raise QueryError("label: expected name:value")
    return name, value


def _number(name: str, value: str, largest: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise QueryError(f"{name}: expected a number")
    number = int(value)
    if not 1 <= number <= largest:
        raise QueryError(f"{name}: must be between 1 and {largest}")
    return number
