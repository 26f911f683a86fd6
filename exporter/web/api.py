"""The JSON API: what the status page shows, for programs.

``openapi.json`` beside this module describes addresses and answers; the fields of jobs,
roots and sums are added to it from the table of facts. None is null and never 0.
"""

import json
from collections.abc import Iterable
from importlib.resources import files
from itertools import islice
from typing import Any

from exporter.model import facts
from exporter.model.facts.fact import Fact
from exporter.model.facts.stages import STAGE_FACTS, stage_json
from exporter.model.open_tasks import MOST_RUNS, ranks_in_states, runs_json
from exporter.model.problems import problem_json, problems_of
from exporter.model.report import Report, Row
from exporter.model.selection import Filter
from exporter.model.stages.table import report_table
from exporter.model.state import BY_NAME, STATES
from exporter.web.query import MAX_PER_PAGE, PER_PAGE, Query, natural_order

FILTERS = frozenset({"name", "root", "state", "stage", "item", "label", "hide_complete", "strays"})
"""Parameters that say which jobs are meant."""


def description() -> dict[str, Any]:
    """The OpenAPI description of this API."""
    whole: dict[str, Any] = json.loads(files("exporter.web").joinpath("openapi.json").read_bytes())
    schemas = whole["components"]["schemas"]
    schemas["State"]["description"] += "".join(f" {s.name}: {s.means}." for s in BY_NAME.values())
    schemas["State"]["examples"] = STATES
    schemas["Job"]["properties"] = _fields(facts.JOB_FACTS)
    schemas["JobDetail"]["properties"] |= _fields(facts.JOB_FACTS)
    schemas["Root"]["properties"] |= _fields(facts.ROOT_FACTS)
    schemas["Totals"]["properties"] = _fields(facts.SUMS)
    schemas["Stage"]["properties"] = _fields(STAGE_FACTS)
    for schema in schemas.values():
        if "properties" in schema:  # every field is always there, and no other
            schema |= {"required": list(schema["properties"]), "additionalProperties": False}
    of_jobs = whole["paths"]["/api/v1/jobs"]["get"]["parameters"]
    for path in ("/api/v1/stages", "/api/v1/problems"):
        described = whole["paths"][path]["get"]["parameters"]
        described += [parameter for parameter in of_jobs if parameter["name"] in FILTERS]
    for parameter in of_jobs:
        schema = parameter["schema"]
        match parameter["name"]:
            case "state":
                schema["items"]["enum"] = STATES
            case "sort":
                schema["enum"] = list(facts.SORTS)
            case "order":
                named = ", ".join(sort for sort in facts.SORTS if natural_order(sort) == "desc")
                parameter["description"] = f"Default: desc for {named}; asc for the others."
            case "per_page":
                schema |= {"maximum": MAX_PER_PAGE, "default": PER_PAGE}
    return whole


def _fields(table: Iterable[Fact[Any, Any]]) -> dict[str, Any]:
    return {
        fact.name: {**fact.schema, "description": fact.help}
        for fact in table
        if fact.schema is not None
    }


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
            "roots_missing": report.roots_missing,
            "jobs": [facts.job_json(row) for row in query.cut(rows)],
        }
    )


def job(report: Report, row: Row) -> bytes:
    """One job, with what only its own page shows."""
    return _json({"time": report.time, **facts.job_json(row), **_details(row)})


def roots(report: Report) -> bytes:
    """Every root and the sums over all."""
    return _json(
        {
            "time": report.time,
            "roots": [facts.root_json(row) for row in report.roots],
            "totals": facts.totals_json(report.totals),
            "roots_missing": report.roots_missing,
        }
    )


def stages(report: Report, wanted: Filter) -> bytes:
    """Every stage of the jobs that match, in the order of the pipeline, and all together."""
    table = report_table(report, wanted)
    return _json(
        {
            "time": report.time,
            "stages": [stage_json(row) for row in table.stages],
            "whole": stage_json(table.whole),
            "roots_missing": report.roots_missing,
        }
    )


def problems(report: Report, wanted: Filter) -> bytes:
    """What needs somebody, of the jobs that match."""
    return _json(
        {
            "time": report.time,
            "problems": [problem_json(problem) for problem in problems_of(report, wanted)],
            "roots_missing": report.roots_missing,
        }
    )


def error(message: str) -> bytes:
    """Why there is no other answer."""
    return _json({"error": message})


def _details(row: Row) -> dict[str, object]:
    reading, history = row.reading, None
    runs, in_state = list(islice(row.missing, MOST_RUNS + 1)), None
    if reading is not None and reading.history is not None:
        points = reading.history.points()
        history = [{"timestamp": time, "tasks_completed": n} for time, n in points]
    if reading is not None and reading.logs is not None:
        in_state = {
            state: runs_json(islice(of_state, MOST_RUNS))
            for state, of_state in ranks_in_states(reading).items()
        }
    return {
        "missing_runs": None if reading is None else runs_json(runs[:MOST_RUNS]),
        "missing_runs_truncated": len(runs) > MOST_RUNS,
        "ranks_in_state": in_state,
        "history": history,
    }


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"


DESCRIPTION = _json(description())
"""As it is served."""
