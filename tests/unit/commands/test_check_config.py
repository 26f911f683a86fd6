"""A configuration in words."""

import json
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from support.jobs.folders import write_job

from exporter.commands.check_config import describe, reach
from exporter.config.labels import parse_label_pattern
from exporter.config.settings import Config, RootConfig, StallRule, StorageOptions
from exporter.errors import ConfigError

ROOT = RootConfig(
    "fineweb",
    "s3://bucket/logs?signature=CANARY",
    scan_interval_seconds=90.0,
    hide_completed_after_seconds=0.0,
    stall=StallRule(gap_factor=2.5),
    prefix="CC-",
    exclude=("*-test", "old/*"),
    storage_options=StorageOptions({"anon": False, "key": "CANARY", "prefix": "CANARY"}),
)


def test_a_configuration_is_told_with_its_defaults_and_without_secrets() -> None:
    assert (
        describe(Config((RootConfig("/data", "/data"), ROOT)))
        == """\
listen on :10170, 16 scan workers, log info
root /data
  url: /data
  scan interval: 1m
  scan timeout: 5m
  completed scan interval: 10m
  verify interval: 1h
  stale after: 15m
  max depth: 3
  max jobs with series: 20000
  hide completed after: never
  abandoned after: 7d
  watch logs: auto
  log scan interval: 10m
  show errors: types
  read stats: never
  stalled after: 3 longest waits, at least 1h; last tenth: 4 times that, at least 8h; no pace: 1d
root fineweb
  url: s3://bucket/logs
  scan interval: 1m30s
  scan timeout: 5m
  completed scan interval: 10m
  verify interval: 1h
  stale after: 15m
  max depth: 3
  max jobs with series: 20000
  hide completed after: 0s
  abandoned after: 7d
  watch logs: auto
  log scan interval: 10m
  show errors: types
  read stats: never
  stalled after: 2.5 longest waits, at least 1h; last tenth: 4 times that, at least 8h; no pace: 1d
  prefix: CC-
  exclude: *-test, old/*
  storage_options.anon: False
  storage_options.key: <secret>
  storage_options.prefix: <secret>
serve plain HTTP to clients with no password"""
    )


def test_texts_of_errors_on_an_open_port_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="show_errors"):
        describe(Config((replace(ROOT, show_errors="text"),)))


def another(value: object) -> Any:
    """A value of the same type that is not `value`."""
    match value:
        case None:
            return 1.0
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case tuple():
            return (*value, "x")
        case StorageOptions():
            return StorageOptions({"anon": True})
    raise AssertionError(f"no other {type(value)} is known")


@pytest.mark.parametrize(
    "field",
    sorted({field.name for field in fields(RootConfig)} - {"shard", "stall"}),
)
def test_every_setting_of_a_root_is_told(field: str) -> None:
    changed = replace(ROOT, **{field: another(getattr(RootConfig("r", "/r"), field))})
    assert describe(Config((changed,))) != describe(Config((ROOT,)))


@pytest.mark.parametrize("field", [field.name for field in fields(StallRule)])
def test_every_setting_of_a_stall_rule_is_told(field: str) -> None:
    changed = replace(ROOT.stall, **{field: another(getattr(ROOT.stall, field))})
    assert describe(Config((replace(ROOT, stall=changed),))) != describe(Config((ROOT,)))


def test_reaching_the_roots_says_what_is_there_and_what_would_not_be_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b/c", "b/c/d"):
        write_job(tmp_path / "logs" / name, tasks=2, completed=[0], launch=time.time())
    logs, gone = str(tmp_path / "logs"), str(tmp_path / "gone")
    full = RootConfig("full", logs, max_depth=2, max_per_root=1)
    assert not reach(Config((full, RootConfig("gone", gone), RootConfig("none", logs, prefix="x"))))
    assert (
        capsys.readouterr().out
        == """\
root full was read: 2 jobs (0 unreadable), 2 of 4 tasks completed; max_per_root hides 1 that \
should be watched
  jobs may be missed: 1 folder at max_depth 2 holds more folders, in which was not looked: b/c
root gone cannot be read: not_found: No such file or directory
root none was read: 0 jobs (0 unreadable), 0 of 0 tasks completed
  jobs may be missed: prefix leaves out every folder found (2)
"""
    )
    assert reach(Config((RootConfig("whole", logs),)))


def test_reaching_the_roots_says_what_labels_fit_and_suggests_them_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("minhash/CC-MAIN-2014-23/buckets", "tokenize_c4", "tokenize_c4_merged", "x"):
        write_job(tmp_path / name)
    patterns = tuple(map(parse_label_pattern, ("minhash/{dump}/{stage}", "{stage}_{item}", "a")))
    labelled = RootConfig("labelled", str(tmp_path), labels=patterns)
    assert reach(Config((labelled, RootConfig("plain", str(tmp_path)))))
    said = capsys.readouterr().out.splitlines()
    suggested = ["tokenize_{item}_merged", "minhash/{item}/buckets", "tokenize_{item}"]
    assert [line.strip() for line in said if line.startswith("  ")] == [
        "labels minhash/{dump}/{stage} fits 1 job, such as minhash/CC-MAIN-2014-23/buckets",
        "labels {stage}_{item} fits 2 jobs, such as tokenize_c4",
        "labels a fits 0 jobs",
        "no labels for 1 job, such as x",
        f"labels that would fit 3 of 4 jobs: {json.dumps(suggested)}",
    ]
