"""Visits folders on a worker's thread, and reports what each visit found.

A *visitor* takes visits from the queue of one scan, one after the other, and ends after a
short while, so that the roots take turns. It changes nothing but that queue, and decides
nothing.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from exporter.errors import REASONS, StorageError
from exporter.scanning.discovery import (
    FolderToVisit,
    folders_below,
    is_unsearched,
    is_wanted,
    job_name,
    wants_subfolders,
)
from exporter.scanning.job_memory import JobScan, Memory
from exporter.scanning.job_scan import scan_job
from exporter.scanning.root.storage import RootStorage
from exporter.storage.base import Folder, Path, Storage, or_none

_LOG = logging.getLogger("exporter.runner")
_SLICE_SECONDS = 0.05


class Question(Protocol):
    """What is asked of one job, apart from a scan of its folder: those of one `key` once in each
    scan, at a `cost` that is limited for all of them."""

    @property
    def key(self) -> Hashable: ...

    @property
    def cost(self) -> int: ...

    def ask(self, storage: Storage, path: Path) -> object:
        """The answer, on a worker's thread."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A folder to visit, what is known of it, and if that may not be taken on trust. `search`:
    it is time to see whether it holds more, should it lie at `max_depth`. A *check* only asks
    whether the root is still there. With a `question` nothing but that is asked of a known job."""

    target: FolderToVisit
    folder: Folder | None = None
    memory: Memory | None = None
    list_thoroughly: bool = True
    look_thoroughly: bool = True
    search: bool = True
    is_check: bool = False
    question: Question | None = None


CHECK = Visit(FolderToVisit(()), is_check=True)


@dataclass(frozen=True, slots=True)
class VisitReport:
    """One step of a visit: the listing of a folder with the folders to visit `below` it; then
    the scan of the job in it, or an error, and that this visit is over. `holds_more` says of a
    folder at `max_depth` whether there are folders in it, None if nobody looked; `answer` is
    that to a question. Without a `visit`: the visitor itself has ended."""

    visitor: "Visitor"
    visit: Visit | None
    folder: Folder | None = None
    below: Sequence[FolderToVisit] = ()
    holds_more: bool | None = None
    error: StorageError | None = None
    job: JobScan | None = None
    answer: object = None
    is_over: bool = False
    waited: float = 0.0
    """Seconds that the visit spent waiting and not working so far."""
    worked: float = 0.0

    @property
    def is_urgent(self) -> bool:
        """Others wait for this, or had better stop. All else can wait for the visitor's end."""
        return self.visit is None or self.error is not None or not self.is_over


class VisitQueue:
    """The visits that one scan still has to make. `take`, `is_closed` and the length are for
    any thread, all else for the scheduler's."""

    def __init__(self) -> None:
        self.is_closed = False
        """The scan is over: no more visits are to be made."""
        self._visits: deque[Visit] = deque()

    def __len__(self) -> int:
        return len(self._visits)

    def take(self) -> Visit | None:
        """Remove and return the next visit, if there is one."""
        try:
            return self._visits.popleft()
        except IndexError:
            return None

    def add(self, visit: Visit) -> None:
        """Add a visit at the end, or a check before all others."""
        add = self._visits.appendleft if visit.is_check else self._visits.append
        add(visit)

    def drop(self) -> int:
        """Remove the visits that nobody took; returns how many."""
        count = 0
        while self.take() is not None:
            count += 1
        return count

    def close(self) -> None:
        """End the scan for its visitors."""
        self.is_closed = True


class Visitor:
    """See the module's docstring. `visit` is the visit under way, for any thread to read."""

    def __init__(
        self, queue: VisitQueue, storage: RootStorage, report: Callable[[VisitReport], None]
    ) -> None:
        self.visit: Visit | None = None
        self._queue = queue
        self._storage = storage
        self._report = report

    def run(self) -> None:
        """Make visits for a while; the call that a worker runs."""
        enough = time.monotonic() + _SLICE_SECONDS
        try:
            while not self._queue.is_closed and time.monotonic() < enough:
                self.visit = self._queue.take()
                # Asked again now that the scan sees this visit: who closed it before may not have.
                if self.visit is None or self._queue.is_closed:
                    break
                self._make(self.visit)
                self.visit = None
        finally:
            self._report(VisitReport(self, None))

    def _make(self, visit: Visit) -> None:
        """Do what the visit is for, and report that with the time it took, or why it failed."""
        started, began = time.monotonic(), time.thread_time()

        def report(*, is_over: bool = True, **found: Any) -> None:
            worked = time.thread_time() - began
            waited = time.monotonic() - started - worked
            self._report(
                VisitReport(self, visit, is_over=is_over, waited=waited, worked=worked, **found)
            )

        try:
            storage = self._storage.get()
            # The time to open it says nothing of a visit.
            started, began = time.monotonic(), time.thread_time()
            if visit.is_check:
                report(folder=storage.list_folder((), with_subfolders=False, thorough=True))
                return
            if visit.question is not None:
                report(answer=visit.question.ask(storage, visit.target.path))
                return
            self._find(storage, visit, report)
        except StorageError as error:
            report(error=error)
        except BaseException:  # also what libraries use to end threads or tasks
            _LOG.exception("a scan failed for a reason that is a bug of the exporter")
            report(error=StorageError("other", "a bug of the exporter; the log has it"))

    def _find(self, storage: Storage, visit: Visit, report: Callable[..., None]) -> None:
        """List one folder and scan it if it is a wanted job."""
        target, config = visit.target, self._storage.config
        folder, holds_more = self._list(storage, visit)
        listed = partial(report, folder=folder, holds_more=holds_more)
        below = folders_below(target, folder, config)
        if not (folder.has_executor_file and is_wanted(job_name(target.path), config)):
            listed(below=below)
            return
        if below:  # others can begin with them
            listed(below=below, is_over=False)
        probes, thorough = self._storage.probes.all, visit.look_thoroughly
        job = scan_job(storage, target.path, folder, visit.memory, probes, thorough=thorough)
        listed(job=job)

    def _list(self, storage: Storage, visit: Visit) -> tuple[Folder, bool | None]:
        """The folder; and for one at `max_depth`, below which nothing is visited, whether it holds
        more. None where it is not due to ask that, or would cost too much."""
        target, config, is_cheap = visit.target, self._storage.config, not storage.is_object_store
        is_deepest = len(target.path) >= config.max_depth
        was_no_job = visit.folder is not None and not visit.folder.has_executor_file
        if is_deepest:
            asks = is_cheap and (visit.list_thoroughly or was_no_job)
        else:  # a listing on disks also tells of a folder that it is there
            asks = wants_subfolders(target.path, config) or (is_cheap and target.path != ())
        folder = storage.list_folder(
            target.path, visit.folder, with_subfolders=asks, thorough=visit.list_thoroughly
        )
        if not is_deepest:
            return folder, None
        if asks:
            return folder, is_unsearched(target, folder, config)
        is_job = folder.has_executor_file
        if is_cheap or not visit.search or not self._storage.may_search(is_job=is_job):
            return folder, None
        names = or_none(lambda: storage.some_subfolders(target.path), *REASONS)
        if names is None:  # of the folder itself this says nothing
            return folder, None
        return folder, is_unsearched(target, Folder(names, is_job), config)
