"""Commands. Each ends with an exit code: 0 it worked, 1 it failed, 2 wrong usage."""

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from exporter import __version__, log
from exporter.access import Terms, read_terms
from exporter.config import (
    Config,
    RootConfig,
    StallRule,
    format_duration,
    split_listen_address,
    without_query,
)
from exporter.demo import DemoTree
from exporter.document import ConfigError
from exporter.service import Service, StartError, load_config, scan_once
from exporter.snapshot import Root

_ENVIRONMENT = "DATATROVE_EXPORTER_"


def _listen_address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            split_listen_address(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


_config_file = click.option(
    "--config.file",
    "config_file",
    envvar=f"{_ENVIRONMENT}CONFIG_FILE",
    required=True,
    metavar="FILE",
    help="Configuration file (YAML).",
)
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Prometheus exporter for datatrove job folders."""


@main.command()
@_config_file
@_web_listen_address
@_web_config_file
@_web_enable_lifecycle
@_config_watch
@_log_level
@_log_format
def serve(
    config_file: str, *, enable_lifecycle: bool, watch: bool, **overrides: str | None
) -> None:
    """Scan the configured roots and serve their metrics. SIGHUP reloads the configuration."""
    changes: dict[str, Any] = {key: value for key, value in overrides.items() if value}

    def load_again() -> Config:
        return replace(load_config(config_file), **changes)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    try:
        config = load_again()
    except ConfigError as error:
        _fail(str(error))
    log.set_up(config.log_level, config.log_format)
    _run(config, load_again, enable_lifecycle=enable_lifecycle, watch=watch)
    _end(0)


@main.command("check-config")
@click.argument("file", metavar="FILE")
@click.option("--reach", is_flag=True, help="Also scan every root once and say what is there.")
def check_config(file: str, *, reach: bool) -> None:
    """Check a configuration file, and the web configuration file it names, and print what
    they mean, secrets masked."""
    config = _load(file)
    try:
        terms = read_terms(config.web_config_file) if config.web_config_file else Terms()
    except ConfigError as error:
        _fail(str(error))
    click.echo(_describe(config))
    click.echo(_describe_access(terms))
    if reach:
        log.set_up("error", config.log_format)
        snapshot = scan_once(config)
        for root in snapshot.roots:
            click.echo(_reached(root))
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
def demo(listen_address: str | None, directory: Path | None, speed: float) -> None:
    """Write a small tree of jobs that make progress, and serve its metrics."""
    log.set_up("info", "logfmt")
    with tempfile.TemporaryDirectory(prefix="datatrove-demo-") as temporary:
        folder = (directory or Path(temporary)).resolve()
        tree = DemoTree(folder, speed)
        try:
            tree.write()
        except OSError as error:
            _fail(f"cannot write the demo to {folder}: {error.strerror}")
        stopping = threading.Event()
        threading.Thread(target=tree.progress, args=(stopping,), daemon=True).start()
        root = RootConfig(name="demo", url=str(folder), scan_interval_seconds=2.0)
        address = listen_address or "127.0.0.1:10170"
        _run(Config((root,), listen_address=address), announce=f"The jobs are in {folder}.")
        stopping.set()
    _end(0)


def _load(file: str) -> Config:
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
    try:
        service = Service(config, load_again, enable_lifecycle=enable_lifecycle, watch=watch)
    except (StartError, ConfigError) as error:
        _fail(str(error))
    if announce:
        host, _ = split_listen_address(config.listen_address)
        click.echo(f"{announce}\nOpen http://{host}:{service.port}/metrics – Ctrl-C to stop.")
    service.run()


def _describe(config: Config) -> str:
    """The configuration with defaults filled in."""
    workers = config.scan_workers
    lines = [f"listen on {config.listen_address}, {workers} scan workers, log {config.log_level}"]
    for root in config.roots:
        lines += _describe_root(root)
    return "\n".join(lines)


def _describe_access(terms: Terms) -> str:
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
