"""YAML file -> one frozen Config, or ConfigError with every mistake in it.

Four steps: plain data with line numbers (``strict_yaml``), what comes from elsewhere
(``references``), the file's shape (``schema``), its meaning. A message never quotes
a value: the file holds secrets.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.config.addresses import absolute_url, without_query
from exporter.config.durations import parse_interval
from exporter.config.files import read_config_file
from exporter.config.labels import never_given, parse_label_pattern
from exporter.config.references import ReferenceResolver
from exporter.config.schema import ConfigFile, root_entry, said
from exporter.config.settings import COMPLETED_SCANS, Config, RootConfig, StallRule
from exporter.config.strict_yaml import LIMIT_BYTES, ParsedYaml
from exporter.config.validation import mistakes_of
from exporter.errors import ConfigError, Location, Mistake


def load(
    path: str | os.PathLike[str],
    environment: Mapping[str, str] = os.environ,
    problem_with: Callable[[str], str | None] = lambda _: None,
) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once.

    `problem_with` says why the URL of a root cannot be used, or None. Relative
    local roots are relative to the file's folder, as in Prometheus' own files.
    """
    source = os.fspath(path)
    data = read_config_file(source, LIMIT_BYTES)
    return parse(data, source, Path(os.path.abspath(source)).parent, environment, problem_with)


def parse(
    data: bytes,
    source: str,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    problem_with: Callable[[str], str | None] = lambda _: None,
) -> Config:
    """The Config that the YAML text `data` means; see `load`."""
    parsed = ParsedYaml(data, source)
    references = ReferenceResolver(folder, environment)
    value = references.resolve(parsed.value)
    roots = _roots_in(value)
    known = (*parsed.mistakes, *references.mistakes)
    mistakes = [*known, *_check_names(roots, folder)]
    mistakes += _check_stall_rules(value, roots)
    mistakes += _check_stage_orders(roots)
    file, complaints = None, list[Mistake]()
    try:
        file = ConfigFile.model_validate(value)
    except ValidationError as error:
        complaints = list(mistakes_of(error, ConfigFile, known))
    wrong = {mistake.location for mistake in (*known, *complaints)}
    for index, root in enumerate(roots):
        place, url = ("roots", index, "url"), root.get("url")
        if isinstance(url, str) and place not in wrong and (problem := problem_with(url)):
            mistakes.append(Mistake(place, problem))
    mistakes += complaints
    if file is None or mistakes:
        raise ConfigError(source, [parsed.locate(m) for m in mistakes], tuple(references.files))
    return _config(file, source, folder, tuple(references.files))


# --- Checks of the plain data: they also see what has mistakes elsewhere


def _roots_in(value: object) -> list[dict[str, Any]]:
    """The entries of ``roots``; an empty mapping in the place of one that cannot be read."""
    roots = value.get("roots") if isinstance(value, dict) else None
    entries = map(root_entry, roots if isinstance(roots, list) else ())
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _check_names(roots: list[dict[str, Any]], folder: Path) -> Iterator[Mistake]:
    """Names become labels: they can be printed, and no two are alike."""
    first: dict[str, int] = {}
    for index, root in enumerate(roots):
        place, url = ("roots", index, "name"), root.get("url")
        if not isinstance(url, str):
            continue
        try:
            name = root.get("name") or without_query(absolute_url(url, folder))
        except ValueError:
            continue  # the URL's own mistake
        if not isinstance(name, str):
            continue
        if name in first:
            yield Mistake(place, f"the same name as roots[{first[name]}]; set name")
        elif "name" not in root and url.isprintable() and not name.isprintable():
            yield Mistake(place, "the folder cannot be printed; set name")
        first.setdefault(name, index)


def _check_stall_rules(value: object, roots: list[dict[str, Any]]) -> Iterator[Mistake]:
    """What is "long" for an idle job is longer than what may be a stall."""
    jobs = value.get("jobs", {}) if isinstance(value, dict) else None
    if not isinstance(jobs, dict):
        return
    keys = {"stalled_after", "stalled_long_after"}
    for_all = {key: jobs[key] for key in keys if jobs.get(key) is not None}
    places: list[tuple[Location, dict[str, Any]]] = [(("jobs",), for_all)]
    places += [(("roots", index), root) for index, root in enumerate(roots)]
    default = StallRule()
    for place, own in places:
        rule = {**for_all, **own}
        after = _seconds(rule.get("stalled_after"), default.after_seconds)
        long_after = _seconds(rule.get("stalled_long_after"), default.long_after_seconds)
        if keys & own.keys() and long_after < after:
            yield Mistake((*place, "stalled_long_after"), "shorter than stalled_after")


def _check_stage_orders(roots: list[dict[str, Any]]) -> Iterator[Mistake]:
    """Each stage has one place, and is one that labels give."""
    for index, root in enumerate(roots):
        place, stages = ("roots", index, "stage_order"), root.get("stage_order")
        if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
            continue
        first: dict[str, int] = {}
        for at, stage in enumerate(stages):
            if first.setdefault(stage, at) != at:
                yield Mistake((*place, at), f"the same as stage_order[{first[stage]}]")
        if not (labels := root.get("labels")):
            yield Mistake(place, "needs labels, which give each job its stage")
            continue
        try:
            patterns = [parse_label_pattern(text) for text in labels]
        except (TypeError, ValueError):
            continue  # the patterns' own mistake
        for at in never_given(stages, patterns):
            yield Mistake((*place, at), "no pattern in labels gives this stage")


def _seconds(duration: object, default: float) -> float:
    """Seconds of a duration that a file may leave out. Not a number when it is a mistake of
    its own: that is not less than any other."""
    try:
        return default if duration is None else parse_interval(duration)
    except ValueError:
        return math.nan


# --- The meaning


def _config(file: ConfigFile, source: str, folder: Path, secret_files: tuple[str, ...]) -> Config:
    keys = said(file.scan, file.web, file.log)
    if "web_config_file" in keys:
        keys["web_config_file"] = str(folder / keys["web_config_file"])
    return Config(
        roots=tuple(_root(said(file.scan, file.jobs, root), folder) for root in file.roots),
        source=source,
        secret_files=secret_files,
        **_fields_of(Config, keys),
    )


def _root(keys: dict[str, Any], folder: Path) -> RootConfig:
    """The root with these keys, its own and those said for all."""
    url = absolute_url(keys["url"], folder)
    keys = {"name": without_query(url), **keys, "url": url}
    stall = StallRule(**_fields_of(StallRule, keys, "stalled_"))
    root = RootConfig(stall=stall, **_fields_of(RootConfig, keys))
    if "completed_scan_interval" in keys:
        return root
    interval = COMPLETED_SCANS * root.scan_interval_seconds
    return replace(root, completed_scan_interval_seconds=interval)


def _fields_of(kind: Any, keys: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Those fields of a dataclass that `keys` give. A key is the field's name without its unit,
    after a `prefix`."""
    by_field = {f.name: f"{prefix}{f.name.removesuffix('_seconds')}" for f in fields(kind)}
    return {name: keys[key] for name, key in by_field.items() if key in keys}
