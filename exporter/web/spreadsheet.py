"""Jobs as CSV (RFC 4180), a column for each field that they have in JSON.

No cell is a formula to a spreadsheet: names of folders are anybody's, and one that begins like a
formula comes with an apostrophe before it. What is no single value is JSON.
"""

import csv
import io
import json
from collections.abc import Iterable

from exporter.model import facts
from exporter.model.report import Row

_BEGINS_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def jobs_csv(rows: Iterable[Row]) -> bytes:
    """A line with the names of the columns, and one for each row."""
    columns = [fact for fact in facts.JOB_FACTS if fact.schema is not None]
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(fact.name for fact in columns)
    lines.writerows([_cell(fact.of(row)) for fact in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_BEGINS_FORMULA) else value
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value, ensure_ascii=False)
