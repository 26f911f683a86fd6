"""The body of a scrape, plain or compressed, from pieces that were rendered once.

A gzip body is put together from compressed blocks: deflate data that ends in a full flush
can be followed by any other (RFC 1951, 1952), so only the checksum over the whole is
computed anew. What is true only at the moment of the request comes last.
"""

import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

Format = Literal["text", "openmetrics"]

CONTENT_TYPES: dict[Format, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

Body = tuple[bytes, ...]
"""A response body in pieces, to be sent in this order."""

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


class Exposition:
    """All samples of one snapshot in one format. Immutable to its users; what is derived
    from it is computed once. Thread-safe."""

    def __init__(self, blocks: Sequence[tuple[str, Sequence[Block]]]) -> None:
        self._families = {name: tuple(parts) for name, parts in blocks}
        self._lock = threading.Lock()
        self._compressed: tuple[tuple[bytes, ...], int, int] | None = None

    def body(self, live: bytes, names: frozenset[str] = frozenset()) -> Body:
        """The page, then `live`. With `names`, only those families."""
        return (*(block.raw for block in self._blocks(names)), live)

    def gzip_body(self, live: bytes, names: frozenset[str] = frozenset()) -> Body:
        """The same, compressed."""
        if names:
            pieces = self.body(live, names)
            return _gzip((_deflate(b"".join(pieces)),), *_measure(pieces))
        deflated, checksum, size = self.compress()
        return _gzip((*deflated, _deflate(live)), zlib.crc32(live, checksum), size + len(live))

    def compress(self) -> tuple[tuple[bytes, ...], int, int]:
        """The page as deflate data that more may follow; its own checksum, and size in bytes."""
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
    return (_GZIP_HEADER, *deflated, _GZIP_END + trailer)


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
