"""The answer as JSON, with the names and units of the metrics."""

from dataclasses import asdict

from exporter.commands.status.answer import Answer
from exporter.commands.status.indented_json import indented
from exporter.commands.status.logs.failed_text import failed_json
from exporter.commands.status.logs.missing import Logs
from exporter.commands.status.tables.parts import part_json
from exporter.commands.status.tables.problems import problem_json
from exporter.model.facts import job_json, root_json, totals_json
from exporter.model.report import Row
from exporter.model.snapshot import Totals


def json_text(answer: Answer) -> str:
    """The answer for scripts. `selected` are sums over what the filters keep, `totals` those over
    everything."""
    report, wanted = answer.report, answer.wanted
    selected = report.totals if wanted is None else Totals.of_jobs(row.job for row in wanted)
    shown: dict[str, object]
    if answer.parts is not None:
        shown = {"by": answer.by, "parts": [part_json(part) for part in answer.parts]}
    else:
        shown = {"roots": [root_json(root) for root in report.roots]}
        if answer.problems is not None:
            shown["problems"] = [problem_json(problem) for problem in answer.problems]
        shown["jobs"] = [_job(row, answer) for row in answer.rows]
    return indented(
        {
            "time": report.time,
            **shown,
            "left_out": answer.left_out,
            "selected": totals_json(selected),
            "totals": totals_json(report.totals),
            "roots_missing": report.roots_missing,
        }
    )


def _job(row: Row, answer: Answer) -> dict[str, object]:
    return {**job_json(row), **_missing(row, answer), **failed_json(row, answer.failed)}


def _missing(row: Row, answer: Answer) -> dict[str, object]:
    if answer.missing is None:
        return {}
    found = answer.missing.get(row.key, Logs())
    known = row.reading is not None
    return {
        "missing_runs": [{"first": a, "last": b} for a, b in row.missing] if known else None,
        "missing_logs": [asdict(log) for log in found.found],
        "missing_logs_error": None if found.error is None else str(found.error),
    }
