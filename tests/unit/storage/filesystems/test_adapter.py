"""What listings of fsspec filesystems show."""

from datetime import UTC, datetime

import pytest

from exporter.storage.filesystems.adapter import Entry


@pytest.mark.parametrize(
    "item",
    [
        {"mtime": 0},
        {"mtime": -1.5},
        {"mtime": 3e11},
        {"mtime": float("nan")},
        {"mtime": float("inf")},
        {"LastModified": datetime(1970, 1, 1, tzinfo=UTC)},
        {"last_modified": datetime(1, 1, 1, tzinfo=UTC)},
        {"updated": "0001-01-01T00:00:00Z"},
        {"modify": "19700101000000"},
    ],
)
def test_a_time_that_is_nobodys_is_none(item: dict[str, object]) -> None:
    assert Entry({"name": "a", "type": "file", **item}).modified_ns is None


@pytest.mark.parametrize("value", [60, 60.0, "19700101000100", datetime(1970, 1, 1, 0, 1)])  # noqa: DTZ001
def test_any_other_time_is_one(value: object) -> None:
    assert Entry({"name": "a", "type": "file", "mtime": value}).modified_ns == 60 * 10**9
