"""Commands. Each ends with an exit code: 0 it worked, 1 it failed, 2 wrong usage."""

import io
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from click.core import ParameterSource

from exporter import log
from exporter.report import SORTS
from exporter.settings import (
    Config,
    RootConfig,
    StallRule,
    format_duration,
    parse_duration,
    split_listen_address,
    without_query,
)
from exporter.shard import Shard, parse_shard
from exporter.snapshot import Root

if TYPE_CHECKING:
    from exporter.access import Terms
    from exporter.status import Options

_ENVIRONMENT = "DATATROVE_EXPORTER_"
_Command = TypeVar("_Command", bound=Callable[..., object])


def _listen_address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            split_listen_address(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _shard_of(_: click.Context, __: click.Parameter, value: str) -> Shard:
    try:
        return parse_shard(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _interval(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if seconds < 1:
        raise click.BadParameter("shorter than 1s")
    return seconds


def _config_file_option(*, required: bool) -> Callable[[_Command], _Command]:
    return click.option(
        "--config.file",
        "config_file",
        envvar=f"{_ENVIRONMENT}CONFIG_FILE",
        required=required,
        metavar="FILE",
        help="Configuration file (YAML).",
    )


_config_file = _config_file_option(required=True)
_web_listen_address = click.option(
    "--web.listen-address",
    "listen_address",
    envvar=f"{_ENVIRONMENT}WEB_LISTEN_ADDRESS",
    metavar="HOST:PORT",
    callback=_listen_address,
    help="Where to listen; overrides the configuration.",
)
_web_config_file = click.option(
    "--web.config.file",
    "web_config_file",
    envvar=f"{_ENVIRONMENT}WEB_CONFIG_FILE",
    metavar="FILE",
    help="TLS and basic authentication, in exporter-toolkit's format; overrides the configuration.",
)
_web_enable_lifecycle = click.option(
    "--web.enable-lifecycle",
    "enable_lifecycle",
    envvar=f"{_ENVIRONMENT}WEB_ENABLE_LIFECYCLE",
    is_flag=True,
    help="Let POST /-/reload reload the configuration.",
)
_config_watch = click.option(
    "--config.watch",
    "watch",
    envvar=f"{_ENVIRONMENT}CONFIG_WATCH",
    is_flag=True,
    help="Reload the configuration when its file changes.",
)
_log_level = click.option(
    "--log.level",
    "log_level",
    envvar=f"{_ENVIRONMENT}LOG_LEVEL",
    type=click.Choice(log.LEVELS),
    help="Overrides the configuration.",
)
_log_format = click.option(
    "--log.format",
    "log_format",
    envvar=f"{_ENVIRONMENT}LOG_FORMAT",
    type=click.Choice(log.FORMATS),
    help="Overrides the configuration.",
)


_shard = click.option(
    "--shard",
    envvar=f"{_ENVIRONMENT}SHARD",
    default="0/1",
    show_default=True,
    metavar="I/N",
    callback=_shard_of,
    help="Read only every N-th job, as exporter I of N (counted from 0). I may be a name "
    "that ends in its number, such as that of a StatefulSet's pod.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="datatrove-exporter", message="%(prog)s %(version)s")
def main() -> None:
    """Prometheus exporter for datatrove job folders."""


@main.command()
@_config_file
@_web_listen_address
@_web_config_file
@_web_enable_lifecycle
@_config_watch
@_shard
@_log_level
@_log_format
def serve(
    config_file: str,
    *,
    enable_lifecycle: bool,
    watch: bool,
    shard: Shard,
    **overrides: str | None,
) -> None:
    """Scan the configured roots and serve their metrics. SIGHUP reloads the configuration."""
    from exporter.target import load_config

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
    from exporter.access import Terms, read_terms
    from exporter.document import ConfigError

    config = _load(file)
    try:
        terms = read_terms(config.web_config_file) if config.web_config_file else Terms()
    except ConfigError as error:
        _fail(str(error))
    click.echo(_describe(config))
    click.echo(_describe_access(terms))
    if reach:
        from exporter.service import scan_once

        log.set_up("error", config.log_format)
        snapshot = scan_once(config)
        for root in snapshot.roots:
            click.echo(_reached(root))
        _end(0 if all(root.up for root in snapshot.roots) else 1)


@main.command()
@click.argument("targets", nargs=-1, metavar="[PATH|URL|CONFIG]...")
@_config_file_option(required=False)
@click.option(
    "-p",
    "--prefix",
    "--log_prefix",
    default="",
    help="Only jobs whose name starts so.",
)
@click.option(
    "-hc",
    "--hide-complete",
    "--hide_complete",
    is_flag=True,
    help="Leave complete jobs out of the table (not of the sums).",
)
@click.option("--missing", is_flag=True, help="Also list missing ranks and those of their logs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option("--watch", is_flag=True, help="Draw the table again and again; needs a terminal.")
@click.option(
    "--interval",
    metavar="DURATION",
    callback=_interval,
    help="With --watch: how often to scan.  [default: 2s for local folders, else 15s]",
)
@click.option("--sort", type=click.Choice(SORTS), help="Order of the table.  [default: name]")
@click.option(
    "--max-depth",
    type=click.IntRange(0, 32),
    help="How deep below a PATH or URL jobs may lie.  [default: 3]",
)
@click.option("--fail-incomplete", is_flag=True, help="Exit with 3 unless every job is complete.")
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
    from exporter import status as command

    source = context.get_parameter_source("config_file")
    if targets and source is ParameterSource.ENVIRONMENT:
        config_file = None  # what is named on the command line is all that is asked for
    config = _status_config(targets, config_file, max_depth)
    options = command.Options(**shown)
    log.set_up("error", "logfmt")
    for stream in (sys.stdout, sys.stderr):  # names may be what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not watch:
            _end(command.run(config, options))
        _watch(config, options, interval)
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT)
    _end(0)


def _status_config(
    targets: tuple[str, ...], config_file: str | None, max_depth: int | None
) -> Config:
    from exporter.target import TargetError, config_of

    if not targets and config_file is None:
        targets = (os.curdir,)
    try:
        return config_of(targets, config_file, max_depth)
    except TargetError as error:
        _fail(str(error))


def _watch(config: Config, options: "Options", interval: float | None) -> None:
    if options.as_json or options.missing or options.fail_incomplete:
        raise click.UsageError("--watch shows the table and nothing else")
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal")
    from exporter.livestatus import watch

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watch(config, options, interval)


@main.command()
@_config_file
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
    from exporter import textfile as command

    config = _load(config_file)
    log.set_up("error", config.log_format)  # the file tells the rest; cron mails every line
    if not output.endswith(command.ENDING):
        click.echo(f"{output}: node_exporter reads only files that end in .prom", err=True)
    try:
        snapshot = command.run(config, output, partial=partial)
    except command.TextfileError as error:
        _fail(str(error))
    _end(0 if all(root.up for root in snapshot.roots) else 1)


@main.command()
@_web_listen_address
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
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
    listen_address: str | None, directory: Path | None, speed: float, *, write_only: bool
) -> None:
    """Write a small tree of jobs that make progress, and serve its metrics."""
    from exporter.demo import DemoTree

    log.set_up("info", "logfmt")
    with tempfile.TemporaryDirectory(prefix="datatrove-demo-") as temporary:
        folder = (directory or Path(temporary)).resolve()
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
    from exporter.document import ConfigError
    from exporter.target import load_config

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
    from exporter.document import ConfigError
    from exporter.service import Service, StartError

    try:
        service = Service(config, load_again, enable_lifecycle=enable_lifecycle, watch=watch)
    except (StartError, ConfigError) as error:
        _fail(str(error))
    if announce:
        host, _ = split_listen_address(config.listen_address)
        address = f"http://{host}:{service.port}"
        click.echo(f"{announce}\nOpen {address}/ – metrics: {address}/metrics – Ctrl-C to stop.")
    service.run()


def _describe(config: Config) -> str:
    """The configuration with defaults filled in."""
    workers = config.scan_workers
    lines = [f"listen on {config.listen_address}, {workers} scan workers, log {config.log_level}"]
    for root in config.roots:
        lines += _describe_root(root)
    return "\n".join(lines)


def _describe_access(terms: "Terms") -> str:
    users = len(terms.users)
    asked = f"a password ({users} users)" if users else "no password"
    return f"serve {'HTTPS' if terms.tls else 'plain HTTP'} to clients with {asked}"


def _describe_root(root: RootConfig) -> list[str]:
    hide = root.hide_completed_after_seconds
    facts = {
        "url": without_query(root.url),
        "scan interval": format_duration(root.scan_interval_seconds),
        "scan timeout": format_duration(root.scan_timeout_seconds),
        "completed scan interval": format_duration(root.completed_scan_interval_seconds),
        "verify interval": format_duration(root.verify_interval_seconds),
        "stale after": format_duration(root.stale_after_seconds),
        "max depth": root.max_depth,
        "max jobs with series": root.max_per_root,
        "hide completed after": "never" if hide is None else format_duration(hide),
        "stalled after": _describe_stall_rule(root.stall),
        "prefix": root.prefix,
        "include": ", ".join(root.include),
        "exclude": ", ".join(root.exclude),
        **root.storage_options.masked(),
    }
    return [f"root {root.name}", *(f"  {k}: {v}" for k, v in facts.items() if v != "")]


def _describe_stall_rule(rule: StallRule) -> str:
    return (
        f"{rule.gap_factor:g} times the longest wait, at least "
        f"{format_duration(rule.after_seconds)}; {format_duration(rule.long_after_seconds)}"
        " in any case"
    )


def _reached(root: Root) -> str:
    if root.totals is None:
        return f"root {root.name} cannot be read: {root.error}"
    found = root.totals
    return (
        f"root {root.name} was read: {found.jobs} jobs ({found.jobs_unreadable} unreadable), "
        f"{found.tasks_completed} of {found.tasks} tasks completed"
    )


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)


def _end(code: int) -> NoReturn:
    """End the process without waiting for threads that hang in storage."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
