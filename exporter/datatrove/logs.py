"""Reads from a task's log when its lines were written, and nothing else.

This module does no I/O: bytes of a log come in, times go out. What a log says may be as secret
as ``executor.json``, for loguru prints the values of variables beside a traceback, so no text
leaves this module. Logs are read a part at a time, and anything can stand in one: escape codes,
binary data, lines without end. All work is proportional to the bytes that come in.

datatrove has loguru begin each message with a header (``add_task_logger``, datatrove 0.10.1):
``2026-11-26 16:13:41.349 | INFO     | module:function:line - message``. Ray on several nodes puts
``[NODE n] `` before it; ``DATATROVE_COLORIZE_LOG_FILES`` colours the level. The times are those
of the node's own zone, which a log does not tell, so only differences between them are used; and
that zones are whole quarters of an hour apart, at most half a day and a little from UTC.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

_COLOUR = rb"(?:\x1b\[[0-9;]{0,16}m){0,4}"
_HEADER = re.compile(
    rb"^" + _COLOUR + rb"(?:\[NODE \d{1,9}\] )?" + _COLOUR +
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})" + _COLOUR +
    rb" \| " + _COLOUR + rb"[A-Z]{3,16} {0,8}" + _COLOUR + rb" \| ",
    re.MULTILINE,
)  # fmt: skip


_QUARTER_SECONDS = 900
_MOST_FROM_UTC_SECONDS = 15 * 3600
_SAVING_SECONDS = 180
# Between the last line of a task and its marker its stats are saved; clocks differ a little.


@dataclass(frozen=True, slots=True)
class Span:
    """The time from a log's first line to its last, and the longest between two successive
    ones, as far as the parts that were read tell. In nanoseconds."""

    covered_ns: int
    longest_silence_ns: int


def span_of(head: bytes, end: bytes) -> Span | None:
    """What the headers in the beginning of a log and in its end tell. None where there is none
    in one of them, or they go backwards."""
    first = list(_times(_HEADER.findall(head)))
    last = list(_times(_HEADER.findall(end))) if end is not head else first
    if not (first and last) or last[-1] < first[0]:
        return None
    gaps = [later - earlier for part in (first, last) for earlier, later in pairwise(part)]
    return Span(_ns(last[-1] - first[0]), max(0, *map(_ns, gaps)) if gaps else 0)


def may_have_ended_at(end: bytes, time_ns: int) -> bool:
    """Whether the task whose log has this end may have been done then: at its last line, in some
    time zone. True where the log tells no time."""
    last = list(_times(_HEADER.findall(end)))[-1:]
    if not last:
        return True
    told = last[0].replace(tzinfo=UTC).timestamp()
    after = time_ns / 1e9 - told
    beside_quarter = (after + _QUARTER_SECONDS / 2) % _QUARTER_SECONDS - _QUARTER_SECONDS / 2
    return abs(after) < _MOST_FROM_UTC_SECONDS and abs(beside_quarter) < _SAVING_SECONDS


def _ns(time: timedelta) -> int:
    return round(time.total_seconds() * 1e9)


def _times(found: Iterable[bytes]) -> Iterator[datetime]:
    for text in found:
        try:
            yield datetime.fromisoformat(text.decode())
        except ValueError:  # a time that no calendar has
            continue
