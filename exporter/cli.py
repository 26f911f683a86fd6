"""The command line: one click function for each command.

A command ends with an exit code: 0 it worked, 1 it failed, 2 wrong usage, 3 as
``--fail-incomplete`` and ``--strict`` say. Modules that take long to import are imported by the
command that needs them.
"""

import logging
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from exporter import log
from exporter.commands import options, python_tuning, streams, terminal
from exporter.commands.targets import ExporterAt, config_of, is_exporter, load_config, with_roots
from exporter.config.settings import Config
from exporter.config.shard import Shard
from exporter.errors import CommandError, ConfigError, Mistake
from exporter.model import formatting

if TYPE_CHECKING:
    from exporter.commands.status.options import Options


class _InWords(click.Group):
    """Commands that turn an expected error into a line for each reason, and exit code 1."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except (CommandError, ConfigError) as error:
            _tell(error)
            sys.exit(1)


@click.group(cls=_InWords, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="datatrove-exporter", message="%(prog)s %(version)s")
def main() -> None:
    """Prometheus exporter for datatrove job folders."""
    python_tuning.tune()


def run(program: str | None) -> None:
    """Run the command line, under the name `program` in its help."""
    streams.prepare()
    main(prog_name=program)


@main.command(short_help="Serve the page and the metrics of folders of jobs.")
@click.argument("targets", nargs=-1, metavar="[PATH|URL]...", shell_complete=options.files)
@options.config_file_if_any
@options.web_listen_address
@options.web_config_file
@options.web_enable_lifecycle
@options.config_watch
@options.shard
@options.log_level
@options.log_format
def serve(
    *,
    targets: tuple[str, ...],
    config_file: str | None,
    enable_lifecycle: bool,
    watch: bool,
    shard: Shard,
    **overrides: str | None,
) -> None:
    """Scan folders of jobs and serve their page and their metrics.

    PATH is a folder of jobs, URL any that fsspec reads; or a configuration file names them. SIGHUP
    reloads it, and a terminal that is closed ends what runs in its foreground.
    """
    config_file = _unless_named(targets, config_file)
    if not targets and config_file is None:
        raise click.UsageError("Name folders or URLs of jobs, or a file with --config.file.")
    ends_with_terminal = terminal.holds_this_process()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    from exporter.commands.serve import run

    changes: dict[str, Any] = {key: value for key, value in overrides.items() if value}

    def read_config() -> Config:
        try:
            config = config_of(targets, config_file)
        except CommandError as error:  # what is named is as good as configured
            raise ConfigError("", [Mistake((), str(error))]) from None
        roots = tuple(replace(root, shard=shard) for root in config.roots)
        return replace(config, roots=roots, shard=shard, **changes)

    run(
        read_config,
        enable_lifecycle=enable_lifecycle,
        watch=watch,
        ends_with_terminal=ends_with_terminal,
    )
    _end(0)


@main.command("check-config", short_help="Check a configuration file, and say what it means.")
@click.argument("file", metavar="FILE", shell_complete=options.files)
@click.option("--reach", is_flag=True, help="Also scan every root once and say what is there.")
def check_config(file: str, *, reach: bool) -> None:
    """Check a configuration file, and the web configuration file it names, and print what
    they mean, secrets masked."""
    from exporter.commands import check_config as command

    config = load_config(file)
    click.echo(command.describe(config))
    if reach:
        log.set_up("error", config.log_format)
        _end(0 if command.reach(config) else 1)


@main.command(short_help="Show how far each job is, once or watching.")
@click.argument(
    "targets", nargs=-1, metavar="[PATH|URL|CONFIG|EXPORTER]...", shell_complete=options.files
)
@options.status_options
def status(
    *,
    targets: tuple[str, ...],
    config_file: str | None,
    max_depth: int,
    prefix: str,
    only_roots: tuple[str, ...],
    **shown: Any,
) -> None:
    """Scan once and show every job: how far, since when, at what pace.

    PATH is a folder of jobs (default: the current one), URL any that fsspec reads, CONFIG a
    configuration file, EXPORTER the http(s):// address of a running exporter, which is asked in
    place of a scan; its user and password are in DATATROVE_EXPORTER_STATUS_USER and _PASSWORD.

    \b
    Exit codes: 0 everything was read, 1 something could not be,
                2 wrong usage, 3 see --fail-incomplete and --strict.

    \b
    Examples:
      status /data/logs --problems            what needs somebody, newest first
      status --by stage                       a line for each stage
      status --state stalled --match 2022     some of many jobs
      status -p minhash/ --strict && next.sh  a gate between two stages
      status http://localhost:10170/ --watch  what a running exporter knows
    """
    from exporter.commands import status as command
    from exporter.commands.status.options import Options

    wanted = Options(**shown)
    if wanted.interval is not None and not wanted.watch:
        raise click.UsageError("--interval is how often to scan with --watch")
    config_file = _unless_named(targets, config_file)
    if wanted.tail and not wanted.failed:
        raise click.UsageError("--tail is how many lines to show with --failed")
    try:
        target = _target_of(
            targets, config_file, wanted, only_roots, max_depth=max_depth, prefix=prefix
        )
        _reject_contradictions(wanted)
        code = command.run(target, wanted)
    except CommandError as error:
        if not wanted.strict:
            raise
        _tell(error)
        code = 3
    _end(code)


def _target_of(
    targets: tuple[str, ...],
    config_file: str | None,
    wanted: "Options",
    only_roots: tuple[str, ...],
    *,
    max_depth: int,
    prefix: str,
) -> Config | ExporterAt:
    """What ``status`` scans, or the exporter that it asks."""
    if any(map(is_exporter, targets)):
        return ExporterAt(_only_exporter(targets, config_file, wanted), only_roots, prefix)
    config = config_of(
        targets,
        config_file,
        max_depth,
        prefix,
        may_come=wanted.watch,
        with_upstreams=wanted.strict,
    )
    return with_roots(config, only_roots)


def _reject_contradictions(wanted: "Options") -> None:
    """Raise UsageError for options of ``status`` that do not go together."""
    more = [wanted.as_json, wanted.missing, wanted.failed, wanted.fail_incomplete, wanted.strict]
    more.append(wanted.steps)
    of_each = wanted.missing or wanted.failed or wanted.steps
    if wanted.by is not None and (of_each or wanted.sort):
        raise click.UsageError("--by has no line for each job, so it goes with no list of them")
    if wanted.problems and (wanted.by is not None or wanted.sort or wanted.watch):
        raise click.UsageError("--problems is a table of its own, in an order of its own")
    if wanted.watch and any(more):
        raise click.UsageError("--watch shows the table and nothing else")
    if wanted.watch and not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal")


def _only_exporter(targets: tuple[str, ...], config_file: str | None, wanted: "Options") -> str:
    """The one target, and what goes with no exporter."""
    if len(targets) > 1 or config_file is not None:
        raise click.UsageError("an exporter's URL stands alone")
    if wanted.tail:
        raise click.UsageError(
            "--tail reads logs with your own rights, and an exporter serves none to anybody; "
            f"name the folder of the jobs: status PATH --failed --tail {wanted.tail}"
        )
    source = click.get_current_context().get_parameter_source("max_depth")
    if source is not ParameterSource.DEFAULT:
        raise click.UsageError("--max-depth is for folders; an exporter has its own")
    return targets[0]


@main.command(short_help="Write the metrics to a file, once.")
@options.config_file
@click.option(
    "--output",
    required=True,
    metavar="FILE.prom",
    help="The file to write.",
    shell_complete=options.files,
)
@click.option(
    "--partial",
    is_flag=True,
    help="Write also when some roots cannot be read; datatrove_root_up tells which. Sums over all "
    "roots are left out then.",
)
def textfile(config_file: str, output: str, *, partial: bool) -> None:
    """Scan once and write the metrics to a file for node_exporter's textfile collector.

    The file is replaced as a whole. When a root cannot be read it stays as it is, and
    the exit code is 1.
    """
    from exporter.commands import textfile as command

    config = load_config(config_file)
    log.set_up("error", config.log_format)  # the file tells the rest; cron mails every line
    all_read = command.run(config, output, partial=partial)
    _end(0 if all_read else 1)


@main.command(short_help="Serve a small tree of made-up jobs.")
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
    from exporter.commands.demo.command import run

    log.set_up("info", "logfmt", in_background=True)
    run(directory, speed, listen_address, write_only=write_only)
    _end(0)


def _unless_named(targets: tuple[str, ...], config_file: str | None) -> str | None:
    """The configuration file, but for one from the environment when there are targets: what is
    named on the command line is all that is asked for."""
    source = click.get_current_context().get_parameter_source("config_file")
    return None if targets and source is ParameterSource.ENVIRONMENT else config_file


def _tell(error: CommandError | ConfigError) -> None:
    click.echo(log.as_error(formatting.readable(str(error))), err=True)


def _end(code: int) -> NoReturn:
    """End the process without waiting for threads that hang in storage."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
