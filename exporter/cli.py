"""Commands. Each ends with an exit code: 0 it worked, 1 it failed, 2 wrong usage."""

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from exporter import log
from exporter.commands import options, python_tuning
from exporter.config.addresses import split_listen_address
from exporter.config.settings import Config, RootConfig
from exporter.config.shard import Shard

if TYPE_CHECKING:
    from exporter.commands.status.once import Options


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="datatrove-exporter", message="%(prog)s %(version)s")
def main() -> None:
    """Prometheus exporter for datatrove job folders."""
    python_tuning.tune()


@main.command()
@options.config_file
@options.web_listen_address
@options.web_config_file
@options.web_enable_lifecycle
@options.config_watch
@options.shard
@options.log_level
@options.log_format
def serve(
    config_file: str,
    *,
    enable_lifecycle: bool,
    watch: bool,
    shard: Shard,
    **overrides: str | None,
) -> None:
    """Scan the configured roots and serve their metrics. SIGHUP reloads the configuration."""
    from exporter.commands.targets import load_config

    changes: dict[str, Any] = {key: value for key, value in overrides.items() if value}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    config = replace(_load(config_file), **changes).with_shard(shard)

    def load_again() -> Config:
        return replace(load_config(config_file), **changes).with_shard(shard)

    log.set_up(config.log_level, config.log_format)
    _run(config, load_again, enable_lifecycle=enable_lifecycle, watch=watch)
    _end(0)


@main.command("check-config")
@click.argument("file", metavar="FILE")
@click.option("--reach", is_flag=True, help="Also scan every root once and say what is there.")
def check_config(file: str, *, reach: bool) -> None:
    """Check a configuration file, and the web configuration file it names, and print what
    they mean, secrets masked."""
    from exporter.commands import check_config as command
    from exporter.errors import ConfigError
    from exporter.web.security.access import Terms, read_terms

    config = _load(file)
    try:
        terms = read_terms(config.web_config_file) if config.web_config_file else Terms()
    except ConfigError as error:
        _fail(str(error))
    click.echo(command.describe(config, terms))
    if reach:
        log.set_up("error", config.log_format)
        _end(0 if command.reach(config, click.echo) else 1)


@main.command()
@click.argument("targets", nargs=-1, metavar="[PATH|URL|CONFIG]...")
@options.config_file_option(required=False)
@options.status_options
@click.pass_context
def status(
    context: click.Context,
    /,
    *,
    targets: tuple[str, ...],
    config_file: str | None,
    max_depth: int | None,
    watch: bool,
    interval: float | None,
    **shown: Any,
) -> None:
    """Scan once and show every job: how far, since when, at what pace.

    PATH is a folder of jobs (default: the current one), URL any that fsspec reads,
    CONFIG a configuration file. Exit codes: 0 everything was read, 1 something could not
    be, 3 see --fail-incomplete.
    """
    from exporter.commands.status import once as command

    if interval is not None and not watch:
        raise click.UsageError("--interval is how often to scan with --watch")
    source = context.get_parameter_source("config_file")
    if targets and source is ParameterSource.ENVIRONMENT:
        config_file = None  # what is named on the command line is all that is asked for
    config = _status_config(targets, config_file, max_depth)
    wanted = command.Options(**shown)
    log.set_up("error", "logfmt")
    for stream in (sys.stdout, sys.stderr):  # names may be what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not watch:
            _end(command.run(config, wanted))
        _watch(config, wanted, interval)
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT)
    _end(0)


def _status_config(
    targets: tuple[str, ...], config_file: str | None, max_depth: int | None
) -> Config:
    from exporter.commands.targets import TargetError, config_of

    if not targets and config_file is None:
        targets = (os.curdir,)
    try:
        return config_of(targets, config_file, max_depth)
    except TargetError as error:
        _fail(str(error))


def _watch(config: Config, wanted: "Options", interval: float | None) -> None:
    if wanted.as_json or wanted.missing or wanted.fail_incomplete:
        raise click.UsageError("--watch shows the table and nothing else")
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal")
    from exporter.commands.status.watch import watch

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watch(config, wanted, interval)


@main.command()
@options.config_file
@click.option("--output", required=True, metavar="FILE.prom", help="The file to write.")
@click.option(
    "--partial",
    is_flag=True,
    help="Write also when some roots cannot be read; datatrove_root_up tells which.",
)
def textfile(config_file: str, output: str, *, partial: bool) -> None:
    """Scan once and write the metrics to a file for node_exporter's textfile collector.

    The file is replaced as a whole. When a root cannot be read it stays as it is, and
    the exit code is 1.
    """
    from exporter.commands import textfile as command

    config = _load(config_file)
    log.set_up("error", config.log_format)  # the file tells the rest; cron mails every line
    if not output.endswith(command.ENDING):
        click.echo(f"{output}: node_exporter reads only files that end in .prom", err=True)
    try:
        snapshot = command.run(config, output, partial=partial)
    except command.TextfileError as error:
        _fail(str(error))
    failed = command.unread(snapshot)
    for line in failed:
        click.echo(line, err=True)
    _end(1 if failed else 0)


@main.command()
@options.web_listen_address
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where to write the job folders; default: a temporary directory.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.01, max=1000),
    default=1.0,
    show_default=True,
    help="How many times faster than the default the jobs make progress.",
)
@click.option("--write-only", is_flag=True, help="Serve nothing; another exporter does.")
def demo(
    listen_address: str | None, directory: str | None, speed: float, *, write_only: bool
) -> None:
    """Write a small tree of jobs that make progress, and serve its metrics."""
    import tempfile
    from pathlib import Path

    from exporter.commands.demo import DemoTree

    log.set_up("info", "logfmt")
    with tempfile.TemporaryDirectory(prefix="datatrove-demo-") as temporary:
        folder = Path(directory or temporary).resolve()
        tree = DemoTree(folder, speed)
        try:
            tree.write()
        except OSError as error:
            _fail(f"cannot write the demo to {folder}: {error.strerror}")
        stopping = threading.Event()
        if write_only:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            click.echo(f"The jobs are in {folder}.")
            tree.progress(stopping)
        else:
            threading.Thread(target=tree.progress, args=(stopping,), daemon=True).start()
            root = RootConfig(name="demo", url=str(folder), scan_interval_seconds=2.0)
            address = listen_address or "127.0.0.1:10170"
            _run(Config((root,), listen_address=address), announce=f"The jobs are in {folder}.")
        stopping.set()
    _end(0)


def _load(file: str) -> Config:
    from exporter.commands.targets import load_config
    from exporter.errors import ConfigError

    try:
        return load_config(file)
    except ConfigError as error:
        _fail(str(error))


def _run(
    config: Config,
    load_again: Callable[[], Config] | None = None,
    *,
    announce: str = "",
    enable_lifecycle: bool = False,
    watch: bool = False,
) -> None:
    from exporter.commands.serve import Service, StartError
    from exporter.errors import ConfigError

    try:
        service = Service(config, load_again, enable_lifecycle=enable_lifecycle, watch=watch)
    except (StartError, ConfigError) as error:
        _fail(str(error))
    if announce:
        host, _ = split_listen_address(config.listen_address)
        address = f"http://{host}:{service.port}"
        click.echo(f"{announce}\nOpen {address}/ – metrics: {address}/metrics – Ctrl-C to stop.")
    service.run()


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)


def _end(code: int) -> NoReturn:
    """End the process without waiting for threads that hang in storage."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
