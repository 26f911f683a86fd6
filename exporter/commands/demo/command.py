"""Writes the demo's tree, lets it make progress, and serves its metrics."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from exporter.commands.demo.tree import STAGES, DemoTree
from exporter.config.labels import parse_label_pattern
from exporter.config.settings import DEFAULT_PORT, Config, RootConfig, StallRule
from exporter.errors import CommandError

_STALL = StallRule(after_seconds=25.0)
"""Tasks take about a second here, and nobody watches a demo for an hour."""
LABELS = ("minhash/{dump}/{stage}", "{stage}/{dump}")


def run(directory: str | None, speed: float, address: str | None, *, write_only: bool) -> None:
    """Write the tree to `directory`, or to a temporary one, let it make progress, and serve
    its metrics at `address`, or not if `write_only`, until a signal. Raises CommandError."""
    with _folder_to_write_to(directory) as folder:
        tree = DemoTree(folder, speed)
        stopping = threading.Event()
        if write_only:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
        try:
            tree.write()
        except OSError as error:
            raise CommandError(f"cannot write the demo to {folder}: {error.strerror}") from None
        if write_only:
            click.echo(f"The jobs are in {folder}.")
            tree.progress(stopping)
        else:
            threading.Thread(target=tree.progress, args=(stopping,), daemon=True).start()
            _serve(folder, address or f"127.0.0.1:{DEFAULT_PORT}")
        stopping.set()


@contextmanager
def _folder_to_write_to(directory: str | None) -> Iterator[Path]:
    """`directory`, or a temporary one. An image may have no place for those."""
    if directory is not None:
        yield Path(directory).resolve()
        return
    try:
        temporary = tempfile.TemporaryDirectory(prefix="datatrove-demo-")
    except OSError:
        raise CommandError("there is no place for a temporary directory: use --directory") from None
    with temporary as folder:
        yield Path(folder).resolve()


def root_of(folder: Path) -> RootConfig:
    """How the demo watches its own tree."""
    return RootConfig(
        "demo",
        str(folder),
        scan_interval_seconds=2.0,
        stall=_STALL,
        labels=tuple(map(parse_label_pattern, LABELS)),
        stage_order=tuple(name for name, *_ in STAGES),
        read_stats="steps",
    )


def _serve(folder: Path, listen_address: str) -> None:
    from exporter.commands.serve import Exporter

    root = root_of(folder)
    exporter = Exporter(Config((root,), listen_address=listen_address))
    click.echo(f"The jobs are in {folder}.")
    exporter.announce()
    exporter.run()
