"""One look at a job on S3: which pages to ask for, and what they show.

What is asked for, and what is taken on trust, is told in `s3`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from exporter.datatrove.executor_file import (
    EXECUTOR_FILE_LIMIT_BYTES,
    ExecutorFileError,
    parse_executor,
)
from exporter.datatrove.layout import COMPLETIONS, EXECUTOR_FILE, LOGS, rank_of
from exporter.datatrove.ranks import Markers
from exporter.errors import StorageError
from exporter.storage.base import Look, Version
from exporter.storage.s3 import plan
from exporter.storage.s3.client import Session, side_by_side
from exporter.storage.s3.listing_page import Page, etag_of, modified_ns
from exporter.storage.s3.plan import Window

_FEW_KEYS = 4
# A scan asks for this many more than it knows, or as many as came of late.
_KEYS_BEFORE_LOGS = 6
# executor.json, executor.pik, a launch script, two logs: tells whether a job has started.
_OTHERS_KEPT = 1000
_GUESSES_AT_ONCE = 8
_AFTER_SLASH = "0"  # the character after "/": ends all that begins with a folder's name


@dataclass(frozen=True, slots=True)
class Writing:
    """The token of a Version of executor.json. `content` is handed over once."""

    etag: str
    modified_ns: int
    content: list[bytes] = field(default_factory=list, compare=False, repr=False)

    def is_answered_by(self, version: Version) -> bool:
        """Whether a GET found this writing. It tells the time in whole seconds."""
        other = version.token
        return (
            isinstance(other, Writing)
            and other.etag == self.etag
            and other.modified_ns // 10**9 == self.modified_ns // 10**9
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept beside a Look: the entries that are no markers (None: too many), and
    how many new markers to reckon with."""

    others: frozenset[str] | None
    allowance: int


class DisorderError(Exception):
    """The server does not list as S3 does."""


class GoneError(Exception):
    """A key that has to be there was not listed: deleted, or the server errs."""

    def __init__(self, rank: int | None) -> None:
        super().__init__(rank)
        self.rank = rank


