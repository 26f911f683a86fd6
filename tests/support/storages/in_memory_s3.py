"""An S3 bucket in memory that answers listings as S3 does: pages, `StartAfter`, delimiters;
or as S3 does not, with any of `QUIRKS`.

Pure: a request comes in, an answer goes out; `servers.HttpServer` serves it. Its clock is
in the hands of the test. What S3 does was compared with SeaweedFS, rclone and moto.
"""

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, unquote
from xml.sax.saxutils import escape

from support.servers import Answer, Request, answer_with

XML = {"Content-Type": "application/xml"}
_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_LAST = "\U0010ffff"

_REFUSALS = {400: "InvalidArgument", 500: "InternalError", 501: "NotImplemented"}
_PLACES: dict[str, Callable[[str], Any]] = {
    "": str.encode,
    "order backwards": lambda key: [255 - byte for byte in key.encode()] + [256],
    "order by chance": lambda key: hashlib.md5(key.encode()).digest(),
}
QUIRKS = (
    *(f"start {status}" for status in _REFUSALS),
    *("start ignored", "start inclusive", "token skips"),
    *("order backwards", "order by chance", "slash only"),
    # Deleted keys take places on a page: as in buckets that keep versions. A page that is short
    # for that says that it is the last, or not.
    *("short pages", "short pages are last", "large pages are last", "full pages are not last"),
    *("bare prefixes", "no delimiter", "times without a zone", "no times"),
)
"""What servers were seen to do. Of those in `_PLACES` the first by name counts."""


