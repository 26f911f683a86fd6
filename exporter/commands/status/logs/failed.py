"""Which tasks failed, where and why, read now from the ends of their logs.

It runs with the rights of whoever asks, so it says the class and place of an exception whatever
``show_errors`` is. Lines of a log are shown only where asked for, escaped, and without those in
which loguru prints the values of variables.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from exporter.commands.status.logs.missing import folder_of_logs
from exporter.commands.status.logs.per_job import Found, ask_each
from exporter.config.settings import RootConfig
from exporter.datatrove.failure import Cause, end_of
from exporter.datatrove.layout import LOGS, display_name, path_of, rank_of_log
from exporter.datatrove.log_text import plain_lines
from exporter.datatrove.task_state import Failure, TaskState, is_of_launch
from exporter.errors import StorageError
from exporter.log import without_secrets
from exporter.model.advice import advice, unknowable
from exporter.model.formatting import readable
from exporter.model.report import Row
from exporter.model.upstream import JobKey
from exporter.storage.base import PART_BYTES, File, Path, Storage
from exporter.workers import Workers

_MOST_READ = 2000
_JUST_NOW_SECONDS = 120.0
_OF_VARIABLES = frozenset("│└├")
_LINE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A task that failed: the path or URL of its log, empty if it has none, None where that is not
    known; why; when the log was written last (Unix time); and the last lines asked for."""

    rank: int
    path: str | None
    cause: Cause
    timestamp: float | None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The failed tasks of one job, or why they cannot be told; beside those `found`, `others` that
    nobody can name. What is known of its tasks that are not done, and what to do about it."""

    found: tuple[FailedTask, ...] = ()
    error: StorageError | None = None
    others: int = 0
    in_state: Mapping[TaskState, int] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


def failed_of(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers, tail: int
) -> dict[JobKey, Failed]:
    """The failed tasks of those of the jobs that are not complete, each with so many lines."""
    by_key = {row.key: row for row in rows}
    found = _failed_tasks(roots, by_key.values(), workers, tail)
    return {key: _with_what_is_known(by_key[key], tasks) for key, tasks in found.items()}


def _with_what_is_known(row: Row, tasks: Found[FailedTask]) -> Failed:
    in_state = {} if row.logs is None else row.logs.tasks.in_states()
    said: tuple[str | None, ...] = (to_do := advice(row.job),)
    if tasks.found or tasks.error or to_do:
        said = (to_do, unknowable(row.job, row.root.url))
    return Failed(tasks.found, tasks.error, 0, in_state, tuple(filter(None, said)))


def _failed_tasks(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers, tail: int
) -> dict[JobKey, Found[FailedTask]]:
    incomplete = [
        row
        for row in rows
        if row.reading is not None and row.reading.started and not row.is_complete
    ]
    return ask_each(roots, incomplete, workers, partial(_failed_of, tail))


def _failed_of(tail: int, storage: Storage, root_url: str, row: Row) -> tuple[FailedTask, ...]:
    told = {} if row.logs is None else row.logs.tasks.failures
    path = path_of(row.job_name)
    folder = folder_of_logs(root_url, path)
    tasks = {rank: _without_log(rank, failure) for rank, failure in told.items()}
    for rank, file in _logs_to_read(storage, path, row, told).items():
        shown = display_name(f"{folder}/{file.name}")
        try:
            data = storage.read_part(path, f"{LOGS}/{file.name}", of_end=True)
        except StorageError:  # gone or unreadable: what the scan found stands
            if rank in tasks:
                tasks[rank] = replace(tasks[rank], path=shown)
            continue
        end = end_of(data)
        if rank in tasks or end.ended == "failed":
            cause = end.cause or (told[rank].cause if rank in told else Cause("other"))
            at = _seconds(file.modified_ns)
            tasks[rank] = FailedTask(rank, shown, cause, at, _tail(data, tail))
    return tuple(tasks[rank] for rank in sorted(tasks))


def _without_log(rank: int, failure: Failure) -> FailedTask:
    return FailedTask(rank, "", failure.cause, _seconds(failure.time_ns))


def _logs_to_read(
    storage: Storage, path: Path, row: Row, told: Mapping[int, Failure]
) -> dict[int, File]:
    """The logs of ranks that the scan found failed, and those that it leaves alone because they
    were written just now; where it did not get to all logs, also the newest of the others."""
    reading = row.reading
    assert reading is not None
    is_whole = row.logs is not None and not row.logs.deferred

    def is_wanted(rank: int | None) -> bool:
        if rank is None or rank >= reading.tasks:
            return False
        return rank in told or rank not in reading.ranks

    def choose(names: Sequence[str]) -> Iterator[str]:
        return (name for name in names if is_wanted(rank_of_log(name)))

    files = {rank_of_log(file.name): file for file in storage.list_files(path, LOGS, choose)}
    known = {rank: file for rank, file in files.items() if rank is not None and is_wanted(rank)}
    began, since = reading.launch_timestamp or 0.0, 0.0
    if is_whole:
        since = time.time() - _JUST_NOW_SECONDS

    def is_to_read(rank: int, file: File) -> bool:
        written = _seconds(file.modified_ns)
        if rank in told or written is None:
            return True
        return written >= since and is_of_launch(written, began, is_slice=reading.is_slice)

    newest = sorted(known.items(), key=lambda log: log[1].modified_ns or 0, reverse=True)
    return dict(sorted([log for log in newest if is_to_read(*log)][:_MOST_READ]))


def _tail(data: bytes, number: int) -> tuple[str, ...]:
    """So many last lines, without those that hold values of variables. Of a log that is longer
    than what was read, the first line is left out: it may be the rest of one of those."""
    lines = plain_lines(data)[len(data) >= PART_BYTES :]
    if lines and not lines[-1]:
        lines.pop()
    kept = [line for line in lines if _OF_VARIABLES.isdisjoint(line)]
    return tuple(map(_escaped, kept[len(kept) - number :] if number < len(kept) else kept))


def _escaped(line: str) -> str:
    cut = line[:_LINE_CHARACTERS]
    shown = readable(display_name(without_secrets(cut, is_cut=len(line) > len(cut))))
    return shown + "…" * (len(line) > len(cut))


def _seconds(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / 1e9
