"""The table of stages: what leads from each of its numbers to the jobs that it counts."""

from dataclasses import dataclass, replace
from typing import Any

from exporter.model.stages.table import StageRow, StageTable
from exporter.model.state import State
from exporter.web.pages.scope import with_states
from exporter.web.query import Query

_COLUMNS: tuple[tuple[str, str, str, frozenset[State]], ...] = (
    ("✗", "unreadable or failed", "bad", frozenset({"unreadable", "failed"})),
    ("!", "stalled", "bad", frozenset({"stalled"})),
    ("▶", "running", "run", frozenset({"running"})),
    ("…", "waiting", "quiet", frozenset({"waiting"})),
    ("∅", "abandoned", "quiet", frozenset({"abandoned"})),
    ("✓", "complete", "ok", frozenset({"complete"})),
)
# Symbol, words, tone, states.
_FIRST_STAGES, _MOST_STAGES = 12, 200


@dataclass(frozen=True, slots=True)
class Count:
    """How many jobs of a stage are in some states, and the query for them, if there is one."""

    jobs: int
    tone: str
    query: str | None


def stage_rows(table: StageTable, query: Query, *, is_whole: bool) -> dict[str, Any] | None:
    """The values of the template: the first stages, or with `is_whole` as many as may be shown;
    None where no job has a stage."""
    if not any(row.stage for row in table.stages):
        return None
    most = _MOST_STAGES if is_whole else _FIRST_STAGES
    shown = [row for at, row in enumerate(table.stages) if at < most or row.is_slowest]
    columns = [
        column
        for column in _COLUMNS
        if column[3] != {"abandoned"} or table.whole.jobs_in_state["abandoned"]
    ]
    return {
        "columns": columns,
        "rows": [
            (row, _of_stage(row, query), [_count(row, column, query) for column in columns])
            for row in shown
        ],
        "more": len(table.stages) - len(shown),
        "query": None if is_whole else replace(query, view="stages", page=1).encode(),
    }


def _of_stage(row: StageRow, query: Query) -> str | None:
    if row.stage is None:
        return None
    wanted = replace(query.filter, stages=frozenset({row.stage}))
    return replace(query, filter=wanted, view="list", page=1).encode()


def _count(row: StageRow, column: tuple[str, str, str, frozenset[State]], query: Query) -> Count:
    _, _, tone, states = column
    jobs = sum(row.jobs_in_state[state] for state in states)
    if row.stage is None or not jobs:
        return Count(jobs, tone, None)
    wanted = replace(query.filter, stages=frozenset({row.stage}))
    to = with_states(replace(query, filter=wanted, view="list"), states)
    return Count(jobs, tone, to.encode())
