"""Reads a large ``executor.json`` in a process of its own.

``json.loads`` holds the interpreter lock, 0.2 s for each megabyte: meanwhile nothing else
in the process runs, not even a scrape. A child has a lock of its own, may be given up, and
takes no more memory than it is allowed. Only files that datatrove did not write in its own
layout come here, see `jobfolder.parse_executor`.
"""

import json
import resource
import subprocess
import sys
from dataclasses import asdict

from exporter.datatrove.layout import Executor, ExecutorFileError, parse_executor

_SECONDS = 60
_MEMORY_BYTES = 4 * 1024**3  # 64 MiB of the worst JSON need about a quarter of it
_COMMAND = (sys.executable, "-P", "-m", "exporter.datatrove.largejson")


def parse(data: bytes) -> Executor:
    """What `parse_executor` says of the file's content, whatever its size and layout; raises
    ExecutorFileError."""
    try:
        child = subprocess.run(  # noqa: S603 - our own module
            _COMMAND, input=data, capture_output=True, timeout=_SECONDS, check=False
        )
        answer = json.loads(child.stdout)
    except subprocess.TimeoutExpired:
        raise ExecutorFileError(f"not parsed within {_SECONDS} s") from None
    except ValueError:  # it was killed, or ran out of memory
        raise ExecutorFileError("could not be parsed") from None
    if "problem" in answer:
        raise ExecutorFileError(answer["problem"], may_be_half=answer["may_be_half"])
    return Executor(**answer)


def _main() -> None:
    """The child: content on standard input, the answer as JSON on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        executor = parse_executor(sys.stdin.buffer.read(), limit_bytes=None)
        answer: dict[str, object] = asdict(executor)
    except ExecutorFileError as error:
        answer = {"problem": str(error), "may_be_half": error.may_be_half}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main()
