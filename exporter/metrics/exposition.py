"""The body of a scrape, plain or compressed, from pieces that were rendered once.

A gzip body is put together from compressed blocks: deflate data that ends in a full flush
can be followed by any other (RFC 1951, 1952), and so can their checksums. What is true only
at the moment of the request comes last.
"""

import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

Format = Literal["text", "openmetrics"]

CONTENT_TYPES: dict[Format, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

Body = tuple[bytes, ...]
"""A response body in pieces, to be sent in this order."""

_SMALL_BYTES = 16 * 1024  # pieces below this are compressed together with their neighbours
_PIECE_BYTES = 128 * 1024

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


class _Compressed(NamedTuple):
    """Deflate data that more may follow, with what it takes to put it into a gzip file."""

    deflated: tuple[bytes, ...]
    checksum: int
    size: int
    power: int
    """By which a checksum is multiplied when this data follows."""


class _Part:
    """Blocks that are often sent together, compressed when that is first asked for. Thread-safe."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.blocks = tuple(blocks)
        self._lock = threading.Lock()
        self._compressed: _Compressed | None = None

    def compress(self) -> _Compressed:
        if (found := self._compressed) is not None:  # without waiting for who compresses
            return found
        with self._lock:
            if self._compressed is None:
                checksum, size = _measure(in_pieces(block.raw for block in self.blocks))
                deflated = tuple(in_pieces(_deflate_together(self.blocks)))
                self._compressed = _Compressed(deflated, checksum, size, _power_of_x(8 * size))
            return self._compressed


class Exposition:
    """All samples of one snapshot in one format. Immutable to its users; what is derived
    from it is computed once, for each family and for the whole page. Thread-safe."""

    def __init__(self, blocks: Sequence[tuple[str, Sequence[Block]]]) -> None:
        self._families = {name: _Part(parts) for name, parts in blocks}
        self._whole = _Part(block for _, parts in blocks for block in parts)

    def body(self, live: bytes, names: frozenset[str] = frozenset()) -> Body:
        """The page, then `live`. With `names`, only those families."""
        return (*(block.raw for part in self._parts(names) for block in part.blocks), live)

    def gzip_body(self, live: bytes, names: frozenset[str] = frozenset()) -> Body:
        """The same, compressed."""
        deflated: list[bytes] = []
        checksum = size = 0
        for part in self._parts(names):
            found = part.compress()
            deflated += found.deflated
            checksum = _product(found.power, checksum) ^ found.checksum
            size += found.size
        return _gzip((*deflated, _deflate(live)), zlib.crc32(live, checksum), size + len(live))

    def compress(self) -> None:
        """Compress the page before it is asked for."""
        self._whole.compress()

    def _parts(self, names: frozenset[str]) -> Iterable[_Part]:
        if not names:
            return (self._whole,)
        return (part for name, part in self._families.items() if name in names)


# CRC-32 of data that follows other data: the checksum of the first is multiplied by x to the
# number of bits that follow, in polynomials over two elements and modulo the CRC's own. The
# highest bit of a number is the coefficient of x to the power of 0.
_POLYNOMIAL = 0xEDB88320
_ONE, _X = 0x80000000, 0x40000000


def _product(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _power_of_x(exponent: int) -> int:
    power, square = _ONE, _X
    while exponent:
        if exponent & 1:
            power = _product(power, square)
        square = _product(square, square)
        exponent >>= 1
    return power


def _measure(pieces: Iterable[bytes]) -> tuple[int, int]:
    """CRC-32 and length of pieces taken together."""
    checksum = size = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        size += len(piece)
    return checksum, size


def in_pieces(body: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in few pieces of up to `_PIECE_BYTES`: to send a piece, or to compute its
    checksum, gives up the interpreter lock, and it takes long to get that back from threads
    that scan. More at a time is what a client that does not read holds in memory."""
    joined: list[bytes] = []
    size = 0
    for piece in body:
        for start in range(0, len(piece), _PIECE_BYTES):
            part = piece[start : start + _PIECE_BYTES]
            if size + len(part) > _PIECE_BYTES:
                yield b"".join(joined)
                joined.clear()
                size = 0
            joined.append(part)
            size += len(part)
    if joined:
        yield b"".join(joined)


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
