"""The command ``check-config``: what a configuration means, in words, and what is there."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import click

from exporter.config.addresses import without_query
from exporter.config.durations import format_duration
from exporter.config.labels import match_labels, parse_label_pattern
from exporter.config.path_pattern import PathPattern
from exporter.config.settings import Config, RootConfig, StallRule
from exporter.model.formatting import count, counted, readable
from exporter.model.names.label_suggestion import suggest
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.web.security.access import Policy, check_texts, read_policy
from exporter.workers import Workers

_LABELS = {"max_per_root": "max jobs with series", "stall": "stalled after"}
"""Of fields whose names would not say enough to a reader."""

_STALL_RULE = (
    "{gap_factor} longest waits, at least {after_seconds}; last tenth: {tail_factor} times that, "
    "at least {tail_after_seconds}; no pace: {long_after_seconds}"
)


def describe(config: Config) -> str:
    """The configuration with defaults filled in, and how it is served; raises ConfigError
    when the web configuration file cannot be used, or lets everyone see what it must not."""
    policy = read_policy(config.web_config_file) if config.web_config_file else Policy()
    check_texts(config, policy)
    workers = config.scan_workers
    lines = [f"listen on {config.listen_address}, {workers} scan workers, log {config.log_level}"]
    if config.external_url is not None:
        lines.append(f"alerts link to {config.external_url}")
    for root in config.roots:
        lines += _describe_root(root)
    asked = f"a password ({counted(len(policy.users), 'user')})" if policy.users else "no password"
    lines.append(f"serve {'HTTPS' if policy.tls else 'plain HTTP'} to clients with {asked}")
    return "\n".join(lines)


def _describe_root(root: RootConfig) -> list[str]:
    shown = {}
    for field, text in {**_texts_of(root), "url": without_query(root.url)}.items():
        if field not in ("name", "shard", "storage_options"):
            shown[_LABELS.get(field) or field.removesuffix("_seconds").replace("_", " ")] = text
    options = root.storage_options.masked()
    shown |= {f"storage_options.{key}": value for key, value in options.items()}
    return [f"root {root.name}", *(f"  {key}: {text}" for key, text in shown.items() if text != "")]


def _texts_of(settings: RootConfig | StallRule) -> dict[str, str]:
    return {f.name: _text(f.name, getattr(settings, f.name)) for f in fields(settings)}


def _text(field: str, value: Any) -> str:
    """The value of a field; its unit is the end of the field's name."""
    if field.endswith("_seconds"):
        return "never" if value is None else format_duration(value)
    if isinstance(value, StallRule):
        return _STALL_RULE.format(**_texts_of(value))
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def reach(config: Config) -> bool:
    """Scan every root once and say what is there; whether all could be read."""
    snapshot = Scheduler(config.roots, Latest(), Workers(config.scan_workers)).run_once()
    for root, settings in zip(snapshot.roots, config.roots, strict=True):
        click.echo(readable(_finding(root)))
        names = [job.name for job in root.jobs]
        for sentence in _labels(names, settings.labels) if settings.labels else _suggested(names):
            click.echo(f"  {readable(sentence)}")
        for sentence in (*(f"jobs may be missed: {each}" for each in root.missed), *root.notes):
            click.echo(f"  {readable(sentence)}")
    return all(root.up for root in snapshot.roots)


def _labels(names: Sequence[str], patterns: Sequence[PathPattern]) -> Iterator[str]:
    """What each pattern fits."""
    fitting = Counter[str | None]()
    examples: dict[str | None, str] = {}
    for name in names:
        pattern, _ = match_labels(name, patterns)
        text = None if pattern is None else pattern.text
        fitting[text] += 1
        examples.setdefault(text, name)
    for text in (*(pattern.text for pattern in patterns), None):
        such_as = f", such as {examples[text]}" if text in examples else ""
        if text is not None:
            yield f"labels {text} fits {counted(fitting[text], 'job')}{such_as}"
        elif such_as:
            yield f"no labels for {counted(fitting[None], 'job')}{such_as}"


def _suggested(names: Sequence[str]) -> Iterator[str]:
    """Patterns for a root that has none."""
    if patterns := suggest(names):
        parsed = [parse_label_pattern(text) for text in patterns]
        fitting = sum(match_labels(name, parsed)[0] is not None for name in names)
        of = counted(len(names), "job")
        yield f"labels that would fit {count(fitting)} of {of}: {json.dumps(patterns)}"


def _finding(root: Root) -> str:
    if (found := root.totals) is None:
        return f"root {root.name} cannot be read: {root.error}"
    unwatched, denied = root.jobs_unwatched, root.folders_denied
    return (
        f"root {root.name} was read: {counted(found.jobs, 'job')} "
        f"({count(found.jobs_unreadable)} unreadable), "
        f"{count(found.tasks_completed)} of {counted(found.tasks, 'task')} completed"
        + (f"; {counted(denied, 'folder')} found by wildcards, closed to it" if denied else "")
        + (f"; max_per_root hides {count(unwatched)} that should be watched" if unwatched else "")
    )
