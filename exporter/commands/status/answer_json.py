"""The answer as JSON, with the names and units of the metrics."""

from dataclasses import asdict

from exporter.commands.status.answer import Answer
from exporter.commands.status.indented_json import indented
from exporter.commands.status.logs.failed_text import failed_json
from exporter.commands.status.logs.missing import Missing
from exporter.commands.status.source import Source, sums_json
from exporter.commands.status.tables.parts import part_json
from exporter.model.report import Row


def json_text(answer: Answer, source: Source) -> str:
    """The answer for scripts. `selected` are sums over what the filters keep, `totals` those over
    everything."""
    report = answer.report
    shown: dict[str, object]
    if answer.parts is not None:
        shown = {"by": answer.by, "parts": [part_json(part) for part in answer.parts]}
    else:
        shown = {"roots": [dict(source.root_json(root)) for root in report.roots]}
        if answer.problems is not None:
            shown["problems"] = [dict(problem) for problem in answer.problems]
        shown["jobs"] = [_job(row, answer, source) for row in answer.rows]
    return indented(
        {
            "time": report.time,
            **shown,
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
    runs = [{"first": first, "last": last} for first, last in found.runs]
    logs, error = found.logs, None if found.logs is None else found.logs.error
    return {
        "missing_runs": None if row.reading is None else runs,
        "missing_runs_truncated": found.are_cut,
        "missing_logs": [] if logs is None else [asdict(log) for log in logs.found],
        "missing_logs_error": None if error is None else str(error),
    }
