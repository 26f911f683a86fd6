"""A pseudo-terminal: it shows what a command draws, as a stream and as the screen that results,
and sends it keys.
"""

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyte

CONTROL_C = b"\x03"
CONTROL_Z = b"\x1a"
_WITHOUT_PLACE = re.compile("[\u200b-\u200d\u2028\u2029\ufe0f\ufeff]")
# The screen forgets the rest of what it is told with one of these.
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A process whose input, output and errors are one terminal."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", descriptor: int, columns: int, rows: int
    ) -> None:
        self.process = process
        self._descriptor = descriptor
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = b""

    @property
    def text(self) -> str:
        """Everything drawn so far, without colours and movements."""
        drawn = self.raw.decode(errors="replace")  # it may end within a character
        return _SEQUENCE.sub("", drawn)

    @property
    def lines(self) -> list[str]:
        """What the screen shows now, without the empty lines at its end."""
        shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size, as its user does; the process is told."""
        _set_size(self._descriptor, columns, rows)
        self._screen.resize(rows, columns)

    def close(self) -> None:
        """End the terminal, as its window does when it is closed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def press(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def wait_for(self, condition: Callable[[str], object], seconds: float = 30) -> str:
        """Read until the text meets the condition."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < deadline, self.text
            assert self._read(0.1) or self.process.poll() is None, self.text
        return self.text

    def wait(self, seconds: float = 30) -> int:
        """Read until the process ends; its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.1) or self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
        return self.process.wait()

    def _read(self, seconds: float) -> bool:
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the other end was closed
            return False
        self.raw += data
        self._stream.feed(_WITHOUT_PLACE.sub("", self._decoder.decode(data)))
        return bool(data)


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def terminal(command: Sequence[str], *, columns: int = 200, rows: int = 50) -> Iterator[Terminal]:
    """Run a command on a terminal of this size; killed at the end."""
    ours, theirs = os.openpty()
    _set_size(theirs, columns, rows)
    environment = {n: v for n, v in os.environ.items() if n not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    opened = Terminal(process, ours, columns, rows)
    try:
        yield opened
    finally:
        process.kill()
        process.wait()
        opened.close()