class Objects:
    """One bucket. `now` is the time (Unix seconds) that objects written get; `page_keys`
    the most keys on a page; `quirks` are some of QUIRKS, or "encoding unsaid"."""

    def __init__(
        self, bucket: str = "bucket", page_keys: int = 1000, quirks: Iterable[str] = ()
    ) -> None:
        self.bucket = bucket
        self.quirks = frozenset(quirks)
        self.page_keys = page_keys
        self.now = 1_700_000_000.0
        self.answered: Counter[str] = Counter()
        self.bytes_sent = 0
        self._keys: list[str] = []
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._entries: dict[str, str] = {}
        self._deleted: dict[str, None] = {}

    def put(self, key: str, data: bytes = b"") -> None:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = data, self.now
        self._entries.pop(key, None)
        self._deleted.pop(key, None)

    def put_many(self, keys: list[str]) -> None:
        """Write many empty objects."""
        self._objects.update(dict.fromkeys(keys, (b"", self.now)))
        self._keys = sorted(self._objects)

    def delete(self, key: str) -> None:
        del self._objects[key]
        self._deleted[key] = None
        del self._keys[bisect_left(self._keys, key)]

    def keys(self, prefix: str) -> list[str]:
        return self._keys[bisect_left(self._keys, prefix) : bisect_left(self._keys, prefix + _LAST)]

    def modified(self, key: str) -> float:
        return self._objects[key][1]

    def answer(self, request: Request) -> Answer:
        """What S3 would answer."""
        bucket, _, key = request.path.lstrip("/").partition("/")
        if bucket != self.bucket:
            return self._sent(Answer(404, _error("NoSuchBucket"), XML))
        if not key:
            self.answered["list"] += 1
            return self._sent(self._list(request.query))
        self.answered[request.method.lower()] += 1
        key = unquote(key)
        if key not in self._objects:
            return self._sent(Answer(404, _error("NoSuchKey"), XML))
        data, modified = self._objects[key]
        written = datetime.fromtimestamp(modified, UTC)
        headers = {
            "ETag": f'"{_md5(data)}"',
            "Last-Modified": written.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        return self._sent(answer_with(data, request, headers))

    def _sent(self, answer: Answer) -> Answer:
        self.bytes_sent += len(answer.body)
        return answer

    def _list(self, query: "dict[str, str]") -> Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        if "slash only" in self.quirks and prefix and not prefix.endswith("/"):
            return Answer(400, _error("InvalidRequest"), XML)
        if "start-after" in query:
            for status, code in _REFUSALS.items():
                if f"start {status}" in self.quirks:
                    return Answer(status, _error(code), XML)
        most = min(self.page_keys, int(query.get("max-keys", 1000)))
        select = self._select_oddly if self.quirks else self._select
        keys, folders, token = select(query, prefix, delimiter, most)
        more = f"<NextContinuationToken>{token.encode().hex()}</NextContinuationToken>"
        listing = (
            f"{_HEADER}<ListBucketResult {_NAMESPACE}><Name>{self.bucket}</Name>"
            f"<Prefix>{quote_plus(prefix, safe='/')}</Prefix><MaxKeys>{most}</MaxKeys>"
            f"<KeyCount>{len(keys) + len(folders)}</KeyCount>"
            f"{'' if 'encoding unsaid' in self.quirks else '<EncodingType>url</EncodingType>'}"
            f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>"
            + (more if token else "")
            + "".join([self._entry(key) for key in keys])
            + "".join(
                f"<CommonPrefixes><Prefix>{quote_plus(folder, safe='/')}</Prefix></CommonPrefixes>"
                for folder in folders
            )
            + "</ListBucketResult>"
        )
        return Answer(200, listing.encode(), XML)

    def _select(
        self, query: "dict[str, str]", prefix: str, delimiter: str, most: int
    ) -> tuple[list[str], list[str], str]:
        """The keys and folders on a page, and after which of them the next one begins."""
        token = query.get("continuation-token")
        after = bytes.fromhex(token).decode() if token else query.get("start-after", "")
        position = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        keys: list[str] = []
        folders: list[str] = []
        last = ""
        while len(keys) + len(folders) < most and self._has(position, prefix):
            key = self._keys[position]
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                keys.append(key)
                last, position = key, position + 1
                continue
            folder = key[: cut + 1]
            position = bisect_left(self._keys, folder + _LAST, position)
            if not after.startswith(folder):
                folders.append(folder)
                last = folder + _LAST
        return keys, folders, last if self._has(position, prefix) else ""

    def _select_oddly(
        self, query: "dict[str, str]", prefix: str, delimiter: str, most: int
    ) -> tuple[list[str], list[str], str]:
        """The same for a server with quirks."""
        quirks, start = self.quirks, query.get("start-after", "")
        place = _PLACES[min(quirks & _PLACES.keys(), default="")]
        token = bytes.fromhex(query.get("continuation-token", "")).decode()
        candidates = sorted({*self.keys(prefix), *self._deleted_keys(prefix)}, key=place)
        if token:
            candidates = [key for key in candidates if place(key) > place(token)]
        elif start and not quirks & {"start ignored", *_PLACES}:
            first = bisect_left if "start inclusive" in quirks else bisect_right
            candidates = candidates[first(candidates, start) :]
        delimiter = "" if "no delimiter" in quirks else delimiter
        shown: dict[str, bool] = {}  # also deleted keys, which take places
        used = 0
        for key in candidates:
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if cut < 0 else key[: cut + 1]
            if name not in shown and len(shown) == most:
                break
            shown[name] = cut >= 0 or key in self._objects
            used += 1
        names = [name for name, is_there in shown.items() if is_there]
        folders = [name for name in names if delimiter and name.find(delimiter, len(prefix)) >= 0]
        keys = [name for name in names if name not in folders]
        has_more = used < len(candidates)
        if "short pages are last" in quirks:
            has_more = has_more and len(names) == most
        if "large pages are last" in quirks:
            has_more = has_more and most < self.page_keys
        if "full pages are not last" in quirks:
            has_more = has_more or len(names) == most > 0
        last = candidates[used - 1] if has_more else ""
        is_skipping = "token skips" in quirks and start and not token and start not in self._objects
        if is_skipping and has_more and used < len(candidates):
            last = candidates[used]
        bare = [folder.removesuffix("/") for folder in folders]
        return keys, bare if "bare prefixes" in quirks else folders, last

    def _deleted_keys(self, prefix: str) -> list[str]:
        takes_places = self.quirks & {"short pages", "short pages are last"}
        return [key for key in self._deleted if key.startswith(prefix)] if takes_places else []

    def _has(self, position: int, prefix: str) -> bool:
        return position < len(self._keys) and self._keys[position].startswith(prefix)

    def _entry(self, key: str) -> str:
        entry = self._entries.get(key)
        if entry is None:
            data, modified = self._objects[key]
            written = datetime.fromtimestamp(modified, UTC)
            time = written.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            if "times without a zone" in self.quirks:
                time = time.removesuffix("Z")
            told = "" if "no times" in self.quirks else f"<LastModified>{time}</LastModified>"
            entry = self._entries[key] = (
                f"<Contents><Key>{quote_plus(key, safe='/')}</Key>"
                f"{told}<ETag>&quot;{_md5(data)}&quot;</ETag>"
                "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
                "<ChecksumType>FULL_OBJECT</ChecksumType>"
                f"<Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        return entry


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest() if data else "d41d8cd98f00b204e9800998ecf8427e"


def _error(code: str) -> bytes:
    return f"{_HEADER}<Error><Code>{escape(code)}</Code><Message>no</Message></Error>".encode()
