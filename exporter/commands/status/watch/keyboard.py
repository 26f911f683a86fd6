"""The terminal's keys, one by one and without an echo, and its modes given back on every way out.

Ctrl-Z stops the process as it does any other: the terminal is as it was meanwhile, and what was
taken is taken again when it goes on.
"""

import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMES = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down", "\x1b[H": "home", "\x1bOH": "home",
    "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\r": "enter", "\n": "enter", "\x7f": "delete", "\b": "delete", "\x1b": "escape",
}  # fmt: skip
_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|.", re.DOTALL)


class Keyboard:
    """Keys of standard input, if that is a terminal; signals that end or stop the process."""

    def __init__(self) -> None:
        self.is_ended = False
        self._is_to_stop = False
        self._descriptor = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._modes: list[object] | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keys and signals come here."""
        before = {number: signal.signal(number, self._on_signal) for number in _ENDS}
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._on_signal)
        self._take()
        try:
            yield
        finally:
            self._give_back()
            for number, handler in before.items():
                signal.signal(number, handler)

    def keys(self, seconds: float) -> list[str]:
        """Keys pressed within this time: characters, or their names."""
        if self._descriptor is None:
            select.select([], [], [], seconds)
            return []
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return []
        try:
            data = os.read(self._descriptor, 1024)
        except OSError:  # the terminal went away
            data = b""
        if not data:
            self.is_ended = True
        text = data.decode(errors="ignore")
        return [_NAMES.get(key, key) for key in _KEY.findall(text)]

    def stop_if_asked(self, leave: Callable[[], None], enter: Callable[[], None]) -> bool:
        """Stop as Ctrl-Z asked to, between leaving and entering the screen; whether it was so."""
        if not self._is_to_stop:
            return False
        self._is_to_stop = False
        leave()
        self._give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # goes on after SIGCONT
        signal.signal(signal.SIGTSTP, handler)
        self._take()
        enter()
        return True

    def _take(self) -> None:
        if self._descriptor is not None:
            self._modes = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)

    def _give_back(self) -> None:
        if self._descriptor is not None and self._modes is not None:
            try:
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._modes)  # type: ignore[arg-type]
            except termios.error:  # the terminal went away
                self.is_ended = True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self._is_to_stop = True
        else:
            self.is_ended = True
