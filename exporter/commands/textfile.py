"""The command ``textfile``: one scan, then its metrics as a file for node_exporter.

The file is replaced as a whole or not at all, and only if every root could be read: what
the last successful run wrote is the last good state, and its
``datatrove_root_last_successful_scan_timestamp_seconds`` tells how old that is. What is no
regular file (a device, a FIFO, ``/dev/stdout``) is never replaced: it is written into.
"""

import os
import stat
import tempfile
from contextlib import suppress

import click

from exporter import log
from exporter.config.settings import Config
from exporter.errors import CommandError
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.render import Renderer
from exporter.model import formatting
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

_ENDING = ".prom"
_MODE = 0o644  # node_exporter runs as a user of its own


def run(config: Config, output: str, *, partial: bool) -> bool:
    """Scan every root and write `output`; whether all could be read. Each that could not is a
    line on standard error. Raises CommandError if the file was not written. With `partial` it
    is enough that one root could be read."""
    try:
        target = _file_behind(output)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
    if target is not None and not output.endswith(_ENDING):
        click.echo(f"{output}: node_exporter reads only files that end in {_ENDING}", err=True)
    snapshot = Scheduler(config.roots, Latest(), Workers(config.scan_workers)).run_once()
    unread = [f"{root.name} cannot be read: {root.error}" for root in snapshot.roots if not root.up]
    if unread and (not partial or len(unread) == len(snapshot.roots)):
        kept = "was left as it is" if os.path.exists(output) else "was not written"
        raise CommandError("\n".join((*unread, f"{output} {kept}")))
    # Those of the process are left out: node_exporter has its own of the same names.
    about_itself = ProcessMetrics()
    about_itself.reached_at(config.external_url)
    names = ["datatrove_exporter_build_info", "datatrove_exporter_web_info"]
    version = about_itself.render(as_openmetrics=False, names=names)
    pieces = Renderer().render(snapshot)["text"].body(version)
    try:
        if target is None:
            _write_into(output, b"".join(pieces))
        else:
            _replace(target, b"".join(pieces))
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
    for line in unread:
        click.echo(log.as_error(formatting.readable(line)), err=True)
    return not unread


def _file_behind(output: str) -> str | None:
    """The file to replace: where the symbolic links end that `output` names. None if there is
    something other than a regular file, or what a process has open. Raises OSError."""
    with suppress(FileNotFoundError):  # it may be a link to a file that is yet to be made
        if not stat.S_ISREG(os.stat(output).st_mode):
            return None
    path = os.path.abspath(output)
    while os.path.islink(path):
        folder = os.path.realpath(os.path.dirname(path))
        if folder.startswith("/proc/"):  # /dev/stdout leads to /proc/self/fd/1
            return None
        path = os.path.join(folder, os.readlink(path))
    return path


def _write_into(output: str, content: bytes) -> None:
    """Write behind what is there already, if anything ever is; may wait for a reader."""
    with open(
        output, "ab", opener=lambda path, _: os.open(path, os.O_WRONLY | os.O_APPEND)
    ) as file:
        file.write(content)


def _replace(output: str, content: bytes) -> None:
    """Put a whole new file in the place of `output`. Others see the old or the new one;
    the temporary file is in the same folder, under a name that nobody reads."""
    folder, name = os.path.split(os.path.abspath(output))
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, _MODE)
            os.fsync(descriptor)
        os.replace(temporary, output)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    with suppress(OSError):  # some file systems cannot; the file itself is safe
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
