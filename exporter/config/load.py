"""YAML file -> one frozen Config, or ConfigError with every mistake in it.

Four steps: plain data with line numbers (``document``), secrets from elsewhere
(``references``), the file's shape (``configmodel``), the meaning. A message never quotes a
value: the file holds secrets.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from exporter.config.addresses import absolute_url, without_query
from exporter.config.files import read_file, words_of
from exporter.config.schema import (
    FileModel,
    RootModel,
    at_least_a_second,
    mistakes_of,
    root_from_text,
)
from exporter.config.secret_references import References
from exporter.config.settings import (
    DEFAULT_STALL_RULE,
    Config,
    RootConfig,
    StallRule,
    StorageOptions,
)
from exporter.config.strict_yaml import LIMIT_BYTES, Document
from exporter.errors import ConfigError, Location, Mistake

_T = TypeVar("_T")

_COMPLETED_SCANS = 10  # a completed job is looked at in every tenth scan


def _no_problem_with(_: str) -> None:
    """The `problem_with` of those who do not care whether a URL can be read."""


def load(
    path: str | os.PathLike[str],
    environment: Mapping[str, str] = os.environ,
    problem_with: Callable[[str], str | None] = _no_problem_with,
) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once.

    `problem_with` says why the URL of a root cannot be used, or None. Relative
    local roots are relative to the file's folder, as in Prometheus' own files.
    """
    source = os.fspath(path)
    try:
        data = read_file(path, LIMIT_BYTES)
    except OSError as error:
        raise ConfigError(source, [Mistake((), f"cannot be read: {words_of(error)}")]) from None
    except ValueError as error:
        raise ConfigError(source, [Mistake((), str(error))]) from None
    return parse(data, source, Path(os.path.abspath(source)).parent, environment, problem_with)


def parse(
    data: bytes,
    source: str,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    problem_with: Callable[[str], str | None] = _no_problem_with,
) -> Config:
    """The Config that the YAML text `data` means; see `load`."""
    document = Document(data, source)
    references = References(folder, environment)
    value = references.replaced(document.value)
    mistakes = [*document.mistakes, *references.mistakes, *_check_names(value, folder)]
    mistakes += _check_stall_rules(value)
    try:
        model = FileModel.model_validate(value, context=problem_with)
    except ValidationError as error:
        known = {mistake.location for mistake in document.mistakes}
        mistakes += (m for m in mistakes_of(error) if m.location not in known)
    else:
        if not mistakes:
            config = _config(model, source, folder)
            return replace(config, secret_files=tuple(references.files))
    located = [document.locate(mistake) for mistake in mistakes]
    raise ConfigError(source, located, tuple(references.files))


def _check_names(value: object, folder: Path) -> Iterator[Mistake]:
    """The roots' names, as far as the file's plain data has them: labels, and no two alike."""
    roots = value.get("roots") if isinstance(value, dict) else None
    first: dict[str, int] = {}
    for index, entry in enumerate(roots if isinstance(roots, list) else ()):
        root = root_from_text(entry)
        url = root.get("url") if isinstance(root, dict) else None
        if not isinstance(root, dict) or not isinstance(url, str):
            continue
        try:
            name = root.get("name") or without_query(absolute_url(url, folder))
        except ValueError:
            continue  # the URL's own mistake
        place: Location = ("roots", index, "name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Mistake(place, f"the same name as roots[{first[name]}]; set name")
        elif "name" not in root and url.isprintable() and not name.isprintable():
            yield Mistake(place, "the folder cannot be printed; set name")
        first.setdefault(name, index)


def _config(model: FileModel, source: str, folder: Path) -> Config:
    return Config(
        roots=tuple(_root_config(model, root, folder) for root in model.roots),
        source=source,
        scan_workers=model.scan.workers,
        listen_address=model.web.listen_address,
        web_config_file=str(folder / model.web.config_file) if model.web.config_file else None,
        log_level=model.log.level,
        log_format=model.log.format,
    )


def _root_config(model: FileModel, root: RootModel, folder: Path) -> RootConfig:
    url = absolute_url(root.url, folder)
    scan_interval = _first(root.scan_interval, model.scan.interval)
    return RootConfig(
        name=root.name or without_query(url),
        url=url,
        max_depth=root.max_depth,
        prefix=root.prefix,
        include=tuple(root.include),
        exclude=tuple(root.exclude),
        scan_interval_seconds=scan_interval,
        scan_timeout_seconds=_first(root.scan_timeout, model.scan.timeout),
        completed_scan_interval_seconds=_first(
            root.completed_scan_interval,
            _first(model.scan.completed_scan_interval, _COMPLETED_SCANS * scan_interval),
        ),
        verify_interval_seconds=_first(root.verify_interval, model.scan.verify_interval),
        stale_after_seconds=_first(root.stale_after, model.scan.stale_after),
        hide_completed_after_seconds=_first(
            root.hide_completed_after, model.jobs.hide_completed_after
        ),
        max_per_root=_first(root.max_per_root, model.jobs.max_per_root),
        stall=_stall_rule(model, root),
        storage_options=StorageOptions(root.storage_options),
    )


def _stall_rule(model: FileModel, root: RootModel) -> StallRule:
    return StallRule(
        _first(root.stalled_after, model.jobs.stalled_after),
        _first(root.stalled_gap_factor, model.jobs.stalled_gap_factor),
        _first(root.stalled_long_after, model.jobs.stalled_long_after),
    )


def _check_stall_rules(value: object) -> Iterator[Mistake]:
    """A job that is idle for "long" must be idle for longer than that it may be stalled; as
    far as the file's plain data has both durations."""
    if not isinstance(value, dict):
        return
    jobs, roots = value.get("jobs", {}), value.get("roots")
    if not isinstance(jobs, dict):
        return
    default = DEFAULT_STALL_RULE
    after = _seconds(jobs.get("stalled_after"), default.after_seconds)
    long_after = _seconds(jobs.get("stalled_long_after"), default.long_after_seconds)
    text = "shorter than stalled_after"
    if long_after < after:
        yield Mistake(("jobs", "stalled_long_after"), text)
    for index, root in enumerate(roots if isinstance(roots, list) else ()):
        own = root if isinstance(root, dict) else {}
        says = [own.get("stalled_after"), own.get("stalled_long_after")]
        if says != [None, None] and _seconds(says[1], long_after) < _seconds(says[0], after):
            yield Mistake(("roots", index, "stalled_long_after"), text)


def _seconds(duration: object, shared: float) -> float:
    """The duration, or what is said for all; not a number, hence not less than any, when it
    is a mistake of its own."""
    try:
        return shared if duration is None else at_least_a_second(duration)
    except ValueError:
        return math.nan


def _first(own: _T | None, shared: _T) -> _T:
    """What a root says itself, or else what is said for all."""
    return shared if own is None else own
