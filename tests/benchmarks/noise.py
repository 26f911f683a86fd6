#!/usr/bin/env python3
"""How many messages people get on a day of six hundred jobs with three problems.

Usage: noise.py [--seed N] [--hours N] [--dumps N]. Real folders, which the program scans every ten
minutes as their time goes by; the shipped rules, by promtool; and a real Alertmanager with the
shipped routes, whose day takes a minute and a half. The goal: at most six messages a day to the
team and to who is on call, however many jobs were given up.
"""

import argparse
import heapq
import math
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.jobs.estate import DUMPS
from support.jobs.stories import DAY, HOUR, MINUTE, Clock, Labels, Watcher, World, firing, watched
from support.monitoring import alertmanager, example_alertmanager, receiver, send_alerts

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import RootConfig

STAGES = ("base_processing", "signatures", "buckets", "filter", "tokenize")
STEP = 10 * MINUTE
STEP_TAKES_SECONDS = 0.6
ABANDONED, EXPERIMENTS, RUNNING = 50, 70, 8
MOST = 6
_SECONDS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}


def estate(world: World, chance: random.Random, dumps: int, until: float) -> None:
    """Each stage has dumps that are complete, some that run all day, and some that wait; beside
    them experiments that are done or were given up. Three of those that run get into trouble."""
    for number in range(ABANDONED):
        job = world.job(f"old/{number}")
        job.launched(-30 * DAY, tasks=10, local=True)
        job.works(-30 * DAY, -29 * DAY, seconds=3 * HOUR, workers=1, tasks=4, logging=None)
    for number in range(EXPERIMENTS):
        _complete(world, f"experiment/{number}")
    for stage in STAGES:
        for number, dump in enumerate(DUMPS[:dumps]):
            name = f"{stage}/{dump}"
            if number < dumps // 2:
                _complete(world, name)
            elif number >= dumps // 2 + RUNNING:
                world.job(name).launched(-DAY, tasks=100)
            elif number > dumps // 2 or stage in STAGES[3:]:
                _work(world, name, chance, -6 * HOUR, until + DAY)
    troubled = [f"{stage}/{DUMPS[dumps // 2]}" for stage in STAGES[:3]]
    _dies_and_is_launched_again(world, troubled[0], chance, until)
    _fails_and_is_launched_again(world, troubled[1], chance, until)
    _is_corrupt_for_a_while(world, troubled[2], chance, until)


def _complete(world: World, name: str) -> None:
    job = world.job(name)
    job.launched(-3 * DAY, tasks=10, local=True)
    job.works(-3 * DAY, -2 * DAY, seconds=HOUR, tasks=10, logging=None)


def _work(world: World, name: str, chance: random.Random, begin: float, end: float) -> None:
    """Workers take task after task of uneven length. Half of the jobs log."""
    job, mean = world.job(name), chance.choice([20 * MINUTE, 40 * MINUTE, 90 * MINUTE])
    logs, first = chance.random() < 0.5, int(begin) % 5000 + 5000
    job.launched(begin - MINUTE, tasks=20_000, local=True)
    free, rank = [begin + worker for worker in range(6)], first
    while free:
        start = heapq.heappop(free)
        length = chance.lognormvariate(math.log(mean) - 0.125, 0.5)
        done = start + length
        for at in range(int(start), int(min(done, end)), 20 * MINUTE) if logs else ():
            job.logs(rank, at)
        if done < end:
            job.completes(rank, done)
            heapq.heappush(free, done)
        rank += 1


def _dies_and_is_launched_again(
    world: World, name: str, chance: random.Random, until: float
) -> None:
    _work(world, name, chance, -6 * HOUR, until / 5)
    _work(world, name, chance, until / 2, until + DAY)


def _fails_and_is_launched_again(
    world: World, name: str, chance: random.Random, until: float
) -> None:
    _work(world, name, chance, -6 * HOUR, until / 3)
    world.job(name).fails(3, until / 3 + MINUTE)
    _work(world, name, chance, until * 0.6, until + DAY)


