"""The command ``textfile``: one scan, then its metrics as a file for node_exporter.

The file is replaced as a whole or not at all, and only if every root could be read: what
the last successful run wrote is the last good state, and its
``datatrove_root_last_successful_scan_timestamp_seconds`` tells how old that is.
"""

import os
import tempfile
from contextlib import suppress

from exporter.config.settings import Config
from exporter.metrics.process_metrics import Telemetry
from exporter.metrics.render import Exposition
from exporter.model.snapshot import Latest, Snapshot
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

ENDING = ".prom"
"""node_exporter reads files whose names end so, and no others."""

_MODE = 0o644  # node_exporter runs as a user of its own


class TextfileError(Exception):
    """The file was not written; one line for each reason."""


def run(config: Config, output: str, *, partial: bool = False) -> Snapshot:
    """Scan every root and write `output`; raises TextfileError. With `partial` it is
    enough that one root could be read."""
    snapshot = Scheduler(config.roots, Latest(), Workers(config.scan_workers)).run_once()
    failed = unread(snapshot)
    if failed and (not partial or len(failed) == len(snapshot.roots)):
        kept = "was left as it is" if os.path.exists(output) else "was not written"
        raise TextfileError("\n".join((*failed, f"{output} {kept}")))
    try:
        _replace(output, _exposition(snapshot))
    except OSError as error:
        raise TextfileError(f"{output} cannot be written: {error.strerror}") from None
    return snapshot


def unread(snapshot: Snapshot) -> list[str]:
    """A line for each root that could not be read."""
    return [f"{root.name} cannot be read: {root.error}" for root in snapshot.roots if not root.up]


def _exposition(snapshot: Snapshot) -> bytes:
    """The metrics of the scan, and which version made them. Those of the process are left
    out: node_exporter has its own of the same names."""
    version = Telemetry().render(as_openmetrics=False, names=["datatrove_exporter_build_info"])
    return b"".join(Exposition().render(snapshot)["text"].body(version, b"").pieces)


def _replace(output: str, content: bytes) -> None:
    """Put a whole new file in the place of `output`. Others see the old or the new one;
    the temporary file is in the same folder, under a name that nobody reads."""
    folder, name = os.path.split(os.path.abspath(output))
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _MODE)
            os.fsync(file.fileno())
        os.replace(temporary, output)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    with suppress(OSError):  # some file systems cannot; the file itself is safe
        _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
