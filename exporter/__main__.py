"""The command ``datatrove-exporter``, also as ``python -m exporter``.

The kernel throws away a signal for process 1 of a container that has no handler, where it would
end any other process. So there SIGTERM has one before anything else is imported, which takes
longer than all the rest of starting.

Names of folders are bytes, which are UTF-8 nearly everywhere. Python before 3.15 reads them as the
locale has it, though, and ``LANG=en_US`` by itself means ISO-8859-1.
"""

import os
import signal
import sys
from itertools import pairwise


def _end(number: int, _: object) -> None:
    os._exit(128 + number)  # what a shell says of a process that the signal has ended


if os.getpid() == 1:
    signal.signal(signal.SIGTERM, _end)


def main() -> None:
    """Run the command line."""
    is_again = ("-X", "utf8") in pairwise(sys.orig_argv)  # another option outdid this one
    if sys.getfilesystemencoding() != "utf-8" and not is_again:
        command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execv(sys.executable, command)  # noqa: S606  (the same program)
    from exporter import cli

    cli.run("python -m exporter" if __name__ == "__main__" else None)


if __name__ == "__main__":
    main()
