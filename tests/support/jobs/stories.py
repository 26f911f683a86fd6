"""Tells what happened to real job folders, has the program scan them as time goes by, and asks the
shipped rules what they would have said, and when.

The clock of the process is ahead or behind by as much as the story wants; files get the times of
the story. Nothing else is made up: folders, scans and states are the program's own, and promtool
evaluates the rules.
"""

import heapq
import json
import os
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.commands import textfile
from exporter.config.settings import Config, RootConfig
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.storage import open_storage
from exporter.workers import Workers
from support.jobs.folders import FAILED_LOG, write_executor, write_marker
from support.monitoring import RULE_FILES, SCRAPE_JOB, rules
from support.processes import needs
from support.promql import metric_names
from support.snapshots.collector import collect

MINUTE, HOUR, DAY = 60, 3600, 86_400
EPOCH = 1_700_000_000
"""When stories begin (Unix seconds); their own times count from there."""

Labels = dict[str, str]
Series = dict[tuple[str, str], dict[int, float]]
"""The values by step of each series, which is a name and its labels as PromQL writes them."""


class Clock:
    """The clock of this process, which stories set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wall, monotonic = time.time, time.monotonic
        self._wall, self._ahead = wall, 0.0
        monkeypatch.setattr(time, "time", lambda: wall() + self._ahead)
        monkeypatch.setattr(time, "time_ns", lambda: round((wall() + self._ahead) * 1e9))
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + self._ahead)

    def set(self, at: float) -> None:
        """It is this time of the story."""
        self._ahead = EPOCH + at - self._wall()

    @property
    def now(self) -> float:
        return self._wall() + self._ahead - EPOCH


@dataclass
class World:
    """What happens, in folders below one, in the order of time."""

    folder: Path
    markers_ahead: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def at(self, time: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, len(self._events), happens))

    def until(self, now: float) -> None:
        """Let everything happen up to this time."""
        while self._events and self._events[0][0] <= now:
            heapq.heappop(self._events)[2]()

    def job(self, name: str) -> "JobStory":
        return JobStory(self, self.folder / name)


@dataclass(frozen=True)
class JobStory:
    """What happens to one job. Slurm launches it unless told otherwise."""

    world: World
    folder: Path

    def launched(self, at: float, *, tasks: int, local: bool = False, **keys: object) -> None:
        def happens() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            kind = {} if local else {"partition": "cpu"}
            write_executor(self.folder, tasks=tasks, launch=EPOCH + at, **kind, **keys)

        self.world.at(at, happens)

    def completes(self, rank: int, at: float) -> None:
        self.world.at(at, lambda: self._mark(rank, at))

    def _mark(self, rank: int, at: float) -> None:
        write_marker(self.folder, f"{rank:05d}", EPOCH + at + self.world.markers_ahead)

    def logs(self, rank: int, at: float, text: str = "INFO     | step:run:1 - on it") -> None:
        """The task writes a line into its log."""

        def happens() -> None:
            logs = self.folder / "logs"
            logs.mkdir(exist_ok=True)
            file = logs / f"task_{rank:05d}.log"
            with file.open("a") as log:
                log.write(
                    f"{datetime.fromtimestamp(EPOCH + at, UTC):%Y-%m-%d %H:%M:%S}.000 | {text}\n"
                )
            for path in (file, logs):
                os.utime(path, (EPOCH + at, EPOCH + at))

        self.world.at(at, happens)

    def fails(self, rank: int, at: float) -> None:
        """The task ends with an error, as datatrove writes one."""
        _, error = FAILED_LOG.rstrip("\n").split(" | ", 1)
        self.logs(rank, at, error)

    def works(
        self,
        begin: float,
        until: float,
        *,
        seconds: float,
        workers: int = 4,
        first: int = 0,
        tasks: int = 10**9,
        logging: float | None = 600,
    ) -> int:
        """So many workers take task after task of so many seconds each, from rank `first` on and
        no more than `tasks`; at `until` they are gone. Each task logs when it begins, every
        `logging` seconds and when it ends; never with None. Returns the rank after the last."""
        free, rank = [(begin + n, n) for n in range(workers)], first
        while free and rank < first + tasks:
            start, worker = heapq.heappop(free)
            if start >= until:
                continue
            end = start + seconds
            times = [start] if logging is not None else []
            while times and times[-1] + (logging or 0) < min(end, until):
                times.append(times[-1] + (logging or 0))
            for each in times:
                self.logs(rank, each)
            if end < until:
                if logging is not None:
                    self.logs(rank, end)
                self.completes(rank, end)
                heapq.heappush(free, (end, worker))
            rank += 1
        return rank


@dataclass
class Watcher:
    """An exporter that scans roots at each step. Its clock is `ahead`; where `is_up` is false, it
    cannot be scraped; it restarts `restarts_every` so many seconds; a scan `takes` so many."""

    clock: Clock
    roots: tuple[RootConfig, ...]
    labels: Labels = field(default_factory=lambda: {"job": SCRAPE_JOB, "instance": "a:1"})
    ahead: float = 0.0
    is_up: Callable[[float], bool] = lambda _: True
    restarts_every: float = float("inf")
    takes: float = 0.0
    _scheduler: Scheduler | None = None
    _since: float = 0.0
    _done_at: float = 0.0
    _samples: list[tuple[str, Labels, float]] = field(default_factory=list)
    _under_way: list[tuple[str, Labels, float]] = field(default_factory=list)

    def step(self, now: float) -> list[tuple[str, Labels, float]]:
        """The samples of a scrape at this time."""
        if not self.is_up(now):
            self._scheduler, self._samples, self._under_way = None, [], []
            return [("up", self.labels, 0.0)]
        if self._scheduler is None or now - self._since >= self.restarts_every:
            self._scheduler, self._since = self._started(), now
        if now >= self._done_at:
            self._done_at = now + self.takes
            self.clock.set(now + self.ahead)
            self._samples, self._under_way = self._under_way, self._scan()
        return self._with_own(self._samples if self.takes else self._under_way)

    def _started(self) -> Scheduler:
        def opened(*given: Any) -> Any:
            storage = open_storage(*given)
            return _Slow(storage, self.clock, self.takes) if self.takes else storage

        return Scheduler(self.roots, Latest(), Workers(2), opened)

    def _scan(self) -> list[tuple[str, Labels, float]]:
        assert self._scheduler is not None
        return [
            (sample.name, {**sample.labels, **self.labels}, sample.value)
            for family in collect(self._scheduler.run_once())
            for sample in family.samples
        ]

    def _with_own(self, samples: Iterable[tuple[str, Labels, float]]) -> list[Any]:
        own = ("up", "datatrove_exporter_scan_workers", "datatrove_exporter_build_info")
        return [*samples, *((name, self.labels, 1.0) for name in own)]


class _Slow:
    """A storage whose listing of the root takes so many seconds of the story."""

    def __init__(self, storage: Any, clock: Clock, seconds: float) -> None:
        self._storage, self._clock, self._seconds = storage, clock, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def list_folder(self, path: Any, *args: Any, **keys: Any) -> Any:
        if path == ():
            self._clock.set(self._clock.now + self._seconds)
        return self._storage.list_folder(path, *args, **keys)


@dataclass
class TextFile:
    """A cron line that runs ``textfile`` every so many seconds, and a node_exporter."""

    clock: Clock
    roots: tuple[RootConfig, ...]
    output: Path
    every: float
    labels: Labels = field(default_factory=lambda: {"job": "node", "instance": "n:1"})

    def step(self, now: float) -> list[tuple[str, Labels, float]]:
        if now % self.every == 0:
            self.clock.set(now)
            assert textfile.run(Config(self.roots), str(self.output), partial=False)
        families = text_string_to_metric_families(self.output.read_text())
        samples = [
            (sample.name, {**sample.labels, **self.labels}, sample.value)
            for family in families
            for sample in family.samples
        ]
        return [*samples, ("up", self.labels, 1.0)]


@dataclass(frozen=True)
class Fired:
    """An alert that has to fire once, with these labels, beginning within `begins`, and, if given,
    firing last within `ends`."""

    name: str
    begins: tuple[float, float]
    ends: tuple[float, float] | None = None
    times: int = 1
    labels: Labels = field(default_factory=dict)


def told(
    folder: Path,
    world: World,
    watchers: Iterable[Watcher | TextFile],
    fired: Iterable[Fired],
    *,
    until: float,
    step: int = 600,
) -> None:
    """Let the story happen and be watched, and see that the rules say this, and nothing else."""
    series = watched(world, watchers, until=until, step=step)
    asked = list(_expected(list(fired), until, step))
    result = _ask_the_rules(folder, series, asked, step)
    assert result.returncode == 0, (result.stdout + result.stderr)[:3000]


def watched(
    world: World, watchers: Iterable[Watcher | TextFile], *, until: float, step: int
) -> Series:
    """Let the story happen, and scrape at each step what the rules ask for."""
    watching = list(watchers)
    series: Series = defaultdict(dict)
    for number, now in enumerate(range(0, int(until) + step, step)):
        world.until(now)
        for watcher in watching:
            for name, labels, value in watcher.step(now):
                if name in _used():
                    moved = value - EPOCH if "timestamp" in name else value
                    series[name, _selector(labels)][number] = moved
    return series


def firing(folder: Path, series: Series, *, steps: int, step: int) -> list[list[Labels]]:
    """The alerts that the shipped rules have firing at each step: promtool says what it found where
    it was told to find nothing."""
    asked = [
        {
            "expr": f'ALERTS{{alertstate="firing",at!="{number}"}}',
            "eval_time": f"{number * step}s",
            "exp_samples": [],
        }
        for number in range(steps)
    ]
    found: list[list[Labels]] = [[] for _ in asked]
    text = _ask_the_rules(folder, series, asked, step).stderr
    for number, got in re.findall(r'at!=\\"(\d+)\\".*?\n.*?\n\s*got: (.*)', text):
        for labels in re.findall(r'\{__name__="ALERTS", (.*?)\} 1E\+00', got):
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
            found[int(number)].append({k: v for k, v in pairs if k != "alertstate"})
    return found


def _ask_the_rules(
    folder: Path, series: Series, asked: list[dict[str, Any]], step: int
) -> "subprocess.CompletedProcess[str]":
    test = {
        "interval": f"{step}s",
        "input_series": [
            {"series": name + labels, "values": _values(points)}
            for (name, labels), points in series.items()
        ],
        "promql_expr_test": asked,
    }
    file = folder / "story_test.yml"
    groups = ["datatrove.rules", "datatrove.jobs", "datatrove.exporter"]
    content = {
        "rule_files": [str(path) for path in RULE_FILES],
        "evaluation_interval": f"{step}s",
        "group_eval_order": groups,
        "tests": [test],
    }
    file.write_text(json.dumps(content))
    command = [needs("promtool"), "test", "rules", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _expected(fired: list[Fired], until: float, step: int) -> Iterator[dict[str, Any]]:
    all_firing, end = 'ALERTS{alertstate="firing"', int(until)
    for alert in fired:
        chosen = {"alertname": alert.name, **alert.labels}
        matchers = ",".join(f"{key}={json.dumps(value)}" for key, value in chosen.items())
        firing = f"{all_firing},{matchers}}}"
        times = f"timestamp({firing})[{end}s:{step}s]"
        yield _is_between(f"min(min_over_time({times}))", *alert.begins, end)
        if alert.ends is not None:
            yield _is_between(f"max(max_over_time({times}))", *alert.ends, end)
        begins = f"({firing} unless {firing} offset {step}s)[{end}s:{step}s]"
        yield _is_between(f"sum(count_over_time({begins}))", alert.times, alert.times, end)
    names = [alert.name for alert in fired]
    for name in sorted(set(names)):
        series = f'count_over_time({all_firing},alertname="{name}"}}[{end}s])'
        yield _is_between(f"count({series})", names.count(name), names.count(name), end)
    others = f'count_over_time({all_firing},alertname!~"{"|".join(names)}"}}[{end}s])'
    yield {"expr": others, "eval_time": f"{end}s", "exp_samples": []}


def _is_between(expression: str, low: float, high: float, at: int) -> dict[str, Any]:
    between = f"({expression} >= bool {low}) * ({expression} <= bool {high})"
    one = {"labels": "{}", "value": 1}
    return {"expr": between, "eval_time": f"{at}s", "exp_samples": [one]}


@cache
def _used() -> frozenset[str]:
    """The metrics that the rules ask for."""
    names = (metric_names(promql_parser.parse(rule["expr"])) for rule in rules())
    return frozenset().union(*names)


def _selector(labels: Labels) -> str:
    return "{" + ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(labels.items())) + "}"


def _values(points: dict[int, float]) -> str:
    """The values as promtool has them; `stale` where a series ends."""
    written, last = [], -1
    for at in sorted(points):
        if last >= 0 and at > last + 1:
            written += ["stale", *["_"] * (at - last - 2)]
        elif last < 0:
            written += ["_"] * at
        written.append(repr(points[at]))
        last = at
    runs = [(value, len(list(same))) for value, same in groupby([*written, "stale"])]
    return " ".join(
        f"{v}+0x{n - 1}" if n > 1 and v[0] not in "_s" else " ".join([v] * n) for v, n in runs
    )
