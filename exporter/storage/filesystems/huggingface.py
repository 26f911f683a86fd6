"""Hugging Face's Hub: repositories and buckets, by the requests that huggingface_hub sends.

Its fsspec filesystem is only asked where the Hub is and whose token to use. Its ``ls`` caches
every listing, for good, whatever ``use_listings_cache`` says; its ``open`` asks for each file's
details first; and neither has a time limit. Here only the folder itself is listed, 1,000 entries
to a request, and content is one request. A bucket matches prefixes letter by letter, so names
that only begin like the folder's (``job10`` for ``job1``) are left out.

Repositories tell no times. They tell a hash of each file's content, and one of a folder's whole
content (git's tree), so a job in which nothing changed costs one request. (The last commit could
tell that for all jobs of a repository. It is not asked for: each answer is true when it is given,
and a commit would have to be kept for all calls of a scan.) A bucket's times are those of the
upload.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfUriError
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._hf_uris import parse_hf_uri
from huggingface_hub.utils._http import get_session

from exporter.errors import StorageError
from exporter.storage.base import PART_BYTES, part_range
from exporter.storage.errors import ErrorTypes, error_of_status, error_of_type
from exporter.storage.filesystems.adapter import Adapter, Count, Entries

_TIMEOUT = httpx2.Timeout(15, connect=5)
_CALL_SECONDS = 60
_NO_MORE: Mapping[str, str] = {}


def _ls(filesystem: Any, folder: str, count: Count) -> Entries:
    place = parse_hf_uri(f"{constants.HF_PROTOCOL}{folder}")
    path = place.path_in_repo
    root = folder[: len(folder) - len(path)].rstrip("/")
    if place.is_bucket:
        tree = f"{filesystem.endpoint}/api/buckets/{place.id}/tree"
    else:
        revision = quote(place.revision or constants.DEFAULT_REVISION, safe="")
        tree = f"{filesystem.endpoint}/api/{place.type}s/{place.id}/tree/{revision}"
    url = f"{tree}/{quote(path, safe='')}" if path else tree
    entries: Entries = []
    for item in _pages(filesystem, f"{url}?recursive=false", count):
        name = item["path"]
        if path and place.is_bucket and name == path and item["type"] == "file":
            raise StorageError("invalid", "not a folder")
        if path and not name.startswith(f"{path}/"):
            continue
        if "/" in name[len(path) :].lstrip("/"):
            raise StorageError("partial", "a listing page shows names that were not asked for")
        entries.append(
            {
                "name": f"{root}/{name}",
                "type": item["type"],
                "size": item.get("size"),
                "etag": item.get("oid") or item.get("xetHash"),
                "updated": item.get("uploadedAt"),
                "tree": item.get("oid"),
            }
        )
    return entries


def _pages(filesystem: Any, url: str, count: Count) -> Iterator[dict[str, Any]]:
    deadline = time.monotonic() + _CALL_SECONDS
    headers = build_hf_headers(token=filesystem.token)
    asked: set[str] = set()
    while True:
        count()
        answer = get_session().get(url, headers=headers, timeout=_TIMEOUT)
        if answer.status_code != httpx2.codes.OK:
            raise error_of_status(answer.status_code)
        try:
            page = answer.json()
            is_listing = isinstance(page, list) and all({"path", "type"} <= {*i} for i in page)
        except (ValueError, TypeError):
            is_listing = False
        if not is_listing:
            raise StorageError("partial", "the answer is not the Hub's")
        yield from page
        asked.add(url)
        following = answer.links.get("next", {}).get("url")
        if following is None:
            return
        if following in asked:
            raise StorageError("partial", "a listing page is followed by one before it")
        url = following
        if time.monotonic() > deadline:
            raise StorageError("timeout", f"a listing took over {_CALL_SECONDS} s")


def _read_part(filesystem: Any, file: str, of_end: bool) -> bytes:  # noqa: FBT001
    # A part of something compressed would be of no use.
    headers = {**part_range(of_end=of_end), "Accept-Encoding": "identity"}
    return _read(filesystem, file, PART_BYTES, headers)


def _read(
    filesystem: Any, file: str, limit_bytes: int, more: Mapping[str, str] = _NO_MORE
) -> bytes:
    place = parse_hf_uri(f"{constants.HF_PROTOCOL}{file}")
    path, endpoint = place.path_in_repo, filesystem.endpoint
    if place.is_bucket:
        url = f"{endpoint}/buckets/{place.id}/resolve/{quote(path)}"
    else:
        url = hf_hub_url(
            place.id, path, repo_type=place.type, revision=place.revision, endpoint=endpoint
        )
    data, headers = bytearray(), {**build_hf_headers(token=filesystem.token), **more}
    with get_session().stream(
        "GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True
    ) as answer:
        if more and answer.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
            return b""  # an empty file has no first byte
        if answer.status_code not in (httpx2.codes.OK, httpx2.codes.PARTIAL_CONTENT):
            raise error_of_status(answer.status_code)
        for piece in answer.iter_bytes():
            data += piece
            if len(data) > limit_bytes:
                break
    return bytes(data)


_REASON_BY_TYPE: ErrorTypes = (
    (httpx2.TimeoutException, "timeout", "no answer within the time limit"),
    (httpx2.RemoteProtocolError, "partial", "the answer ended too early"),
    (httpx2.TransportError, "unavailable", "connection failed"),
    (HfUriError, "invalid", "not the address of a repository or bucket"),
)


ADAPTER = Adapter(
    ls=_ls,
    read=_read,
    read_part=_read_part,
    error_of=lambda error: error_of_type(error, _REASON_BY_TYPE),
    is_object_store=True,
    lag_seconds=300.0,  # of buckets; those of repositories tell no times
)
