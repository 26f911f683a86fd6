"""What ``status`` is asked for: which jobs, in which order, and how they are shown."""

from dataclasses import dataclass, replace

from exporter.model.facts import sort_rows
from exporter.model.report import Report, Row
from exporter.model.selection import Filter
from exporter.model.state import State


@dataclass(frozen=True, slots=True)
class Options:
    """What to show and how. `sort` None: by name, and with `watch` what needs attention first;
    `interval` is how often to scan then, in seconds. Only jobs in one of the `states` and with
    `match` in their names are asked for, empty for all; `limit` is how many lines there are at
    most. In place of a line for each job there is one for all that have something in common (`by`),
    or for what needs somebody (`problems`). `tail` is how many lines of each failed task's log are
    shown, `steps` what the steps of each job's pipeline did."""

    sort: str | None
    interval: float | None
    hide_complete: bool
    missing: bool
    failed: bool
    tail: int
    as_json: bool
    watch: bool
    fail_incomplete: bool
    strict: bool
    by: str | None = None
    states: tuple[State, ...] = ()
    match: str = ""
    limit: int | None = None
    problems: bool = False
    steps: bool = False

    @property
    def filter(self) -> Filter:
        """Which jobs are asked for; `Filter()` for all. Hidden complete ones are."""
        return Filter(self.match, states=frozenset(self.states))

    @property
    def shown(self) -> Filter:
        """Which of them are shown."""
        return replace(self.filter, hide_complete=self.hide_complete)

    def wanted_of(self, report: Report) -> list[Row]:
        """The rows that are asked for."""
        return list(filter(self.filter.keeps, report.rows))

    def rows_of(self, report: Report) -> list[Row]:
        """The rows to show, in their order."""
        return sort_rows(filter(self.shown.keeps, report.rows), self.sort or "name")
