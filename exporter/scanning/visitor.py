"""Carries out visits to folders, on a worker's thread, and reports what each one found.

A *visitor* takes the visits of one scan from their queue, one after the other, and ends
after a short while, so that the roots take turns. It changes nothing but that queue, and
decides nothing: it does not know what is found by others, what came before, or when the
scan has to end; only that it is over.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.errors import StorageError
from exporter.scanning.discovery import FolderToVisit, Selection, folders_below, is_loop, job_name
from exporter.scanning.job_scan import JobScan, scan_job
from exporter.scanning.root_state import VisitPlan
from exporter.scanning.root_storage import RootStorage
from exporter.storage.base import Folder
from exporter.workers import Call

_LOG = logging.getLogger("exporter.runner")
_SLICE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit and what it starts from; `is_check` if it only asks whether the root is
    still there."""

    target: FolderToVisit
    plan: VisitPlan
    is_check: bool = False


CHECK = Visit(FolderToVisit(()), VisitPlan(None, None, True, True), is_check=True)  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class VisitReport:
    """What a visitor reports: the listing of a folder and what is to be visited `below` it,
    then the scan of the job in it or an error, and that this visit is over; at last, that
    the visitor itself has ended."""

    visitor: "Visitor"
    visit: Visit | None
    folder: Folder | None = None
    below: Sequence[FolderToVisit] = ()
    error: StorageError | None = None
    job: JobScan | None = None
    is_over: bool = False
    waited: float = 0.0
    """Seconds that the visit spent waiting and not working so far."""
    worked: float = 0.0

    @property
    def is_urgent(self) -> bool:
        """Whether others wait for this, or had better stop; the rest can wait for the end of
        the visitor, which is soon."""
        return self.visit is None or self.error is not None or not self.is_over


class VisitQueue:
    """What is left to visit in one scan; shared by its visitors and who gives them work."""

    def __init__(self) -> None:
        self.waiting: deque[Visit] = deque()
        self.is_over = False


class Visitor:
    """See the module's docstring. `call` is the worker's call that runs it, `visit` the
    visit under way."""

    def __init__(
        self,
        queue: VisitQueue,
        storage: RootStorage,
        selection: Selection,
        report: Callable[[VisitReport], None],
    ) -> None:
        self.call: Call | None = None
        self.visit: Visit | None = None
        self._queue = queue
        self._storage = storage
        self._selection = selection
        self._report = report

    def run(self) -> None:
        """Carry out visits for a while."""
        queue = self._queue
        enough = time.monotonic() + _SLICE_SECONDS
        try:
            while not queue.is_over and time.monotonic() < enough:
                try:
                    self.visit = queue.waiting.popleft()
                except IndexError:
                    break
                if queue.is_over:  # given up meanwhile, and this visit perhaps not seen
                    break
                self._visit(self.visit)
                self.visit = None
        finally:
            self._report(VisitReport(self, None))

    def _visit(self, visit: Visit) -> None:
        """List one folder and scan it if it is a wanted job."""
        target, plan = visit.target, visit.plan
        started, began = time.monotonic(), time.thread_time()

        def report(*, is_over: bool = True, **found: Any) -> None:
            worked = time.thread_time() - began
            waited = time.monotonic() - started - worked
            self._report(
                VisitReport(self, visit, is_over=is_over, waited=waited, worked=worked, **found)
            )

        try:
            storage = self._storage.get()
            # To open it is not what a visit is like.
            started, began = time.monotonic(), time.thread_time()
            if visit.is_check:
                report(folder=storage.list_folder((), with_subfolders=False, thorough=True))
                return
            folder = storage.list_folder(
                target.path,
                plan.folder,
                with_subfolders=len(target.path) < self._selection.max_depth,
                thorough=plan.list_thoroughly,
            )
            below = folders_below(target, folder, self._selection)
            is_job = folder.has_executor_file and not is_loop(target, folder)
            if not is_job or not self._selection.wants(job_name(target.path)):
                report(folder=folder, below=below)
                return
            if below:  # others can begin with them
                report(folder=folder, below=below, is_over=False)
            job = scan_job(storage, target.path, folder, plan.memory, thorough=plan.look_thoroughly)
            report(folder=folder, job=job)
        except StorageError as error:
            report(error=error)
        except BaseException as error:  # also what libraries use to end threads or tasks
            _LOG.exception("a scan failed for a reason that is a bug of the exporter")
            bug = StorageError("other", f"unexpected {type(error).__name__}")
            report(error=bug)
