"""The states that a job can be in, in one table. Which one it is in, ``stall`` decides."""

from dataclasses import dataclass
from typing import Literal

State = str
"""One of `STATES`. An open list: clients of the API are told to expect others."""

Tone = Literal["bad", "warn", "run", "wait", "quiet", "ok"]
"""How a state looks. What is bad or a warning needs somebody's attention, all else nobody's."""


@dataclass(frozen=True, slots=True)
class StateRow:
    """One state. `symbol` stands beside its name for people, never instead of it; `means`
    ends the sentence "The job is `name`: …"."""

    name: State
    symbol: str
    tone: Tone
    means: str


_TABLE = (
    StateRow("unreadable", "✗", "bad", "the last scan could not read it"),
    StateRow("failed", "✘", "bad", "nothing of this launch can finish it"),
    StateRow(
        "stalled", "!", "warn", "no completion and no log for longer than its own pace explains"
    ),
    StateRow("running", "▶", "run", "tasks get completed"),
    StateRow("waiting", "…", "wait", "launched, and no sign of life since"),
    StateRow("abandoned", "∅", "quiet", "not complete, and no sign of life for abandoned_after"),
    StateRow("complete", "✓", "ok", "every task is done"),
)
# What needs attention first comes first.

BY_NAME = {row.name: row for row in _TABLE}
_OTHER = StateRow("", "?", "quiet", "")


def looks_of(state: State) -> StateRow:
    """The row of a state; of one that a newer exporter has, how to show it."""
    return BY_NAME.get(state, _OTHER)


HIDDEN_FIRST: tuple[State, ...] = ("complete", "abandoned", "waiting")
"""What loses its series first where there is no room for all. A hidden job in another state
is one that no alert watches and somebody may need."""
STATES: tuple[State, ...] = tuple(BY_NAME)


def urgency_of(state: State) -> int:
    """Its place among the states; one that is not known here comes after those that are."""
    return STATES.index(state) if state in BY_NAME else len(STATES)


NEED_ATTENTION = frozenset(row.name for row in _TABLE if row.tone in ("bad", "warn"))
