"""The JSON API: what the status page shows, for programs.

``openapi.json`` beside this module describes it and is served with it. Names and units
are those of ``report``; None is null and never 0.
"""

import json
from importlib.resources import files
from itertools import islice

from exporter.model.report import Report, Row, facts
from exporter.model.snapshot import Reading, Root
from exporter.web.query import Query

DESCRIPTION = files("exporter.web").joinpath("openapi.json").read_bytes()

_RUNS = 1000


def jobs(report: Report, query: Query) -> bytes:
    """One page of the jobs that match."""
    rows = query.select(report.rows)
    return _json(
        {
            "time": report.time,
            "total": len(rows),
            "page": query.page,
            "pages": query.pages(len(rows)),
            "per_page": query.per_page,
            "jobs": [facts(row) for row in query.cut(rows)],
        }
    )


def job(report: Report, row: Row) -> bytes:
    """One job, with what only its own page shows."""
    details = {**_missing(row.reading), **_history(row.reading)}
    return _json({"time": report.time, **facts(row), **details})


def roots(report: Report, roots: tuple[Root, ...]) -> bytes:
    """Every root and the sums over all."""
    listed = [
        {**facts(row), "url": root.url} for row, root in zip(report.roots, roots, strict=True)
    ]
    return _json({"time": report.time, "roots": listed, "totals": facts(report.totals)})


def error(message: str) -> bytes:
    """Why there is no other answer."""
    return _json({"error": message})


def _missing(reading: Reading | None) -> dict[str, object]:
    if reading is None:
        return {"missing_runs": None, "missing_runs_truncated": False}
    runs = list(islice(reading.ranks.missing_runs(reading.tasks), _RUNS + 1))
    return {
        "missing_runs": [{"first": first, "last": last} for first, last in runs[:_RUNS]],
        "missing_runs_truncated": len(runs) > _RUNS,
    }


def _history(reading: Reading | None) -> dict[str, object]:
    if reading is None or reading.history is None:
        return {"history": None}
    points = reading.history.points()
    return {"history": [{"timestamp": time, "tasks_completed": n} for time, n in points]}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"
