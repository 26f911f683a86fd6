"""What is shown to everyone who asks: the newest snapshot whose exposition is ready.

To render thousands of new jobs takes a second or more, and longer beside scans. No request
waits for that: a thread renders each snapshot that was published, and only then it is shown,
as metrics and on every page for people alike. Until then they show the one before.

Snapshots that come faster than they can be rendered are left out, and half of the time
belongs to others in any case.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.metrics.exposition import Exposition, Format
from exporter.metrics.render import Renderer
from exporter.model.snapshot import Latest, Snapshot

_LOG = logging.getLogger("exporter.publisher")
_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A snapshot and its expositions, or none of them if a bug kept them from being rendered."""

    snapshot: Snapshot
    expositions: Mapping[Format, Exposition]


class Publisher:
    """Shows what is published to `latest`; `shown` may be read from any thread."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest
        self._renderer = Renderer()
        self._compressed: set[Format] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self.shown = self._render()

    def start(self) -> None:
        """Begin to show what is published from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Show nothing new; does not wait."""
        self._stopping.set()

    @property
    def is_alive(self) -> bool:
        """Whether what is published will be shown."""
        return self._thread.is_alive()

    def read(self) -> Snapshot:
        """The snapshot that is shown."""
        return self.shown.snapshot

    def exposition(self, page_format: Format, *, compressed: bool) -> Exposition:
        """The exposition of that snapshot. What was once wanted compressed is from then on
        compressed before it is shown. RuntimeError if there is none."""
        if compressed:
            self._compressed.add(page_format)
        found = self.shown.expositions.get(page_format)
        if found is None:
            raise RuntimeError("the latest snapshot could not be rendered")
        return found

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._latest.wait(_WAIT_SECONDS):
                began = time.monotonic()
                self.shown = self._render()
                self._stopping.wait(time.monotonic() - began)

    def _render(self) -> Shown:
        snapshot = self._latest.read()
        try:
            expositions = self._renderer.render(snapshot)
            for page_format in self._compressed & expositions.keys():
                expositions[page_format].compress()
        except Exception:
            _LOG.exception("a page could not be rendered: a bug of the exporter")
            return Shown(snapshot, {})
        return Shown(snapshot, expositions)
