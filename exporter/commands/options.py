"""The options of the command line: names, help texts, environment variables, and checks of
their values. What a command does with them is not known here.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from exporter import log
from exporter.config.addresses import check_listen_address
from exporter.config.durations import parse_interval
from exporter.config.settings import DEFAULT_MAX_DEPTH
from exporter.config.shard import parse_shard
from exporter.errors import did_you_mean
from exporter.model.facts import SORTS
from exporter.model.stages.breakdown import KINDS_OF_PART
from exporter.model.state import STATES

_Command = TypeVar("_Command", bound=Callable[..., object])


def _read_by(read: Callable[[str], object]) -> Callable[[Any, Any, str | None], object]:
    """A click callback: the value of an option as `read` (ValueError) has it."""

    def callback(_: Any, __: Any, value: str | None) -> object:
        try:
            return None if value is None else read(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def files(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """For shells that complete: names of files and folders, which they know themselves."""
    return [CompletionItem(begun, type="file")]


def _one_of(*words: str) -> Callable[..., list[CompletionItem]]:
    """For shells that complete: these words, though others are as good."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in words if word.startswith(begun)]

    return complete


class _Choice(click.Choice[str]):
    """A choice that says which one may be meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        said = super().get_invalid_choice_message(value, ctx)
        return f"{said.rstrip('.')}{did_you_mean(str(value), self.choices) or '.'}"


def _states(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Each state that is named, also several by one comma-separated value."""
    choice = _Choice(STATES)
    words = (word for value in values for word in value.split(","))
    return tuple(choice.convert(word, option, context) for word in words)


def _option(name: str, parameter: str, **settings: Any) -> Callable[[_Command], _Command]:
    """An option for a parameter, which an environment variable may also give:
    ``DATATROVE_EXPORTER_LOG_LEVEL`` is ``--log.level``."""
    variable = name.removeprefix("--").replace(".", "_").replace("-", "_").upper()
    return click.option(name, parameter, envvar=f"DATATROVE_EXPORTER_{variable}", **settings)


def _config_file(*, required: bool) -> Callable[[_Command], _Command]:
    text = "Configuration file (YAML)."
    return _option(
        "--config.file",
        "config_file",
        required=required,
        metavar="FILE",
        help=text,
        shell_complete=files,
    )


config_file = _config_file(required=True)
config_file_if_any = _config_file(required=False)
web_listen_address = _option(
    "--web.listen-address",
    "listen_address",
    metavar="HOST:PORT",
    callback=_read_by(check_listen_address),
    help="Where to listen; overrides the configuration.",
)
web_config_file = _option(
    "--web.config.file",
    "web_config_file",
    metavar="FILE",
    shell_complete=files,
    help="TLS and basic authentication, in exporter-toolkit's format; overrides the configuration.",
)
web_enable_lifecycle = _option(
    "--web.enable-lifecycle",
    "enable_lifecycle",
    is_flag=True,
    help="Let POST /-/reload reload the configuration.",
)
config_watch = _option(
    "--config.watch",
    "watch",
    is_flag=True,
    help="Reload the configuration when its file changes, or one it takes secrets from.",
)
_OVERRIDES = "Overrides the configuration."
log_level = _option("--log.level", "log_level", type=click.Choice(log.LEVELS), help=_OVERRIDES)
log_format = _option("--log.format", "log_format", type=click.Choice(log.FORMATS), help=_OVERRIDES)
shard = _option(
    "--shard",
    "shard",
    default="0/1",
    show_default=True,
    metavar="I/N",
    callback=_read_by(parse_shard),
    help="Read only every N-th job, as exporter I of N (counted from 0). I may be a name "
    "that ends in its number, such as that of a StatefulSet's pod.",
)

_ORDERS = "; ".join(f"{name}: {sort.label}" for name, (sort, _) in SORTS.items())
_STATUS = (
    config_file_if_any,
    click.option(
        "--root",
        "only_roots",
        multiple=True,
        metavar="NAME",
        help="Only the root of this name, and no other is scanned. May be repeated.",
    ),
    click.option(
        "-p",
        "--prefix",
        "--log_prefix",
        default="",
        help="Only jobs whose name starts so; no others are read.",
    ),
    click.option(
        "--match",
        default="",
        metavar="TEXT",
        help="Only jobs with this text in their names, in upper or lower case.",
    ),
    click.option(
        "--state",
        "states",
        multiple=True,
        metavar="STATE",
        callback=_states,
        shell_complete=_one_of(*STATES),
        help=f"Only jobs in this state, or in several: {', '.join(STATES)}. May be repeated.",
    ),
    click.option(
        "-hc",
        "--hide-complete",
        "--hide_complete",
        is_flag=True,
        help="Leave complete jobs out of the table (not of the sums).",
    ),
    click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        help="At most so many lines; how many are left out is said.",
    ),
    click.option(
        "--by",
        metavar="LABEL",
        shell_complete=_one_of(*KINDS_OF_PART),
        help="A line for each root, state, stage, item, or value of a label, in place of each job.",
    ),
    click.option(
        "--problems",
        is_flag=True,
        help="What needs somebody, in place of each job: roots that cannot be scanned, jobs that "
        "are unreadable, failed, stalled or have new stray markers, with the reason; what was "
        "alive last comes first.",
    ),
    click.option(
        "--missing",
        is_flag=True,
        help="Also list missing ranks and those of their logs, with the state of each.",
    ),
    click.option(
        "--failed",
        is_flag=True,
        help="Also list failed tasks: where the log is, why and where it failed, how long ago.",
    ),
    click.option(
        "--tail",
        type=click.IntRange(0, 200),
        default=0,
        metavar="LINES",
        help="With --failed: the last lines of each log, at most 200. They may hold secrets.",
    ),
    click.option(
        "--steps",
        is_flag=True,
        help="Also list the steps of each job's pipeline: documents in, out and dropped, and time, "
        "from the stats of all completed tasks.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts."),
    click.option("--watch", is_flag=True, help="Draw the table again and again; needs a terminal."),
    click.option(
        "--interval",
        metavar="DURATION",
        callback=_read_by(parse_interval),
        help="With --watch: how often to scan.  [default: 2s for local folders, else 15s]",
    ),
    click.option(
        "--sort",
        type=_Choice([*SORTS]),
        help=f"Order of the table: {_ORDERS}.  [default: name; with --watch attention]",
    ),
    click.option(
        "--max-depth",
        type=click.IntRange(0, 32),
        default=DEFAULT_MAX_DEPTH,
        help=f"How deep below a PATH or URL jobs may lie.  [default: {DEFAULT_MAX_DEPTH}]",
    ),
    click.option(
        "--fail-incomplete", is_flag=True, help="Exit with 3 unless every job is complete."
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="Exit with 3 unless everything was found and read, every task is done and none "
        "failed, and one pipeline ran all tasks of a job: for a script to run before its next "
        "stage. It is about all that --root and --prefix leave, whatever of it --match, --state, "
        "--limit and -hc show.",
    ),
)


def status_options(command: _Command) -> _Command:
    """The options of ``status``, named after the fields that they set."""
    for option in reversed(_STATUS):  # as stacked decorators apply: the lowest first
        command = option(command)
    return command
