"""The recording rules and the exporter's report say the same of the same jobs."""

import itertools
import json
import math
import random
import subprocess
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.monitoring import RULE_FILES, alerts
from support.processes import needs
from support.snapshots.collector import collect
from support.snapshots.readings import a_job, a_reading, a_root, a_snapshot

from exporter.config.settings import DEFAULT_STALL_RULE, RootConfig, StallRule
from exporter.model.job import Job, Reading
from exporter.model.report import Row, report_on
from exporter.model.snapshot import FRESH_INTERVALS, FRESH_SECONDS, Snapshot
from exporter.model.stall import with_state
from exporter.model.state import STATES

HOUR = 3600
STEP_SECONDS = 1800
STEPS = 24
JOBS_PER_ROOT = 25
LABELS = {"job": "datatrove-exporter", "instance": "a:1"}
PER_JOB = "root_job_name:datatrove_job_"
VALUES: dict[str, Callable[[Row], float | None]] = {
    f"{PER_JOB}time_left_seconds:max": lambda row: row.remaining_seconds,
    f"{PER_JOB}overdue_seconds:max": lambda row: row.overdue_seconds,
}
"""Recorded series, and what the report calls the same."""


@dataclass(frozen=True)
class History:
    """All that ever happens to one job. Times are seconds, 0 is the first step."""

    name: str
    tasks: int
    launch: int
    start: float
    inherited: int
    completions: tuple[int, ...]
    unreadable: tuple[float, float]
    dies: float
    """From then on its logs tell that nothing can finish it."""

    def reading(self, at: float) -> Reading:
        """What a scan at this time finds."""
        count = bisect_right(self.completions, at)
        done = self.completions[:count]
        last = done[-1] if done else self.launch - 9 * HOUR if self.inherited else None
        waits = [after - before for before, after in itertools.pairwise((self.launch, *done))]
        return a_reading(
            tasks=self.tasks,
            tasks_completed=self.inherited + count,
            tasks_completed_since_launch=count,
            stray_markers=0,
            launch_timestamp=float(self.launch),
            last_completion_timestamp=None if last is None else float(last),
            longest_completion_gap_seconds=float(max(waits)) if waits else None,
            started=at >= self.start or self.inherited > 0 or count > 0,
            start_timestamp=float(self.start) if at >= self.start else None,
            executor="slurm",
            slurm_job_name="",
            needs_relaunch=at >= self.dies if count < self.tasks - self.inherited else None,
        )

    def job(self, at: float) -> Job:
        begin, end = self.unreadable
        error = "denied" if begin <= at < end else None
        return a_job(self.name, reading=self.reading(at), error=error)


