"""Tells how a task's log ends, and why the task failed.

This module does no I/O, and lets no text of a log out but the exception's class, the place
it came from, and, where asked, the first line of its message. The rest may be secret: loguru
prints the values of variables beside each line of a traceback.

Read in datatrove 0.10.1: a task fails by the executor's own line of level ERROR and by nothing
else, since steps log errors too and go on. Only subclasses of Exception get that line;
``sys.exit``, an interrupt and a signal end a log without a word. A Slurm task that was told to
make room says that it asks to be queued again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from exporter.datatrove.log_text import plain_lines

FailureReason = Literal[
    "out_of_space", "out_of_memory", "throttled", "denied", "not_found", "network", "bad_data",
    "program", "stopped", "time_limit", "cancelled", "node_failure", "launcher", "other",
]  # fmt: skip
FAILURE_REASONS: tuple[FailureReason, ...] = get_args(FailureReason)

_NAME_CHARACTERS = 64
_MESSAGE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a task failed. `type` is the exception's class, `where` its deepest frame as
    ``file:function:line``, without the folder; each is empty where the log does not tell.
    `message` is the first line of its text, as it was written."""

    reason: FailureReason
    type: str = ""
    where: str = ""
    message: str = ""


Ended = Literal["failed", "requeued", "open"]


@dataclass(frozen=True, slots=True)
class LogEnd:
    """How a log ends: with the executor's ERROR, with its word that the task is to be queued
    again, or with neither. `has_header` is false where no line of what was read begins as
    loguru begins one: then the end alone proves nothing."""

    ended: Ended
    cause: Cause | None = None
    has_header: bool = True


_HEADER = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| (?P<level>[A-Z]{1,16}) {0,16}"
    r"\| (?P<place>[\w.<>]{1,256}:[\w<>]{1,256}):\d{1,9} - "
)
_FAILED_AT = re.compile(r"datatrove\.executor\.\w+:_run_for_rank")
_REQUEUED_AT = "datatrove.executor.slurm:requeue_handler"


def end_of(data: bytes) -> LogEnd:
    """How a log ends of which `data` are the last bytes."""
    lines = plain_lines(data)
    headers = [(i, match) for i, line in enumerate(lines) if (match := _HEADER.match(line))]
    # A message can hold a line that looks like a header, so the last one does not decide.
    for number, header in reversed(headers):
        if header["level"] == "ERROR" and _FAILED_AT.fullmatch(header["place"]):
            return LogEnd("failed", _cause(lines[number + 1 :]))
    if headers and headers[-1][1].group("level", "place") == ("WARNING", _REQUEUED_AT):
        return LogEnd("requeued")
    return LogEnd("open", has_header=bool(headers))


# ``| `` and the like stand before the lines of an exception group.
_FRAME = re.compile(r'(?:  \| )?[ >] File "([^"]{1,4096})", line (\d{1,9}), in (.{1,256})')
_EXCEPTION = re.compile(r"(?:  \| )?((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: ?(.*))?", re.DOTALL)


# Between an exception and the one that it led to.
_CHAINED = re.compile(
    r"(?:  \| )?(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):"
)


def _cause(traceback: Sequence[str]) -> Cause:
    """By the first exception after a frame, or by the last such one of a chain. A message may
    hold lines that look like frames and exceptions, and is no part of this."""
    frame: re.Match[str] | None = None
    cause: Cause | None = None
    is_told = False
    for text in traceback:
        if is_told:
            if _CHAINED.match(text):
                frame, is_told = None, False
        elif match := _FRAME.match(text):
            frame = match
        elif frame is not None and (found := _EXCEPTION.fullmatch(text[:4096])):
            type_ = found[1].rpartition(".")[2][:_NAME_CHARACTERS]
            message = found[2] or ""
            reason = _reason(type_, message)
            cause = Cause(reason, type_, _where(frame), message[:_MESSAGE_CHARACTERS])
            is_told = True
    return cause or Cause("other", where=_where(frame) if frame is not None else "")


def _where(frame: re.Match[str]) -> str:
    file, line, function = frame.groups()
    name = re.split(r"[/\\]", file)[-1]
    return ":".join((_printable(name), _printable(function), line))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_NAME_CHARACTERS])


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NETWORK = _words(
    "ConnectionError ConnectionResetError ConnectionAbortedError ConnectionRefusedError"
    " BrokenPipeError TimeoutError ReadTimeout ReadTimeoutError ConnectTimeout ConnectTimeoutError"
    " EndpointConnectionError SSLError ProtocolError IncompleteRead ClientConnectorError"
    " ServerDisconnectedError ChunkedEncodingError ConnectionClosedError ClientConnectionError"
    " MaxRetryError NewConnectionError RemoteDisconnected ResponseStreamingError gaierror"
)
_BY_TYPE_OR_TEXT: tuple[tuple[FailureReason, frozenset[str], re.Pattern[str] | None], ...] = (
    ("out_of_space", frozenset(), re.compile(r"\[Errno (?:28|122)\]")),
    ("out_of_memory", _words("MemoryError OutOfMemoryError"), re.compile(r".*CUDA out of memory")),
    (
        "throttled",
        frozenset(),
        re.compile(r".*(?:SlowDown|\b429\b|Too Many Requests|\brate limit)", re.IGNORECASE),
    ),
    ("denied", _words("PermissionError AccessDenied"), re.compile(r".*(?:AccessDenied|\b403\b)")),
    (
        "not_found",
        _words("FileNotFoundError NoSuchKey NoSuchBucket"),
        re.compile(r".*(?:NoSuchKey|NoSuchBucket|\b404\b)"),
    ),
    ("network", _NETWORK, None),
    (
        "bad_data",
        _words("UnicodeDecodeError JSONDecodeError ArrowInvalid BadGzipFile ZstdError"),
        None,
    ),
    (
        "program",
        _words(
            "TypeError AttributeError NameError ImportError ModuleNotFoundError KeyError"
            " IndexError AssertionError RecursionError UnboundLocalError NotImplementedError"
        ),
        None,
    ),
)


def _reason(type_: str, message: str) -> FailureReason:
    """The first that fits by class, or by the message's text."""
    for reason, types, text in _BY_TYPE_OR_TEXT:
        if type_ in types or (text is not None and text.match(message)):
            return reason
    return "other"
