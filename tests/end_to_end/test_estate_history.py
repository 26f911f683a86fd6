"""What estates completed by hour and day is what their markers told, whatever went on with them."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.folders import write_executor, write_marker
from support.scans import Watch

from exporter.model.report import report_on
from exporter.model.selection import Filter
from exporter.model.snapshot import Snapshot
from exporter.model.stages.table import StageTable, report_table

HOUR, DAY = 3600, 86_400
STEPS = 25


class Estate:
    """Jobs that come, go on and go, and what their markers told whenever somebody looked: of each
    job in each hour the most, since a marker that was deleted was a task completed all the same."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._chance = folder, random.Random(seed)
        self._jobs: dict[str, list[int]] = {}  # by name, the ranks to come
        self._number = 0
        self._seen: dict[tuple[str, int], int] = {}

    def look(self) -> None:
        """Count all markers that there are."""
        markers = self._folder.glob("*/*/completions/*")
        found = Counter(
            (
                str(marker.parent.parent.relative_to(self._folder)),
                int(marker.stat().st_mtime // HOUR),
            )
            for marker in markers
        )
        for key, tasks in found.items():
            self._seen[key] = max(tasks, self._seen.get(key, 0))

    def by_hour(self, stage: str, now: float) -> tuple[int, ...]:
        """What was seen of a stage in the last 48 hours by the clock."""
        this, tasks = int(now // HOUR), Counter[int]()
        for (name, hour), seen in self._seen.items():
            tasks[hour] += seen * name.startswith(f"{stage}/")
        return tuple(tasks[hour] for hour in range(this - 47, this + 1))

    def between(self, began: float, ended: float) -> int:
        """What was seen of the hours that begin in this time."""
        return sum(n for (_, hour), n in self._seen.items() if began <= hour * HOUR < ended)

    def launch(self) -> None:
        self._number += 1
        name = f"{self._chance.choice(('filter', 'tokenize'))}/{self._number:08}"
        (self._folder / name).mkdir(parents=True)
        tasks = self._chance.randrange(3, 25)
        write_executor(self._folder / name, tasks=tasks, launch=time.time() - 17 * DAY + 0.25)
        self._jobs[name] = list(range(tasks))

    def complete(self) -> None:
        name = self._some()
        for _ in range(self._chance.randrange(len(self._jobs[name]) + 1)):
            ago = self._chance.uniform(1, self._chance.choice((3 * HOUR, 16 * DAY)))
            rank = self._jobs[name].pop()
            write_marker(self._folder / name, f"{rank:05d}", time.time() - ago)

    def undo(self) -> None:
        markers = list((self._folder / self._some() / "completions").glob("*"))
        for marker in self._chance.sample(markers, min(2, len(markers))):
            marker.unlink()

    def remove(self) -> None:
        name = self._some()
        shutil.rmtree(self._folder / name)
        del self._jobs[name]

    def step(self) -> None:
        does = self._chance.choices(
            (self.launch, self.complete, self.undo, self.remove), (3, 5, 1, 1)
        )
        (does[0] if self._jobs else self.launch)()

    def _some(self) -> str:
        return self._chance.choice(sorted(self._jobs))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watching = Watch(tmp_path)
    yield watching
    watching.close()


def table_of(watch: Watch) -> tuple[StageTable, float]:
    root, now = watch.scan(), time.time()
    return report_table(report_on(Snapshot(roots=(root,)), now), Filter()), now


@pytest.mark.parametrize("seed", range(4))
def test_every_completion_that_was_seen_counts_once(
    seed: int, tmp_path: Path, watch: Watch
) -> None:
    estate = Estate(tmp_path, seed)
    for _ in range(STEPS):
        estate.step()
        estate.look()
        table, now = table_of(watch)
        for row in table.stages:
            assert row.throughput.by_hour() == estate.by_hour(row.stage.partition("/")[0], now)
        for day, tasks in enumerate(reversed(table.whole.throughput.by_day())):
            began, ended = now - (day + 1) * DAY, now - day * DAY
            assert tasks >= estate.between(began, ended - HOUR)
            assert tasks <= estate.between(began - HOUR, ended)
    assert table.whole.throughput.known_since < now - 14 * DAY
