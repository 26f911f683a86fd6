"""What to look at: paths, URLs and configuration files from the command line -> roots.

A folder or a URL is a root by itself, with nothing else to configure. A file is a
configuration if its name ends in ``.yaml`` or ``.yml``; for any other file, the error says
what to name instead.
"""

import json
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from exporter import log, storage
from exporter.config.addresses import has_login, meant_beginning
from exporter.config.files import words_of
from exporter.config.settings import DEFAULT_MAX_DEPTH, Config, RootConfig
from exporter.datatrove.layout import EXECUTOR_FILE, display_name
from exporter.errors import CommandError, ConfigError, did_you_mean

_ROOTS_NAMED = 10
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}(/\S*)?")


def config_of(
    arguments: Sequence[str],
    config_file: str | None,
    max_depth: int = DEFAULT_MAX_DEPTH,
    prefix: str = "",
    *,
    may_come: bool = False,
    with_upstreams: bool = False,
) -> Config:
    """The configuration that the arguments and the option ``--config.file`` mean together;
    the current folder if there are none. Raises CommandError for an argument that is nothing
    to look at, and ConfigError. A root that is named twice is looked at once.

    `max_depth` is that of the folders and URLs among the arguments. Only jobs whose names
    start with `prefix` are wanted; `with_upstreams` others are read as far as those depend on
    them. A folder that does not exist `may_come`.
    """
    config = Config(()) if config_file is None else load_config(config_file)
    if not arguments and config_file is None:
        arguments = (os.curdir,)
    roots = list(config.roots)
    for argument in arguments:
        if "://" in argument:
            roots.append(_root_at_url(argument, max_depth))
        elif os.path.isdir(argument) or (may_come and _may_become_folder(argument)):
            folder = os.path.abspath(argument)
            roots.append(RootConfig(display_name(folder), folder, max_depth=max_depth))
        elif argument.endswith((".yaml", ".yml")) and os.path.exists(argument):
            config = load_config(argument)
            roots += config.roots
        else:
            shown = display_name(argument) or "''"
            raise CommandError(f"{shown}: {_what_is_wrong_with(argument)}")
    unique = {
        root.name: _with_prefix(root, prefix, with_upstreams=with_upstreams)
        for root in reversed(roots)
    }
    return replace(config, roots=tuple(reversed(unique.values())))


@dataclass(frozen=True, slots=True)
class ExporterAt:
    """A running exporter, whose page is at `url`; those of its roots that are named, or all, and
    those of their jobs whose names start with `prefix`."""

    url: str
    roots: tuple[str, ...] = ()
    prefix: str = ""


def is_exporter(argument: str) -> bool:
    """Whether it is the address of a running exporter: folders over HTTP need a configuration."""
    return argument.lower().startswith(("http://", "https://"))


def with_roots(config: Config, names: Collection[str]) -> Config:
    """The configuration with only the roots of these names, or with all if there are none. Raises
    CommandError for a name that no root has."""
    if not names:
        return config
    known = [root.name for root in config.roots]
    if unknown := sorted(set(names).difference(known)):
        raise CommandError(no_root_is_called(unknown[0], known))
    return replace(config, roots=tuple(root for root in config.roots if root.name in names))


def no_root_is_called(name: str, known: Sequence[str]) -> str:
    """Which roots there are, and which one may be meant."""
    are = ", ".join(map(display_name, known[:_ROOTS_NAMED]))
    more = f" and {len(known) - _ROOTS_NAMED} more" if len(known) > _ROOTS_NAMED else ""
    meant = display_name(did_you_mean(name, known))
    return f"no root is called {display_name(name)}; there are {are}{more}{meant}"


def load_config(file: str) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once, among
    them roots that no installed backend can read."""
    from exporter.config.load import load

    config = load(file, problem_with=storage.problem_with)
    for root in config.roots:
        log.hide(root.secrets())
    return config


def _root_at_url(url: str, max_depth: int) -> RootConfig:
    """A root as if the URL stood in a configuration file, with the same checks."""
    from pathlib import Path

    from exporter.config.load import parse

    entry = {
        "url": url.replace("$", "$$"),
        "max_depth": max_depth,
    }  # the shell has replaced its own
    # YAML has no escapes of JSON's kind for what lies beyond U+FFFF.
    data = json.dumps({"roots": [entry]}, ensure_ascii=not url.isprintable()).encode()
    try:
        (root,) = parse(data, "", Path.cwd(), {}, storage.problem_with).roots
    except ConfigError as error:
        lines = (f"{_shown(url)}: {mistake.text}" for mistake in error.mistakes)
        raise CommandError("\n".join(lines)) from None
    return root


def _with_prefix(root: RootConfig, prefix: str, *, with_upstreams: bool) -> RootConfig:
    """The root, with only those of its jobs whose names start with `prefix`, too."""
    if with_upstreams:
        return replace(root, asked_prefix=prefix)
    if root.prefix.startswith(prefix):
        return root
    if prefix.startswith(root.prefix):
        return replace(root, prefix=prefix)
    return replace(root, asked_prefix=prefix)


def _shown(url: str) -> str:
    """The URL as far as it can be repeated: without credentials and query."""
    scheme, _, rest = url.partition("://")
    try:
        urlsplit(url)
    except ValueError:
        return f"{scheme}://…"
    shown = rest.rpartition("@")[2] if has_login(rest) else rest
    return display_name(f"{scheme}://{re.split('[?#]', shown)[0]}")


def _may_become_folder(path: str) -> bool:
    is_file = path.endswith((".yaml", ".yml"))
    return bool(path) and not (is_file or os.path.lexists(path) or meant_beginning(path))


def _what_is_wrong_with(path: str) -> str:
    if not path:
        return "names no folder"
    try:
        os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            return "is a link that leads nowhere"
        beginning = "http://" if _HOST_AND_PORT.fullmatch(path) else meant_beginning(path)
        return f"does not exist{f'; if it is a URL, it begins with {beginning}' * bool(beginning)}"
    except OSError as error:
        return f"cannot be looked at: {words_of(error)}"
    if os.path.basename(path) == EXECUTOR_FILE:
        return "is a job's file; name its folder, or one above"
    return "is a file, and no configuration (*.yaml, *.yml)"
