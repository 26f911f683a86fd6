"""S3, and every server that speaks its protocol, as a storage: a folder is a common prefix.

One LIST of everything below a job's prefix shows its markers first, then
``executor.json`` with its entity tag and time, then the beginning of the logs. A scan sends:

* For a folder that was never seen, such a LIST. If its page ends before the folder does, one
  more LIST (with a delimiter) asks for the sub-folders, where they matter: their names may
  lie anywhere after the logs, and the same scan has to find the jobs in them. No single LIST
  tells both sub-folders and markers.
* For a job that was seen before, only LISTs of what *is missing*: windows (`listing_plan`)
  that hold every rank without a marker, listed concurrently, each from its ``StartAfter``
  on, the last up to ``executor.json``. While nothing changes, that is one LIST of a handful
  of keys. For a completed job it is none, if its folder was listed for the same look (as
  it is when the job's turn comes) and shows the same ``executor.json``.
* For an ``executor.json`` that was written again (another tag or time), a GET; and all
  markers are listed again, in as many concurrent pages as there were before.
* For a new job with more than a page of markers, windows guessed from how dense the ranks
  are: 1, then 2, 4 and 8 at a time. That needs ``world_size``, so ``executor.json`` is read
  there, and kept until the scan asks for it.

Between thorough calls, and while ``executor.json`` stays the same, these are taken on
trust: known markers are still there, and were not written again; nothing came between them
that is no rank of the job; and a job has no new sub-folders. Each window has to end with
the marker that it ended with before; if it does not, the whole job is listed at once.

Some servers do not list in the order of keys, or ignore ``StartAfter``: S3's directory
buckets, for one. That would lose markers silently, so each page is checked: its keys
ascend and lie after the one asked for, and at the end there is ``executor.json``. Once a
server fails, its jobs are listed whole, page by page.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.log import event
from exporter.storage.base import Choose, File, Folder, Look, Path, Version
from exporter.storage.s3.client import Client, Session
from exporter.storage.s3.job_listing import JobListing, MissingKeyError, UnorderedListingError
from exporter.storage.s3.listed_job import ExecutorToken, JobKeys, executor_in
from exporter.storage.s3.listing_page import ListingPage
from exporter.storage.s3.listing_plan import PAGE_KEYS

_LOG = logging.getLogger("exporter.storage.s3")

_PAGES_KEPT = 64  # first pages of jobs that were listed and not yet looked at: 0.1 MB each
_WASTED_PAGES_LIMIT = 8
# After so many pages of large folders that were no jobs, the next one is unlikely to be a job.
_CONTRADICTIONS_LIMIT = 3


@dataclass(slots=True)
class _FirstPage:
    """State of a folder whose listing showed the first page of its job: kept for the first
    look, which takes it out."""

    page: ListingPage | None


class S3Storage:
    """The root ``s3://bucket/prefix``. `options` and `connections` are those of `Client`;
    `page_keys` is how many keys the server puts on a page at most."""

    is_object_store = True

    def __init__(
        self, url: str, options: Mapping[str, Any], connections: int, page_keys: int = PAGE_KEYS
    ) -> None:
        self._bucket, _, self._prefix = url.partition("://")[2].partition("/")
        self._client = Client(self._bucket, options, connections)
        self._page_keys = page_keys
        self._first_pages: deque[_FirstPage] = deque()
        self._wasted_pages = 0
        self._contradictions = 0
        self.requests = self._client.requests
        self.notes: tuple[str, ...] = ()

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
        # The root itself is unlikely to be a job.
        may_be_job = path or not with_subfolders
        if last is None and may_be_job and self._wasted_pages < _WASTED_PAGES_LIMIT:
            list_folder = self._list_unseen
        else:
            list_folder = self._list_level
        return self._client.run(partial(list_folder, prefix, with_subfolders=with_subfolders))

    def some_subfolders(self, path: Path) -> tuple[str, ...]:
        prefix = self._key(path, "")
        page = self._client.run(lambda session: session.list_page(prefix, delimiter="/"))
        return tuple(folder[len(prefix) : -1] for folder in page.folders)

    async def _list_unseen(self, prefix: str, session: Session, *, with_subfolders: bool) -> Folder:
        """List a folder that was never seen, with a page of what lies deeper."""
        page = await session.list_page(prefix, keys=self._page_keys)
        has_executor_file = prefix + EXECUTOR_FILE in page.keys
        if page.is_truncated and (with_subfolders or not has_executor_file):
            folder = await self._list_level(prefix, session, with_subfolders=with_subfolders)
            self._wasted_pages += -1 if folder.has_executor_file else 1
        else:
            names = (key[len(prefix) :].partition("/") for key in page.keys)
            found = dict.fromkeys(name for name, slash, _ in names if slash)
            folder = Folder(tuple(found) if with_subfolders else (), has_executor_file)
        if not folder.has_executor_file:
            return folder
        first = _FirstPage(page)
        self._first_pages.append(first)
        if len(self._first_pages) > _PAGES_KEPT:  # evict that of a job nobody looked at
            self._first_pages.popleft().page = None
        return replace(folder, state=first)

    async def _list_level(self, prefix: str, session: Session, *, with_subfolders: bool) -> Folder:
        """List a folder without what lies deeper. Its state is the version of the
        ``executor.json`` in it."""
        executor_file = prefix + EXECUTOR_FILE
        if with_subfolders:
            pages = await session.list_pages(prefix, delimiter="/")
        else:
            pages = [await session.list_page(executor_file, keys=1)]
        folders = dict.fromkeys(name for page in pages for name in page.folders)
        subfolders = tuple(folder[len(prefix) : -1] for folder in folders)
        for page in pages:
            if (executor := executor_in(page, executor_file)) is not None:
                return Folder(subfolders, has_executor_file=True, state=executor)
        return Folder(subfolders, has_executor_file=False)

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        if last is not None and isinstance(folder.state, Version):
            is_same_launch = folder.state.is_same(last.executor)
            if is_same_launch and _is_complete(last) and not (thorough or self.is_distrusting):
                return last
        page = None
        if isinstance(folder.state, _FirstPage):
            # Listed a moment ago, for a first look. A later one asks what changed since.
            page, folder.state.page = folder.state.page, None
        job = JobKeys(self._key(path, ""))

        def list_job(session: Session) -> Awaitable[Look]:
            listing = JobListing(job, session, self._page_keys)
            return self._list_job(listing, page, last, thorough=thorough)

        return self._client.run(list_job)

    async def _list_job(
        self, listing: JobListing, page: ListingPage | None, last: Look | None, *, thorough: bool
    ) -> Look:
        if self.is_distrusting:
            return await listing.list_page_by_page()
        try:
            if last is None:
                return await listing.list_first(page)
            if thorough or last.world_size is None:
                return await listing.list_all(last)
            return await listing.list_missing(last)
        except UnorderedListingError:
            self._add_contradictions(_CONTRADICTIONS_LIMIT)
            return await listing.list_page_by_page()
        except MissingKeyError as missing:
            look = await listing.list_page_by_page()
            if missing.rank is None or missing.rank in look.markers.ranks:
                self._add_contradictions(1)
            return look

    @property
    def is_distrusting(self) -> bool:
        """The server was found not to list as S3 does."""
        return self._contradictions >= _CONTRADICTIONS_LIMIT

    def _add_contradictions(self, count: int) -> None:
        """Count listings that contradict each other. A key that is written again just then
        looks the same, so it takes a few of them to distrust the server."""
        before = self._contradictions
        self._contradictions += count
        if before < _CONTRADICTIONS_LIMIT <= self._contradictions:
            event(
                _LOG,
                logging.WARNING,
                "the S3 server does not list keys in order from where it is asked to, "
                "so all markers are listed at each scan",
                bucket=self._bucket,
            )

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        token = seen.token if isinstance(seen.token, ExecutorToken) else None
        if token and token.content and len(token.content[0]) <= limit_bytes:
            return seen, token.content.pop()
        key = self._key(path, EXECUTOR_FILE)
        version, content = self._client.run(lambda session: session.get(key, limit_bytes))
        return (seen if token and token.is_answered_by(version) else version), content

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        raise NotImplementedError("a look at S3 has the times")

    def list_files(self, path: Path, inner: str, wanted: Choose | None = None) -> list[File]:
        prefix = self._key(path, f"{inner}/")
        pages = self._client.run(lambda session: session.list_pages(prefix))
        files = {
            name: File(name, time_ns)
            for page in pages
            for key, time_ns in zip(page.keys, page.modified_ns, strict=True)
            if (name := key[len(prefix) :]) and "/" not in name
        }
        chosen = files if wanted is None else wanted(list(files))
        return [files[name] for name in chosen]

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        key = self._key(path, file)
        return self._client.run(lambda session: session.get_part(key, of_end=of_end))

    def close(self) -> None:
        self._client.close()

    def _key(self, path: Path, name: str) -> str:
        parts = [self._prefix, *path] if self._prefix else list(path)
        return "/".join([*parts, name])


def _is_complete(look: Look) -> bool:
    world_size = look.world_size
    return world_size is not None and 0 < world_size == look.markers.ranks.count_below(world_size)
