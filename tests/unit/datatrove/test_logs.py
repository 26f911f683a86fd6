"""What a log tells of its time, and nothing else: pure values, no files."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.datatrove.logs import may_have_ended_at, span_of
from exporter.storage.base import PART_BYTES

FIRST = (
    b"2026-11-26 16:13:41.349 | INFO     | datatrove.utils.logging:add_task_logger:76 - Launch\n"
)
LAST = b"2026-11-26 16:14:42.425 | SUCCESS  | datatrove.executor.base:_run_for_rank:140 - Done\n"
BETWEEN = 61.076
COLOURED = (
    b"2026-11-26 16:13:41.349 | \x1b[1mINFO    \x1b[0m | a:b:7 - \x1b[1mLaunching\x1b[0m\n",
    b"\x1b[0m2026-11-26 16:14:42.425 | \x1b[32m\x1b[1mSUCCESS \x1b[0m | a:b:1 - \x1b[32mDone\n",
)


def seconds(head: bytes, end: bytes) -> float | None:
    span = span_of(head, end)
    return None if span is None else span.covered_ns / 1e9


STATS = "\n\n📉📉📉 Stats: Task 0 📉📉📉\n    Runtime: (2.65%) 0 seconds\n".encode()


@pytest.mark.parametrize(
    "log",
    [
        FIRST + LAST,
        FIRST + LAST + STATS,
        FIRST + b"a line of no header, ever\n" * 100 + LAST,
        b"\n\n" + FIRST + LAST,
        b"".join(COLOURED),
        b"[NODE 0] " + FIRST + b"[NODE 12] " + LAST,
        FIRST + random.Random(1).randbytes(5000) + b"\n" + LAST,
        FIRST + b"x" * 70_000 + b"\n" + LAST,
        b"2026-13-45 99:99:99.999 | INFO     | a:b:1 - no such time\n" + FIRST + LAST,
        FIRST + LAST + b"2026-02-30 00:00:00.000 | INFO     | a:b:1 - no such time\n",
    ],
    ids=[
        *("plain", "with stats", "other lines", "empty lines", "colour", "nodes", "binary"),
        *("a long line", "no such time first", "no such time last"),
    ],
)
def test_a_log_covers_the_time_from_its_first_header_to_its_last(log: bytes) -> None:
    assert seconds(log, log) == pytest.approx(BETWEEN)


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (b"", b""),
        (b"Traceback\n", LAST),
        (FIRST, b"x" * 1000),
        (LAST, FIRST),
        (b" " + FIRST, LAST),
        (b"text 2026-11-26 16:13:41.349 | INFO     | a:b:1 - in a message\n", LAST),
        (FIRST.replace(b"2026", "٢٠٢٦".encode()), LAST),
    ],
    ids=["empty", "no first", "no last", "backwards", "blank", "within a line", "other digits"],
)
def test_a_log_without_both_headers_tells_nothing(head: bytes, end: bytes) -> None:
    assert seconds(head, end) is None


@pytest.mark.parametrize(
    "unit",
    [b"\x1b", b"\x1b[", b"\x1b[0m", b"\x1b]", b"\n", b"\n\x1b[0;0;", b"[NODE 1", b"\0", b"2026-"],
    ids=repr,
)
def test_hostile_logs_are_read_in_one_pass(unit: bytes) -> None:
    """Such a part takes hours where a pattern tries everything twice."""
    part = (unit * PART_BYTES)[:PART_BYTES]
    assert seconds(part, part) is None
    assert seconds(FIRST + part, part + b"\n" + LAST) == pytest.approx(BETWEEN)


@given(st.lists(st.sampled_from([FIRST, LAST, b"\n", b"\x1b[0m", b"[NODE 3] ", b"\xff|"])))
def test_whatever_is_read_gives_a_time_or_nothing(pieces: list[bytes]) -> None:
    log = b"".join(pieces)
    covered = seconds(log, log)
    assert covered is None or covered >= 0


def test_the_longest_silence_is_that_between_two_lines_within_what_was_read() -> None:
    later = LAST.replace(b"16:14:42", b"16:20:42")
    span = span_of(FIRST + LAST, LAST + later)
    assert span is not None
    assert span.longest_silence_ns == 360 * 10**9
    only = span_of(FIRST, FIRST)
    assert only is not None
    assert (only.covered_ns, only.longest_silence_ns) == (0, 0)


ENDED = b"""2026-11-26 16:06:00.000 | INFO     | datatrove.pipeline.base:run:9 - goes on
2026-11-26 16:13:41.349 | SUCCESS  | datatrove.executor.base:_run_for_rank:85 - done

Stats: a table
"""
AT = 1_795_709_621  # the same, in UTC
HOUR = 3600


@pytest.mark.parametrize(
    ("after", "may_be"),
    [
        (0, True),
        (170, True),
        (-100, True),
        (400, False),
        (-8 * HOUR, True),
        (-5 * HOUR - 2700, True),
        (12 * HOUR + 30, True),
        (14 * HOUR, True),
        (16 * HOUR, False),
        (90 * 24 * HOUR, False),
    ],
)
def test_a_marker_was_written_at_the_last_line_of_the_log_in_some_time_zone(
    after: int, *, may_be: bool
) -> None:
    assert may_have_ended_at(ENDED, (AT + after) * 10**9) is may_be


@pytest.mark.parametrize("end", [b"", b"no header", b"2026-13-99 16:13:41.349 | INFO     | x"])
def test_a_log_that_tells_no_time_contradicts_nothing(end: bytes) -> None:
    assert may_have_ended_at(end, AT * 10**9)
