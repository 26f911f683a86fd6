"""Lists folders of S3: the sub-folders, and whether there is a job, often with its first page."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_plus

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.errors import StorageError
from exporter.storage.base import Folder
from exporter.storage.s3.client import Session
from exporter.storage.s3.listed_job import executor_on
from exporter.storage.s3.listing_page import ListingPage
from exporter.storage.s3.whole_listing import list_proven

_PAGES_KEPT = 64  # first pages of jobs that were listed and not yet looked at: 0.1 MB each
_WASTED_PAGES_LIMIT = 8
# After so many pages of large folders that were no jobs, the next one is unlikely to be a job.


@dataclass(slots=True)
class FirstPage:
    """State of a folder whose listing showed the first page of its job: kept for the first
    look, which takes it out."""

    page: ListingPage | None

    def take(self) -> ListingPage | None:
        """The page, once."""
        page, self.page = self.page, None
        return page


class Folders:
    """The folders of one root, for the thread of its client. The server puts `page_keys` on a page
    at most."""

    def __init__(self, page_keys: int) -> None:
        self._page_keys = page_keys
        self._first_pages: deque[FirstPage] = deque()
        self._wasted_pages = 0

    async def list(
        self,
        prefix: str,
        last: Folder | None,
        session: Session,
        *,
        is_root: bool,
        with_subfolders: bool,
    ) -> Folder:
        """The folder with this prefix; see `Storage.list_folder`."""
        # The root itself is unlikely to be a job.
        may_be_job = not (is_root and with_subfolders)
        if last is None and may_be_job and self._wasted_pages < _WASTED_PAGES_LIMIT:
            folder = await self._list_unseen(prefix, session, with_subfolders=with_subfolders)
            if not (folder.has_executor_file or folder.subfolders):
                await _check_spelling(prefix, session)
            return folder
        if not with_subfolders:
            return await _find_executor(prefix, session)
        return await self._list_level(prefix, last, session)

    async def _list_unseen(self, prefix: str, session: Session, *, with_subfolders: bool) -> Folder:
        """List a folder that was never seen, with a page of what lies deeper."""
        page = await session.list_page(prefix, keys=self._page_keys)
        has_executor_file = prefix + EXECUTOR_FILE in page.keys
        # Only a page with an executor.json proves something: that it reached that far.
        is_enough = not (page.is_truncated or session.capabilities.needs_proof)
        if not has_executor_file or (with_subfolders and not is_enough):
            if with_subfolders:
                folder = await self._list_level(prefix, None, session)
            else:
                folder = await _find_executor(prefix, session)
            if page.is_truncated:
                self._wasted_pages += -1 if folder.has_executor_file else 1
        else:
            names = (key[len(prefix) :].partition("/") for key in page.keys)
            found = dict.fromkeys(name for name, slash, _ in names if slash)
            folder = Folder(tuple(found) if with_subfolders else (), has_executor_file)
        if not folder.has_executor_file:
            return folder
        first = FirstPage(page)
        self._first_pages.append(first)
        if len(self._first_pages) > _PAGES_KEPT:  # evict that of a job nobody looked at
            self._first_pages.popleft().page = None
        return replace(folder, state=first)

    async def _list_level(self, prefix: str, last: Folder | None, session: Session) -> Folder:
        """List a folder without what lies deeper; the state as of `_find_executor`. That something
        of `last` is gone has to be proven, and so has that a folder never seen is no job: the
        listing has to prove to be whole."""
        capabilities, pages = session.capabilities, await session.list_pages(prefix, "/")
        folder = _folder_of(pages, prefix)
        is_unseen = last is None and not folder.has_executor_file
        if not (is_unseen or capabilities.needs_proof or _has_lost(folder, last)):
            return folder
        pages = await list_proven(session, prefix, "/", page_keys=self._page_keys, listed=pages)
        folder = _folder_of(pages, prefix)
        was_job = last.has_executor_file if last is not None else not folder.subfolders
        may_be_job = was_job and not folder.has_executor_file
        if may_be_job and capabilities.takes_any_prefix and await session.find_executor(prefix):
            capabilities.found("ends_early")
            raise StorageError("partial", "a listing of the folder left out its executor.json")
        return folder


async def _find_executor(prefix: str, session: Session) -> Folder:
    """Look for an ``executor.json`` in a folder. Its version is the state of the folder."""
    executor = await session.find_executor(prefix)
    return Folder((), has_executor_file=executor is not None, state=executor)


async def _check_spelling(prefix: str, session: Session) -> None:
    """A folder that was listed shows nothing: StorageError("partial") if it does so because the
    server encodes what it lists without saying so (`EncodingType`)."""
    meant = unquote_plus(prefix)
    if meant != prefix and (await session.list_page(meant, keys=1)).keys:
        raise StorageError("partial", "the server encodes names and does not say so")


def _folder_of(pages: Sequence[ListingPage], prefix: str) -> Folder:
    """The folder whose level these pages list."""
    subfolders = dict.fromkeys(name for page in pages for name in page.folders)
    executor = executor_on(pages, prefix + EXECUTOR_FILE)
    return Folder(tuple(subfolders), has_executor_file=executor is not None, state=executor)


def _has_lost(folder: Folder, last: Folder | None) -> bool:
    """Something is missing that the folder had when it was listed `last`."""
    if last is None:
        return False
    has_lost_executor = last.has_executor_file and not folder.has_executor_file
    return has_lost_executor or not set(last.subfolders) <= set(folder.subfolders)
