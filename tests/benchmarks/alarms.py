#!/usr/bin/env python3
"""How often healthy jobs are called stalled, and how soon dead ones are, over kinds of jobs.

Usage: alarms.py [--runs N] [--seed N]. The verdict is the program's own (``exporter.model``), on
random jobs in memory; scans come every minute, and an alert after five. Of each kind so many jobs
live and so many lose all workers at a random moment. The goals:

* of healthy jobs at most 1 % are ever called stalled, 3 % of those with one worker; pauses of the
  whole cluster are left out, for there it is true;
* a dead job is told within an hour and three times its longest wait, in its last tenth within
  eight hours and twelve times that, and the alert's few minutes.

In `no logs` nobody sees any, as on an object store; in `logs` a task writes one every ten minutes.
"""

import argparse
import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median, quantiles

from exporter.config.settings import DEFAULT_STALL_RULE, RootConfig
from exporter.datatrove.pace import pace_of
from exporter.datatrove.task_state import OpenTasks
from exporter.model.job import Job, Logs, Reading
from exporter.model.pause import pauses_of
from exporter.model.stall import Circumstances, stall_threshold_seconds, with_state

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
RULE = DEFAULT_STALL_RULE
CONFIG = RootConfig("root", "/root")
TOLD_SECONDS = 7 * MINUTE
"""A scan, an evaluation, and the rule's `for`."""
LOGGED_EVERY = 10 * MINUTE
JOBS_OF_A_CLUSTER = 20

Duration = Callable[[random.Random], float]


@dataclass(frozen=True)
class Kind:
    """Jobs of so many tasks on so many workers; `pauses`: the cluster is taken away every eight
    hours or so, for two."""

    name: str
    tasks: int
    workers: int
    duration: Duration
    pauses: bool = False


def lognormal(mean: float, sigma: float) -> Duration:
    return lambda chance: chance.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)


def even(mean: float, spread: float) -> Duration:
    return lambda chance: max(mean / 5, chance.gauss(mean, spread * mean))


def some_empty(mean: float) -> Duration:
    return lambda chance: 20.0 if chance.random() < 0.3 else chance.gauss(mean, mean / 10)


KINDS = (
    Kind("2 min tasks, 100 workers", 1000, 100, lognormal(2 * MINUTE, 0.3)),
    Kind("30 min tasks, 50 workers", 1000, 50, lognormal(30 * MINUTE, 0.5)),
    Kind("6 h tasks in waves of 20", 100, 20, even(6 * HOUR, 0.03)),
    Kind("6 h tasks, spread, 20 workers", 200, 20, lognormal(6 * HOUR, 0.6)),
    Kind("1 h tasks, one worker", 50, 1, lognormal(HOUR, 0.5)),
    Kind("20 min tasks, heavy tail", 500, 100, lognormal(20 * MINUTE, 1.2)),
    Kind("6 h tasks, all at once", 100, 100, even(6 * HOUR, 0.1)),
    Kind("4 tasks of 3 h", 4, 4, lognormal(3 * HOUR, 0.4)),
    Kind("20 h tasks, all at once", 64, 64, even(20 * HOUR, 0.05)),
    Kind("a third of the shards empty", 600, 32, some_empty(40 * MINUTE)),
    Kind("30 min tasks, preempted", 1000, 50, lognormal(30 * MINUTE, 0.5), pauses=True),
)


def pauses(chance: random.Random) -> list[tuple[float, float]]:
    found, now = [], 0.0
    while now < 100 * HOUR:
        begin = now + chance.expovariate(1 / (8 * HOUR))
        now = begin + chance.expovariate(1 / (2 * HOUR))
        found.append((begin, now))
    return found


def completions(
    kind: Kind, chance: random.Random, paused: Sequence[tuple[float, float]]
) -> list[float]:
    """When the tasks of a healthy job complete, counted from its start."""
    free = [0.0] * min(kind.workers, kind.tasks)
    ends = []
    for _ in range(kind.tasks):
        begin = heapq.heappop(free)
        end = begin + kind.duration(chance)
        for first, last in paused:
            if end > first and begin < last:
                end += last - max(begin, first)
        ends.append(end)
        heapq.heappush(free, end)
    return sorted(ends)


def reading(kind: Kind, ends: Sequence[float]) -> Reading:
    """What a scan finds of a job that completed these tasks."""
    pace = pace_of([round(end * 1e9) for end in ends], 0, 0)
    longest = pace.longest_gap_ns
    return Reading(
        tasks=kind.tasks,
        tasks_completed=len(ends),
        tasks_completed_since_launch=len(ends),
        stray_markers=0,
        launch_timestamp=0.0,
        last_completion_timestamp=ends[-1] if ends else None,
        longest_completion_gap_seconds=None if longest is None else longest / 1e9,
        started=True,
        executor="slurm",
        slurm_job_name="",
        start_timestamp=0.0,
        waits=pace.waits,
    )


def logging(found: Reading, last_write: float, ever: bool) -> Reading:
    """The same where logs show, and one of a task that runs was last written then."""
    left = OpenTasks({}, {}, found.tasks_left, "waiting", needs_relaunch=False)
    return replace(found, logs=Logs(left, last_write, last_write, LOGGED_EVERY if ever else None))


