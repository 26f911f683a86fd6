"""Small files that a configuration consists of, read with care."""

import errno
import os
import stat

from exporter.errors import ConfigError, Mistake


def read_config_file(path: str, limit_bytes: int) -> bytes:
    """The bytes of a configuration file; raises ConfigError."""
    try:
        return read_file(path, limit_bytes)
    except OSError as error:
        is_folder = isinstance(error, IsADirectoryError)
        text = "is a folder, and no file" if is_folder else f"cannot be read: {words_of(error)}"
        raise ConfigError(path, [Mistake((), text)]) from None
    except ValueError as error:
        raise ConfigError(path, [Mistake((), str(error))]) from None


def read_file(path: str | os.PathLike[str], limit_bytes: int) -> bytes:
    """The bytes of a regular file; raises OSError, or ValueError when it is another kind of
    file or larger than `limit_bytes`."""
    # Opening a FIFO would wait for a writer, and a device never ends.
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        data: bytes = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"larger than {limit_bytes} bytes")
    return data


def words_of(error: OSError) -> str:
    """What the system says of an error, without the file's name. In containers and units the user
    who may not read it is seldom the one who wrote it."""
    who = f" (as user {os.geteuid()})" if error.errno == errno.EACCES else ""
    return f"{os.strerror(error.errno)}{who}" if error.errno else "the system does not say why"
