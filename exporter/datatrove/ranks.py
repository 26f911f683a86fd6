"""The entries of ``completions/``: which ranks have a marker, and since when.

This module does no I/O and knows no storage. Nothing here depends on ``world_size``, which
comes with each question: a relaunch with more or fewer tasks changes what counts, not what
was seen.

Times are modification times in integer nanoseconds since the Unix epoch (``_ns``): floats
would round away what decides "not older than the launch". A time of 0 or before is none: it
is what storages without times show, or nobody's clock.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from exporter.datatrove.layout import rank_of

_BITS_PER_RANK = 64
_BITS_AT_LEAST = 4096
# The longest mask for a number of ranks: without a limit, one hostile file name would make it
# as long as it likes. A frozenset takes more than 64 bits for each number anyway.
_MARKED = ord("1")


class Ranks:
    """An immutable set of ranks. Each is one bit of a mask that begins with rank 0; the few that
    lie far beyond the others are kept one by one. All work is proportional to their number."""

    __slots__ = ("_far", "_mask")

    def __init__(self, ranks: Iterable[int] = ()) -> None:
        near = set(ranks)
        last = max(near, default=-1)
        self._far = frozenset[int]()
        if last + 1 == len(near):  # all up to the last, as of a completed job
            self._mask = (1 << len(near)) - 1
            return
        bits = _BITS_AT_LEAST + _BITS_PER_RANK * len(near)
        if last >= bits:
            self._far = frozenset(rank for rank in near if rank >= bits)
            near -= self._far
            last = max(near, default=-1)
        digits = bytearray(b"0") * (last + 1)
        for rank in near:
            digits[rank] = _MARKED
        digits.reverse()
        self._mask = int(digits, 2) if digits else 0

    @classmethod
    def first(cls, count: int) -> "Ranks":
        """The first `count` ranks, as of a completed job."""
        ranks = cls()
        ranks._mask = (1 << count) - 1
        return ranks

    def __len__(self) -> int:
        return self._mask.bit_count() + len(self._far)

    def __contains__(self, rank: int) -> bool:
        return bool(self._mask >> rank & 1) or rank in self._far

    def __iter__(self) -> Iterator[int]:
        """In ascending order."""
        digits = self._digits().encode().translate(_TRUTH)
        yield from compress(range(len(digits)), digits)
        yield from sorted(self._far)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranks):
            return NotImplemented
        return self._mask == other._mask and self._far == other._far

    def __hash__(self) -> int:
        return hash((self._mask, self._far))

    def has_all_of(self, other: "Ranks") -> bool:
        """Every rank of the other set is in this one."""
        near, far = other._mask, other._far  # noqa: SLF001
        return not near & ~self._mask and far <= self._far

    def __or__(self, other: "Ranks") -> "Ranks":
        """The ranks in either set."""
        return _made(self._mask | other._mask, self._far | other._far)

    def __sub__(self, other: "Ranks") -> "Ranks":
        """The ranks in this set that are not in the other."""
        mask = self._mask & ~other._mask
        for rank in other._far:
            mask &= ~(1 << rank) if rank < mask.bit_length() else -1
        return _made(mask, frozenset(rank for rank in self._far if rank not in other))

    def below(self, world_size: int) -> "Ranks":
        """The ranks that belong to a job of that many tasks."""
        bits = min(world_size, self._mask.bit_length())
        far = frozenset(rank for rank in self._far if rank < world_size)
        return _made(self._mask & ((1 << bits) - 1), far)

    def count_below(self, world_size: int) -> int:
        """The number of ranks that belong to a job of that many tasks."""
        if world_size >= self._mask.bit_length():
            near = self._mask.bit_count()
        else:
            near = (self._mask & ((1 << world_size) - 1)).bit_count()
        return near + sum(rank < world_size for rank in self._far)

    def missing_runs(self, world_size: int) -> Iterator[tuple[int, int]]:
        """The ranks below `world_size` that are not in the set, as runs (first, last) in
        ascending order."""
        digits = self._digits()[:world_size]
        start = digits.find("0")
        while start >= 0:
            end = digits.find("1", start)
            if end < 0:
                break
            yield start, end - 1
            start = digits.find("0", end)
        first = start if start >= 0 else len(digits)
        for rank in sorted(rank for rank in self._far if rank < world_size):
            if first < rank:
                yield first, rank - 1
            first = rank + 1
        if first < world_size:
            yield first, world_size - 1

    def _digits(self) -> str:
        """``0`` or ``1`` for each rank from 0 to the last that has a bit."""
        return bin(self._mask)[:1:-1] if self._mask else ""


def _made(mask: int, far: frozenset[int]) -> Ranks:
    """The set of the bits of a mask and others. One set has one mask, however it came about."""
    bits = _BITS_AT_LEAST + _BITS_PER_RANK * (mask.bit_count() + len(far))
    ranks = Ranks()
    ranks._mask, ranks._far = mask, far - {rank for rank in far if mask >> rank & 1}  # noqa: SLF001
    is_one = mask.bit_length() <= bits and all(rank >= bits for rank in far)
    return ranks if is_one else Ranks(ranks)


_TRUTH = bytes(byte == _MARKED for byte in range(256))

NO_RANKS = Ranks()


@dataclass(frozen=True, slots=True)
class Markers:
    """All entries of ``completions/`` at one moment.

    `ranks` are those whose name is a rank's marker, whatever ``world_size`` is; `others`
    counts the entries that can be no marker at all. `modified_ns` is parallel to `ranks`
    in ascending order, `UNKNOWN` where a marker's time was not asked for; None where none
    was. Never modified once built.
    """

    ranks: Ranks = NO_RANKS
    others: int = 0
    modified_ns: "array[int] | None" = None

    @classmethod
    def of_names(cls, names: Sequence[str], others: int = 0) -> "Markers":
        """From file names; `others` are entries known to be no files."""
        different = set(names)  # a folder that changes may list a name twice
        if _are_five_digits(names):
            if int(max(names)) + 1 == len(different):  # no room for a rank that is missing
                return cls(Ranks.first(len(different)), others)
            return cls(Ranks(map(int, different)), others)
        ranks = [rank for name in different if (rank := rank_of(name)) is not None]
        return cls(Ranks(ranks), others + len(different) - len(ranks))

    @classmethod
    def of_times(cls, by_rank: Mapping[int, int], others: int = 0) -> "Markers":
        """From the times of all markers, by rank."""
        ordered = sorted(by_rank)
        return cls(Ranks(ordered), others, array("q", map(by_rank.__getitem__, ordered)))

    def has_same_entries(self, other: "Markers") -> bool:
        """As many others, and the same ranks; times aside."""
        return self.ranks == other.ranks and self.others == other.others

    def by_rank(self) -> dict[int, int]:
        """Known times, by rank."""
        if self.modified_ns is None:
            return {}
        pairs = zip(self.ranks, self.modified_ns, strict=True)
        return {rank: time_ns for rank, time_ns in pairs if time_ns != UNKNOWN}

    def times_below(self, world_size: int) -> list[int]:
        """Known times of the ranks that belong to a job of that many tasks."""
        if self.modified_ns is None:
            return []
        counting = self.modified_ns[: self.ranks.count_below(world_size)]
        return [time_ns for time_ns in counting if time_ns != UNKNOWN]

    def stray(self, world_size: int) -> int:
        """The number of entries that do not count for a job of that many tasks."""
        return self.others + len(self.ranks) - self.ranks.count_below(world_size)


NO_MARKERS = Markers()

UNKNOWN = -(2**63)
"""Stands for the time of a marker that nobody asked for, in `Markers.modified_ns`."""
_LATEST = 2**63 - 1


def told_ns(time_ns: int) -> int | None:
    """The time that a storage showed, None if that tells nothing: 0, before the epoch (Go's zero
    time is in the year 1), or beyond what 64 bits hold, which is in the year 2262."""
    return time_ns if 0 < time_ns <= _LATEST else None


def _are_five_digits(names: Sequence[str]) -> bool:
    """There are names, and all are those of ranks up to 99999. Checked for all at once: joined
    by slashes, they have one after every five characters, and else only digits."""
    joined, slashes = "/".join(names), "/" * (len(names) - 1)
    return (
        len(joined) == 6 * len(names) - 1
        and joined[5::6] == slashes
        and joined.isascii()
        and joined.encode().translate(None, b"0123456789") == slashes.encode()
    )
