"""The command ``status`` without ``--watch``: one report, and the exit code that it means."""

import sys

from exporter.commands.status.answer import Answer
from exporter.commands.status.answer_json import json_text
from exporter.commands.status.answer_text import write_text
from exporter.commands.status.options import Options
from exporter.commands.status.source import Source
from exporter.commands.status.verdict import doubts, objections
from exporter.model import formatting
from exporter.model.selection import Filter
from exporter.model.stages.breakdown import break_down

_READ, _NOT_READ, _INCOMPLETE = 0, 1, 3  # exit codes
_WARNING = "Lines of logs may hold secrets: look before you pass them on."


def show(source: Source, options: Options) -> int:
    """Ask, print, and return the exit code."""
    answer = _ask(source, options)
    if options.tail:
        sys.stderr.write(f"{_WARNING}\n")
    if options.as_json:
        sys.stdout.write(f"{json_text(answer, source)}\n")
    else:
        write_text(answer, [*source.remarks(answer.report)])
    return _exit_code(answer, source, options)


def _ask(source: Source, options: Options) -> Answer:
    report = source.report()
    wanted = options.wanted_of(report) if options.filter != Filter() else None
    found = options.rows_of(report)
    if options.by is not None:
        parts = break_down(found, options.by)
        shown = parts[: options.limit]
        left_out = len(parts) - len(shown)
        return Answer(report, wanted, parts=shown, by=options.by, left_out=left_out)
    problems, rows = None, found[: options.limit]
    left_out = len(found) - len(rows)
    if options.problems:
        every = source.problems(report, options.filter)
        problems, by_key = every[: options.limit], {row.key: row for row in found}
        keys = ((problem["root"], problem["job_name"]) for problem in problems)
        rows = [by_key[key] for key in keys if key in by_key]
        left_out = len(every) - len(problems)
    return Answer(
        report,
        wanted,
        rows,
        problems=problems,
        left_out=left_out,
        missing=source.missing(rows) if options.missing else None,
        failed=source.failed(rows, options.tail) if options.failed else None,
        steps=source.steps(rows) if options.steps else None,
    )


def _exit_code(answer: Answer, source: Source, options: Options) -> int:
    """What was read counts as a whole, whatever of it the filters show."""
    report = answer.report
    was_read = (
        all(row.is_up_to_date and not row.root.folders_unread for row in report.roots)
        and all(row.state != "unreadable" for row in report.rows)
        and answer.could_all_be_read
    )
    all_complete = bool(report.rows) and all(row.is_complete for row in report.rows)
    if (options.strict or options.fail_incomplete) and answer.wanted is not None:
        _tell_of_others(answer)
    if options.strict:
        against = [*objections(report.rows)]
        said = [*against, *doubts(report.rows, source.why_pipelines_are_unknown)]
        sys.stderr.writelines(f"{formatting.readable(line)}\n" for line in said)
        return _READ if was_read and all_complete and not against else _INCOMPLETE
    if not was_read:
        return _NOT_READ
    return _INCOMPLETE if options.fail_incomplete and not all_complete else _READ


def _tell_of_others(answer: Answer) -> None:
    """Say which jobs that the filters do not keep are in the exit code all the same."""
    wanted = {row.key for row in answer.wanted or ()}
    others = sum(not row.is_complete and row.key not in wanted for row in answer.report.rows)
    if others:
        jobs = formatting.counted(others, "job is", "jobs are")
        sys.stderr.write(f"{jobs} not complete that the filters leave out; the exit code counts "
                         f"{'them' if others > 1 else 'it'}\n")  # fmt: skip
