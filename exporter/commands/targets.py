"""What to look at: paths, URLs and configuration files from the command line -> roots.

A folder or a URL is a root by itself, with nothing else to configure. A file is a
configuration if its name ends in ``.yaml`` or ``.yml``; for any other file, the error says
what to name instead.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from exporter import log, storage
from exporter.config.settings import Config, RootConfig
from exporter.datatrove.layout import EXECUTOR_FILE, INNER_FOLDERS, display_name
from exporter.errors import CommandError, ConfigError

_CONFIG_ENDINGS = (".yaml", ".yml")


def config_of(arguments: Sequence[str], config_file: str | None, max_depth: int | None) -> Config:
    """The configuration that the arguments and the option ``--config.file`` mean together;
    the current folder if there are none. Raises CommandError for an argument that is nothing
    to look at, and ConfigError. A root that is named twice is looked at once.

    `max_depth`, if given, is that of the folders and URLs among the arguments.
    """
    config = Config(()) if config_file is None else load_config(config_file)
    if not arguments and config_file is None:
        arguments = (os.curdir,)
    roots = list(config.roots)
    for argument in arguments:
        if "://" in argument:
            roots.append(_root_at_url(argument, max_depth))
        elif os.path.isdir(argument):
            roots.append(_root_at(argument, max_depth))
        elif argument.endswith(_CONFIG_ENDINGS) and os.path.exists(argument):
            more = load_config(argument)
            config = replace(more, roots=())
            roots += more.roots
        else:
            shown = display_name(argument) or "''"
            raise CommandError(f"{shown}: {_what_is_wrong_with(argument)}")
    unique = {root.name: root for root in reversed(roots)}
    return replace(config, roots=tuple(reversed(unique.values())))


def load_config(file: str) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once, among
    them roots that no installed backend can read."""
    from exporter.config.load import load

    config = load(file, problem_with=storage.problem_with)
    for root in config.roots:
        log.hide(root.secrets())
    return config


def _root_at(folder: str, max_depth: int | None) -> RootConfig:
    url = os.path.abspath(folder)
    root = RootConfig(display_name(url), url)
    return root if max_depth is None else replace(root, max_depth=max_depth)


def _root_at_url(url: str, max_depth: int | None) -> RootConfig:
    """A root as if the URL stood in a configuration file, with the same checks."""
    from pathlib import Path

    from exporter.config.load import parse

    entry: dict[str, object] = {"url": url}
    if max_depth is not None:
        entry["max_depth"] = max_depth
    data = json.dumps({"roots": [entry]}).encode()
    try:
        (root,) = parse(data, "", Path.cwd(), {}, storage.problem_with).roots
    except ConfigError as error:
        raise CommandError(
            "\n".join(f"{_without_secrets(url)}: {mistake.text}" for mistake in error.mistakes)
        ) from None
    return root


def _without_secrets(url: str) -> str:
    """The URL as far as it can be repeated: without credentials and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    place = parts.netloc.rpartition("@")[2]
    return display_name(f"{parts.scheme}://{place}{parts.path}")


def _what_is_wrong_with(path: str) -> str:
    if not path:
        return "names no folder"
    if (url := re.match(r"(\w+):/?(?=[^/])", path)) and not os.path.lexists(path):
        return f"does not exist; if it is a URL, it begins with {url[1]}://"
    if not os.path.lexists(path):
        return "does not exist"
    if not os.path.exists(path):
        return "cannot be looked at, or is a link that leads nowhere"
    if os.path.basename(path) == EXECUTOR_FILE:
        return "is a job's file; name its folder, or one above"
    return "is a file, and no configuration (*.yaml, *.yml)"


def hint_for(root: RootConfig) -> str:
    """Why a folder may hold no jobs, as far as its name tells."""
    name = os.path.basename(root.url.rstrip("/"))
    if name in INNER_FOLDERS:
        return f"; {name}/ lies inside a job, which may be one folder up"
    return f", up to {root.max_depth} folders deep (--max-depth)"


def with_prefix(root: RootConfig, prefix: str) -> RootConfig:
    """The root, with only those of its jobs whose names start with `prefix`, too."""
    if root.prefix.startswith(prefix):
        return root
    if prefix.startswith(root.prefix):
        return replace(root, prefix=prefix)
    return replace(root, exclude=("*",))
