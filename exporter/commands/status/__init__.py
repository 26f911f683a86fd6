"""The command ``status``: rows of the report, once or again and again.

Nothing that takes long to import is imported before it is needed: the answer for a local
folder comes sooner than that of datatrove's ``jobs_status``.
"""

import io
import signal
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter import log
from exporter.commands.status.source import Source
from exporter.commands.targets import ExporterAt
from exporter.config.settings import Asked, Config
from exporter.model.facts import sort_rows
from exporter.model.report import Report, Row
from exporter.model.selection import Filter
from exporter.model.state import State

if TYPE_CHECKING:
    from exporter.commands.status.watch.feed import Feed


@dataclass(frozen=True, slots=True)
class Options:
    """What to show and how. `tail` is how many lines of each failed task's log. `sort` None: by
    name, and with `watch` what needs attention first; `interval` is how often
    to scan then, in seconds. `by` is what jobs are put together by, in place of a line for each.
    Only jobs in one of the `states` and with `match` in their names are asked for, empty for all;
    `limit` is how many lines there are at most. With `problems` these are what needs somebody, in
    place of jobs. `steps`: what the steps of each job's pipeline did."""

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

    def wanted_of(self, report: Report) -> list[Row]:
        """The rows that are asked for."""
        wanted = self.filter
        return [row for row in report.rows if wanted.keeps(row)]

    def rows_of(self, report: Report) -> list[Row]:
        """The rows to show, in their order."""
        wanted = replace(self.filter, hide_complete=self.hide_complete)
        return sort_rows(filter(wanted.keeps, report.rows), self.sort or "name")


def run(target: Config | ExporterAt, options: Options) -> int:
    """Show what the options ask for; returns the exit code. Raises CommandError."""
    log.set_up("error", "logfmt")
    for stream in (sys.stdout, sys.stderr):  # names may be what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not options.watch:
            from exporter.commands.status.once import show

            return show(_source(target, options), options)
        from exporter.commands.status.watch import watch

        watch(_feed(target, options), options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _source(target: Config | ExporterAt, options: Options) -> Source:
    if isinstance(target, Config):
        from exporter.commands.status.scanned import Scanned

        asked: list[Asked] = ["pipelines"] if options.strict else []
        asked += ["stats"] if options.steps else []
        return Scanned(target, tuple(asked))
    from exporter.commands.status.remote.source import Exporter

    return Exporter(target.url, target.roots, target.prefix)


def _feed(target: Config | ExporterAt, options: Options) -> "Feed":
    from exporter.commands.status.watch.feed import Questions, Scans

    if isinstance(target, Config):
        return Scans(target, options.interval)
    from exporter.commands.status.remote.source import Exporter

    return Questions(Exporter(target.url, target.roots, target.prefix), options.interval)