def _is_corrupt_for_a_while(world: World, name: str, chance: random.Random, until: float) -> None:
    _work(world, name, chance, -6 * HOUR, until + DAY)
    file = world.folder / name / "executor.json"
    kept: list[str] = []

    def breaks() -> None:
        kept.append(file.read_text())
        file.write_text("{")

    world.at(until * 0.6, breaks)
    world.at(until * 0.75, lambda: _restore(file, kept[0]))


def _restore(file: Path, text: str) -> None:
    file.write_text(text)
    launch = file.parent.joinpath("completions").stat().st_mtime - 12 * HOUR
    os.utime(file, (launch, launch))


def hurried(url: str) -> dict[str, Any]:
    """The shipped routes, with every duration shorter by as much as a step is."""
    config = example_alertmanager()

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[1]) * _SECONDS[match[2]] * STEP_TAKES_SECONDS / STEP
        return f"{max(1, round(seconds * 1000))}ms"

    routes = [config["route"], *config["route"]["routes"]]
    for route in routes:
        for key in ("group_wait", "group_interval", "repeat_interval"):
            if key in route:
                route[key] = re.sub(r"^(\d+)([smhd])$", shorter, route[key])
    for sender in config["receivers"]:
        for webhook in sender["webhook_configs"]:
            webhook["url"] = f"{url}/{sender['name']}"
    return config


def messages(folder: Path, fired: list[list[Labels]]) -> Counter[tuple[str, str]]:
    """What Alertmanager sends while these alerts come and go: receiver and status."""
    with receiver() as received, alertmanager(folder, hurried(received.url)) as port:
        before: list[Labels] = []
        for now in fired:
            begin = time.monotonic()
            over = [labels for labels in before if labels not in now]
            if over:
                send_alerts(port, *over, resolved=True)
            if now:
                send_alerts(port, *now)
            before = now
            time.sleep(max(0.0, STEP_TAKES_SECONDS - (time.monotonic() - begin)))
        time.sleep(2 * STEP_TAKES_SECONDS)
        return Counter((path.lstrip("/"), status) for path, status, _ in received.messages)


def main() -> int:
    """Print what was sent; 1 if it was too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--dumps", type=int, default=96)
    arguments = parser.parse_args()
    until = arguments.hours * HOUR
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        folder = Path(temporary)
        world = World(folder / "root")
        world.folder.mkdir()
        estate(world, random.Random(arguments.seed), arguments.dumps, until)
        config = RootConfig(
            "prod", str(world.folder), labels=(parse_label_pattern("{stage}/{dump}"),)
        )
        watcher = Watcher(Clock(patch), (config,))
        series = watched(world, [watcher], until=until, step=STEP)
        fired = firing(folder, series, steps=int(until) // STEP + 1, step=STEP)
        patch.undo()
        sent = messages(folder, fired)
    jobs = len(STAGES) * arguments.dumps + ABANDONED + EXPERIMENTS
    print(f"{arguments.hours} hours of {jobs} jobs, {ABANDONED} of them abandoned; seed", end=" ")
    print(f"{arguments.seed}. One job dies, one fails, one becomes unreadable.\n")
    told = Counter(
        (labels["alertname"], labels.get("stage", ""), labels.get("job_name", ""))
        for labels in {tuple(sorted(each.items())): each for now in fired for each in now}.values()
    )
    for alert, stage, job in sorted(told):
        print(f"{alert:28}{stage:20}{job}")
    print(f"\n{'messages to':14}{'firing':>8}{'resolved':>10}")
    for to in ("oncall", "team", "notes"):
        print(f"{to:14}{sent[to, 'firing']:8}{sent[to, 'resolved']:10}")
    of_people = sum(count for (to, _), count in sent.items() if to != "notes")
    print(f"\n{of_people} messages to people, goal: at most {MOST}.")
    return of_people > MOST


if __name__ == "__main__":
    sys.exit(main())
