"""Which log files the ranks without a completion marker left: what to look at next.

A rank with a log and no marker runs, or failed, or was killed; which of them, the log
says. Storage is asked once for each such job, on worker threads and until a deadline.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial

from exporter.config.addresses import without_query
from exporter.config.settings import RootConfig
from exporter.datatrove.layout import LOGS, display_name, path_of, rank_of_log
from exporter.errors import StorageError
from exporter.model.report import Row
from exporter.storage import open_storage
from exporter.storage.base import Storage
from exporter.workers import Workers

_LOG = logging.getLogger("exporter.missing")

JobKey = tuple[str, str]  # root and job_name


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of one job's missing ranks: (rank, path or URL), by rank; or why they
    cannot be listed."""

    found: tuple[tuple[int, str], ...] = ()
    error: StorageError | None = None


_NOT_IN_TIME = Logs(error=StorageError("timeout", "not listed in time"))


def logs_of_missing(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers
) -> dict[JobKey, Logs]:
    """The logs of every missing rank of those of the jobs that are incomplete."""
    by_name = {root.name: root for root in roots}
    storages: dict[str, Storage] = {}
    answers: dict[JobKey, Future[Logs]] = {}
    longest = 0.0
    for row in rows:
        if row.reading is None or row.reading.tasks_completed == row.reading.tasks:
            continue
        root, answer = by_name[row.root.name], Future[Logs]()
        answers[row.key] = answer
        if not row.reading.started:  # the scan saw no log
            answer.set_result(Logs())
            continue
        if root.name not in storages:
            options = root.storage_options.reveal()
            storages[root.name] = open_storage(root.url, options, workers.size)
        longest = max(longest, root.scan_timeout_seconds)
        workers.submit(root.name, partial(_list_logs, storages[root.name], root.url, row, answer))
    wait(answers.values(), longest)
    return {
        key: answer.result() if answer.done() else _NOT_IN_TIME for key, answer in answers.items()
    }


def _list_logs(storage: Storage, root_url: str, row: Row, answer: Future[Logs]) -> None:
    """List the logs of one job (on a worker's thread; without an answer its
    reader would wait for the deadline)."""
    try:
        answer.set_result(Logs(_logs_of(row, storage, without_query(root_url))))
    except StorageError as error:
        answer.set_result(Logs(error=error))
    except Exception:
        _LOG.exception("logs could not be listed for a reason that is a bug of the exporter")
        bug = StorageError("other", "a bug of the exporter; the log has it")
        answer.set_result(Logs(error=bug))


def _logs_of(row: Row, storage: Storage, root_url: str) -> tuple[tuple[int, str], ...]:
    assert row.reading is not None
    tasks, completed, path = row.reading.tasks, row.reading.ranks, path_of(row.job_name)
    folder = "/".join((root_url, *path, LOGS))
    listed = storage.list_files(path, LOGS)
    logs = ((rank_of_log(file.name), f"{folder}/{file.name}") for file in listed)
    return tuple(
        (rank, display_name(log))
        for rank, log in sorted((rank, log) for rank, log in logs if rank is not None)
        if rank < tasks and rank not in completed
    )
