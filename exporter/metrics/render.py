"""Metric families -> bytes, rendered once per change and not per request.

A page of 20,000 jobs has 220,000 samples and takes the library seconds to write. Here a
job is rendered when it changed and never again: its lines are kept beside the Job they
came from, and joined to blocks of `_JOBS_PER_BLOCK` jobs, each compressed once. A block
is reused while its jobs are the same objects, so the work for a page is proportional to
what changed.

A gzip body is assembled from those compressed blocks: deflate data that ends in a full
flush can be followed by any other (RFC 1951, 1952), so only the checksum over the whole
is computed anew. Both formats consist of the same sample lines and differ in the names
of counters in HELP and TYPE lines and in OpenMetrics' last line.

What is true only at the moment of the request (memory, busy threads) is written by the
library for each request and comes last.
"""

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client.utils import floatToGoString

from exporter.metrics.families import (
    JOB_FAMILIES,
    JOB_LABELS,
    OVERALL_FAMILIES,
    ROOT_FAMILIES,
    ROOT_LABELS,
    Family,
    Subject,
    shown_jobs,
)
from exporter.model.snapshot import Job, Root, Snapshot

Format = Literal["text", "openmetrics"]

CONTENT_TYPES: dict[Format, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

_JOBS_PER_BLOCK = 256
_SMALL_BYTES = 16 * 1024  # pieces below this are compressed together with their neighbours
PIECE_BYTES = 128 * 1024
"""How much is best sent at a time: what a client that does not read holds in memory."""

_COMPRESSION_LEVEL = 1  # a tenth larger than the library's 9, in a fifth of the time
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_GZIP_END = b"\x03\x00"  # an empty final block


class Block:
    """A piece of a page, compressed when that is first asked for."""

    __slots__ = ("_deflated", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._deflated: bytes | None = None

    @property
    def deflated(self) -> bytes:
        """Deflate data of the piece that may be followed by any other such data."""
        if self._deflated is None:
            self._deflated = _deflate(self.raw)
        return self._deflated


def _deflate(raw: bytes) -> bytes:
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(raw) + compressor.flush(zlib.Z_FULL_FLUSH)


@dataclass(frozen=True, slots=True)
class Body:
    """A response body as pieces, to be sent in this order."""

    pieces: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.pieces))


class Page:
    """All samples of one snapshot in one format. Immutable to its users; what is derived
    from it is computed once. Thread-safe."""

    def __init__(self, blocks: Sequence[tuple[str, Sequence[Block]]]) -> None:
        self._families = {name: tuple(parts) for name, parts in blocks}
        self._lock = threading.Lock()
        self._compressed: tuple[tuple[bytes, ...], int, int] | None = None

    def body(self, live: bytes, end: bytes, names: frozenset[str] = frozenset()) -> Body:
        """The page, then `live`, then `end`. With `names`, only those families."""
        return Body((*(block.raw for block in self._blocks(names)), live, end))

    def gzip_body(self, live: bytes, end: bytes, names: frozenset[str] = frozenset()) -> Body:
        """The same, compressed."""
        if names:
            pieces = self.body(live, end, names).pieces
            return _gzip((_deflate(b"".join(pieces)),), *_measure(pieces))
        deflated, checksum, size = self.compress()
        tail = live + end
        return _gzip((*deflated, _deflate(tail)), zlib.crc32(tail, checksum), size + len(tail))

    def compress(self) -> tuple[tuple[bytes, ...], int, int]:
        """The page as deflate data that more may follow, the checksum of what it says and
        that one's size in bytes."""
        with self._lock:
            if self._compressed is None:
                blocks = self._blocks(frozenset())
                deflated = tuple(_joined(_deflate_together(blocks)))
                self._compressed = (deflated, *_measure(_joined(b.raw for b in blocks)))
            return self._compressed

    def _blocks(self, names: frozenset[str]) -> list[Block]:
        return [
            block
            for name, blocks in self._families.items()
            if not names or name in names
            for block in blocks
        ]


def _measure(pieces: Iterable[bytes]) -> tuple[int, int]:
    """CRC-32 and length of pieces taken together."""
    checksum = size = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        size += len(piece)
    return checksum, size


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in few pieces of up to `PIECE_BYTES`, or what a single one has: to send
    a piece, or to compute its checksum, gives up the interpreter lock, and it takes long to
    get that back from threads that scan."""
    joined = bytearray()
    for piece in pieces:
        if joined and len(joined) + len(piece) > PIECE_BYTES:
            yield bytes(joined)
            joined.clear()
        joined += piece
    yield bytes(joined)


def _gzip(deflated: tuple[bytes, ...], checksum: int, size: int) -> Body:
    trailer = checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return Body((_GZIP_HEADER, *deflated, _GZIP_END + trailer))


def _deflate_together(blocks: Iterable[Block]) -> Iterable[bytes]:
    """Compressed blocks; runs of small ones as one, since each flush costs some bytes."""
    small: list[bytes] = []
    for block in blocks:
        if len(block.raw) < _SMALL_BYTES:
            small.append(block.raw)
            continue
        if small:
            yield _deflate(b"".join(small))
            small.clear()
        yield block.deflated
    if small:
        yield _deflate(b"".join(small))


JobLines = tuple[bytes, ...]
"""A job's lines, one item per family of JOB_FAMILIES."""


