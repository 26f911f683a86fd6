"""Folders of jobs, scanned now, with the rights of whoever asks."""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from shutil import get_terminal_size

from exporter.commands.status.logs.failed import Failed, failed_of
from exporter.commands.status.logs.missing import Missing, missing_of
from exporter.commands.status.source import Document
from exporter.commands.status.tables.steps import JobSteps
from exporter.config.addresses import without_query
from exporter.config.settings import Asked, Config, RootConfig
from exporter.datatrove.layout import INNER_FOLDERS
from exporter.model import formatting
from exporter.model.facts import job_json, root_json, totals_json
from exporter.model.missed import tells_of_prefix
from exporter.model.problems import problem_json, problems_of
from exporter.model.report import Report, RootRow, Row, report_on
from exporter.model.selection import Filter
from exporter.model.snapshot import Latest, Snapshot, Totals
from exporter.model.steps import coverage, steps_of
from exporter.model.upstream import JobKey
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

_QUIET_SECONDS = 0.7
_RETELL_SECONDS = 0.1
_AT_REST = ("complete", "abandoned", "unreadable")
_ERASE_LINE = "\r\x1b[K"


class Scanned:
    """The roots of a configuration, as a `Source`. What is `asked` of their jobs is found out
    whatever it costs, which a service would not do."""

    def __init__(self, config: Config, asked: tuple[Asked, ...] = ()) -> None:
        self._roots = [replace(root, asked=asked) for root in config.roots]
        self._were_typed = not config.source
        self._workers = Workers(config.scan_workers)
        self._totals = Totals()

    @property
    def why_pipelines_are_unknown(self) -> str:
        """Every job was asked."""
        return "stats of its tasks cannot be read"

    def report(self) -> Report:
        """Scan once, telling meanwhile how far that is."""
        snapshot = _scan(Scheduler(self._roots, Latest(), self._workers))
        self._totals = snapshot.totals
        return report_on(snapshot, time.time())

    def remarks(self, report: Report) -> Iterator[str]:
        """As `Source` says, with the reasons that a root may have no jobs."""
        yield from remarks(self._roots, report)
        if self._were_typed and any(row.root.folders_unsearched for row in report.roots):
            deeper = 1 + max(root.max_depth for root in self._roots)
            yield f"--max-depth {deeper} looks one level deeper"

    def problems(self, report: Report, wanted: Filter) -> Sequence[Document]:
        """Those of the report."""
        return [*map(problem_json, problems_of(report, wanted))]

    def missing(self, rows: Sequence[Row]) -> Mapping[JobKey, Missing]:
        """With their logs, listed now."""
        return missing_of(self._roots, rows, self._workers)

    def failed(self, rows: Sequence[Row], tail: int) -> Mapping[JobKey, Failed]:
        """Read now."""
        return failed_of(self._roots, rows, self._workers, tail)

    def steps(self, rows: Sequence[Row]) -> Mapping[JobKey, JobSteps]:
        """As the scan read them."""
        return {row.key: _steps_of(row) for row in rows}

    def job_json(self, row: Row) -> Document:
        """As the API would have it."""
        return job_json(row)

    def totals_json(self) -> Document:
        """As the API would have it."""
        return totals_json(self._totals)

    def root_json(self, row: RootRow) -> Document:
        """As the API would have it."""
        return root_json(row)


def _steps_of(row: Row) -> JobSteps:
    said = coverage(row.reading) or "What its steps did is not known."
    return JobSteps(said, steps_of(row.reading))


def _scan(scheduler: Scheduler) -> Snapshot:
    ended = threading.Event()
    teller = threading.Thread(target=_tell_progress, args=(scheduler, ended), daemon=True)
    teller.start()
    try:
        return scheduler.run_once()
    finally:
        ended.set()
        teller.join(1)


def _tell_progress(scheduler: Scheduler, ended: threading.Event) -> None:
    """Tell how far a scan is that takes long, if somebody watches standard error."""
    started = time.monotonic()
    pause = _QUIET_SECONDS
    while sys.stderr.isatty() and not ended.wait(pause):
        pause = _RETELL_SECONDS
        folders, jobs = scheduler.progress
        passed = formatting.duration(time.monotonic() - started)
        text = f"scanning: {folders} folders, {jobs} jobs read, {passed}"
        sys.stderr.write(f"{_ERASE_LINE}{text[: get_terminal_size().columns - 1]}")
    if pause == _RETELL_SECONDS:
        sys.stderr.write(_ERASE_LINE)


def remarks(configs: Sequence[RootConfig], report: Report) -> Iterator[str]:
    """A line for each root that could not be read or has no jobs, for whatever jobs may be
    missed by, and for logs that cannot be read. Roots that have none of one prefix, which is asked
    of all, share a line."""
    prefix, without = _shared_prefix(configs), []
    unread = _without_logs(report)
    for config, row in zip(configs, report.roots, strict=True):
        root = row.root
        has_none = root.error is None and root.totals is not None and root.totals.jobs == 0
        if root.error is not None:
            yield f"{root.name} cannot be read: {root.error}"
        elif has_none and prefix:
            without.append(root.name)
        elif has_none:
            yield f"{root.name}: no jobs found{_named(config)}{_hint_for(config)}"
        for sentence in root.missed:
            if not (has_none and prefix and tells_of_prefix(sentence)):
                yield f"{root.name}: {sentence}"
        if root.name in unread and config.watch_logs != "never":
            yield f"{root.name}: {_on_logs(unread[root.name])}"
    if without:
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        yield f"{without[0]}{more}: no jobs found whose name starts with {prefix}"


def _shared_prefix(configs: Sequence[RootConfig]) -> str:
    """The prefix that all of several roots are asked for; empty if there is none."""
    prefixes = {config.asked_prefix or config.prefix for config in configs}
    return prefixes.pop() if len(configs) > 1 and len(prefixes) == 1 else ""


def _without_logs(report: Report) -> dict[str, list[str]]:
    """The jobs whose logs would tell something and cannot be read, by the name of their root."""
    found = defaultdict[str, list[str]](list)
    for row in filter(_lacks_logs, report.rows):
        found[row.root.name].append(row.job_name)
    return found


def _on_logs(unread: Sequence[str]) -> str:
    jobs = formatting.counted(len(unread), "job cannot be read:", "jobs cannot be read, such as")
    return f"logs of {jobs} {unread[0]}; which of the tasks failed is not known"


def _lacks_logs(row: Row) -> bool:
    """Its logs would tell what its tasks do, and could not be read. (Where the storage tells no
    times, no logs tell that.)"""
    reading = row.reading
    if reading is None or reading.launch_timestamp is None or row.state in _AT_REST:
        return False
    return reading.started and reading.logs is None


def _named(config: RootConfig) -> str:
    if not config.prefix:
        return ""
    also = config.asked_prefix and f" (as configured) and with {config.asked_prefix} (--prefix)"
    return f" whose name starts with {config.prefix}{also}"


def _hint_for(config: RootConfig) -> str:
    """Why a folder may hold no jobs, as far as its name tells."""
    depth = f", up to {config.max_depth} folders deep (--max-depth)"
    place = without_query(config.url).partition("://")
    _, slash, name = (place[2] or place[0]).rstrip("/").rpartition("/")
    if slash and name in INNER_FOLDERS:  # and no bucket
        return f"{depth}; {name}/ may lie inside a job, one folder up"
    return depth
