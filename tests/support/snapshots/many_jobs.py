"""A pipeline of many dumps and six stages in memory, and experiments beside it."""

from array import array
from dataclasses import replace
from itertools import count

from exporter.datatrove.throughput import NOTHING, Hourly
from exporter.model.job import Job
from exporter.model.names.grouping import groups_of
from exporter.model.snapshot import Root
from support.snapshots.readings import (
    DAY,
    HOUR,
    NOW,
    a_job,
    a_reading,
    a_root,
    an_unreadable_job,
    completed,
    nothing_completed,
    some_logs,
)

STAGES = (
    "base_processing/{}",
    "minhash/{}/signatures",
    "minhash/{}/buckets",
    "minhash/{}/clusters",
    "minhash/{}/filter",
    "tokenize/{}",
)


def an_estate(*, dumps: int = 96, experiments: int = 1356) -> tuple[Root, Root]:
    """A root of dumps × stages, of which most dumps are done and some wait behind one that is
    stalled, has failed or cannot be read; and a root of experiments, some of them abandoned."""
    names, jobs = count(), []
    for dump in range(dumps):
        item = f"CC-MAIN-{2013 + dump // 12}-{5 + dump % 12 * 4:02}"
        jobs += [_of_dump(dump, dumps, at, stage.format(item)) for at, stage in enumerate(STAGES)]
    tried = [_experiment(next(names)) for _ in range(experiments)]
    return _root("fineweb", jobs), _root("experiments", tried)


def _root(name: str, jobs: list[Job]) -> Root:
    jobs.sort(key=lambda job: job.name)
    return a_root(name, *jobs, groups=groups_of([job.name for job in jobs]))


def _of_dump(dump: int, dumps: int, stage: int, name: str) -> Job:
    """Dumps are worked on from the last to the first, and the stage that a dump is at varies."""
    at = 6 if dump >= dumps // 2 else (dump * 5) % 6
    if stage < at:
        return _done(name, ago=dump * 6 * HOUR + (6 - stage) * HOUR)
    if stage > at:
        waiting = nothing_completed(launched=3 * DAY, started=False)
        return a_job(name, reading=replace(waiting, tasks=1000, by_hour=NOTHING))
    if dump % 13 == 7:
        stalled = completed(27, ago=(3 + dump) * HOUR, gap=600)
        return a_job(name, reading=replace(stalled, by_hour=NOTHING))
    if dump % 17 == 3:
        reading = a_reading(executor="local", needs_relaunch=True, by_hour=NOTHING,
                            logs=some_logs(failed=[3, 17], running=[20], others=57))  # fmt: skip
        return a_job(name, reading=reading)
    if dump % 23 == 11:
        return an_unreadable_job(name, error="invalid")
    by_hour = _by_hour(1 + (dump + stage) % 3, hours=40 + dump)
    return a_job(name, reading=a_reading(tasks=1000, tasks_completed=260 + dump, by_hour=by_hour))


def _done(name: str, *, ago: float) -> Job:
    reading = a_reading(tasks=1000, tasks_completed=1000, last_completion_timestamp=NOW - ago)
    hours = _by_hour(40, hours=24, ago=ago) if ago < 13 * DAY else NOTHING
    return a_job(name, reading=replace(reading, by_hour=hours, launch_timestamp=NOW - ago - DAY))


def _by_hour(tasks: int, *, hours: int, ago: float = 0) -> Hourly:
    last = int((NOW - ago) // HOUR)
    return Hourly(array("L", range(last - hours + 1, last + 1)), array("L", [tasks] * hours))


def _experiment(number: int) -> Job:
    if number % 28 == 0:
        launched = (8 + number % 50) * DAY
        reading = replace(nothing_completed(launched=launched, started=False), by_hour=NOTHING)
        return a_job(f"alice/try-{number:04}-lr", reading=reading)
    reading = completed(100, ago=DAY * (1 + number % 60), launched=80 * DAY, gap=600)
    return a_job(f"alice/try-{number:04}-lr", reading=replace(reading, by_hour=NOTHING))
