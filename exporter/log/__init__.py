"""Logging: one event per line, logfmt or JSON, on standard error.

An event is a constant message and named fields; what comes from outside (job names,
paths) goes into fields only, where it is quoted, so it cannot forge a second line.

Secrets do not get here in the first place. One that slips through, in a library's error or a
traceback, is taken out as the last step: what was registered by `hide`, environment variables
that sound like secrets, and what looks like a signature or a password in a URL.

On systemd's journal each line begins with its priority (``<4>``), as sd-daemon(3) has it.

Libraries are held at WARNING: at DEBUG botocore prints signatures and session tokens.
"""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal, get_args
from urllib.parse import quote

from exporter.log.background import BackgroundHandler

Level = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)
Format = Literal["logfmt", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""syslog(3)'s numbers."""

_HIDDEN = "<secret>"
_MASK = "\ufdd0"
# Stands for it meanwhile: no character, and so in no secret; "secret" may be one.
_SHORTEST_SECRET = 6  # shorter ones are found by chance
_SECRET_VARIABLE = re.compile("KEY|SECRET|TOKEN|PASSW|CREDENTIAL", re.IGNORECASE)
_LOOKS_SECRET = re.compile(
    r"(?P<before>://[^/\s:@]*:|\bAuthorization\W{1,4}(?:\w+ )?|\bX-Amz-[\w-]+=|\bSignature=)"
    r"[^\s/@&'\",]+",
    re.IGNORECASE,
)
_secrets: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Never write these texts, nor their form within a URL or a quoted string."""
    for secret in secrets:
        for part in {secret, *secret.split("\n")}:  # a traceback shows one line of many
            if len(part) >= _SHORTEST_SECRET:
                _secrets.update((part, quote(part, safe=""), repr(part)[1:-1]))


def event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Log `message` with fields."""
    logger.log(level, message, extra={"fields": fields})


class Seldom:
    """Keeps what clients can cause, as often as they like, from filling the log."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told: dict[str, float] = {}

    def is_due(self, kind: str = "") -> bool:
        """Whether to log now: each kind is due once in so many seconds. There are few kinds."""
        now = time.monotonic()
        is_due = now - self._told.get(kind, float("-inf")) >= self._seconds
        if is_due:
            self._told[kind] = now
        return is_due


def set_up(level: str, log_format: str, *, in_background: bool = False) -> None:
    """Send the exporter's events to standard error, and only those. `in_background`, nobody who
    logs waits for standard error to be read; lines may be lost then, and that is told."""
    handler = _background_handler() if in_background else logging.StreamHandler(sys.stderr)
    write = json.dumps if log_format == "json" else _to_logfmt
    handler.setFormatter(_LineFormatter(write, with_priority=_is_journal()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("exporter").setLevel(level.upper())
    logging.captureWarnings(capture=True)
    hide(value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name))
    sys.excepthook = _log_crash
    threading.excepthook = lambda crash: _log_crash(*crash[:3])
    sys.unraisablehook = lambda met: _log_ignored(met.exc_value)


def as_error(text: str) -> str:
    """Lines for standard error that are no events, marked as errors where that is the journal."""
    mark = f"<{_PRIORITIES[logging.ERROR]}>" if _is_journal() else ""
    return "\n".join(f"{mark}{line}" for line in text.split("\n"))


@cache
def _background_handler() -> logging.Handler:
    if sys.stderr is None:  # it was closed, and its number may be another file's by now
        return logging.NullHandler()
    return BackgroundHandler(sys.stderr.fileno())


@cache
def _is_journal() -> bool:
    """Whether standard error is what systemd says it has connected with the journal."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _log_crash(_: object, error: BaseException | None, __: object) -> None:
    """In the place of Python's own hook, whose text would not pass through here."""
    if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        message = "a thread met a bug of the exporter and ended"
        logging.getLogger(__name__).critical(message, exc_info=error)


def _log_ignored(error: BaseException | None) -> None:
    """The same for what is raised where nobody can catch it, as in a destructor."""
    logging.getLogger(__name__).error("an error could not be raised", exc_info=error)


class _LineFormatter(logging.Formatter):
    def __init__(
        self, write: Callable[[dict[str, object]], str], *, with_priority: bool = False
    ) -> None:
        super().__init__()
        self._write = write
        self._with_priority = with_priority

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "ts": f"{moment}.{int(record.msecs):03d}Z",
            "level": {"WARNING": "warn"}.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        mark = f"<{_PRIORITIES.get(record.levelno, 5)}>" if self._with_priority else ""
        return mark + self._write({key: _clean(value) for key, value in line.items()})


def _clean(value: object) -> object:
    """The value without secrets; a number stays a number."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_secrets(str(value))


def without_secrets(text: str, *, is_cut: bool = False) -> str:
    """The text, with what `hide` and `set_up` know as secrets masked, and what looks like one;
    of a text that `is_cut`, also the beginning of a secret at its end."""
    text = text.replace(_HIDDEN, _MASK)
    # The longest first: one may be part of another.
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
        if is_cut and (size := _begun(secret, text)):
            text = text[:-size] + _MASK
    return _LOOKS_SECRET.sub(rf"\g<before>{_MASK}", text).replace(_MASK, _HIDDEN)


def _begun(secret: str, text: str) -> int:
    """How many characters of the secret the text ends with."""
    sizes = range(min(len(secret), len(text)), _SHORTEST_SECRET - 1, -1)
    return next((size for size in sizes if text.endswith(secret[:size])), 0)


def _to_logfmt(line: dict[str, object]) -> str:
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in line.items())


def _logfmt_value(value: object) -> str:
    text = str(value)
    if text and text.isascii() and text.isprintable() and not any(c in text for c in ' "=\\'):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
