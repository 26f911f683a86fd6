"""What a command writes to, when that ends early.

* A reader that leaves, such as ``head``, has seen what it wanted: what comes after is thrown
  away, and the exit code is that of the work.
* So is what goes to a stream that whoever started the command has closed.
* What cannot be written otherwise, as to a full disk, is an error of the command, told once.
"""

import io
import os
import sys
from typing import TYPE_CHECKING

from exporter.errors import CommandError

if TYPE_CHECKING:
    from typing_extensions import Buffer


def prepare() -> None:
    """Have standard output and standard error end as said above. A terminal stays as it is."""
    sys.stdout = _prepared(sys.stdout, "standard output")
    sys.stderr = _prepared(sys.stderr, "standard error")


def _prepared(stream: object, name: str) -> io.TextIOWrapper:
    if not isinstance(stream, io.TextIOWrapper):  # Python has None for a closed one
        return open(os.devnull, "w", encoding="utf-8")
    if stream.isatty():
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno(), name)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Descriptor(io.FileIO):
    """Where bytes are written to, until that fails."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number, "w", closefd=False)
        self._called = name
        self._has_failed = False

    def write(self, data: "Buffer", /) -> int:
        """As FileIO has it; raises CommandError the first time that it is not possible."""
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._has_failed = True
            return memoryview(data).nbytes
        except OSError as error:
            self._has_failed = True
            reason = os.strerror(error.errno or 0)
            raise CommandError(f"{self._called} cannot be written: {reason}") from None
