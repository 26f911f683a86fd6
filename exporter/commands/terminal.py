"""The terminal that a command was started from.

SIGHUP asks a service to reload. It also tells that the terminal was closed, of which a service
knows nothing, and which ends whatever ran in its foreground.
"""

import os
import signal


def holds_this_process() -> bool:
    """Whether closing the terminal would end this process now: it runs in the foreground of one,
    and not under ``nohup``."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    terminal = _open()
    if terminal is None:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def is_gone() -> bool:
    """Whether this process has no terminal, or none any more."""
    terminal = _open()
    if terminal is not None:
        os.close(terminal)
    return terminal is None


def _open() -> int | None:
    try:
        return os.open(os.ctermid(), os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
