"""Jobs shown as they go on: the table drawn again and again.

Drawing never waits for storage. The scheduler scans on threads of its own, exactly as in
``serve``; this thread draws the latest snapshot once a second, says how old it is, and
ends at once when asked to.
"""

import threading
import time
from dataclasses import dataclass, field, replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporter.commands.status import Options
from exporter.commands.status.scanned import remarks
from exporter.commands.status.tables.jobs import bar, change, job_columns, summary
from exporter.commands.status.tables.terminal import drawn as drawn_table
from exporter.config.settings import Config, RootConfig
from exporter.model import formatting
from exporter.model.report import Report, report_on
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
        changes = {}
        for row in report.rows:
            if row.reading is not None:
                completed = row.reading.tasks_completed
                first = completed if row.root.name not in self._seen else 0
                changes[row.key] = completed - self._at_first.setdefault(row.key, first)
        self._seen |= {row.root.name for row in report.roots if row.root.totals is not None}
        return changes


def watch(config: Config, options: Options) -> None:
    """Draw until KeyboardInterrupt, which is not raised any further."""
    roots = [_often(root, options.interval) for root in config.roots]
    latest = Latest()
    scheduler = Scheduler(roots, latest, Workers(config.scan_workers))
    console = Console(highlight=False)
    began = time.strftime("%H:%M:%S")
    changes = _Changes()
    threading.Thread(target=scheduler.run, name="scheduler", daemon=True).start()

    def draw() -> RenderableType:
        report = report_on(latest.read(), time.time())
        new = changes.of(report)
        drawn: list[RenderableType] = [_freshness(report, scheduler)]
        if report.totals.tasks:
            drawn.append(_sums(report, sum(new.values()), began))
        said = map(formatting.readable, remarks(roots, report))
        drawn += (Text(line, style="bold red") for line in said)
        rows = options.rows_of(report)
        room = max(2, console.height - len(drawn) - 2)
        shown = rows if len(rows) <= room else rows[: room - 1]
        if shown:
            columns = job_columns(report, shown, with_bars=True, new=new)
            drawn += drawn_table(columns, console.width)
        if len(shown) < len(rows):
            drawn.append(Text(f"… and {len(rows) - len(shown)} more", style="dim"))
        return Group(*drawn)

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
    every = interval_seconds or min(usual, root.scan_interval_seconds)
    return replace(root, scan_interval_seconds=every, completed_scan_interval_seconds=2 * every)


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


def _sums(report: Report, new: int, began: str) -> Table:
    """Everything together, and how many tasks were completed since the watch began."""
    sums = Text(summary(report), no_wrap=True, overflow="ellipsis")
    if new:
        sums = Text(f"{change(new)} since {began}  ", style="green") + sums
    together = Table.grid(padding=(0, 2, 0, 0))
    together.add_row(Text(bar(report.totals.tasks_completed, report.totals.tasks)), sums)
    return together
