"""Sums over random histories of a job, against a merge of its files that knows no history."""

import json
import os
import random
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_executor
from support.jobs.stats import Scanned, a_pipeline, complete, uncomplete, write_stats

STEPS = 30


class History:
    """A job to which things happen, one at each second, as they do to real ones."""

    def __init__(self, job: Path, seed: int) -> None:
        self.job, self.random, self.now = job, random.Random(seed), LAUNCH
        self.tasks, self.pipeline, self.skips = 12, 4, True
        for inner in ("completions", "stats"):
            (job / inner).mkdir(parents=True)
        self.launch()

    def happen(self) -> None:
        chosen = self.random.choice
        now = chosen([self.run] * 9 + [self.forget, self.forget_all, self.launch, self.change])
        self.now += 1
        now()

    def run(self) -> None:
        """A task is done, unless it was before. Of some, the file is only half."""
        rank = self.random.randrange(self.tasks)
        when = self.markers().get(rank)
        if when is None or (not self.skips and when < self.launched):
            read, kept = self.random.randint(10, 99), self.random.randint(0, 9)
            complete(self.job, rank, self.now, a_pipeline(read, kept)[: self.pipeline])
            if self.random.random() < 0.1:
                write_stats(self.job, rank, b"[")

    def forget(self) -> None:
        """Somebody deletes a marker, and launches again."""
        if markers := self.markers():
            uncomplete(self.job, [self.random.choice(list(markers))], self.now)
            self.launch()

    def forget_all(self) -> None:
        uncomplete(self.job, self.markers(), self.now)
        self.launch()

    def launch(self) -> None:
        self.now += 1
        self.launched = self.now
        write_executor(self.job, tasks=self.tasks, launch=self.now, skip_completed=self.skips)

    def change(self) -> None:
        """Somebody changes the script, and launches again."""
        self.pipeline, self.skips = self.random.randint(2, 4), self.random.random() < 0.7
        self.tasks = self.random.choice([4, 12, 20])
        self.launch()

    def markers(self) -> dict[int, float]:
        files = (self.job / "completions").iterdir()
        return {int(file.name): file.stat().st_mtime for file in files}

    def merged(self, *, is_complete: bool) -> tuple[int, int, int]:
        """Tasks in the sums, documents read and dropped, by what lies there now."""
        newest_first = sorted(self.markers().items(), key=lambda each: each[1], reverse=True)
        shown: list[list[dict]] = []
        for rank, when in newest_first:
            data = (self.job / "stats" / f"{rank:05d}.json").read_bytes()
            counts = rank < self.tasks and (is_complete or self.skips or when >= self.launched)
            if counts and data != b"[":
                steps = json.loads(data)
                if not shown or len(steps) == len(shown[0]):
                    shown.append(steps)
        read = sum(steps[0]["stats"]["documents"]["total"] for steps in shown)
        return len(shown), read, sum(steps[1]["stats"]["dropped"] for steps in shown)


@pytest.mark.parametrize("seed", range(40))
def test_sums_are_those_of_the_files_that_count(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path / "job", seed)
    scanned = Scanned.on_disk(history.job)
    for _ in range(STEPS):
        for _ in range(history.random.randint(0, 3)):
            history.happen()
        os.utime(history.job / "completions", (history.now, history.now))
        if history.random.random() < 0.1:
            scanned = Scanned.on_disk(history.job)
        reading = scanned.scan(thorough=history.random.random() < 0.3)
        memory = scanned.memory.stats if scanned.memory is not None else None
        if memory is None or memory.of_all:  # stats.json has tests of its own
            continue
        stats = scanned.sums()
        counted = (0, 0, 0)
        if stats.stats is not None:
            dropped = stats.stats.steps()[1].dropped
            counted = (stats.tasks, stats.stats.documents_read or 0, dropped or 0)
        assert counted == history.merged(is_complete=reading.is_complete)
