"""States of jobs, also those that only a newer exporter has."""

from exporter.model.state import STATES, looks_of, urgency_of


def test_states_are_in_the_order_of_who_needs_attention_and_unknown_ones_come_last() -> None:
    jobs = ["complete", "paused", "running", "unreadable", "stalled", "failed"]
    assert sorted(jobs, key=urgency_of) == [
        *("unreadable", "failed", "stalled", "running", "complete", "paused")
    ]


def test_an_unknown_state_needs_nobody_and_is_shown_as_one() -> None:
    assert (looks_of("paused").symbol, looks_of("paused").tone) == ("?", "quiet")
    assert "?" not in {looks_of(state).symbol for state in STATES}
