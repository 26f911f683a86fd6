"""Lists what lies below a prefix, whole or in part, and has the server prove that nothing was
left out of a whole listing.

Some servers say of a page that it is the last when keys follow: where a bucket keeps versions,
deleted keys take places on a page, and what is left looks like less than a page
(rustfs #3217, minio #11724). Such a server is asked once more for just as many keys as its last
page showed. A page of that size is full, or has fewer keys where deleted ones take places: so it
shows fewer, or says now that there are more.
"""

from collections.abc import Sequence
from contextlib import suppress

from exporter.errors import StorageError
from exporter.storage.base import NameRange
from exporter.storage.s3.client import Session, run_concurrently
from exporter.storage.s3.errors import RefusedError
from exporter.storage.s3.listing_page import ListingPage, of_level

_ATTEMPTS = 3  # keys may come and go between two requests
_PAGES_TO_PROVE = 8


async def list_whole(
    session: Session,
    prefix: str,
    delimiter: str = "",
    *,
    page_keys: int,
    listed: list[ListingPage] | None = None,
) -> list[ListingPage]:
    """All pages (`listed`, if they were before), proven where the server gave cause for doubt."""
    if session.capabilities.needs_proof:
        return await list_proven(session, prefix, delimiter, page_keys=page_keys, listed=listed)
    return listed or await session.list_pages(prefix, delimiter)


async def list_between(
    session: Session, *, prefix: str, ranges: Sequence[NameRange]
) -> list[ListingPage]:
    """Pages that show all keys of this prefix in some ranges of names; they may show others."""

    async def list_range(names: NameRange) -> list[ListingPage]:
        # Begins after a name that lies before the first one, and hardly before any other.
        after, last, pages = prefix + names.first[:-1], prefix + names.last, list[ListingPage]()
        while True:
            page = await session.list_page(prefix, after=after, keys=names.count)
            pages.append(page)
            if not page.is_truncated or not page.keys or page.keys[-1] >= last:
                return pages
            after = page.keys[-1]

    listed = await run_concurrently([list_range(names) for names in ranges])
    return [page for pages in listed for page in pages]


async def list_proven(
    session: Session,
    prefix: str,
    delimiter: str = "",
    *,
    page_keys: int,
    listed: list[ListingPage] | None = None,
) -> list[ListingPage]:
    """All pages (`listed`, if they were before), of which the last proved to be the last;
    StorageError("partial") if it did not."""
    if delimiter and session.capabilities.ignores_delimiter:
        pages = await list_proven(session, prefix, page_keys=page_keys)
        return [of_level(page, prefix) for page in pages]
    last_pages: set[frozenset[str]] = set()
    for _ in range(_ATTEMPTS):
        pages, listed = listed or await session.list_pages(prefix, delimiter), None
        if await _is_proven(session, prefix, delimiter, pages, page_keys):
            return pages
        last_pages.add(frozenset(_names(pages[-1])))
    if len(last_pages) == 1:  # it did not merely change in between
        session.capabilities.found("ends_early")
    raise StorageError("partial", "a listing page says that it is the last, and is not")


async def _is_proven(
    session: Session, prefix: str, delimiter: str, pages: list[ListingPage], page_keys: int
) -> bool:
    """The last of these pages shows all that is left, also if it is asked for another way."""
    token = pages[-2].token if len(pages) > 1 else ""
    shown = _names(pages[-1])
    if not shown:  # a page of no keys cannot be asked for
        return not token or await _may_say_more(session, delimiter, pages)
    most = max(len(_names(page)) for page in pages[:-1]) if token else page_keys
    # A full page may say the same again, half of it cannot.
    keys = len(shown) if len(shown) < most else max(1, len(shown) // 2)
    found: set[str] = set()
    says_more = False
    for _ in range(_PAGES_TO_PROVE):
        page = await session.list_page(prefix, delimiter=delimiter, token=token, keys=keys)
        found |= _names(page)
        if not found <= shown or not page.is_truncated:
            break
        says_more |= found == shown
        token = page.token
    if found != shown or page.is_truncated:
        return False
    return not says_more or await _may_say_more(session, delimiter, pages)


async def _may_say_more(session: Session, delimiter: str, pages: list[ListingPage]) -> bool:
    """A full page may say that there are more, and be followed by an empty one, without a false
    word: deleted sub-folders are few, and some servers say so of each full page."""
    capabilities = session.capabilities
    if delimiter:
        return True
    if capabilities.is_ordered is False:
        return False
    keys = [key for page in pages for key in page.keys]
    if capabilities.full_says_more is None and keys and capabilities.takes_any_prefix:
        capabilities.full_says_more = await _says_more(session, keys[-1])
    return bool(capabilities.full_says_more)


async def _says_more(session: Session, key: str) -> bool | None:
    """A page that is full with this key says that there are more, and shows none; None if others
    begin like it, or if a key is no prefix to this server."""
    with suppress(RefusedError):
        page = await session.list_page(key, keys=1)
        if not page.is_truncated:
            return False
        return None if _names(await session.list_page(key, token=page.token)) else True
    return None


def _names(page: ListingPage) -> set[str]:
    return {*page.keys, *page.folders}
