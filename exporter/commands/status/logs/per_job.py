"""Asks storage about some of the jobs that a scan found: each once, on worker threads, until a
deadline.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.model.report import Row
from exporter.model.upstream import JobKey
from exporter.storage import open_storage
from exporter.storage.base import Storage
from exporter.workers import Workers

_LOG = logging.getLogger("exporter.missing")

T = TypeVar("T")


@dataclass(frozen=True)  # with slots, ``Found[T]()`` fails in Python 3.11
class Found(Generic[T]):
    """What was found of one job, or why nothing could be."""

    found: tuple[T, ...] = ()
    error: StorageError | None = None


Ask = Callable[[Storage, str, Row], tuple[T, ...]]
"""Asks a storage about the job of a row; the text is the root's URL."""


def ask_each(
    roots: Iterable[RootConfig], rows: Iterable[Row], workers: Workers, ask: Ask[T]
) -> dict[JobKey, Found[T]]:
    """What `ask` finds of each of the jobs."""
    by_name = {root.name: root for root in roots}
    storages: dict[str, Storage] = {}
    answers: dict[JobKey, Future[Found[T]]] = {}
    longest = 0.0
    for row in rows:
        root, answer = by_name[row.root.name], Future[Found[T]]()
        answers[row.key] = answer
        if root.name not in storages:
            options = root.storage_options.reveal()
            storages[root.name] = open_storage(root.url, options, workers.size)
        longest = max(longest, root.scan_timeout_seconds)
        asked = partial(_answer, ask, storages[root.name], root.url, row, answer)
        workers.submit(root.name, asked)
    wait(answers.values(), longest)
    late = Found[T](error=StorageError("timeout", "not read in time"))
    return {key: answer.result() if answer.done() else late for key, answer in answers.items()}


def _answer(ask: Ask[T], storage: Storage, url: str, row: Row, answer: "Future[Found[T]]") -> None:
    """Ask about one job (on a worker's thread; without an answer its reader would wait for the
    deadline)."""
    try:
        answer.set_result(Found(ask(storage, url, row)))
    except StorageError as error:
        answer.set_result(Found(error=error))
    except Exception:
        _LOG.exception("logs could not be read for a reason that is a bug of the exporter")
        bug = StorageError("other", "a bug of the exporter; the log has it")
        answer.set_result(Found(error=bug))