class JobKeys:
    """The keys of one job folder, whose prefix ends with a slash."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.completions = f"{prefix}{COMPLETIONS}/"
        self.beyond = f"{prefix}{COMPLETIONS}{_AFTER_SLASH}"
        self.executor = prefix + EXECUTOR_FILE
        self.logs = f"{prefix}{LOGS}/"


class _Seen:
    """What pages have shown of a job."""

    def __init__(self, job: JobKeys) -> None:
        self.job = job
        self.times: dict[int, int] = {}
        self.others: set[str] = set()
        self.executor: Version | None = None
        self.has_logs = False
        self.reached = ""
        self.is_whole = False
        """Whether nothing comes after `reached`, the last key."""

    @property
    def is_past(self) -> bool:
        """Whether no more markers can come."""
        return self.is_whole or self.reached >= self.job.beyond

    @property
    def is_past_logs(self) -> bool:
        return self.is_whole or self.reached >= self.job.logs[:-1] + _AFTER_SLASH

    def take(self, page: Page, window: Window | None = None) -> None:
        """Take in what a page shows of the window."""
        job = self.job
        start = len(job.completions)
        for key, time_ns in page.objects():
            if key.startswith(job.completions):
                name = key[start:]
                if window is None or window.holds(name):
                    self._take_entry(name, time_ns)
            elif key == job.executor:
                self.executor = version_of(page.etags.get(key), time_ns)
            elif key != job.logs and key.startswith(job.logs):
                self.has_logs = True
        self.reached = page.keys[-1] if page.keys else self.reached
        self.is_whole = not page.is_truncated

    def _take_entry(self, name: str, time_ns: int | None) -> None:
        # What is left of the directory-marker key of completions/ itself is "", and the
        # keys of sub-folders keep their slash: neither can be a marker.
        rank = rank_of(name)
        if rank is None:
            self.others.add(name)
        elif time_ns is None:
            raise StorageError("partial", "a listing page does not tell times")
        else:
            self.times[rank] = time_ns

    def add(self, other: "_Seen") -> None:
        self.times.update(other.times)
        self.others |= other.others
        self.executor = other.executor or self.executor
        self.has_logs |= other.has_logs
        self.reached, self.is_whole = other.reached, other.is_whole


class Looking:
    """One look at a job, on fsspec's event loop."""

    def __init__(self, job: JobKeys, session: Session, page_keys: int) -> None:
        self._job = job
        self._session = session
        self._page_keys = page_keys

    async def afresh(self, page: Page | None) -> Look:
        """Look at a job of which nothing is known but, perhaps, its first page."""
        job = self._job
        if page is None:
            page = await self._session.page(job.prefix, keys=self._page_keys)
        if page.is_truncated and not page.is_ordered:
            return await self.page_by_page()
        seen = _Seen(job)
        seen.take(page)
        if not seen.is_past:
            await self._guess(seen)
        return await self._to_look(seen)

    async def _guess(self, seen: _Seen) -> None:
        """List the rest of the markers, after a first page that did not show them all."""
        job = self._job
        after = seen.reached[len(job.completions) :]
        if seen.reached < job.completions or rank_of(after) is None:
            is_before = seen.reached < job.completions
            rest = Window("" if is_before else after, "", 0, 0, self._page_keys)
            seen.add(await self._list_window(rest, skips=is_before))
            return
        answer, content = await self._session.get(job.executor, EXECUTOR_FILE_LIMIT_BYTES)
        try:
            world_size = (await asyncio.to_thread(parse_executor, content)).world_size
        except ExecutorFileError:
            world_size = plan.FIVE_DIGITS
        count = 1
        while not seen.is_past:
            density = len(seen.times) / (plan.ranks_before(int(after), world_size) + 1)
            windows = plan.guessed_windows(after, world_size, density, count, self._page_keys)
            for found in await self._list_windows(windows):
                seen.add(found)
            after = windows[-1].upto
            count = min(2 * count, _GUESSES_AT_ONCE)
        seen.executor = seen.executor or await self._executor()
        token = seen.executor.token
        read = version_of(etag_of(answer), modified_ns(answer))
        if isinstance(token, Writing) and token.is_answered_by(read):
            token.content.append(content)

    async def everything(self, last: Look) -> Look:
        """List all markers of a job that was seen before, which says where to cut."""
        windows = plan.all_windows(plan.in_name_order(last.markers.ranks), self._page_keys)
        seen = _Seen(self._job)
        for found in await self._list_windows(windows):
            seen.add(found)
        return await self._to_look(seen)

    async def changes(self, last: Look) -> Look:
        """List what was missing when the job was last seen; `last` if it still is."""
        known, world_size = last.state, last.world_size
        if not isinstance(known, _Known) or known.others is None or world_size is None:
            return await self.everything(last)
        ranks = last.markers.ranks
        has_times = last.markers.modified_ns is not None or not ranks
        is_complete = ranks.count_below(world_size) == world_size
        if not (is_complete or has_times):
            return await self.everything(last)
        ordered = plan.in_name_order(ranks)
        allowance = 0 if is_complete else known.allowance
        if not ranks and not last.has_logs:
            allowance = max(allowance, _KEYS_BEFORE_LOGS)
        windows = plan.missing_windows(ranks, ordered, world_size, allowance, self._page_keys)
        found = await self._list_windows(windows)
        executor = found[-1].executor or await self._executor()
        if not executor.is_same(last.executor):
            return await self.everything(last)

        seen = _Seen(self._job)
        seen.times = last.markers.by_rank()
        seen.others = set(known.others)
        for window, shown in zip(windows, found, strict=True):
            for rank in ordered[window.first : window.end]:
                seen.times.pop(rank, None)
            seen.others = {name for name in seen.others if not window.holds(name)}
            seen.add(shown)
        if not has_times and (found[-1].times or seen.others != known.others):
            return await self.everything(last)
        if not has_times:
            return last
        has_logs = last.has_logs or (not seen.times and await self._has_logs(seen))
        return _changed(last, known, seen, has_logs=has_logs)

    async def page_by_page(self) -> Look:
        """List all markers in whatever order the server has them."""
        seen = _Seen(self._job)
        for page in await self._session.pages(self._job.completions):
            seen.take(page)
        seen.executor = await self._executor()
        seen.is_whole = False
        return await self._to_look(seen)

    async def _to_look(self, seen: _Seen) -> Look:
        executor = seen.executor or await self._executor()
        has_logs = not seen.times and await self._has_logs(seen)
        markers = Markers.of_times(seen.times, len(seen.others))
        return Look(executor, markers, has_logs, state=_known(seen.others, _FEW_KEYS))

    async def _executor(self) -> Version:
        """The version of executor.json; StorageError("not_found") if there is none."""
        page = await self._session.page(self._job.executor, keys=1)
        for key, time_ns in page.objects():
            if key == self._job.executor:
                return version_of(page.etags.get(key), time_ns)
        raise StorageError("not_found", "no executor.json")

    async def _has_logs(self, seen: _Seen) -> bool:
        if seen.has_logs or seen.is_past_logs:
            return seen.has_logs
        page = await self._session.page(self._job.logs, keys=2)
        return any(key != self._job.logs for key in page.keys)

    async def _list_windows(self, windows: Sequence[Window]) -> list[_Seen]:
        return await side_by_side([self._list_window(window) for window in windows])

    async def _list_window(self, window: Window, *, skips: bool = False) -> _Seen:
        """All that the window holds, and what the pages show beyond it. With `skips` a
        window from the beginning leaves out what comes before completions/."""
        job, seen = self._job, _Seen(self._job)
        after = job.completions + window.after if window.after else ""
        # Pages that go on beyond completions/ prove that it has ended, so they are asked
        # for where keys before it are out of the way, or are most likely few.
        is_bare = skips or not (after or window.is_last)
        prefix = job.completions if is_bare else job.prefix
        token, keys = "", window.keys
        while True:
            page = await self._session.page(prefix, after=after, keys=keys, token=token)
            if not page.is_ordered or (page.keys and page.keys[0] <= (seen.reached or after)):
                raise DisorderError
            if page.is_truncated and page.token == token:
                raise StorageError("partial", "a listing page does not say where the next begins")
            # What lies beyond a guessed end may be all there is, and the end of it.
            seen.take(page, window if window.is_known else None)
            if self._is_done(window, seen, prefix):
                return seen
            after, token, keys = "", page.token, self._page_keys
            if seen.reached < job.completions and prefix == job.prefix:
                prefix, token = job.completions, ""

    def _is_done(self, window: Window, seen: _Seen, prefix: str) -> bool:
        """Whether the pages show the window to its end, and all that has to be there."""
        job = self._job
        upto = job.beyond if window.is_last else job.completions + window.upto
        if seen.reached < upto and not seen.is_whole:
            return False
        if window.is_known and not window.is_last and int(window.upto) not in seen.times:
            raise GoneError(int(window.upto))
        if seen.is_whole and prefix == job.prefix and seen.executor is None:
            raise GoneError(None)
        return True


def _changed(last: Look, known: _Known, seen: _Seen, *, has_logs: bool) -> Look:
    """`last` with what was seen, or itself if that is the same."""
    new = len(seen.times) - len(last.markers.ranks)
    state = _known(seen.others, max(_FEW_KEYS, 2 * new, known.allowance // 2))
    is_same = seen.times == last.markers.by_rank() and frozenset(seen.others) == known.others
    if is_same and has_logs == last.has_logs:
        return last if state == known else replace(last, state=state)
    markers = Markers.of_times(seen.times, len(seen.others))
    return replace(last, markers=markers, has_logs=has_logs, state=state)


def _known(others: Iterable[str], allowance: int) -> _Known:
    kept = frozenset(others)
    return _Known(kept if len(kept) <= _OTHERS_KEPT else None, allowance)


def version_of(etag: str | None, time_ns: int | None) -> Version:
    """The version of an ``executor.json`` with this entity tag and time."""
    if etag is None or time_ns is None:
        return Version(None, time_ns)
    return Version(Writing(etag, time_ns), time_ns)
