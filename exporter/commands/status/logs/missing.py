"""Which log files the ranks without a completion marker left: what to look at next.

A rank with a log and no marker runs, or failed, or was killed; which of them, the log
says, as far as the scan looked into it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from exporter.commands.status.logs.per_job import Found, ask_each
from exporter.config.addresses import without_query
from exporter.config.settings import RootConfig
from exporter.datatrove.layout import LOGS, display_name, path_of, rank_of_log
from exporter.datatrove.task_state import TaskState
from exporter.model.open_tasks import MOST_RUNS, ranks_in_states
from exporter.model.report import Row
from exporter.model.upstream import JobKey
from exporter.storage.base import Storage
from exporter.workers import Workers


@dataclass(frozen=True, slots=True)
class MissingLog:
    """The log of a missing rank: its path or URL; the rank's state where the scan can tell."""

    rank: int
    path: str
    state: TaskState | None


Runs = tuple[tuple[int, int], ...]
Logs = Found[MissingLog]
"""The logs of one job's missing ranks, by rank; or why they cannot be listed."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The missing ranks of a job, as runs (first, last), the first of them where they `are_cut`;
    and their logs, None where nobody can list them. `in_state` are the first `MOST_RUNS` runs of
    the ranks in each state, as far as logs tell."""

    runs: Runs = ()
    logs: Logs | None = None
    are_cut: bool = False
    in_state: Mapping[TaskState, Runs] = field(default_factory=dict)


def missing_of(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers
) -> dict[JobKey, Missing]:
    """The missing ranks of those of the jobs that are incomplete, with their logs."""
    by_key = {row.key: row for row in rows}
    logs = _logs_of_missing(roots, by_key.values(), workers)
    return {key: _missing_of(by_key[key], found) for key, found in logs.items()}


def _missing_of(row: Row, logs: Logs) -> Missing:
    in_state = {} if row.reading is None else ranks_in_states(row.reading)
    first = {state: tuple(islice(runs, MOST_RUNS)) for state, runs in in_state.items()}
    return Missing(tuple(row.missing), logs, in_state=first)


def _logs_of_missing(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers
) -> dict[JobKey, Logs]:
    """The logs of every missing rank of those of the jobs that are incomplete."""
    incomplete = [
        (row, row.reading.started)
        for row in rows
        if row.reading is not None and row.reading.tasks_completed < row.reading.tasks
    ]
    have_none = {row.key: Logs() for row, started in incomplete if not started}
    asked = [row for row, started in incomplete if started]
    return have_none | ask_each(roots, asked, workers, _logs_of)


def _logs_of(storage: Storage, root_url: str, row: Row) -> tuple[MissingLog, ...]:
    assert row.reading is not None
    tasks, completed, path = row.reading.tasks, row.reading.ranks, path_of(row.job_name)
    folder = folder_of_logs(root_url, path)
    states = {} if row.logs is None else row.logs.tasks.states
    logs = ((rank_of_log(file.name), file.name) for file in storage.list_files(path, LOGS))
    return tuple(
        MissingLog(rank, display_name(f"{folder}/{name}"), states.get(rank))
        for rank, name in sorted((rank, name) for rank, name in logs if rank is not None)
        if rank < tasks and rank not in completed
    )


def folder_of_logs(root_url: str, path: tuple[str, ...]) -> str:
    """Where the logs of a job lie, without the URL's query."""
    return "/".join((without_query(root_url), *path, LOGS))
