"""Small files that a configuration consists of, read with care."""

import os
import stat


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a file; raises ValueError when it is none, or larger than `limit`."""
    # Opening a FIFO would wait for a writer, and a device never ends.
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        data: bytes = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return data


def words_of(error: OSError) -> str:
    """What the system says of an error, without the file's name."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
