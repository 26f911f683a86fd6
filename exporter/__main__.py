"""The command ``datatrove-exporter``, also as ``python -m exporter``.

The kernel throws away a signal for process 1 of a container that has no handler, where it would
end any other process. So there SIGTERM has one before anything else is imported, which takes
longer than all the rest of starting.
"""

import os
import signal


def _end(number: int, _: object) -> None:
    os._exit(128 + number)  # what a shell says of a process that the signal has ended


if os.getpid() == 1:
    signal.signal(signal.SIGTERM, _end)


def main() -> None:
    """Run the command line."""
    from exporter import cli

    cli.main(prog_name="python -m exporter" if __name__ == "__main__" else None)


if __name__ == "__main__":
    main()
