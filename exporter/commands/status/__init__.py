"""The command ``status``: rows of the report, once or again and again.

Nothing that takes long to import is imported before it is needed: the answer for a local
folder comes sooner than that of datatrove's ``jobs_status``.
"""

import io
import signal
import sys
from typing import TYPE_CHECKING

from exporter import log
from exporter.commands.status.options import Options
from exporter.commands.status.source import Source
from exporter.commands.targets import ExporterAt
from exporter.config.settings import Asked, Config

if TYPE_CHECKING:
    from exporter.commands.status.watch.feed import Feed


def run(target: Config | ExporterAt, options: Options) -> int:
    """Show what the options ask for; returns the exit code. Raises CommandError."""
    log.set_up("error", "logfmt")
    for stream in (sys.stdout, sys.stderr):  # names may be what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not options.watch:
            from exporter.commands.status.once import show

            return show(_source(target, options), options)
        from exporter.commands.status.watch import watch

        watch(_feed(target, options), options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _source(target: Config | ExporterAt, options: Options) -> Source:
    if isinstance(target, Config):
        from exporter.commands.status.scanned import Scanned

        asked: list[Asked] = ["pipelines"] if options.strict else []
        asked += ["stats"] if options.steps else []
        return Scanned(target, tuple(asked))
    from exporter.commands.status.remote.source import Exporter

    return Exporter(target.url, target.roots, target.prefix)


def _feed(target: Config | ExporterAt, options: Options) -> "Feed":
    from exporter.commands.status.watch.feed import Questions, Scans

    if isinstance(target, Config):
        return Scans(target, options.interval)
    from exporter.commands.status.remote.source import Exporter

    return Questions(Exporter(target.url, target.roots, target.prefix), options.interval)
