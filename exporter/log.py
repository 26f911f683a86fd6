"""Logging: one event per line, logfmt or JSON, on standard error.

An event is a constant message and named fields; what comes from outside (job names,
paths) goes into fields only, where it is quoted, so it cannot forge a second line.

Libraries are held at WARNING whatever the level: at DEBUG botocore prints signatures
and session tokens.
"""

import json
import logging
import sys
import time
from collections.abc import Callable

LEVELS = ("debug", "info", "warn", "error")
FORMATS = ("logfmt", "json")


def event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Log `message` with fields."""
    logger.log(level, message, extra={"fields": fields})


def set_up(level: str, log_format: str) -> None:
    """Send the exporter's events to standard error, and only those."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(_to_json if log_format == "json" else _to_logfmt))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("exporter").setLevel(level.upper() if level != "warn" else "WARNING")
    logging.captureWarnings(capture=True)


class _LineFormatter(logging.Formatter):
    def __init__(self, write: Callable[[dict[str, object]], str]) -> None:
        super().__init__()
        self._write = write

    def format(self, record: logging.LogRecord) -> str:
        milliseconds = int(record.msecs)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "ts": f"{moment}.{milliseconds:03d}Z",
            "level": {"WARNING": "warn"}.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._write(line)


def _to_json(line: dict[str, object]) -> str:
    return json.dumps(line, default=str)


def _to_logfmt(line: dict[str, object]) -> str:
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in line.items())


def _logfmt_value(value: object) -> str:
    text = str(value)
    if text and text.isascii() and text.isprintable() and not any(c in text for c in ' "=\\'):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
