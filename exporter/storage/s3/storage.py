"""S3 and everything that speaks its protocol: a folder is what a prefix has in common.

One LIST of everything below a job's prefix shows its markers first, then
``executor.json`` with its entity tag and time, then the beginning of the logs. What a
scan asks for:

* A folder never met before: such a LIST. If one page shows it whole, that is all there is
  to ask. One whose page ends in its logs, after all markers, is asked for its sub-folders
  apart, if they matter: their names may lie anywhere behind the logs, and a job in one of
  them has to be found by the same scan. One LIST alone could tell sub-folders or markers.
* A job met before: nothing to find out that it is one, and what *is missing*: windows
  (`s3plan`) that hold every rank that has no marker yet, listed side by side from
  ``StartAfter`` on, the last up to ``executor.json``. While nothing changes that is one
  LIST of a handful of keys; of a completed job none if its folder has just been listed,
  as it is when the job's turn comes, and shows the same ``executor.json``.
* ``executor.json`` once it was written again (its tag or its time changed); then the
  markers are listed anew from first to last as well, as many pages side by side as there
  were before.
* More than a page of markers never seen before: windows guessed from how dense the ranks
  are, 1, then 2, 4 and 8 at a time. That needs ``world_size``, so ``executor.json`` is
  read there, and handed over when the scan asks for it.

Taken on trust, until ``executor.json`` changes or a call is `thorough`: that markers
which are known are still there, as they were, and that nothing else came between them
which is no rank of the job; and that a job has no new sub-folders. What is found missing
by the way (a window has to end with the marker that it ended with before) leads to a
whole listing at once.

Some servers do not list in the order of keys, or ignore ``StartAfter``: S3's directory
buckets, for one. That would lose markers silently, so each page is checked: its keys
ascend and lie after the one asked for, and at the end there is ``executor.json``. A
server that fails is listed whole and page by page from then on.
"""

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from exporter.datatrove.layout import EXECUTOR_FILE, LOGS
from exporter.log import event
from exporter.storage.base import Folder, Look, Path, Version
from exporter.storage.s3.client import Client, Session
from exporter.storage.s3.listing_page import Page, etag_of, modified_ns
from exporter.storage.s3.job_listing import (
    DisorderError,
    GoneError,
    JobKeys,
    Looking,
    Writing,
    version_of,
)
from exporter.storage.s3.plan import PAGE_KEYS

_LOG = logging.getLogger("exporter.storage.s3")

_PAGES_KEPT = 64
# First pages of jobs that were listed and not yet looked at: 0.1 MB each.
_STRANGERS = 8
# After so many folders with much in them that were no jobs, the next is no likely one.
_CONTRADICTIONS = 3


@dataclass(slots=True)
class _Met:
    """The first page of a job that was listed and not yet looked at."""

    page: Page | None


@dataclass(frozen=True, slots=True)
class _SeenFile:
    """The version of ``executor.json`` that a listing of its folder showed a moment ago."""

    executor: Version


