"""Lists one job folder on S3, whole or only where markers are missing, for a Look at it.

`storage` tells which requests are sent, and what is taken on trust.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.datatrove import executor_file
from exporter.datatrove.layout import COMPLETIONS, LOGS, rank_of
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import Look, Version
from exporter.storage.s3 import listing_plan as plan
from exporter.storage.s3.client import Session, run_concurrently
from exporter.storage.s3.listed_job import ExecutorToken, JobKeys, ListedJob, executor_on
from exporter.storage.s3.listing_page import ListingPage
from exporter.storage.s3.listing_plan import Window
from exporter.storage.s3.whole_listing import list_whole

_FEW_KEYS = 4
# A look asks for so many more keys than it knows, or for more if many markers came lately.
_KEYS_BEFORE_LOGS = 6
# executor.json, executor.pik, a launch script, two logs: enough to tell that a job started.
_OTHERS_KEPT = 1000
_GUESSES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _LookState:
    """Kept with a Look: the entries of ``completions/`` that are no markers (None: too many
    to keep), and how many new markers to expect at the next look."""

    others: frozenset[str] | None
    expected_new: int


class UnorderedListingError(Exception):
    """The server does not list in the order of keys, or not from where it is asked to."""


class EmptyPageError(Exception):
    """A page shows no key to go on after, and is not the last."""


class MissingKeyError(Exception):
    """A key that has to be there was not listed: it was deleted, or the server is wrong.
    `rank` is that of the marker; None for ``executor.json``."""

    def __init__(self, rank: int | None) -> None:
        super().__init__(rank)
        self.rank = rank


class JobListing:
    """Listings for one look at a job. Its methods run on fsspec's event loop."""

    def __init__(self, job: JobKeys, session: Session, page_keys: int) -> None:
        self._job = job
        self._session = session
        self._page_keys = page_keys

    async def list_first(self, page: ListingPage | None) -> Look:
        """List a job that was never seen. `page` is its first page, if that was listed."""
        capabilities, prefix = self._session.capabilities, self._job.prefix
        if page is None:
            page = await self._session.list_page(prefix, keys=self._page_keys)
        pages = [page]
        if not page.is_truncated and capabilities.needs_proof:
            pages = await self._list_all_keys(prefix, listed=pages)
        elif page.is_truncated and not capabilities.can_start:
            return await self.list_whole()
        found = ListedJob(self._job)
        for page in pages:
            found.add_page(page)
        if not found.has_all_markers:
            await self._list_unseen(found)
        if found.is_whole and found.executor is None:
            raise MissingKeyError(None)
        return await self._to_look(found)

    async def _list_unseen(self, found: ListedJob) -> None:
        """List the markers that the first page of a job did not show."""
        job = self._job
        after = found.reached[len(job.completions) :]
        if found.reached < job.completions or rank_of(after) is None:
            start = max(found.reached, job.completions)
            rest = Window("", "", 0, 0, self._page_keys)
            found.add(await self._list_window(rest, start))
            return
        limit_bytes = executor_file.EXECUTOR_FILE_LIMIT_BYTES
        read, content = await self._session.get(job.executor, limit_bytes)
        try:
            world_size = (await asyncio.to_thread(executor_file.parse_executor, content)).world_size
        except executor_file.ExecutorFileError:
            world_size = plan.FIVE_DIGITS
        count = 1
        while not found.has_all_markers:
            density = len(found.times) / (plan.ranks_before(int(after), world_size) + 1)
            windows = plan.guessed_windows(after, world_size, density, count, self._page_keys)
            for listed in await self._list_windows(windows):
                found.add(listed)
            after = windows[-1].upto
            count = min(2 * count, _GUESSES_AT_ONCE)
        found.executor = found.executor or await self._executor()
        token = found.executor.token
        if isinstance(token, ExecutorToken) and token.is_answered_by(read):
            token.content.append(content)

    async def list_all(self, last: Look) -> Look:
        """List all markers of a job that was seen before, in windows of a page of `last` each."""
        ordered = plan.in_name_order(last.markers.ranks)
        found = ListedJob(self._job)
        for listed in await self._list_windows(plan.all_windows(ordered, self._page_keys)):
            found.add(listed)
        return await self._to_look(found)

    async def list_missing(self, last: Look) -> Look:
        """List the markers that were missing in `last`; return `last` if they still are."""
        state, world_size = last.state, last.world_size
        if not isinstance(state, _LookState) or state.others is None or world_size is None:
            return await self.list_all(last)
        ranks = last.markers.ranks
        has_times = last.markers.modified_ns is not None or not ranks
        is_complete = ranks.count_below(world_size) == world_size
        if not (is_complete or has_times):
            return await self.list_all(last)
        ordered = plan.in_name_order(ranks)
        expected_new = 0 if is_complete else state.expected_new
        if not ranks and not last.has_logs:
            expected_new = max(expected_new, _KEYS_BEFORE_LOGS)
        windows = plan.missing_windows(ranks, ordered, world_size, expected_new, self._page_keys)
        listed = await self._list_windows(windows)
        executor = listed[-1].executor or await self._executor()
        if not executor.is_same(last.executor):
            return await self.list_all(last)

        found = ListedJob(self._job, last.markers.by_rank(), set(state.others))
        for window, shown in zip(windows, listed, strict=True):
            for rank in ordered[window.first : window.end]:
                found.times.pop(rank, None)
            found.others = {name for name in found.others if not window.holds(name)}
            found.add(shown)
        if not has_times:
            is_same = not listed[-1].times and found.others == state.others
            return last if is_same else await self.list_all(last)
        has_logs = last.has_logs or (not found.times and await self._has_logs(found))
        return _changed(last, state, found, has_logs=has_logs)

    async def list_whole(self) -> Look:
        """List all markers one page after the other, without a start, and without anything
        taken on trust that a listing from a start would prove."""
        found = None
        while found is None:  # until the order, or that there is none, is known
            is_ordered = self._session.capabilities.is_ordered
            found = await (self._list_in_order() if is_ordered else self._list_in_no_order())
        return await self._to_look(found)

    async def _list_in_order(self) -> ListedJob | None:
        """List from the first key on until one that comes after all markers, which proves that
        none was left out; None if the keys turn out to be in no order."""
        found, token, tokens = ListedJob(self._job), "", {""}
        while not found.has_all_markers:
            page = await self._session.list_page(self._job.prefix, token=token)
            is_after = not page.keys or page.keys[0] > found.reached
            if not (self._session.capabilities.is_ordered and is_after):
                self._session.capabilities.found("unordered")
                return None
            found.add_page(page)
            token = page.token
            if page.is_truncated and token in tokens:
                raise StorageError("partial", "a listing page does not say where the next begins")
            tokens.add(token)
        if found.executor is None:
            found.executor = await self._executor()
            if found.reached < self._job.beyond:
                self._session.capabilities.found("ends_early")
                raise StorageError("partial", "a listing page says that it is the last, and is not")
        return found

    async def _list_in_no_order(self) -> ListedJob | None:
        """List the job folder itself, then all of ``completions/``; None if the keys turn out to be
        in order, which proves more."""
        job = self._job
        level = await self._list_all_keys(job.prefix, "/")
        found = ListedJob(job)
        found.executor = executor_on(level, job.executor)
        if found.executor is None:
            raise StorageError("not_found", "no executor.json")
        if any(COMPLETIONS in page.folders for page in level):
            pages = await self._session.list_pages(job.completions)
            if self._session.capabilities.is_ordered:
                return None
            pages = await self._list_all_keys(job.completions, listed=pages)
            if not any(page.keys for page in pages):
                raise StorageError("partial", "completions/ was listed, and shows no keys")
            for page in pages:
                found.add_page(page)
        found.is_whole = not any(LOGS in page.folders for page in level)
        return found

    async def _list_all_keys(
        self, prefix: str, delimiter: str = "", listed: list[ListingPage] | None = None
    ) -> list[ListingPage]:
        return await list_whole(
            self._session, prefix, delimiter, page_keys=self._page_keys, listed=listed
        )

    async def _to_look(self, found: ListedJob) -> Look:
        executor = found.executor or await self._executor()
        has_logs = not found.times and await self._has_logs(found)
        markers = Markers.of_times(found.times, len(found.others))
        return Look(executor, markers, has_logs, state=_state(found.others, _FEW_KEYS))

    async def _executor(self) -> Version:
        """The version of ``executor.json``; StorageError("not_found") if there is none."""
        if (version := await self._session.find_executor(self._job.prefix)) is None:
            raise StorageError("not_found", "no executor.json")
        return version

    async def _has_logs(self, found: ListedJob) -> bool:
        is_over = found.is_whole and not self._session.capabilities.ends_early
        if found.has_logs or is_over or found.reached >= self._job.beyond_logs:
            return found.has_logs
        if self._session.capabilities.needs_proof:
            pages = await self._list_all_keys(self._job.logs)
        else:
            pages = [await self._session.list_page(self._job.logs, keys=2)]
        return any(key != self._job.logs for page in pages for key in page.keys)

    async def _list_windows(self, windows: Sequence[Window]) -> list[ListedJob]:
        return await run_concurrently([self._list_window(window) for window in windows])

    async def _list_window(self, window: Window, start: str = "") -> ListedJob:
        """List all that the window holds, and what its pages show after it. A window that has no
        beginning begins after the key `start`, if given."""
        job, found = self._job, ListedJob(self._job)
        after = job.completions + window.after if window.after else start
        if not (after or window.is_last):  # else keys before completions/ are most likely few
            after = job.completions
        keys = window.keys
        while True:
            page = await self._session.list_page(job.prefix, after=after, keys=keys)
            is_after = not page.keys or page.keys[0] > after
            if not (self._session.capabilities.is_ordered and is_after):
                raise UnorderedListingError
            # Names after a guessed end are taken too: they may be the last ones.
            found.add_page(page, window if window.is_known else None)
            if self._is_done(window, found):
                return found
            if not page.keys:
                raise EmptyPageError
            # The last key is a start that exists. A token may not lead on from one that does
            # not: it skips a key in minio #21463.
            after, keys = max(found.reached, job.completions), self._page_keys

    def _is_done(self, window: Window, found: ListedJob) -> bool:
        """The pages reached the end of the window. MissingKeyError if a key that has to be
        there was not on them."""
        job = self._job
        upto = job.beyond if window.is_last else job.completions + window.upto
        if found.reached < upto and not found.is_whole:
            return False
        if window.is_known and not window.is_last and int(window.upto) not in found.times:
            raise MissingKeyError(int(window.upto))
        if found.is_whole and found.executor is None:
            raise MissingKeyError(None)
        return True


def _changed(last: Look, state: _LookState, found: ListedJob, *, has_logs: bool) -> Look:
    """`last` with what was found now; `last` itself if that is the same."""
    new = len(found.times) - len(last.markers.ranks)
    new_state = _state(found.others, max(_FEW_KEYS, 2 * new, state.expected_new // 2))
    is_same = found.times == last.markers.by_rank() and frozenset(found.others) == state.others
    if is_same and has_logs == last.has_logs:
        return last if new_state == state else replace(last, state=new_state)
    markers = Markers.of_times(found.times, len(found.others))
    return replace(last, markers=markers, has_logs=has_logs, state=new_state)


def _state(others: Iterable[str], expected_new: int) -> _LookState:
    kept = frozenset(others)
    return _LookState(kept if len(kept) <= _OTHERS_KEPT else None, expected_new)
