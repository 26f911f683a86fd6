"""Answers of an exporter, and of what only looks like one."""

import json
from typing import Any

import pytest
from support.snapshots.readings import MANY, report_of

from exporter.commands.status.remote import reading
from exporter.commands.status.remote.reading import (
    NotUnderstoodError,
    failed_of,
    missing_of,
    problems_of,
)
from exporter.model.facts import SUMS, job_json, root_json, totals_json

OURS = report_of(*MANY)
ROOTS: Any = json.loads(
    json.dumps(
        {
            "time": OURS.time,
            "roots": [root_json(root) for root in OURS.roots],
            "totals": totals_json(OURS.totals),
        }
    )
)
JOBS: Any = json.loads(json.dumps([job_json(row) for row in OURS.rows]))


VALUES = (-5, "x", {"a": 1}, [[]], 1e300, 10**400, True, None, float("inf"))


def test_a_report_comes_back_as_it_was_sent() -> None:
    theirs = reading.report_of(json.loads(json.dumps(ROOTS)), JOBS)
    assert [row.key for row in theirs.rows] == [row.key for row in OURS.rows]
    assert totals_json(theirs.totals) == totals_json(OURS.totals)
    assert {fact.name for fact in SUMS if fact.schema is not None} == ROOTS["totals"].keys()
    for mine, sent in zip(theirs.rows, OURS.rows, strict=True):
        of_logs = {"failures", "tasks_in_state", "advice", "last_log_write_timestamp",
                   "longest_log_gap_seconds"}  # fmt: skip
        same = {fact: value for fact, value in job_json(sent).items() if fact not in of_logs}
        found = job_json(mine)
        assert {fact: found[fact] for fact in same if "stats" not in fact} == {
            fact: value for fact, value in same.items() if "stats" not in fact
        }
        assert mine.is_complete == sent.is_complete


@pytest.mark.parametrize("field", ["tasks", "state", "labels", "hidden", "failures", "upstream"])
def test_no_value_of_another_kind_gets_through(field: str) -> None:
    for value in VALUES:
        jobs = [{**job, field: value} for job in JOBS]
        is_right = (field, type(value)) in {("state", str), ("hidden", bool)} or (
            value is None and field in ("failures", "upstream", "tasks")
        )
        if is_right:
            reading.report_of(ROOTS, jobs)
            continue
        with pytest.raises(NotUnderstoodError, match=field):
            reading.report_of(ROOTS, jobs)


def test_an_unreadable_job_is_as_complete_as_it_was_last_known_to_be() -> None:
    known = {**JOBS[0], "tasks": 5, "tasks_completed": 5, "tasks_completed_since_launch": 1}
    states = {"unreadable": True, "complete": True, "running": False, "stalled": False}
    for state, is_complete in states.items():
        (row,) = reading.report_of(ROOTS, [{**known, "state": state}]).rows
        assert row.is_complete is is_complete, state


@pytest.mark.parametrize("control", ["\x00", "\n", "\x7f", "\x85", "\x9b"])
def test_every_control_character_is_escaped(control: str) -> None:
    report = reading.report_of(ROOTS, [{**JOBS[0], "job_name": f"a{control}b"}])
    assert report.rows[0].job_name == f"a\\x{ord(control):02x}b"


@pytest.mark.parametrize("field", ["job_name", "url", "advice"])
def test_nothing_that_a_terminal_obeys_gets_through(field: str) -> None:
    text = json.dumps({**ROOTS, "jobs": JOBS}).replace(f'"{field}": "', f'"{field}": "\\u001b[2J')
    document = json.loads(text)
    jobs = reading.listed(document, "jobs")
    report = reading.report_of(document, jobs)
    assert "\x1b" not in repr([report, jobs]).replace("\\x1b", "")
    assert [row.job_name.startswith("\\x1b[2J") for row in report.rows] == [
        field == "job_name"
    ] * len(JOBS)


def test_a_job_of_an_unknown_root_and_one_of_no_tasks_are_none() -> None:
    for change, named in (({"root": "other"}, "root"), ({"tasks": 0}, "tasks")):
        with pytest.raises(NotUnderstoodError, match=named):
            reading.report_of(ROOTS, [{**JOBS[0], "tasks_completed": 0, **change}])


def test_more_than_what_is_known_here_passes_by() -> None:
    """Fields may be added within a version."""
    report = reading.report_of({**ROOTS, "new": 1}, [{**JOBS[0], "new": {"a": []}}])
    assert len(report.rows) == 1


def test_failures_are_told_by_rank_and_those_without_one_are_counted() -> None:
    group = {"type": "KeyError", "where": None, "reason": "exception", "message": None,
             "tasks": 3, "ranks": [9, 4], "last_timestamp": 5.0}  # fmt: skip
    one = {**group, "tasks": 1, "ranks": [7], "where": "a.py:f:1"}
    failed = failed_of({**JOBS[0], "failures": [group, one], "advice": "Mend it."})
    assert [(task.rank, task.path, task.timestamp) for task in failed.found] == [
        (4, None, None), (7, None, 5.0), (9, None, None),
    ]  # fmt: skip
    assert (failed.others, failed.advice, failed.found[1].cause.where) == (
        1,
        ("Mend it.",),
        "a.py:f:1",
    )


@pytest.mark.parametrize(
    ("read", "document"),
    [
        (missing_of, {"missing_runs": [{"first": 1}], "missing_runs_truncated": False}),
        (missing_of, {"missing_runs": [{"first": 1, "last": -1}], "missing_runs_truncated": False}),
        (missing_of, {"missing_runs": []}),
        (problems_of, {"problems": [{}]}),
        (problems_of, {"problems": [[]]}),
        (problems_of, {}),
        (problems_of, []),
    ],
)
def test_answers_without_their_fields_are_none(read: Any, document: Any) -> None:
    with pytest.raises(NotUnderstoodError):
        read(document)
