"""Which rows of a report ``status`` is asked for, and in which order it shows them."""

from typing import Any

import pytest
from support.snapshots.readings import MANY, report_of

from exporter.commands.status.options import Options
from exporter.model.selection import Filter

REPORT = report_of(*MANY)


def asked(**options: Any) -> Options:
    nothing = dict.fromkeys(
        ("hide_complete", "missing", "failed", "as_json", "watch", "fail_incomplete", "strict"),
        False,
    )
    return Options(**{"sort": None, "interval": None, "tail": 0, **nothing, **options})


def test_without_a_wish_every_job_is_shown_by_name() -> None:
    assert asked().filter == Filter()
    names = [row.job_name for row in asked().rows_of(REPORT)]
    assert names == sorted(job.name for job in MANY)


def test_another_order_is_that_of_the_table_of_facts() -> None:
    first, *_, last = asked(sort="attention").rows_of(REPORT)
    assert (first.state, last.state) == ("unreadable", "complete")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"states": ("stalled",)}, ["stalled", "stalled for long"]),
        ({"match": "broken"}, ["also broken", "broken"]),
        ({"states": ("stalled", "unreadable"), "match": "for"}, ["stalled for long"]),
        ({"states": ("complete",)}, ["ended", "ended just now"]),
    ],
)
def test_jobs_are_chosen_by_state_and_name(options: dict[str, Any], names: list[str]) -> None:
    assert [row.job_name for row in asked(**options).rows_of(REPORT)] == names
    wanted = asked(**options).wanted_of(REPORT)
    assert sorted(row.job_name for row in wanted) == names


def test_complete_jobs_that_are_hidden_are_asked_for_and_not_shown() -> None:
    """An exit code is about them, too."""
    options = asked(match="ended", hide_complete=True)
    assert options.rows_of(REPORT) == []
    assert len(options.wanted_of(REPORT)) == 2
