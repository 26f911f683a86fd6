"""Reads from a task's log when its lines were written, and nothing else.

This module does no I/O: bytes of a log come in, times go out. What a log says may be as secret
as ``executor.json``, for loguru prints the values of variables beside a traceback, so no text
leaves this module. Logs are read a part at a time, and anything can stand in one: escape codes,
binary data, lines without end. All work is proportional to the bytes that come in.

datatrove has loguru begin each message with a header (``add_task_logger``, datatrove 0.10.1):
``2026-11-26 16:13:41.349 | INFO     | module:function:line - message``. Ray on several nodes puts
``[NODE n] `` before it; ``DATATROVE_COLORIZE_LOG_FILES`` colours the level. The times are those
of the node's own zone, which a log does not tell, so only differences between them are used.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

_COLOUR = rb"(?:\x1b\[[0-9;]{0,16}m){0,4}"
_HEADER = re.compile(
    rb"^" + _COLOUR + rb"(?:\[NODE \d{1,9}\] )?" + _COLOUR +
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})" + _COLOUR +
    rb" \| " + _COLOUR + rb"[A-Z]{3,16} {0,8}" + _COLOUR + rb" \| ",
    re.MULTILINE,
)  # fmt: skip


def seconds_covered(head: bytes, end: bytes) -> float | None:
    """The time from the first header in the beginning of a log to the last one in its end. None
    where there is no header in one of them, or they go backwards."""
    first = next(_times(_HEADER.findall(head)), None)
    last = next(_times(reversed(_HEADER.findall(end))), None)
    if first is None or last is None or last < first:
        return None
    return (last - first).total_seconds()


def _times(found: Iterable[bytes]) -> Iterator[datetime]:
    for text in found:
        try:
            yield datetime.fromisoformat(text.decode())
        except ValueError:  # a time that no calendar has
            continue
