"""The answer as text: a table, what was asked of single jobs, what could not be read, and sums."""

import shutil
import sys
from collections.abc import Iterator, Sequence

from exporter.commands.status.answer import Answer
from exporter.commands.status.logs.failed_text import OF_LOG, failed_lines
from exporter.commands.status.logs.missing import Missing
from exporter.commands.status.tables.jobs import job_columns, summary
from exporter.commands.status.tables.layout import Column, folded, lines
from exporter.commands.status.tables.parts import part_columns
from exporter.commands.status.tables.problems import problem_columns
from exporter.commands.status.tables.steps import step_lines
from exporter.errors import did_you_mean
from exporter.model import formatting
from exporter.model.open_tasks import MOST_RUNS, WORDS
from exporter.model.report import Row
from exporter.model.stages.breakdown import KINDS_OF_PART

_LOGS_ON_A_TERMINAL = 20


def write_text(answer: Answer, remarks: Sequence[str]) -> None:
    """Print it: the remarks to standard error, all else to standard output."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    report, below = answer.report, ""
    if answer.problems is not None and not answer.problems and not answer.left_out:
        _write_line("Nothing needs anybody.", room)
    if answer.rows or answer.parts or answer.problems:
        _write_table(_columns(answer, with_bars=room is not None), room)
    if not (answer.rows or answer.left_out) and answer.parts is None and answer.problems is None:
        _write_that_none_is_left(len(report.rows), room)
    if answer.left_out:
        _write_line(f"… and {formatting.count(answer.left_out)} more that --limit leaves out", room)
    for line in _of_jobs(answer, room):
        _write_line(line, None if line.startswith(OF_LOG) else room)
        below = "\n"
    sys.stdout.flush()
    said = [*remarks, *_unknown_label(answer)]
    sys.stderr.writelines(f"{formatting.readable(line)}\n" for line in said)
    if report.rows:
        sys.stdout.write(below)
        _write_line(summary(report, answer.wanted), room)


def _write_that_none_is_left(jobs: int, room: int | None) -> None:
    if jobs:
        them = formatting.every(jobs, "job")
        _write_line(f"--match, --state or -hc leave out {them}.", room)


def _write_line(text: str, room: int | None) -> None:
    """One line, or more where there is only so much room."""
    sys.stdout.writelines(f"{line}\n" for line in folded(formatting.readable(text), room))


def _columns(answer: Answer, *, with_bars: bool) -> list[Column]:
    if answer.parts is not None:
        return part_columns(answer.parts, answer.by)
    if answer.problems is not None:
        return problem_columns(answer.report, answer.problems, answer.rows)
    return job_columns(answer.report, answer.rows, with_bars=with_bars)


def _write_table(columns: Sequence[Column], room: int | None) -> None:
    if room is None:
        sys.stdout.writelines(f"{line}\n" for line in lines(columns))
        return
    from rich.console import Console

    from exporter.commands.status.tables.terminal import drawn

    console = Console(highlight=False, width=room)
    for line in drawn(columns, room):
        console.print(line, crop=False, soft_wrap=True)


def _unknown_label(answer: Answer) -> Iterator[str]:
    if not answer.parts or any(part.value for part in answer.parts):
        return
    labels = {name for row in answer.report.rows for name, _ in row.job.labels or ()}
    known = [*KINDS_OF_PART, *sorted(labels)]
    if answer.by in known:
        yield f"no job has a {answer.by}: neither labels nor names tell one"
    else:
        meant = did_you_mean(answer.by, known)
        yield f"no job has a {answer.by}; there are {', '.join(known)}{meant}"


def _of_jobs(answer: Answer, room: int | None) -> Iterator[str]:
    """What was asked of single jobs."""
    steps, missing, with_root = answer.steps, answer.missing, len(answer.report.roots) > 1
    most_logs = None if room is None else _LOGS_ON_A_TERMINAL
    if steps is not None:
        for row in answer.rows:
            yield from step_lines(row, steps[row.key], with_root=with_root, room=room)
    for row in answer.rows if missing is not None else ():
        found = missing and missing.get(row.key)
        if found is not None or _repeats(row):
            yield from _missing(row, found or Missing(), with_root=with_root, most=most_logs)
    yield from failed_lines(
        answer.rows, answer.failed or {}, answer.report.time, with_root=with_root
    )


def _repeats(row: Row) -> str:
    """What the ranks do not show: some have the marker of a launch before."""
    if (reading := row.reading) is None:
        return ""
    completed = reading.tasks_completed
    if not (older := completed - (reading.tasks - reading.tasks_left)):
        return ""
    of = f"{formatting.count(older)} of {formatting.count(completed)} markers"
    return f"has {of} from an earlier launch, and the last one runs every task again"


def _missing(row: Row, found: Missing, *, with_root: bool, most: int | None) -> Iterator[str]:
    misses = f"{formatting.ranges(found.runs)}{',…' if found.are_cut else ''}"
    said = [*filter(None, [misses and f"misses {misses}", _repeats(row)])]
    yield ""
    yield f"{row.title(with_root=with_root)} {'; '.join(said)}"
    by_state = found.in_state.items() if found.in_state.keys() != {"unseen"} else ()
    for in_state, runs in by_state:
        cut = ",…" if len(runs) == MOST_RUNS else ""
        yield f"  {WORDS.get(in_state, in_state)} {formatting.ranges(runs)}{cut}"
    if found.logs is None:
        return
    if found.logs.error is not None:
        yield f"  its logs cannot be listed: {found.logs.error}"
    for log in found.logs.found[:most]:
        state = f"  {WORDS[log.state]}" if log.state is not None else ""
        yield f"  {log.path}{state}"
    if more := len(found.logs.found) - len(found.logs.found[:most]):
        yield f"  … and {formatting.count(more)} more logs; all of them in a pipe or with --json"
