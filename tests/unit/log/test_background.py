"""A log whose reader stops reading, over a real pipe."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.servers import wait_until

from exporter.log import _LineFormatter
from exporter.log.background import _BACKLOG_BYTES, BackgroundHandler

MORE_THAN_FITS = 4 * _BACKLOG_BYTES // 1000


class Log:
    """A logger that writes into a pipe."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.handler = BackgroundHandler(self.writer)
        self.handler.setFormatter(_LineFormatter(json.dumps))
        self._read = b""

    def write(self, number: int, size: int = 1000) -> None:
        line = {"msg": f"{number} {'x' * size}", "levelno": logging.INFO, "levelname": "INFO"}
        self.handler.handle(logging.makeLogRecord(line))

    def read_lines(self, count: int) -> list[str]:
        """The messages of the next lines; numbers of them without what fills them."""
        while self._read.count(b"\n") < count:
            self._read += os.read(self.reader, 1 << 20)
        *lines, self._read = self._read.split(b"\n", count)
        return [self._message(json.loads(line)) for line in lines]

    def _message(self, line: dict[str, str]) -> str:
        lost = f" {line['lines']}" if "lines" in line else ""
        return line["msg"].partition(" x")[0] + lost


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    with suppress(OSError):
        os.close(log.reader)  # its thread gets an error and loses the rest
    log.handler.flush()


def test_lines_are_read_in_the_order_in_which_they_were_logged(log: Log) -> None:
    for number in range(50):
        log.write(number)
    assert log.read_lines(50) == [str(number) for number in range(50)]


def test_nobody_waits_for_a_reader_that_has_stopped_and_what_was_lost_is_told(log: Log) -> None:
    for number in range(MORE_THAN_FITS):
        log.write(number)
    kept = log.read_lines(1 + _BACKLOG_BYTES // 1200)
    assert kept == [str(number) for number in range(len(kept))]
    told = next(line for line in iter(lambda: log.read_lines(1)[0], "") if not line.isdecimal())
    words, _, lost = told.rpartition(" ")
    assert words == "lines of this log were lost, nobody read them"
    assert 0 < int(lost) < MORE_THAN_FITS - len(kept)
    log.write(-1)
    rest = [int(line) for line in iter(lambda: log.read_lines(1)[0], "-1")]
    assert rest == sorted(rest)  # some found room again, on a slow machine


def test_the_loss_is_told_where_the_lines_are_missing(log: Log) -> None:
    """Not after lines that were logged later."""
    for number in range(MORE_THAN_FITS):
        log.write(number)
    seen = log.read_lines(500)  # there is room again, but much still waits to be read
    log.write(-1)
    while seen[-1] != "-1":
        seen += log.read_lines(1)
    assert seen[-2].startswith("lines of this log were lost")
    numbers = [
        int(line) for line in seen[:-2] if not line.startswith("lines of this log were lost")
    ]
    assert numbers == sorted(numbers), "a busy machine may lose, and tell so, more than once"
    assert numbers[:100] == list(range(100))


def test_a_line_that_is_longer_than_the_backlog_is_written_where_nothing_else_waits(
    log: Log,
) -> None:
    log.write(1, 2 * _BACKLOG_BYTES)
    assert log.read_lines(1) == ["1"]


def test_flush_waits_for_lines_that_are_read_and_not_for_ever_for_others(log: Log) -> None:
    reader = threading.Thread(target=lambda: os.read(log.reader, 1 << 20))
    log.write(1)
    log.handler.flush()
    reader.start()
    reader.join()
    for number in range(200):
        log.write(number)
    log.handler.flush()
    assert log.handler._bytes > 0
    assert log.read_lines(200)[-1] == "199"
    log.handler.flush()
    assert log.handler._bytes == 0


def test_an_event_that_cannot_be_put_into_words_is_told_in_its_place(log: Log) -> None:
    log.write(1)
    log.handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",), "levelname": "INFO"}))
    log.write(2)
    assert log.read_lines(3) == ["1", "an event could not be put into words", "2"]


def test_a_pipe_that_does_not_block_loses_nothing(log: Log) -> None:
    os.set_blocking(log.writer, False)
    for number in range(500):
        log.write(number)
    assert log.read_lines(500)[-1] == "499"


def test_a_reader_that_has_gone_stops_nothing(log: Log) -> None:
    os.close(log.reader)
    for number in range(MORE_THAN_FITS):
        log.write(number)
    wait_until(lambda: log.handler._bytes == 0, "the backlog is given up")
