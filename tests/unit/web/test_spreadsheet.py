"""Jobs as CSV."""

import csv
import io
import json

import pytest
from support.snapshots.readings import a_job, a_reading, an_unreadable_job, report_of, some_logs

from exporter.model.facts import JOB_FACTS, job_json
from exporter.model.report import Row
from exporter.web.spreadsheet import jobs_csv


def cells_of(*rows: Row) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(jobs_csv(rows).decode(), newline="")))


def test_every_field_is_a_column_and_has_the_value_that_it_has_in_json() -> None:
    reading = a_reading(logs=some_logs([3], running=[4]))
    labels = (("dump", "d"), ("stage", "s"))
    (row,) = report_of(a_job("a,b", reading=reading, labels=labels)).rows
    (cells,) = cells_of(row)
    assert list(cells) == [fact.name for fact in JOB_FACTS if fact.schema is not None]
    for name, value in job_json(row).items():
        if value is None:
            assert cells[name] == ""
        elif isinstance(value, str):
            assert cells[name] == value
        else:
            assert json.loads(cells[name]) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1", "=cmd|' /C calc'!A0", "-a/b"]
)
def test_no_name_is_a_formula_to_a_spreadsheet(name: str) -> None:
    job = an_unreadable_job(name, labels=(("dump", name),))
    (cells,) = cells_of(*report_of(job, name=name).rows)
    assert cells["job_name"] == cells["root"] == f"'{name}"
    for cell in cells.values():
        assert not cell.lstrip().startswith(tuple("=+-@＝"))


@pytest.mark.parametrize("name", ['a"b', "a,b", "a;b", "a b", "é/\u2028", "\\x0a", "a=b"])
def test_other_names_are_as_they_are(name: str) -> None:
    (cells,) = cells_of(*report_of(an_unreadable_job(name)).rows)
    assert cells["job_name"] == name


def test_lines_end_as_the_standard_has_it_and_no_jobs_are_a_head() -> None:
    text = jobs_csv(report_of(a_job()).rows)
    assert text.count(b"\r\n") == 2
    assert text.startswith(b"root,job_name,state,")
    assert cells_of() == []
