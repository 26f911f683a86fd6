"""What pages of a listing show of a job, and which file it was that a request read."""

import pytest

from exporter.storage.base import Version
from exporter.storage.s3.listed_job import executor_version

SECOND_NS = 10**9
LISTED = executor_version("a", 5 * SECOND_NS + 7)


@pytest.mark.parametrize(
    ("read", "is_same"),
    [
        (executor_version("a", 5 * SECOND_NS), True),
        (executor_version("a", 6 * SECOND_NS), False),
        (executor_version("b", 5 * SECOND_NS), False),
        (executor_version(None, 5 * SECOND_NS), False),
    ],
    ids=["the same second", "written again", "another content", "it does not tell"],
)
def test_a_request_tells_whole_seconds_and_still_which_file_it_read(
    read: Version, *, is_same: bool
) -> None:
    assert LISTED.token is not None
    assert LISTED.token.is_answered_by(read) is is_same  # type: ignore[attr-defined]