class S3Storage:
    """The root ``s3://bucket/prefix``.

    `options` are s3fs' keyword arguments; `connections` is how many requests may be
    in flight at once. `page_keys` is how many keys to expect on a page at most.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any],
        connections: int,
        page_keys: int = PAGE_KEYS,
    ) -> None:
        self._bucket, _, self._prefix = url.partition("://")[2].partition("/")
        self._client = Client(self._bucket, options, connections)
        self._page_keys = page_keys
        self._met: deque[_Met] = deque()
        self._strangers = 0
        self._contradictions = 0
        self.requests = self._client.requests

    def list_folder(
        self,
        path: Path,
        last: Folder | None = None,
        *,
        with_subfolders: bool,
        thorough: bool = False,
    ) -> Folder:
        if path and last is not None and last.has_executor_file and not thorough:
            return last if last.state is None else replace(last, state=None)
        prefix = self._key(path, "")
        # The root itself is most likely no job, nor is one more folder after many.
        is_likely_job = (path or not with_subfolders) and self._strangers < _STRANGERS
        if last is None and is_likely_job:
            return self._client.run(partial(self._meet, prefix, with_subfolders=with_subfolders))
        return self._client.run(partial(self._list_level, prefix, with_subfolders=with_subfolders))

    async def _meet(self, prefix: str, session: Session, *, with_subfolders: bool) -> Folder:
        """List a folder that was never seen before."""
        page = await session.page(prefix, keys=self._page_keys)
        has_executor_file = prefix + EXECUTOR_FILE in page.keys
        if page.is_truncated and (with_subfolders or not has_executor_file):
            folder = await self._list_level(prefix, session, with_subfolders=with_subfolders)
            self._strangers += -1 if folder.has_executor_file else 1
        else:
            names = (key[len(prefix) :].partition("/") for key in page.keys)
            found = dict.fromkeys(name for name, slash, _ in names if slash)
            folder = Folder(tuple(found) if with_subfolders else (), has_executor_file)
        if not folder.has_executor_file:
            return folder
        met = _Met(page)
        self._met.append(met)
        if len(self._met) > _PAGES_KEPT:  # of jobs that nobody wants to look at
            self._met.popleft().page = None
        return replace(folder, state=met)

    async def _list_level(self, prefix: str, session: Session, *, with_subfolders: bool) -> Folder:
        """List a folder, and not what lies deeper."""
        executor_file = prefix + EXECUTOR_FILE
        if with_subfolders:
            pages = await session.pages(prefix, delimiter="/")
        else:
            pages = [await session.page(executor_file, keys=1)]
        folders = dict.fromkeys(name for page in pages for name in page.folders)
        subfolders = tuple(folder[len(prefix) : -1] for folder in folders)
        for page in pages:
            for key, time_ns in page.objects():
                if key == executor_file:
                    seen = _SeenFile(version_of(page.etags.get(key), time_ns))
                    return Folder(subfolders, has_executor_file=True, state=seen)
        return Folder(subfolders, has_executor_file=False)

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        page = None
        is_trusted = not (thorough or self.is_distrusting)
        if last is not None and is_trusted and isinstance(folder.state, _SeenFile):
            is_launched_again = not folder.state.executor.is_same(last.executor)
            if _is_complete(last) and not is_launched_again:
                return last
        if isinstance(folder.state, _Met):
            # Listed a moment ago. Whoever looks again, wants to know what changed since.
            page, folder.state.page = folder.state.page, None
        job = JobKeys(self._key(path, ""))
        page = page if last is None else None
        return self._client.run(partial(self._look, job, page, last, thorough=thorough))

    async def _look(
        self,
        job: JobKeys,
        page: Page | None,
        last: Look | None,
        session: Session,
        *,
        thorough: bool,
    ) -> Look:
        look = Looking(job, session, self._page_keys)
        if self.is_distrusting:
            return await look.page_by_page()
        try:
            if last is None:
                return await look.afresh(page)
            if thorough or last.world_size is None:
                return await look.everything(last)
            return await look.changes(last)
        except DisorderError:
            self._contradicted(_CONTRADICTIONS)
            return await look.page_by_page()
        except GoneError as gone:
            found = await look.page_by_page()
            if gone.rank is None or gone.rank in found.markers.ranks:
                self._contradicted(1)
            return found

    @property
    def is_distrusting(self) -> bool:
        """Whether the server was found not to list as S3 does."""
        return self._contradictions >= _CONTRADICTIONS

    def _contradicted(self, weight: int) -> None:
        """The server contradicts itself. A key that was written again at the same moment
        would look the same, so some contradictions have to come together."""
        before = self._contradictions
        self._contradictions += weight
        if before < _CONTRADICTIONS <= self._contradictions:
            event(
                _LOG,
                logging.WARNING,
                "the S3 server does not list keys in order from where it is asked to, "
                "so all markers are listed at each scan",
                bucket=self._bucket,
            )

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        writing = seen.token if isinstance(seen.token, Writing) else None
        if writing and writing.content and len(writing.content[0]) <= limit_bytes:
            return seen, writing.content.pop()
        key = self._key(path, EXECUTOR_FILE)
        answer, content = self._client.run(lambda session: session.get(key, limit_bytes))
        version = version_of(etag_of(answer), modified_ns(answer))
        return (seen if writing and writing.is_answered_by(version) else version), content

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        raise NotImplementedError("a look at S3 has the times")

    def list_logs(self, path: Path) -> list[str]:
        prefix = self._key(path, f"{LOGS}/")
        pages = self._client.run(lambda session: session.pages(prefix))
        names = (key[len(prefix) :] for page in pages for key in page.keys)
        return [name for name in names if name and "/" not in name]

    def close(self) -> None:
        self._client.close()

    def _key(self, path: Path, name: str) -> str:
        parts = [self._prefix, *path] if self._prefix else list(path)
        return "/".join([*parts, name])


def _is_complete(look: Look) -> bool:
    world_size = look.world_size
    return world_size is not None and 0 < world_size == look.markers.ranks.count_below(world_size)
