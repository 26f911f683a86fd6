"""The templates' environment, and what every page is made with.

Jinja2 renders pages; markup and words are in ``templates``. A page is one document that
needs nothing from elsewhere: its style and its script are in it, and the
Content-Security-Policy allows those two texts and no others.

Every value is text to the templates: it is escaped and becomes no element or attribute.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.runtime import Macro
from markupsafe import Markup

from exporter import __version__
from exporter.model import facts, formatting
from exporter.model.facts.fact import Column, Fact, Place, Value
from exporter.model.job import Job
from exporter.model.open_tasks import failures, in_words
from exporter.model.report import RootRow, Row
from exporter.model.selection import Filter
from exporter.model.stages import neighbours
from exporter.model.state import BY_NAME, NEED_ATTENTION, State
from exporter.web.query import Query
from exporter.web.urls import Addresses

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# What HTML forbids in a document, and carriage returns, which it would change.


_ALL = Query()


def _static(name: str) -> str:
    return files("exporter.web").joinpath("static", name).read_text("utf-8")


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


_STYLE, _SCRIPT = _static("page.css"), _static("page.js")

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; "
    f"script-src 'sha256-{_hash(_SCRIPT)}'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's own style and script, its refreshing, its icon and its form; nothing else."""


def new_environment() -> Environment:
    """Jinja2 with the templates, and what they may use beside the values of a page."""
    environment = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = ("ago", "clock", "count", "counted", "day", "duration", "moment", "percent")
    environment.filters |= {name: getattr(formatting, name) for name in filters}
    environment.tests["far"] = formatting.is_far
    environment.globals |= {
        "SORTS": facts.SORTS,
        "failures": lambda row: (
            [] if row.logs is None else failures(row.logs, row.root.show_errors)
        ),
        "formatting": formatting,
        "in_words": in_words,
        "of_upstream": lambda row: neighbours.in_words(row.job),
        "jobs_of": lambda root: Query(Filter(roots=frozenset({root}))).encode(),
        # The only markup that is no template: two files of this package, never data.
        "script": Markup(_SCRIPT),  # noqa: S704
        "style": Markup(_STYLE),  # noqa: S704
        "states": BY_NAME,
        "version": __version__,
        "with_strays": Query(Filter(has_strays=True), view="list").encode(),
    }
    return environment


Drawn = tuple[Macro, Fact[Job, Row], Column]
"""A column or an entry, with the macro that draws its values."""


class Templates:
    """Renders templates, as UTF-8. `cells` are the columns of the table of jobs, `entries` what a
    job's page tells."""

    def __init__(self) -> None:
        self._environment = new_environment()
        self._addresses = Addresses(())
        self._back = _ALL
        self._environment.globals |= {
            "link": self._link,
            "address": self._address,
            "those_with_strays": self._those_with_strays,
        }
        for name in self._environment.list_templates():
            self._environment.get_template(name)  # compiled now, not for the first request
        self.cells = self._macros("_cells.html", "page")
        self.entries = self._macros("_entries.html", "job")

    def render(
        self, template: str, addresses: Addresses, back: Query = _ALL, **values: Any
    ) -> bytes:
        """The document; `addresses` are those of the jobs that it links to, and `back` is the query
        of the status page to which their pages lead back."""
        self._addresses, self._back = addresses, back
        document = self._environment.get_template(template).render(values, back=back.encode())
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", document).encode()

    def _address(self, row: Row) -> str:
        """Where the job's page is, and its JSON."""
        return self._addresses.link(row.key)

    def _link(self, row: Row) -> str:
        """The same, with the way back."""
        link = self._address(row)
        back = self._back.encode()
        if not back:
            return link
        return f"{link}{'&' if '?' in link else '?'}{urlencode([('from', back)])}"

    def _those_with_strays(self) -> str:
        """The query for those jobs of the status page that have stray markers."""
        wanted = replace(self._back.filter, has_strays=True)
        return replace(self._back, filter=wanted, view="list", page=1).encode()

    def _macros(self, template: str, place: Place) -> list[Drawn]:
        module = self._environment.get_template(template).module
        plain = getattr(module, "plain")  # noqa: B009 - a macro, which no type knows
        return [
            (getattr(module, column.format, plain), fact, column)
            for fact, column in facts.columns_of(place)
        ]


def drawn(macros: list[Drawn], row: Row) -> list[tuple[Macro, Value, Column]]:
    """The values of a row, each with what draws it."""
    return [(macro, fact.of(row), column) for macro, fact, column in macros]


def freshness(roots: Sequence[RootRow]) -> dict[str, Any]:
    """How recent the information on some roots is. `failing` were scanned and not lately
    or not to the end, `pending` never; `age_seconds` is that of the oldest data."""
    ages = (row.age_seconds for row in roots if row.age_seconds is not None)
    return {
        "roots": len(roots),
        "failing": sum(row.root.attempted and not row.is_up_to_date for row in roots),
        "pending": sum(not row.root.attempted for row in roots),
        "age_seconds": max(ages, default=None),
    }


def icon(states: Collection[State]) -> str:
    """Which of the icons of `base.html` suits jobs in these states."""
    if any(state in NEED_ATTENTION for state in states):
        return "bad"
    return "ok" if all(state == "complete" for state in states) else "busy"
