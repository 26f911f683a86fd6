"""S3, and every server that speaks its protocol, as a storage: a folder is a common prefix.

One LIST of everything below a job's prefix shows its markers first, then
``executor.json`` with its entity tag and time, then the beginning of the logs. A scan sends:

* For a folder that was never seen, such a LIST. If its page ends before the folder does, or
  shows no job, one more LIST (with a delimiter) asks for the sub-folders, where they matter: their
  names may lie anywhere after the logs, and the same scan has to find the jobs in them. No single
  LIST tells both sub-folders and markers. A folder that is no job proves once that none is left
  out, by one more LIST.
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

Not all servers list as S3 does, so each answer is checked: its keys ascend and lie after the one
asked for, and ``executor.json``, or a key after it, shows that all markers came before. What a
server cannot do (`capabilities`) is asked in another way, which proves as much (`whole_listing`);
what is not proven is "partial". Taken on trust is the word of a page that it is the last in two
places, until the server was caught: for sub-folders of a job, and for new sub-folders of a folder
that was listed before. And a root of which only deleted keys are left on a first page, where a
server lets these take places, cannot be told from an empty one.
"""

import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.storage.base import Choose, File, Folder, Look, NameRange, Path, Version
from exporter.storage.s3.client import Client, Session
from exporter.storage.s3.errors import RefusedError
from exporter.storage.s3.folders import FirstPage, Folders
from exporter.storage.s3.job_listing import (
    EmptyPageError,
    JobListing,
    MissingKeyError,
    UnorderedListingError,
)
from exporter.storage.s3.listed_job import ExecutorToken, JobKeys
from exporter.storage.s3.listing_page import ListingPage
from exporter.storage.s3.listing_plan import PAGE_KEYS
from exporter.storage.s3.whole_listing import list_between, list_whole

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
_ACCESS_POINT = r"arn:[^/]+?:(?:outpost[:/][^:/]+[:/])?accesspoint[:/][^:/]+"


