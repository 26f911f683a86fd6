"""The command ``status --watch``: the table drawn again and again.

Drawing never waits for storage. The scheduler scans on threads of its own, exactly as in
``serve``; this thread draws the latest snapshot once a second, says how old it is, and
ends at once when asked to.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporter.commands.status.once import Options, chosen, problems
from exporter.commands.status.table import columns_for, summary
from exporter.commands.status.terminal_table import bar, change, live_table_of
from exporter.config.settings import (
    Config,
    RootConfig,
)
from exporter.model import formatting
from exporter.model.report import Report, report_on
from exporter.model.selection import Filter, sort_rows
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.storage import scheme_of
from exporter.workers import Workers

_REDRAW_SECONDS = 1.0
_LOCAL_SECONDS = 2.0
_REMOTE_SECONDS = 15.0


@dataclass
class _Changes:
    """Tasks completed since the watch began, by root and job_name."""

    _at_first: dict[tuple[str, str], int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def of(self, report: Report) -> dict[tuple[str, str], int]:
        """What changed until this report. A job that appears later begins at nothing."""
        for row in report.rows:
            if row.reading is not None:
                first = row.reading.tasks_completed if row.root.name not in self._seen else 0
                self._at_first.setdefault(row.key, first)
        self._seen |= {row.root.name for row in report.roots if row.root.totals is not None}
        return {
            row.key: row.reading.tasks_completed - self._at_first[row.key]
            for row in report.rows
            if row.reading is not None
        }


def watch(config: Config, options: Options, interval_seconds: float | None) -> None:
    """Draw until KeyboardInterrupt, which is not raised any further."""
    config = chosen(config, options)
    roots = [_often(root, interval_seconds) for root in config.roots]
    latest = Latest()
    scheduler = Scheduler(roots, latest, Workers(config.scan_workers))
    console = Console(highlight=False)
    began = time.time()
    changes = _Changes()
    threading.Thread(target=scheduler.run, name="scheduler", daemon=True).start()

    def draw() -> RenderableType:
        report = report_on(latest.read(), time.time())
        new = changes.of(report)
        head = _head(roots, report, scheduler, began, new)
        return Group(*head, *_body(report, options, console, len(head), new))

    try:
        with Live(draw(), console=console, auto_refresh=False) as live:
            while True:
                live.update(draw(), refresh=True)
                time.sleep(_REDRAW_SECONDS)
    except KeyboardInterrupt:
        scheduler.stop()


def _often(root: RootConfig, interval_seconds: float | None) -> RootConfig:
    """The root, scanned so often that it is worth while to look."""
    usual = _LOCAL_SECONDS if scheme_of(root.url) == "file" else _REMOTE_SECONDS
    interval = interval_seconds or min(usual, root.scan_interval_seconds)
    return replace(
        root, scan_interval_seconds=interval, completed_scan_interval_seconds=2 * interval
    )


def _head(
    roots: Sequence[RootConfig],
    report: Report,
    scheduler: Scheduler,
    began: float,
    changes: dict[tuple[str, str], int],
) -> list[RenderableType]:
    """How fresh this is, everything together, and what is wrong with roots."""
    lines: list[RenderableType] = [_freshness(report, scheduler)]
    totals = report.totals
    if totals.tasks:
        together = Table.grid(padding=(0, 2, 0, 0))
        since = Text(f"since {time.strftime('%H:%M:%S', time.localtime(began))}", style="dim")
        new = sum(changes.values())
        sums = Text(summary(totals, report.rows), no_wrap=True, overflow="ellipsis")
        if new:
            sums = change(new) + Text(" ") + since + Text("  ") + sums
        together.add_row(bar(totals.tasks_completed, totals.tasks), sums)
        lines.append(together)
    tried = [
        (config, row) for config, row in zip(roots, report.roots, strict=True) if row.root.attempted
    ]
    for line in problems([config for config, _ in tried], [row for _, row in tried]):
        lines.append(Text(line, style="bold red"))  # noqa: PERF401 - renderables of two kinds
    return lines


def _freshness(report: Report, scheduler: Scheduler) -> Text:
    known = [root.age_seconds for root in report.roots if root.age_seconds is not None]
    if not all(row.root.attempted for row in report.roots):
        folders, jobs = scheduler.progress
        text = f"first scan: {folders} folders, {jobs} jobs read"
    elif known:
        text = f"scanned {formatting.ago(max(known))}"
    else:
        text = "nothing could be read yet"
    return Text(f"{text}  ·  Ctrl-C ends", style="dim")


def _body(
    report: Report,
    options: Options,
    console: Console,
    lines_above: int,
    changes: dict[tuple[str, str], int],
) -> list[RenderableType]:
    """As many rows as there is room for, and how many there are more."""
    wanted = Filter(hide_complete=options.hide_complete)
    ordered = sort_rows(report.rows, options.sort or "attention")
    rows = [row for row in ordered if wanted.keeps(row)]
    if not rows:
        return []
    room = max(2, console.height - lines_above - 2)
    shown = rows if len(rows) <= room else rows[: room - 1]
    columns = columns_for(report, shown)
    body: list[RenderableType] = [
        live_table_of(shown, columns, report.time, console.width, changes)
    ]
    if len(shown) < len(rows):
        body.append(Text(f"… and {len(rows) - len(shown)} more", style="dim"))
    return body
