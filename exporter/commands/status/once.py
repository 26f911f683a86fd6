"""Jobs shown once: one scan, and its rows as a table, as plain text or as JSON."""

import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from shutil import get_terminal_size

from exporter.commands.status import Options
from exporter.commands.status.failed_logs import Failed, failed_tasks
from exporter.commands.status.failed_text import failed_json, failed_lines
from exporter.commands.status.indented_json import indented
from exporter.commands.status.missing_logs import Logs, logs_of_missing
from exporter.commands.status.parts import part_json, part_lines
from exporter.commands.status.per_job import JobKey
from exporter.commands.status.table import columns_for, lines, problems, summary
from exporter.config.settings import Config
from exporter.model import formatting
from exporter.model.facts import job_json, root_json, totals_json
from exporter.model.open_tasks import WORDS
from exporter.model.report import Report, Row, report_on
from exporter.model.snapshot import Latest, Snapshot
from exporter.model.stages.breakdown import break_down
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

_READ, _NOT_READ, _INCOMPLETE = 0, 1, 3  # exit codes
_QUIET_SECONDS = 0.7
_RETELL_SECONDS = 0.1
_LOGS_ON_A_TERMINAL = 20
_WARNING = "Lines of logs may hold secrets: look before you pass them on."
_ERASE_LINE = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked of single jobs, by their keys; None for what was not."""

    missing: Mapping[JobKey, Logs] | None
    failed: Mapping[JobKey, Failed] | None

    @property
    def could_all_be_read(self) -> bool:
        errors = [found.error for found in (self.missing or {}).values()]
        errors += [found.error for found in (self.failed or {}).values()]
        return not any(errors)


def show(config: Config, options: Options) -> int:
    """Scan, print, and return the exit code."""
    workers = Workers(config.scan_workers)
    scheduler = Scheduler(config.roots, Latest(), workers)
    report = report_on(_scan(scheduler), time.time())
    rows = options.rows_of(report)
    asked = _Asked(
        logs_of_missing(config.roots, rows, workers) if options.missing else None,
        failed_tasks(config.roots, rows, workers, options.tail) if options.failed else None,
    )
    if options.tail:
        sys.stderr.write(f"{_WARNING}\n")
    if options.by is not None:
        _print_parts(config, report, rows, options.by, as_json=options.as_json)
    elif options.as_json:
        _print_json(report, rows, asked)
    else:
        _print_text(config, report, rows, asked)
    return _exit_code(report, options, asked)


def _exit_code(report: Report, options: Options, asked: _Asked) -> int:
    was_read = (
        all(row.root.up and not row.root.folders_unread for row in report.roots)
        and all(row.state != "unreadable" for row in report.rows)
        and asked.could_all_be_read
    )
    all_complete = bool(report.rows) and all(row.is_complete for row in report.rows)
    if options.strict:
        return _READ if was_read and all_complete else _INCOMPLETE
    if not was_read:
        return _NOT_READ
    return _INCOMPLETE if options.fail_incomplete and not all_complete else _READ


def _scan(scheduler: Scheduler) -> Snapshot:
    """Scan once, telling meanwhile how far that is."""
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


def _print_json(report: Report, rows: Iterable[Row], asked: _Asked) -> None:
    value = {
        "time": report.time,
        "roots": [root_json(root) for root in report.roots],
        "jobs": [
            {
                **job_json(row),
                **_missing_facts(row, asked.missing),
                **failed_json(row, asked.failed),
            }
            for row in rows
        ],
        "totals": totals_json(report.totals),
        "roots_missing": report.roots_missing,
    }
    sys.stdout.write(f"{indented(value)}\n")


def _missing_facts(row: Row, logs: Mapping[JobKey, Logs] | None) -> dict[str, object]:
    if logs is None:
        return {}
    found = logs.get(row.key, Logs())
    known = row.reading is not None
    return {
        "missing_runs": [{"first": a, "last": b} for a, b in row.missing] if known else None,
        "missing_logs": [asdict(log) for log in found.found],
        "missing_logs_error": None if found.error is None else str(found.error),
    }


def _print_parts(
    config: Config, report: Report, rows: Sequence[Row], by: str, *, as_json: bool
) -> None:
    parts = break_down(rows, by)
    if as_json:
        value = {
            "time": report.time,
            "by": by,
            "parts": [part_json(part) for part in parts],
            "totals": totals_json(report.totals),
            "roots_missing": report.roots_missing,
        }
        sys.stdout.write(f"{indented(value)}\n")
        return
    if parts:
        sys.stdout.writelines(f"{line}\n" for line in part_lines(parts, by))
        sys.stdout.flush()
    told = list(problems(config.roots, report))
    if parts and not any(part.value for part in parts):
        told.append(f"no job has a {by}")
    sys.stderr.writelines(f"{formatting.readable(line)}\n" for line in told)
    if report.rows:
        sys.stdout.write(f"{summary(report)}\n")


def _print_text(config: Config, report: Report, rows: Sequence[Row], asked: _Asked) -> None:
    if rows:
        _print_table(report, rows)
    logs, with_root = asked.missing, len(report.roots) > 1
    missing = [] if logs is None else [row for row in rows if row.key in logs or _repeats(row)]
    for row in missing:
        _print_missing(row, (logs or {}).get(row.key, Logs()), with_root=with_root)
    failed = [*failed_lines(rows, asked.failed or {}, report.time, with_root=with_root)]
    sys.stdout.writelines(f"{formatting.readable(line)}\n" for line in failed)
    sys.stdout.flush()
    said = map(formatting.readable, problems(config.roots, report))
    sys.stderr.writelines(f"{line}\n" for line in said)
    if report.rows:
        if missing or failed:
            sys.stdout.write("\n")
        sys.stdout.write(f"{summary(report)}\n")


def _print_table(report: Report, rows: Sequence[Row]) -> None:
    columns = columns_for(report, rows)
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{line}\n" for line in lines(rows, columns, report.time))
        return
    from rich.console import Console

    from exporter.commands.status.terminal_table import table_of

    console = Console(highlight=False)
    console.print(table_of(rows, columns, report.time, console.width))


def _repeats(row: Row) -> str:
    """What the ranks do not show: some have the marker of a launch before."""
    if (reading := row.reading) is None:
        return ""
    completed = reading.tasks_completed
    if not (older := completed - (reading.tasks - reading.tasks_left)):
        return ""
    of = f"{formatting.count(older)} of {formatting.count(completed)} markers"
    return f"has {of} from an earlier launch, and the last one runs every task again"


def _print_missing(row: Row, logs: Logs, *, with_root: bool) -> None:
    name = f"{row.root.name}: {row.job_name}" if with_root else row.job_name
    misses = formatting.ranges(row.missing)
    said = [*filter(None, [misses and f"misses {misses}", _repeats(row)])]
    sys.stdout.write(f"\n{formatting.readable(name)} {'; '.join(said)}\n")
    if logs.error is not None:
        sys.stdout.write(f"  its logs cannot be listed: {logs.error}\n")
    shown = _LOGS_ON_A_TERMINAL if sys.stdout.isatty() else len(logs.found)
    for log in logs.found[:shown]:
        state = f"  {WORDS[log.state]}" if log.state is not None else ""
        sys.stdout.write(f"  {formatting.readable(log.path)}{state}\n")
    if len(logs.found) > shown:
        more = formatting.count(len(logs.found) - shown)
        sys.stdout.write(f"  … and {more} more logs; all of them in a pipe or with --json\n")
