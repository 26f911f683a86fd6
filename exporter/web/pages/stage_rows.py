"""The table of stages: what leads from each of its numbers to the jobs that it counts."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from exporter.model.stages.table import StageRow, StageTable
from exporter.model.state import State
from exporter.web.pages.scope import with_states
from exporter.web.query import Query

_FIRST_STAGES, _MOST_STAGES = 12, 200


class StateColumn(NamedTuple):
    """How many jobs are in some states: what stands above the numbers, and how they look."""

    symbol: str
    words: str
    tone: str
    states: frozenset[State]


_COLUMNS = (
    StateColumn("✗", "unreadable or failed", "bad", frozenset({"unreadable", "failed"})),
    StateColumn("!", "stalled", "bad", frozenset({"stalled"})),
    StateColumn("▶", "running", "run", frozenset({"running"})),
    StateColumn("…", "waiting", "quiet", frozenset({"waiting"})),
    StateColumn("∅", "abandoned", "quiet", frozenset({"abandoned"})),
    StateColumn("✓", "complete", "ok", frozenset({"complete"})),
)


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
        if column.words != "abandoned" or table.whole.jobs_in_state["abandoned"]
    ]
    return {
        "columns": columns,
        "rows": [_row(row, columns, query) for row in shown],
        "more": len(table.stages) - len(shown),
        "query": None if is_whole else replace(query, view="stages", page=1).encode(),
    }


def _row(
    row: StageRow, columns: list[StateColumn], query: Query
) -> tuple[StageRow, str | None, list[Count]]:
    """A stage, the query for its jobs, and how many of them each column counts."""
    if row.stage is None:
        return row, None, [_count(row, column, None) for column in columns]
    wanted = replace(query.filter, stages=frozenset({row.stage}))
    of_stage = replace(query, filter=wanted, view="list", page=1)
    return row, of_stage.encode(), [_count(row, column, of_stage) for column in columns]


def _count(row: StageRow, column: StateColumn, of_stage: Query | None) -> Count:
    jobs = sum(row.jobs_in_state[state] for state in column.states)
    if of_stage is None or not jobs:
        return Count(jobs, column.tone, None)
    return Count(jobs, column.tone, with_states(of_stage, column.states).encode())
