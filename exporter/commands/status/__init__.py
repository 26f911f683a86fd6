"""The command ``status``: rows of the report, once or again and again.

Nothing that takes long to import is imported before it is needed: the answer for a local
folder comes sooner than that of datatrove's ``jobs_status``.
"""

import io
import signal
import sys
from dataclasses import dataclass

from exporter import log
from exporter.config.settings import Config
from exporter.model.report import Report, Row
from exporter.model.selection import Filter, sort_rows
from exporter.model.state import State


@dataclass(frozen=True, slots=True)
class Options:
    """What to show and how. `tail` is how many lines of each failed task's log. `sort` None: by
    name, and with `watch` what needs attention first; `interval` is how often
    to scan then, in seconds. `by` is what jobs are put together by, in place of a line for each.
    Only jobs in one of the `states` and with `match` in their names are asked for, empty for all;
    `limit` is how many lines there are at most."""

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

    @property
    def has_filter(self) -> bool:
        """Whether only some of the jobs are asked for."""
        return bool(self.states or self.match)

    def wanted_of(self, report: Report) -> list[Row]:
        """The rows that are asked for, hidden complete ones included."""
        wanted = Filter(self.match, states=frozenset(self.states))
        return [row for row in report.rows if wanted.keeps(row)]

    def rows_of(self, report: Report) -> list[Row]:
        """The rows to show, in their order."""
        wanted = self.wanted_of(report)
        by = self.sort or ("attention" if self.watch else "name")
        kept = Filter(hide_complete=self.hide_complete)
        return [row for row in sort_rows(wanted, by) if kept.keeps(row)]


def run(config: Config, options: Options) -> int:
    """Show what the options ask for; returns the exit code."""
    log.set_up("error", "logfmt")
    for stream in (sys.stdout, sys.stderr):  # names may be what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not options.watch:
            from exporter.commands.status.once import show
            from exporter.commands.status.scanned import Scanned

            return show(Scanned(config), options)
        from exporter.commands.status.watch import watch

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        watch(config, options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
