"""Which log files the ranks without a completion marker left: what to look at next.

A rank with a log and no marker runs, or failed, or was killed; which of them, the log
says. Storage is asked once for each such job, on worker threads and until a deadline.
"""

import logging
import queue
import time
from collections.abc import Iterable, Iterator, Mapping
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

JobKey = tuple[str, str]
"""Root and job_name."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of one job's missing ranks: (rank, path or URL), by rank; or why they
    cannot be listed."""

    found: tuple[tuple[int, str], ...] = ()
    error: StorageError | None = None


def logs_of_missing(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers
) -> Mapping[JobKey, Logs]:
    """The logs of every missing rank of those of the jobs that are incomplete."""
    by_name = {root.name: root for root in roots}
    storages: dict[str, Storage] = {}
    answers: queue.Queue[tuple[JobKey, Logs]] = queue.Queue()  # not Simple: see event_queue.py
    late = Logs(error=StorageError("timeout", "not listed in time"))
    logs: dict[JobKey, Logs] = {}
    longest = 0.0
    asked = 0
    for row in rows:
        if row.reading is None or row.is_complete:
            continue
        root, key = by_name[row.root.name], row.key
        if not row.reading.started:  # the scan saw no log
            logs[key] = Logs()
            continue
        if root.name not in storages:
            options = root.storage_options.reveal()
            storages[root.name] = open_storage(root.url, options, workers.size)
        logs[key] = late
        asked += 1
        longest = max(longest, root.scan_timeout_seconds)
        workers.submit(root.name, partial(_answer, storages[root.name], root, row, answers))
    deadline = time.monotonic() + longest
    try:
        for _ in range(asked):
            key, found = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            logs[key] = found
    except queue.Empty:
        pass
    return logs


def _answer(
    storage: Storage,
    root: RootConfig,
    row: Row,
    answers: "queue.Queue[tuple[JobKey, Logs]]",
) -> None:
    """List the logs of one job (on a worker's thread, which an exception would end)."""
    try:
        names = storage.list_logs(path_of(row.job_name))
        logs = Logs(tuple(_of_missing(names, row, without_query(root.url))))
    except StorageError as error:
        logs = Logs(error=error)
    except Exception as error:
        _LOG.exception("logs could not be listed for a reason that is a bug of the exporter")
        logs = Logs(error=StorageError("other", f"unexpected {type(error).__name__}"))
    answers.put((row.key, logs))


def _of_missing(names: Iterable[str], row: Row, root_url: str) -> Iterator[tuple[int, str]]:
    reading = row.reading
    assert reading is not None
    folder = "/".join((root_url, *path_of(row.job_name), LOGS))
    ranks = sorted((rank, name) for name in names if (rank := rank_of_log(name)) is not None)
    for rank, name in ranks:
        if rank < reading.tasks and rank not in reading.ranks:
            yield rank, display_name(f"{folder}/{name}")