class S3Storage:
    """The root ``s3://bucket/prefix``. `options` and `connections` are those of `Client`;
    `page_keys` is how many keys the server puts on a page at most."""

    is_object_store = True
    is_local = False
    lag_seconds = 0.0

    def __init__(
        self, url: str, options: Mapping[str, Any], connections: int, page_keys: int = PAGE_KEYS
    ) -> None:
        bucket, self._prefix = bucket_and_prefix(url)
        self._client = Client(bucket, options, connections)
        self._page_keys = page_keys
        self._folders = Folders(page_keys)
        self._capabilities = self._client.capabilities
        self.requests = self._client.requests

    @property
    def notes(self) -> tuple[str, ...]:
        return self._capabilities.notes

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
        prefix, is_root = self._key(path, ""), not path
        return self._client.run(
            partial(
                self._folders.list, prefix, last, is_root=is_root, with_subfolders=with_subfolders
            )
        )

    def some_subfolders(self, path: Path) -> tuple[str, ...]:
        prefix = self._key(path, "")
        page = self._client.run(lambda session: session.list_page(prefix, delimiter="/"))
        return tuple(page.folders)

    def look(
        self, path: Path, folder: Folder, last: Look | None = None, *, thorough: bool = False
    ) -> Look:
        if last is not None and isinstance(folder.state, Version):
            is_same_launch = folder.state.is_same(last.executor)
            is_settled = is_same_launch and _is_complete(last) and not thorough
            if is_settled and self._capabilities.can_start:
                return last
        # Listed a moment ago, for a first look. A later one asks what changed since.
        page = folder.state.take() if isinstance(folder.state, FirstPage) else None
        job = JobKeys(self._key(path, ""))

        def list_job(session: Session) -> Awaitable[Look]:
            listing = JobListing(job, session, self._page_keys)
            return self._list_job(listing, page, last, thorough=thorough)

        look = self._client.run(list_job)
        return last if last is not None and look == last else look

    async def _list_job(
        self, listing: JobListing, page: ListingPage | None, last: Look | None, *, thorough: bool
    ) -> Look:
        capabilities = self._capabilities
        is_certain, missing = False, None
        try:
            if last is None or capabilities.is_ordered is None:
                return await listing.list_first(page)
            if capabilities.can_start and not (thorough or last.world_size is None):
                return await listing.list_missing(last)
            if capabilities.can_start:
                return await listing.list_all(last)
        except EmptyPageError:
            return await listing.list_whole()
        except UnorderedListingError:
            is_certain = True
        except RefusedError as refused:
            is_certain = refused.is_certain
        except MissingKeyError as error:
            missing = error.rank
        else:
            return await listing.list_whole()
        # A server that is down refuses this as well, and then nothing is learned.
        look = await listing.list_whole()
        if missing is None or missing in look.markers.ranks:
            capabilities.contradicted(is_certain=is_certain)
        return look

    def read_executor(self, path: Path, seen: Version, limit_bytes: int) -> tuple[Version, bytes]:
        token = seen.token if isinstance(seen.token, ExecutorToken) else None
        if token and token.content and len(token.content[0]) <= limit_bytes:
            return seen, token.content.pop()
        key = self._key(path, EXECUTOR_FILE)
        version, content = self._client.run(lambda session: session.get(key, limit_bytes))
        return (seen if token and token.is_answered_by(version) else version), content

    def marker_times(self, path: Path, ranks: Iterable[int]) -> list[int | None]:
        raise NotImplementedError("a look at S3 has the times")

    def list_files(
        self,
        path: Path,
        inner: str,
        wanted: Choose | None = None,
        *,
        between: Sequence[NameRange] = (),
        at_most: int | None = None,
    ) -> list[File]:
        prefix, capabilities = self._key(path, f"{inner}/"), self._capabilities
        list_pages = partial(list_whole, prefix=prefix, page_keys=self._page_keys)
        if between and capabilities.can_start and not capabilities.needs_proof:
            list_pages = partial(list_between, prefix=prefix, ranges=between)
        pages = self._client.run(list_pages)
        files = {
            name: File(name, time_ns)
            for page in pages
            for key, time_ns in zip(page.keys, page.modified_ns, strict=True)
            if (name := key[len(prefix) :]) and "/" not in name
        }
        chosen = islice(files, at_most) if wanted is None else wanted(list(files)[:at_most])
        return [files[name] for name in chosen]

    def inner_state(self, path: Path, inner: str, last: object = None) -> object:
        raise NotImplementedError("only a listing tells")

    def stat_files(self, path: Path, inner: str, names: Sequence[str]) -> list[File | None]:
        raise NotImplementedError("a listing tells all of it")

    def read_part(self, path: Path, file: str, *, of_end: bool = False) -> bytes:
        key = self._key(path, file)
        return self._client.run(lambda session: session.get_part(key, of_end=of_end))

    def read_file(self, path: Path, file: str, limit_bytes: int) -> tuple[int | None, bytes]:
        key = self._key(path, file)
        version, content = self._client.run(lambda session: session.get(key, limit_bytes))
        return version.modified_ns, content

    def close(self) -> None:
        self._client.close()

    def _key(self, path: Path, name: str) -> str:
        parts = [self._prefix, *path] if self._prefix else list(path)
        return "/".join([*parts, name])


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """The bucket of a root's URL, which may be the ARN of an access point, and the rest."""
    rest = url.partition("://")[2]
    if (point := re.match(_ACCESS_POINT, rest)) is not None:
        return point[0], rest[point.end() :].lstrip("/")
    bucket, _, prefix = rest.partition("/")
    return bucket, prefix


def _is_complete(look: Look) -> bool:
    world_size = look.world_size
    return world_size is not None and 0 < world_size == look.markers.ranks.count_below(world_size)