def history(chance: random.Random, number: int) -> History:
    """A job of any kind: fast or slow, alone or in waves, dead, queued, launched again."""
    tasks = chance.choice([1, 4, 10, 20, 100, 300])
    launch = -chance.randrange(60, 90 * HOUR)
    start = launch + chance.choice([0, 0, 0, 5 * HOUR, 30 * HOUR, math.inf])
    inherited = chance.choice([0, 0, 0, tasks // 2, tasks * 9 // 10])
    duration = 10 ** chance.uniform(1.5, 4.9)
    spread = chance.choice([0.0, 0.1, 0.6])
    dies = start + chance.choice([math.inf, chance.uniform(0, 60 * HOUR)])
    workers = [start] * chance.choice([1, 4, 20, 100])
    completions = []
    for _ in range(tasks - inherited):
        first = min(range(len(workers)), key=workers.__getitem__)
        workers[first] += duration * chance.lognormvariate(0, spread)
        if workers[first] < dies:
            completions.append(round(workers[first]))
    if chance.random() < 0.3:  # its stragglers never end
        completions = sorted(completions)[: round(tasks * chance.choice([0.85, 0.9, 0.93]))]
    begin = chance.choice([math.inf, math.inf, math.inf, chance.uniform(0, 6 * HOUR)])
    unreadable = (begin, begin + chance.uniform(0, 6 * HOUR))
    ordered = tuple(sorted(completions))
    told = dies if chance.random() < 0.3 else math.inf
    return History(f"job-{number}", tasks, launch, start, inherited, ordered, unreadable, told)


def stall_rule(chance: random.Random) -> StallRule:
    """What somebody may have configured: of minutes, or of days."""
    after = chance.choice([60.0, 900.0, 5.5 * HOUR, 20.0 * HOUR])
    factor = chance.choice([1.0, 1.5, 2.7, 10.0])
    return StallRule(after, factor, after * chance.choice([1, 2, 6]))


def snapshots(chance: random.Random) -> Iterator[tuple[int, Snapshot]]:
    """At each step, what was scanned last: one root all the time, one that should be
    scanned every hour and is every four, and one whose scans fail now and then. In each
    a job is stalled after another time, in one of them after the default. States are those
    of scans just now that found what the last one did, unless that is too old to tell."""
    of = {name: [history(chance, n) for n in range(JOBS_PER_ROOT)] for name in "abc"}
    rules = {name: stall_rule(chance) for name in of}
    rules[chance.choice("abc")] = DEFAULT_STALL_RULE
    abandoned_after = {name: chance.choice([30.0 * HOUR, 168.0 * HOUR]) for name in of}
    intervals = {"a": 60, "b": HOUR, "c": 60}
    lost = {step for step in range(1, STEPS) if chance.random() < 0.4}
    last: dict[str, int] = {}
    for step in range(STEPS):
        now = step * STEP_SECONDS
        roots = []
        for name, histories in of.items():
            if name == "a" or (name == "b" and step % 8 == 0) or (name == "c" and step not in lost):
                last[name] = now - chance.randrange(60)
            age, interval = now - last[name], intervals[name]
            is_fresh = age < max(FRESH_SECONDS, FRESH_INTERVALS * interval)
            seen = now if is_fresh else last[name]
            config = RootConfig(
                name, name, stall=rules[name], abandoned_after_seconds=abandoned_after[name]
            )
            jobs = (with_state(each.job(last[name]), config, seen) for each in histories)
            roots.append(
                a_root(
                    name,
                    *jobs,
                    scan_interval_seconds=float(intervals[name]),
                    stall=rules[name],
                    last_successful_scan_timestamp=float(last[name]),
                )
            )
        yield now, a_snapshot(*roots)


def selector(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def rounded(value: float) -> float:
    """As PromQL rounds to tenths."""
    return math.floor(value * 10 + 0.5) / 10


def expectation(now: int, expression: str, samples: list[tuple[str, float]]) -> dict[str, Any]:
    listed = [{"labels": labels, "value": value} for labels, value in samples]
    return {"expr": expression, "eval_time": f"{now}s", "exp_samples": listed}


def case(seed: int) -> tuple[dict[str, Any], list[str]]:
    """A promtool test of what the exporter would publish of random jobs, expecting what its
    report says; and the states that came up."""
    series: dict[str, list[str]] = defaultdict(lambda: ["_"] * STEPS)
    expected, states = [], []
    for step, (now, snapshot) in enumerate(snapshots(random.Random(seed))):
        for family in collect(snapshot):
            for sample in family.samples:
                key = selector(sample.name, {**sample.labels, **LABELS})
                series[key][step] = repr(sample.value)
        report = report_on(snapshot, now)
        states += [row.state for row in report.rows]

        def labels(row: Row, **more: str) -> str:
            own = {"job": LABELS["job"], "root": row.root.name, "job_name": row.job_name}
            return selector("", {**own, **more})

        for name, value_of in VALUES.items():
            known = [(labels(row), value_of(row)) for row in report.rows]
            samples = [(key, rounded(value)) for key, value in known if value is not None]
            expected.append(expectation(now, f"floor({name} * 10 + 0.5) / 10", samples))
        fresh = {row.root.name for row in report.roots if row.is_fresh}
        found = [row for row in report.rows if row.root.name in fresh]
        in_states = [(labels(row, state=row.state), 1.0) for row in found]
        expected.append(expectation(now, f"group without () ({PER_JOB}state:group)", in_states))
        for name, state in (("DatatroveJobFailed", "failed"), ("DatatroveJobStalled", "stalled")):
            alarmed = [(labels(row, state=state), 1.0) for row in found if row.state == state]
            expr = f"group without () ({alerts()[name]['expr']})"
            expected.append(expectation(now, expr, alarmed))
    inputs = [{"series": key, "values": " ".join(values)} for key, values in series.items()]
    test = {
        "interval": f"{STEP_SECONDS}s",
        "input_series": inputs,
        "promql_expr_test": expected,
    }
    return test, states


@pytest.mark.timeout(400)
def test_the_rules_say_of_every_job_what_the_report_says(tmp_path: Path) -> None:
    cases = [case(seed) for seed in range(4)]
    seen = {state for _, states in cases for state in states}
    assert seen == set(STATES)
    file = tmp_path / "report_test.yml"
    content = {
        "rule_files": [str(path) for path in RULE_FILES],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "group_eval_order": ["datatrove.rules", "datatrove.jobs", "datatrove.exporter"],
        "tests": [test for test, _ in cases],
    }
    file.write_text(json.dumps(content))
    result = subprocess.run(
        [needs("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[:5000]
