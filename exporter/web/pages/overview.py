"""How far all jobs are together, and when they are done: sentences, numbers, a line of days."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from exporter.model import formatting
from exporter.model.report import Report, count_states
from exporter.model.stages.table import StageRow
from exporter.model.stages.throughput import DAY_SECONDS, DAYS_SHOWN
from exporter.model.state import BY_NAME, State
from exporter.web.pages.scope import with_states
from exporter.web.query import Query

_BAR, _GAP, _HEIGHT = 8, 2, 30
_NOTHING, _LEAST_SEEN = 0.5, 2.0  # a line where nothing was completed, and more than that


def overview(report: Report, scope: Report, whole: StageRow, query: Query) -> dict[str, Any]:
    """The values of the template; `scope` is what of the report is asked for."""
    ends = (row.eta_timestamp for row in scope.rows if row.eta_timestamp is not None)
    finished = with_states(replace(query, view="list", sort="last", order="desc"), {"complete"})
    known_since = whole.throughput.known_since
    return {
        "whole": whole,
        "unknown": _unknown(whole),
        "condition": _condition(whole.jobs_left_out),
        "last_end": max(ends, default=None),
        "overdue": sum(row.overdue_seconds is not None for row in scope.rows),
        "days": sparkline(whole.throughput.by_day()),
        "known_since": (
            known_since if known_since > report.time - (DAYS_SHOWN - 1) * DAY_SECONDS else None
        ),
        "finished_query": finished.encode(),
        "tiles": _tiles(report, query),
    }


def _unknown(whole: StageRow) -> str:
    """Why it is not known when all is done; empty where it is, or nothing is left."""
    if whole.done_about is not None or not whole.tasks_left:
        return ""
    if whole.throughput.began is None:
        return "nothing was completed in the last 7 days"
    return "less than a day of its completions is known"


def _condition(left_out: Mapping[State, int]) -> str:
    """``if the 52 stalled are launched again and the 431 waiting begin; without 49 abandoned``."""
    words = {state: f"{formatting.count(jobs)} {state}" for state, jobs in left_out.items()}
    again = [words[state] for state in ("stalled", "failed") if state in words]
    ifs = []
    if again:
        verb = (
            "is" if sum(left_out.get(state, 0) for state in ("stalled", "failed")) == 1 else "are"
        )
        ifs.append(f"the {formatting.series(again)} {verb} launched again")
    if "waiting" in words:
        ifs.append(f"the {words['waiting']} begin{'s' * (left_out['waiting'] == 1)}")
    parts = [f"if {' and '.join(ifs)}"] if ifs else []
    if "abandoned" in words:
        parts.append(f"without the {words['abandoned']}")
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Bars of an image so wide and high, each as (x, y, width, height), the last day last; and
    the numbers that they stand for."""

    width: int
    height: int
    bars: tuple[tuple[int, float, int, float], ...]
    numbers: tuple[int, ...]


def sparkline(numbers: tuple[int, ...]) -> Sparkline | None:
    """None where there is nothing to see."""
    most = max(numbers, default=0)
    if not most:
        return None
    bars = []
    for place, number in enumerate(numbers):
        height = max(number / most * _HEIGHT, _LEAST_SEEN) if number else _NOTHING
        bars.append((place * (_BAR + _GAP), round(_HEIGHT - height, 1), _BAR, round(height, 1)))
    return Sparkline(len(numbers) * (_BAR + _GAP) - _GAP, _HEIGHT, tuple(bars), numbers)


def _tiles(report: Report, query: Query) -> list[dict[str, object]]:
    """The number of jobs in each state, whatever states are asked for; the `query` of each adds
    the state to these, or takes it away."""
    wanted = query.filter
    any_state = replace(wanted, states=frozenset(), hide_complete=False)
    states = count_states(any_state.select(report.rows))
    return [
        {
            "of": BY_NAME[state],
            "jobs": jobs,
            "query": with_states(query, wanted.states ^ {state}).encode(),
            "is_chosen": state in wanted.states,
        }
        for state, jobs in states.items()
    ]
