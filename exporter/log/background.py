"""Writes lines on a thread of its own, so that nobody who logs ever waits for who reads.

A pipe whose reader has stopped takes no more after 64 KiB, and a write then waits for ever. Here
lines wait in memory instead, up to a limit; those beyond it are lost, counted, and told where
they are missing as soon as there is room again.
"""

import logging
import os
import select
import threading
from collections import deque

_BACKLOG_BYTES = 1024 * 1024
_FLUSH_SECONDS = 1.0


class BackgroundHandler(logging.Handler):
    """Writes each record as a line to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._bytes = 0  # of the lines, and of the one that is being written
        self._lost = 0
        self._changed = threading.Condition(threading.Lock())
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception as error:  # what logging does of itself would wait for a reader
            line = self._own_line(
                "an event could not be put into words", error=type(error).__name__
            )
        with self._changed:
            if self._bytes and self._bytes + len(line) > _BACKLOG_BYTES:
                self._lost += 1
                return
            self._tell_lost()
            self._put(line)

    def flush(self) -> None:
        """Wait until everything is written, a second at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, _FLUSH_SECONDS)

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")

    def _own_line(self, message: str, **fields: object) -> bytes:
        record = logging.LogRecord("exporter.log", logging.WARNING, "", 0, message, None, None)
        record.fields = fields
        return self._line(record)

    def _put(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        self._changed.notify_all()

    def _tell_lost(self) -> None:
        if self._lost:
            message = "lines of this log were lost, nobody read them"
            self._put(self._own_line(message, lines=self._lost))
            self._lost = 0

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
            self._write(line)
            with self._changed:
                self._bytes -= len(line)
                if not self._lines:
                    self._tell_lost()
                self._changed.notify_all()

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares it may have made it so
                select.select([], [self._descriptor], [])
            except OSError:  # nobody will read it, and there is nowhere to say so
                return
