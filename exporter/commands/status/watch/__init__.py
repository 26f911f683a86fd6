"""Jobs shown as they go on, on the whole screen of a terminal, and the keys that choose among them.

This thread draws the latest moment once a second, at once after a key and when the terminal gets
another size, and ends at once when asked to.
"""

import time
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live

from exporter.commands.status.options import Options
from exporter.commands.status.tables.jobs import summary
from exporter.commands.status.tables.layout import folded
from exporter.commands.status.watch.feed import Feed
from exporter.commands.status.watch.keyboard import Keyboard
from exporter.commands.status.watch.screen import Drawing, draw
from exporter.commands.status.watch.view import View
from exporter.model.report import Report
from exporter.model.upstream import JobKey

_REDRAW_SECONDS = 1.0
_STEP_SECONDS = 0.1


@dataclass
class _Changes:
    """Tasks completed since the watch began, by root and job_name."""

    _at_first: dict[JobKey, int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def of(self, report: Report) -> dict[JobKey, int]:
        """What changed until this report. A job that appears later begins at nothing."""
        changes = {}
        for row in report.rows:
            if row.reading is not None:
                completed = row.reading.tasks_completed
                first = completed if row.root.name not in self._seen else 0
                changes[row.key] = completed - self._at_first.setdefault(row.key, first)
        self._seen |= {row.root.name for row in report.roots if row.root.totals is not None}
        return changes


class _Show:
    """What is on the screen."""

    def __init__(self, feed: Feed, options: Options, console: Console) -> None:
        self._feed, self._options, self._console = feed, options, console
        self._changes = _Changes()
        self._moment, self._new = feed.now(), dict[JobKey, int]()
        self._drawing = Drawing([], [], 1)
        self._drawn_at = float("-inf")
        self._size = (0, 0)
        self.view = View(options.sort or "attention", group=options.by)

    def draw(self, live: Live) -> None:
        """Draw what is known now, if a second has passed or the terminal has another size."""
        size = (self._console.width, self._console.height)
        if size == self._size and time.monotonic() - self._drawn_at < _REDRAW_SECONDS:
            return
        self._moment = self._feed.now()
        self._new = self._changes.of(self._moment.report)
        self._size, self._drawn_at = size, time.monotonic()
        self.draw_again(live)

    def draw_again(self, live: Live) -> None:
        """The same moment once more."""
        self._drawing = draw(self._moment, self.view, self._options, self._new, self._size)
        live.update(Group(*self._drawing.lines), refresh=True)

    def press(self, key: str, live: Live) -> None:
        """Do what the key is for."""
        self.view = self.view.after(key, self._drawing.about, self._drawing.page)
        self.draw_again(live)


def watch(feed: Feed, options: Options) -> None:
    """Draw until somebody has seen enough; the terminal is then as it was."""
    console = Console(highlight=False)
    keyboard, show = Keyboard(), _Show(feed, options, console)
    live = Live(console=console, screen=True, auto_refresh=False)
    with keyboard.taken(), live:
        while not (keyboard.is_ended or show.view.is_over):
            show.draw(live)
            for key in keyboard.keys(_STEP_SECONDS):
                show.press(key, live)
            if keyboard.stop_if_asked(live.stop, live.start):
                show.draw_again(live)
    feed.stop()
    report = feed.now().report
    if report.rows:
        console.print(*folded(summary(report), console.width), sep="\n", markup=False)
