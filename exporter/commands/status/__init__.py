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


@dataclass(frozen=True, slots=True)
class Options:
    """What to show and how. `tail` is how many lines of each failed task's log. `sort` None: by
    name, and with `watch` what needs attention first; `interval` is how often
    to scan then, in seconds. `by` is what jobs are put together by, in place of a line for each."""

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

    def rows_of(self, report: Report) -> list[Row]:
        """The rows to show, in their order."""
        wanted = Filter(hide_complete=self.hide_complete)
        by = self.sort or ("attention" if self.watch else "name")
        return [row for row in sort_rows(report.rows, by) if wanted.keeps(row)]


def run(config: Config, options: Options) -> int:
    """Show what the options ask for; returns the exit code."""
    log.set_up("error", "logfmt")
    for stream in (sys.stdout, sys.stderr):  # names may be what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not options.watch:
            from exporter.commands.status.once import show

            return show(config, options)
        from exporter.commands.status.watch import watch

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        watch(config, options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
