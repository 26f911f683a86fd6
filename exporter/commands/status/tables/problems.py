"""What needs somebody, ``--problems``: as columns of text, or for JSON."""

from collections.abc import Sequence

from exporter.commands.status.tables.jobs import STYLES, percent
from exporter.commands.status.tables.layout import Column
from exporter.model import formatting
from exporter.model.problems import Problem
from exporter.model.report import Report
from exporter.model.state import BY_NAME

_UNKNOWN = "-"
_ROOT = "✗ root"


def problem_columns(report: Report, problems: Sequence[Problem]) -> list[Column]:
    """A line for each: which root and job, how far, how long without a sign of life, and why."""

    def has_root(problem: Problem) -> bool:
        return len(report.roots) > 1 or problem.row is None

    roots = [formatting.readable(problem.root.root.name) for problem in problems]
    columns = [
        Column("JOB", [_job(problem) for problem in problems], "name"),
        Column("STATE", [_state(problem) for problem in problems],
               styles=[_style(problem) for problem in problems]),
        Column("%", [_done(problem) for problem in problems], "number", give_way=2),
        Column("SILENT", [_silent(problem, report.time) for problem in problems], give_way=1),
        Column("WHY", [formatting.readable(problem.why) for problem in problems], "reason"),
    ]  # fmt: skip
    return [*([Column("ROOT", roots, "name")] if any(map(has_root, problems)) else []), *columns]


def _job(problem: Problem) -> str:
    return _UNKNOWN if problem.row is None else formatting.readable(problem.row.job_name)


def _state(problem: Problem) -> str:
    if problem.row is None:
        return _ROOT
    state = problem.row.state
    return f"{BY_NAME[state].symbol} {state}"


def _style(problem: Problem) -> str:
    return STYLES["bad" if problem.row is None else BY_NAME[problem.row.state].tone]


def _done(problem: Problem) -> str:
    if problem.row is None or problem.row.reading is None:
        return _UNKNOWN
    return percent(problem.row.reading.completion_ratio)


def _silent(problem: Problem, now: float) -> str:
    return _UNKNOWN if problem.since is None else formatting.token(max(0.0, now - problem.since))


def problem_json(problem: Problem) -> dict[str, object]:
    """One problem, for JSON; `job_name` is null where it is the root as a whole."""
    row = problem.row
    return {
        "kinds": problem.kinds,
        "root": problem.root.root.name,
        "job_name": None if row is None else row.job_name,
        "state": None if row is None else row.state,
        "last_sign_of_life_timestamp": problem.since,
        "why": problem.why,
    }
