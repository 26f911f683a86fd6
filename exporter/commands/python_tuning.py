"""Settings of the Python interpreter for a process that scans with threads.

Measured with 20,000 job folders on a local disk, where a scan is system calls of a few
microseconds each:

* A system call gives up the interpreter lock and takes it back at once. So a thread that
  answers a request gets the lock only by force, after the switch interval, and again for
  each system call of its own.
* A garbage collection of all objects stops every thread for 0.3 s. By default Python makes
  one during every scan, and it finds next to nothing: it is for reference cycles, and a scan
  makes hardly any.
"""

import gc
import sys

_SWITCH_SECONDS = 0.0001  # Python's own is 0.005: a scrape gets the lock back some forty times
_THRESHOLDS = (700, 10, 1_000)
"""Young objects are collected as often as by default, which the garbage of failed requests
needs; all objects a hundred times as seldom. ``serve`` collects all every ten minutes."""


def tune() -> None:
    """Put the settings in force, for any command, before its work begins."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_THRESHOLDS)
