"""What one S3 server was found to do otherwise than S3: found out once, said once, kept.

This module does no I/O. It is used on fsspec's event loop, but for `notes`, which any thread may
read. What is kept here decides how to ask, and what an answer has to prove. It never makes an
answer count that would not count without it.
"""

import logging
from math import lgamma, log
from typing import Literal

from exporter.log import event
from exporter.storage.s3.listing_page import ListingPage

_LOG = logging.getLogger("exporter.storage.s3")

Quirk = Literal["directory", "unordered", "no_start", "slash_only", "no_delimiter", "ends_early"]

_LISTED_WHOLE = "so all markers of a job are listed at each scan"
_SENTENCES: dict[Quirk, str] = {
    "directory": f"the bucket is a directory bucket, which lists in no order, {_LISTED_WHOLE}",
    "unordered": f"the S3 server does not list keys in order, {_LISTED_WHOLE}",
    "no_start": f"the S3 server does not list from where it is asked to, {_LISTED_WHOLE}",
    "slash_only": "the S3 server refuses prefixes that do not end in a slash,"
    " so the folder is listed to find an executor.json",
    "no_delimiter": "the S3 server ignores delimiters,"
    " so all that lies below a folder is listed to find its sub-folders",
    "ends_early": "the S3 server says of pages that they are the last when keys follow,"
    " so what is not proven to be whole counts as unreadable",
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-bucket-naming-rules.html
_DIRECTORY_ENDINGS = ("--x-s3", "--xa-s3")  # of buckets, and of access points to them
_CONTRADICTIONS_LIMIT = 3
# Once in so many servers without order the keys seen would be in order by chance.
_CHANCE_OF_ORDER = log(10_000)


class Capabilities:
    """Those of the server behind one bucket. `is_ordered` tells whether it lists in the order of
    keys; None until pages showed enough keys to tell. `full_says_more` tells whether a full page
    says that there are more if there are none; None until that was asked for."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._quirks: dict[Quirk, str] = {}
        self._contradictions = 0
        self._seen: dict[str, int] = {}
        self.is_ordered: bool | None = None
        self.full_says_more: bool | None = None
        if bucket.endswith(_DIRECTORY_ENDINGS):
            self.found("directory")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found, a sentence each."""
        return tuple(self._quirks.values())

    @property
    def can_start(self) -> bool:
        """A listing may begin after a key, and goes on in order from there."""
        return self.is_ordered is True and "no_start" not in self._quirks

    @property
    def takes_any_prefix(self) -> bool:
        """A prefix may be a key, and not only a folder with its slash."""
        return not self._quirks.keys() & {"directory", "slash_only"}

    @property
    def ignores_delimiter(self) -> bool:
        """A listing of a folder shows what lies deeper."""
        return "no_delimiter" in self._quirks

    @property
    def ends_early(self) -> bool:
        """Pages were seen that claimed to be the last and were not."""
        return "ends_early" in self._quirks

    @property
    def needs_proof(self) -> bool:
        """The word of a page that it is the last is not enough: where the order of keys proves
        nothing, and where such a word was false. (Directory buckets cannot have versions.)"""
        is_doubtful = self.ends_early or self.ignores_delimiter
        return is_doubtful or not (self.is_ordered or "directory" in self._quirks)

    def found(self, quirk: Quirk) -> None:
        """Take note of it, and say so once."""
        if quirk in self._quirks:
            return
        self._quirks[quirk] = _SENTENCES[quirk]
        if quirk in ("directory", "unordered"):
            self.is_ordered = False
        event(_LOG, logging.WARNING, _SENTENCES[quirk], bucket=self._bucket)

    def contradicted(self, *, is_certain: bool) -> None:
        """A listing that began after a key was refused, or contradicts a whole one. A key written
        again just then looks the same, and so does a passing error: unless `is_certain`, it takes
        a few of them."""
        self._contradictions += _CONTRADICTIONS_LIMIT if is_certain else 1
        if self._contradictions >= _CONTRADICTIONS_LIMIT and self.is_ordered is not False:
            self.found("no_start")

    def saw(self, prefix: str, page: ListingPage) -> None:
        """Learn from a page of keys with this prefix whether keys come in order."""
        if self.is_ordered is False:
            return
        if not page.is_ordered:
            self.found("unordered")
        elif self.is_ordered is None:
            self._seen[prefix] = max(len(page.keys), self._seen.get(prefix, 0))
            # n keys have n! orders.
            if sum(lgamma(count + 1) for count in self._seen.values()) > _CHANCE_OF_ORDER:
                self.is_ordered = True
                self._seen.clear()
