"""Turns the bytes of a log into plain lines.

This module does no I/O. A log is text of unknown origin: it may hold escape sequences, a
line without end, or no text at all. The work grows with the number of bytes and no faster.
"""

import re

_ESCAPE_SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI, such as colours
    rb"|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?"  # strings, such as a window's title
    rb"|[@-Z\\-_]?)"
)
_PREFIX = re.compile(r"\[NODE \d{1,9}\] ")


def plain_lines(data: bytes) -> list[str]:
    """The lines, without escape sequences and the ``[NODE n]`` before each that datatrove
    writes where a task has several nodes. Bytes that are not UTF-8 become U+FFFD."""
    text = _ESCAPE_SEQUENCE.sub(b"", data).decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").split("\n")
    return [line[prefix.end() :] if (prefix := _PREFIX.match(line)) else line for line in lines]
