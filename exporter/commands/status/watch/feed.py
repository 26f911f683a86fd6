"""What ``--watch`` draws: a report that is always there, while storage or an exporter is asked on
threads of their own. Drawing never waits for either.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from exporter.commands.status.remote.source import Exporter
from exporter.commands.status.scanned import remarks
from exporter.commands.status.source import Document
from exporter.config.addresses import scheme_of
from exporter.config.settings import Config, RootConfig
from exporter.errors import CommandError
from exporter.model import formatting
from exporter.model.facts import job_json
from exporter.model.problems import problem_json, problems_of
from exporter.model.report import Report, Row, report_on
from exporter.model.selection import Filter
from exporter.model.snapshot import Latest, Totals
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

_LOCAL_SECONDS = 2.0
_REMOTE_SECONDS = 15.0
_NOTHING = Report(0.0, (), (), Totals())


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known now: the report, how fresh that is, what needs somebody, and what could not be
    read; all the API says of a job."""

    report: Report
    freshness: str
    problems: Sequence[Document] = ()
    remarks: Sequence[str] = ()
    job_json: Callable[[Row], Document] = field(default=job_json)


class Feed(Protocol):
    """Where moments come from."""

    def now(self) -> Moment:
        """The latest; at once."""
        ...

    def stop(self) -> None:
        """No more is asked."""
        ...


class Scans:
    """Folders that are scanned again and again, exactly as ``serve`` does."""

    def __init__(self, config: Config, interval_seconds: float | None) -> None:
        self._roots = [_often(root, interval_seconds) for root in config.roots]
        self._latest = Latest()
        self._scheduler = Scheduler(self._roots, self._latest, Workers(config.scan_workers))
        threading.Thread(target=self._scheduler.run, name="scheduler", daemon=True).start()

    def now(self) -> Moment:
        """As of the last scans, at the time that it is."""
        report = report_on(self._latest.read(), time.time())
        problems = [*map(problem_json, problems_of(report))]
        said = [*remarks(self._roots, report)] if report.roots else []
        return Moment(report, self._freshness(report), problems, said)

    def stop(self) -> None:
        """No more scans."""
        self._scheduler.stop()

    def _freshness(self, report: Report) -> str:
        known = [root.age_seconds for root in report.roots if root.age_seconds is not None]
        if not all(row.root.attempted for row in report.roots):
            folders, jobs = self._scheduler.progress
            return f"first scan: {folders} folders, {jobs} jobs read"
        return f"scanned {formatting.ago(max(known))}" if known else "nothing could be read yet"


class Questions:
    """An exporter that is asked again and again. What fails is said, and asked again."""

    def __init__(self, exporter: Exporter, interval_seconds: float | None) -> None:
        self._exporter = exporter
        self._every = interval_seconds or _REMOTE_SECONDS
        self._latest = Moment(_NOTHING, "asking the exporter")
        self._asked_at: float | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._ask, name="questions", daemon=True).start()

    def now(self) -> Moment:
        """As of the last answer."""
        if self._asked_at is None:
            return self._latest
        ago = formatting.ago(max(0.0, time.monotonic() - self._asked_at))
        return replace(self._latest, freshness=f"asked {ago}")

    def stop(self) -> None:
        """No more questions."""
        self._stopped.set()

    def _ask(self) -> None:
        while not self._stopped.is_set():
            try:
                self._latest, self._asked_at = self._answer(), time.monotonic()
            except CommandError as error:
                self._latest = replace(self._latest, remarks=[str(error)])
            self._stopped.wait(self._every)

    def _answer(self) -> Moment:
        report = self._exporter.report()
        problems = self._exporter.problems(report, Filter())
        said = [*self._exporter.remarks(report)]
        by_key = {row.key: self._exporter.job_json(row) for row in report.rows}
        return Moment(report, "", problems, said, lambda row: by_key.get(row.key, {}))


def _often(root: RootConfig, interval_seconds: float | None) -> RootConfig:
    """The root, scanned so often that it is worth while to look."""
    usual = _LOCAL_SECONDS if scheme_of(root.url) == "file" else _REMOTE_SECONDS
    every = interval_seconds or min(usual, root.scan_interval_seconds)
    return replace(root, scan_interval_seconds=every, completed_scan_interval_seconds=2 * every)