def waits(kind: Kind, ends: Sequence[float]) -> Iterator[tuple[int, float, float]]:
    """Before each completion: how many there were, how long the wait for it, and the longest
    that the job may be idle then."""
    found, longest = reading(kind, ()), 0.0
    for done, (before, end) in enumerate(pairwise([0.0, *ends])):
        if done:
            found = replace(
                found,
                tasks_completed=done,
                tasks_completed_since_launch=done,
                last_completion_timestamp=before,
                longest_completion_gap_seconds=longest,
            )
        yield done, end - before, stall_threshold_seconds(found, CONFIG) or math.inf
        longest = max(longest, end - before)


@dataclass(frozen=True)
class Death:
    """A job that died: how long until that was told, and within what it should have been."""

    told_after: float
    goal: float
    in_last_tenth: bool
    had_pace: bool
    """It had completed a task, or its logs had been seen to be written again and again."""


def told_after(job: Job, died: float, known: Circumstances) -> float:
    """How long after its death the job is first called stalled: at most a week."""
    low, high = 0.0, 7 * DAY - HOUR
    while high - low > 30.0:  # once stalled, it is so until it is abandoned
        middle = (low + high) / 2
        is_told = with_state(job, CONFIG, died + middle, known).state == "stalled"
        low, high = (low, middle) if is_told else (middle, high)
    return high + TOLD_SECONDS


def death(
    kind: Kind, chance: random.Random, cluster: Sequence[list[float]], *, logs: bool
) -> Death:
    """One job of a cluster loses its workers at a random moment."""
    ends = cluster[0]
    died = chance.uniform(0, ends[-1])
    done = ends[: bisect_right(ends, died)]
    found = reading(kind, done)
    others = [reading(kind, each[: bisect_right(each, died)]) for each in cluster[1:]]
    known = Circumstances(pauses_of([found, *others], RULE)) if others else Circumstances()
    has_seen_logs = logs and died > 3 * LOGGED_EVERY
    if logs:
        found = logging(found, died - chance.uniform(0, LOGGED_EVERY), has_seen_logs)
    longest = max((b - a for a, b in pairwise([0.0, *done])), default=0.0)
    normal = max(HOUR, 3 * longest)
    tail = found.tasks_left <= found.tasks / 10
    goal = max(4 * normal, 8 * HOUR) if tail else normal
    after = told_after(Job("job", found), died, known)
    return Death(after, goal + TOLD_SECONDS + MINUTE, tail, bool(done) or has_seen_logs)


def cluster(kind: Kind, chance: random.Random) -> list[list[float]]:
    if not kind.pauses:
        return [completions(kind, chance, ())]
    shared = pauses(chance)
    return [completions(kind, chance, shared) for _ in range(JOBS_OF_A_CLUSTER)]


def hours(seconds: Sequence[float]) -> str:
    """Median and 95th percentile."""
    if len(seconds) < 2:
        return "      –      "
    return f"{median(seconds) / HOUR:5.1f} / {quantiles(seconds, n=20)[-1] / HOUR:5.1f}"


def row(kind: Kind, runs: int, chance: random.Random, *, logs: bool) -> tuple[str, list[str]]:
    """A line of the table, and the goals that were missed."""
    alarmed, deaths = 0, []
    for _ in range(runs):
        jobs = cluster(kind, chance)
        if not logs:  # a log within the hour is a veto, and these are written every ten minutes
            alarmed += any(wait > limit + TOLD_SECONDS for _, wait, limit in waits(kind, jobs[0]))
        deaths.append(death(kind, chance, jobs, logs=logs))
    known = [each for each in deaths if each.had_pace]
    head = [each for each in known if not each.in_last_tenth]
    tail = [each for each in known if each.in_last_tenth]
    within = sum(each.told_after <= each.goal for each in known)
    share = 100 * alarmed / runs
    times = [hours([each.told_after for each in some]) for some in (head, tail)]
    line = (
        f"{kind.name:32}{'logs' if logs else 'no logs':9}{share:6.1f} %"
        f"{times[0]:>17}{times[1]:>17}"
        f"{100 * within / max(1, len(known)):9.1f} %{100 * (runs - len(known)) / runs:9.1f} %"
    )
    missed, most = [], 3.0 if kind.workers == 1 else 1.0
    if share > most and not kind.pauses:
        missed.append(f"{kind.name}: {share:.1f} % of healthy jobs called stalled, goal {most:g} %")
    if within < len(known):
        missed.append(f"{kind.name}: {len(known) - within} of {len(known)} dead jobs told too late")
    return line, missed


def main() -> None:
    """Print the table, and which goals are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    runs = arguments.runs
    print(
        f"{runs} healthy and {runs} dead jobs of each kind, seed {arguments.seed}. Hours from death"
    )
    print("to alert: median / 95 of 100. While no pace is known, before the first completion and")
    print("before logs tell, that is a day; the last column has the share of such deaths.\n")
    print(
        f"{'':41}{'healthy':>8}{'dead below 90 %':>17}{'in last tenth':>17}{'in time':>11}"
        f"{'no pace':>11}"
    )
    missed = []
    for kind in KINDS:
        for logs in (False, True):
            line, goals = row(kind, runs, random.Random(arguments.seed), logs=logs)
            print(line, flush=True)
            missed += goals
    print("\n" + ("\n".join(f"missed: {each}" for each in missed) or "Every goal is met."))


if __name__ == "__main__":
    main()
