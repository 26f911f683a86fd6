"""The answer as JSON, with the names and units of the metrics."""

from dataclasses import asdict

from exporter.commands.status.answer import Answer
from exporter.commands.status.indented_json import indented
from exporter.commands.status.logs.failed_text import failed_json
from exporter.commands.status.logs.missing import Missing
from exporter.commands.status.source import Source, sums_json
from exporter.commands.status.tables.parts import part_json
from exporter.model.open_tasks import runs_json
from exporter.model.report import Row


def json_text(answer: Answer, source: Source) -> str:
    """The answer for scripts, of the same keys whatever was asked for; what was not is null.
    `selected` are sums over what the filters keep, `totals` those over everything."""
    report = answer.report
    parts, problems = answer.parts, answer.problems
    jobs = [_job(row, answer, source) for row in answer.rows]
    return indented(
        {
            "time": report.time,
            "roots": [dict(source.root_json(root)) for root in report.roots],
            "by": answer.by or None,
            "parts": None if parts is None else [part_json(part) for part in parts],
            "problems": None if problems is None else [dict(problem) for problem in problems],
            "jobs": jobs if parts is None else None,
            "left_out": answer.left_out,
            "selected": dict(sums_json(report.rows if answer.wanted is None else answer.wanted)),
            "totals": dict(source.totals_json()),
            "roots_missing": report.roots_missing,
        }
    )


def _job(row: Row, answer: Answer, source: Source) -> dict[str, object]:
    return {**source.job_json(row), **_missing(row, answer), **failed_json(row, answer.failed)}


def _missing(row: Row, answer: Answer) -> dict[str, object]:
    if answer.missing is None:
        return {}
    found = answer.missing.get(row.key, Missing())
    logs, error = found.logs, None if found.logs is None else found.logs.error
    return {
        "missing_runs": None if row.reading is None else runs_json(found.runs),
        "missing_runs_truncated": found.are_cut,
        "ranks_in_state": {state: runs_json(runs) for state, runs in found.in_state.items()}
        or None,
        "missing_logs": [] if logs is None else [asdict(log) for log in logs.found],
        "missing_logs_error": None if error is None else str(error),
    }
