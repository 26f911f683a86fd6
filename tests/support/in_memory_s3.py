"""An S3 bucket in memory that answers listings as S3 does: pages, `StartAfter`, delimiters.

Pure: a request comes in, an answer goes out; `servers.HttpServer` serves it. Its clock is
in the hands of the test. What S3 does was compared with SeaweedFS, rclone and moto.
"""

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import quote_plus, unquote
from xml.sax.saxutils import escape

from support.servers import Answer, Request, answer_with

XML = {"Content-Type": "application/xml"}
_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_LAST = "\U0010ffff"


class Objects:
    """One bucket. `now` is the time (Unix seconds) that objects written get; `page_keys`
    the most keys on a page."""

    def __init__(self, bucket: str = "bucket", page_keys: int = 1000) -> None:
        self.bucket = bucket
        self.page_keys = page_keys
        self.now = 1_700_000_000.0
        self.answered: Counter[str] = Counter()
        self.bytes_sent = 0
        self._keys: list[str] = []
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._entries: dict[str, str] = {}

    def put(self, key: str, data: bytes = b"") -> None:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = data, self.now
        self._entries.pop(key, None)

    def put_many(self, keys: list[str]) -> None:
        """Write many empty objects."""
        self._objects.update(dict.fromkeys(keys, (b"", self.now)))
        self._keys = sorted(self._objects)

    def delete(self, key: str) -> None:
        del self._objects[key]
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
            return self._sent(Answer(200, self._listing(request.query).encode(), XML))
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

    def _listing(self, query: "dict[str, str]") -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        token = query.get("continuation-token")
        after = bytes.fromhex(token).decode() if token else query.get("start-after", "")
        most = min(self.page_keys, int(query.get("max-keys", 1000)))
        position = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        contents: list[str] = []
        folders: list[str] = []
        last = ""
        while len(contents) + len(folders) < most and self._has(position, prefix):
            key = self._keys[position]
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                contents.append(self._entry(key))
                last, position = key, position + 1
                continue
            folder = key[: cut + 1]
            position = bisect_left(self._keys, folder + _LAST, position)
            if not after.startswith(folder):
                folders.append(folder)
                last = folder + _LAST
        is_truncated = self._has(position, prefix)
        more = f"<NextContinuationToken>{last.encode().hex()}</NextContinuationToken>"
        return (
            f"{_HEADER}<ListBucketResult {_NAMESPACE}><Name>{self.bucket}</Name>"
            f"<Prefix>{quote_plus(prefix, safe='/')}</Prefix><MaxKeys>{most}</MaxKeys>"
            f"<KeyCount>{len(contents) + len(folders)}</KeyCount>"
            "<EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>"
            + (more if is_truncated else "")
            + "".join(contents)
            + "".join(
                f"<CommonPrefixes><Prefix>{quote_plus(folder, safe='/')}</Prefix></CommonPrefixes>"
                for folder in folders
            )
            + "</ListBucketResult>"
        )

    def _has(self, position: int, prefix: str) -> bool:
        return position < len(self._keys) and self._keys[position].startswith(prefix)

    def _entry(self, key: str) -> str:
        entry = self._entries.get(key)
        if entry is None:
            data, modified = self._objects[key]
            written = datetime.fromtimestamp(modified, UTC)
            time = written.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            entry = self._entries[key] = (
                f"<Contents><Key>{quote_plus(key, safe='/')}</Key>"
                f"<LastModified>{time}</LastModified><ETag>&quot;{_md5(data)}&quot;</ETag>"
                "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
                "<ChecksumType>FULL_OBJECT</ChecksumType>"
                f"<Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        return entry


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest() if data else "d41d8cd98f00b204e9800998ecf8427e"


def _error(code: str) -> bytes:
    return f"{_HEADER}<Error><Code>{escape(code)}</Code><Message>no</Message></Error>".encode()