class _JobBlock:
    """The lines of some jobs, per family of JOB_FAMILIES, ready to be sent."""

    __slots__ = ("blocks", "jobs")

    def __init__(self, jobs: tuple[Job, ...], lines: Sequence[JobLines]) -> None:
        self.jobs = jobs
        self.blocks = [Block(b"".join(of_family)) for of_family in zip(*lines, strict=True)]

    def is_of(self, jobs: tuple[Job, ...]) -> bool:
        return len(jobs) == len(self.jobs) and all(map(_is, jobs, self.jobs))


def _is(one: object, other: object) -> bool:
    return one is other


class _RootPart:
    """What was rendered of one root the last time. Reused as far as it still holds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._root: Root | None = None
        self._lines: dict[str, tuple[Job, JobLines]] = {}
        self.root_lines: tuple[bytes, ...] = ()
        self.job_blocks: list[_JobBlock] = []

    def update(self, root: Root) -> None:
        if root is self._root:
            return
        labels = _Labels(ROOT_LABELS, (root.name,))
        self.root_lines = tuple(_render_lines(f, labels, root) for f in ROOT_FAMILIES)
        if self._root is None or root.jobs is not self._root.jobs:
            self._update_jobs(tuple(shown_jobs(root)))
        self._root = root

    def _update_jobs(self, jobs: tuple[Job, ...]) -> None:
        before = {block.jobs[0].name: block for block in self.job_blocks}
        self.job_blocks = []
        for start in range(0, len(jobs), _JOBS_PER_BLOCK):
            of_block = jobs[start : start + _JOBS_PER_BLOCK]
            block = before.get(of_block[0].name)
            if block is None or not block.is_of(of_block):
                block = _JobBlock(of_block, [self._lines_of(job) for job in of_block])
            self.job_blocks.append(block)
        if len(self._lines) > len(jobs):
            names = {job.name for job in jobs}
            self._lines = {n: kept for n, kept in self._lines.items() if n in names}

    def _lines_of(self, job: Job) -> JobLines:
        kept = self._lines.get(job.name)
        if kept is not None and kept[0] is job:
            return kept[1]
        labels = _Labels(JOB_LABELS, (self._name, job.name))
        lines = tuple(_render_lines(family, labels, job) for family in JOB_FAMILIES)
        self._lines[job.name] = (job, lines)
        return lines


class Exposition:
    """Renders one snapshot after the other; keeps what it takes to render only what
    changed. Used by one thread; the pages may be used by any."""

    def __init__(self) -> None:
        self._parts: dict[str, _RootPart] = {}

    def render(self, snapshot: Snapshot) -> Mapping[Format, Page]:
        """The pages of a snapshot."""
        parts = {}
        for root in snapshot.roots:
            parts[root.name] = self._parts.get(root.name) or _RootPart(root.name)
            parts[root.name].update(root)
        self._parts = parts
        samples = list(_overall_blocks(snapshot))
        samples += _root_blocks(list(parts.values()))
        samples += _job_blocks(list(parts.values()))
        return {
            page_format: Page(
                [
                    (family.name, [Block(_header(family, page_format)), *blocks])
                    for family, blocks in samples
                ]
            )
            for page_format in CONTENT_TYPES
        }


_Blocks = list[tuple["Family[Snapshot] | Family[Root] | Family[Job]", list[Block]]]


def _overall_blocks(snapshot: Snapshot) -> _Blocks:
    labels = _Labels((), ())
    return [(f, [Block(_render_lines(f, labels, snapshot))]) for f in OVERALL_FAMILIES]


def _root_blocks(parts: list[_RootPart]) -> _Blocks:
    return [
        (family, [Block(b"".join(part.root_lines[i] for part in parts))])
        for i, family in enumerate(ROOT_FAMILIES)
    ]


def _job_blocks(parts: list[_RootPart]) -> _Blocks:
    return [
        (family, [block.blocks[i] for part in parts for block in part.job_blocks])
        for i, family in enumerate(JOB_FAMILIES)
    ]


def _header(family: "Family[Snapshot] | Family[Root] | Family[Job]", page_format: Format) -> bytes:
    name = family.name
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    if page_format == "openmetrics":
        name = name.removesuffix("_total") if family.kind == "counter" else name
        text = text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n".encode()


class _Labels:
    """The labels that all samples of one subject share."""

    __slots__ = ("_names", "_values", "text")

    def __init__(self, names: tuple[str, ...], values: tuple[str, ...]) -> None:
        self._names = names
        self._values = values
        self.text = _render_labels(names, values)

    def text_with(self, names: tuple[str, ...], values: tuple[str, ...]) -> str:
        """Rendered together with more labels."""
        return _render_labels((*self._names, *names), (*self._values, *values))


def _render_lines(family: Family[Subject], labels: _Labels, subject: Subject) -> bytes:
    """The sample lines of one subject, as the library would write them."""
    return "".join(
        f"{family.name}{labels.text_with(family.labels, extra) if extra else labels.text}"
        f" {_format_value(value)}\n"
        for extra, value in family.samples(subject)
    ).encode()


def _render_labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """``{a="…",b="…"}``, sorted by name as in the library's output."""
    if not names:
        return ""
    pairs = sorted(zip(names, values, strict=True))
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}"


_format_value: Callable[[float], str] = floatToGoString


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
