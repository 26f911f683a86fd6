"""The command ``status``: one scan, shown as a table, as plain text or as JSON.

Nothing that takes long to import is imported before it is needed: the answer for a local
folder comes sooner than that of datatrove's ``jobs_status``.
"""

import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from exporter.commands.status.missing_logs import JobKey, Logs, logs_of_missing
from exporter.commands.status.table import columns_for, lines, summary
from exporter.commands.targets import hint_for, with_prefix
from exporter.config.settings import (
    Config,
    RootConfig,
)
from exporter.model import formatting
from exporter.model.facts import job_json, root_json, totals_json
from exporter.model.report import Report, RootRow, Row, report_on
from exporter.model.selection import Filter, sort_rows
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

READ, NOT_READ, INCOMPLETE = 0, 1, 3
"""Exit codes: everything was read; something could not be; asked to, because not every
job is complete."""

_QUIET_SECONDS = 0.7
_LOGS_ON_A_TERMINAL = 20
_ERASE_LINE = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Options:
    """What to show and how. `sort` None: by name."""

    prefix: str = ""
    hide_complete: bool = False
    missing: bool = False
    as_json: bool = False
    fail_incomplete: bool = False
    sort: str | None = None


def chosen(config: Config, options: Options) -> Config:
    """The configuration with the options' prefix."""
    roots = tuple(with_prefix(root, options.prefix) for root in config.roots)
    return replace(config, roots=roots)


def run(config: Config, options: Options) -> int:
    """Scan, print, and return the exit code."""
    config = chosen(config, options)
    workers = Workers(config.scan_workers)
    scheduler = Scheduler(config.roots, Latest(), workers)
    with _progress_of(scheduler):
        snapshot = scheduler.run_once()
    report = report_on(snapshot, time.time())
    wanted = Filter(hide_complete=options.hide_complete)
    rows = [row for row in sort_rows(report.rows, options.sort or "name") if wanted.keeps(row)]
    logs: Mapping[JobKey, Logs] | None = None
    if options.missing:
        logs = logs_of_missing(config.roots, rows, workers)
    if options.as_json:
        _print_json(report, rows, logs)
    else:
        _print_text(config, report, rows, logs)
    return _exit_code(report, logs or {}, options)


def _exit_code(report: Report, logs: Mapping[JobKey, Logs], options: Options) -> int:
    if (
        any(not row.root.up for row in report.roots)
        or any(row.state == "unreadable" for row in report.rows)
        or any(found.error is not None for found in logs.values())
    ):
        return NOT_READ
    all_complete = bool(report.rows) and all(row.is_complete for row in report.rows)
    return READ if all_complete or not options.fail_incomplete else INCOMPLETE


@contextmanager
def _progress_of(scheduler: Scheduler) -> Iterator[None]:
    """Tell how far a scan is that takes long, if somebody watches standard error."""
    if not sys.stderr.isatty():
        yield
        return
    from shutil import get_terminal_size

    ended = threading.Event()

    def tell() -> None:
        started = time.monotonic()
        shown = False
        while not ended.wait(0.1 if shown else _QUIET_SECONDS):
            shown = True
            folders, jobs = scheduler.progress
            passed = formatting.duration(time.monotonic() - started)
            text = f"scanning: {folders} folders, {jobs} jobs read, {passed}"
            room = get_terminal_size().columns - 1
            sys.stderr.write(f"{_ERASE_LINE}{text[:room]}")
            sys.stderr.flush()
        if shown:
            sys.stderr.write(_ERASE_LINE)
            sys.stderr.flush()

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join(1)


def _print_json(report: Report, rows: Iterable[Row], logs: Mapping[JobKey, Logs] | None) -> None:
    value = {
        "time": report.time,
        "roots": [root_json(root) for root in report.roots],
        "jobs": [{**job_json(row), **_missing_facts(row, logs)} for row in rows],
        "totals": totals_json(report.totals),
    }
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def _missing_facts(row: Row, logs: Mapping[JobKey, Logs] | None) -> dict[str, object]:
    if logs is None:
        return {}
    found = logs.get(row.key, Logs())
    known = row.reading is not None
    return {
        "missing_runs": [{"first": a, "last": b} for a, b in row.missing] if known else None,
        "missing_logs": [{"rank": rank, "path": path} for rank, path in found.found],
        "missing_logs_error": None if found.error is None else str(found.error),
    }


def _print_text(
    config: Config, report: Report, rows: Sequence[Row], logs: Mapping[JobKey, Logs] | None
) -> None:
    if rows:
        _print_table(report, rows)
    for row in rows:
        if logs is not None and row.reading is not None and not row.is_complete:
            _print_missing(row, logs[row.key], with_root=len(report.roots) > 1)
    sys.stdout.flush()
    for line in problems(config.roots, report.roots):
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    if report.rows:
        if logs:
            sys.stdout.write("\n")
        sys.stdout.write(f"{summary(report.totals, report.rows)}\n")


def problems(configs: Iterable[RootConfig], roots: Iterable[RootRow]) -> Iterator[str]:
    """One line for each root that could not be read, or that has no jobs."""
    for config, row in zip(configs, roots, strict=True):
        root = row.root
        if not root.up:
            yield f"{root.name} cannot be read: {root.error}"
        elif root.totals is not None and root.totals.jobs == 0:
            named = f" whose name starts with {config.prefix}" if config.prefix else ""
            yield f"{root.name}: no jobs found{named}{hint_for(config)}"


def _print_table(report: Report, rows: Sequence[Row]) -> None:
    columns = columns_for(report, rows)
    if not sys.stdout.isatty():
        for line in lines(rows, columns, report.time):
            sys.stdout.write(f"{line}\n")
        return
    from rich.console import Console

    from exporter.commands.status.terminal_table import table_of

    console = Console(highlight=False)
    console.print(table_of(rows, columns, report.time, console.width))


def _print_missing(row: Row, logs: Logs, *, with_root: bool) -> None:
    name = f"{row.root.name}: {row.job_name}" if with_root else row.job_name
    sys.stdout.write(f"\n{name} misses {formatting.ranges(row.missing)}\n")
    if logs.error is not None:
        sys.stdout.write(f"  its logs cannot be listed: {logs.error}\n")
    shown = _LOGS_ON_A_TERMINAL if sys.stdout.isatty() else len(logs.found)
    for _, path in islice(logs.found, shown):
        sys.stdout.write(f"  {path}\n")
    if len(logs.found) > shown:
        more = formatting.count(len(logs.found) - shown)
        sys.stdout.write(f"  … and {more} more logs; all of them in a pipe or with --json\n")
