"""Plans which parts of ``completions/`` to list on S3.

This module does no I/O.

S3 lists keys in the order of their bytes, 1,000 at a time, from any key on. Names of five
digits are in the order of their ranks; from rank 100000 on they are not (``100000`` lies
between ``10000`` and ``10001``), so everything here is in the order of names.

A *window* is a part of the listing: all names after one name, up to and including another.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from exporter.datatrove.layout import marker_name
from exporter.datatrove.ranks import Ranks

PAGE_KEYS = 1000  # the most that AWS puts on a page
_KEYS_AFTER_MARKERS = 16
# Asked for together with the last markers: executor.json, and the first of the logs.
FIVE_DIGITS = 100_000  # the first rank whose name has six digits


@dataclass(frozen=True, slots=True)
class Window:
    """Names in (`after`, `upto`]; "" stands for the beginning and the end. Of the known ranks,
    in the order of their names, it holds those at the positions from `first` up to, but not
    including, `end`. `keys` is how many keys to ask for at first. If `is_known`, `upto` is the
    name of a known rank, whose marker has to be listed."""

    after: str
    upto: str
    first: int
    end: int
    keys: int
    is_known: bool = True

    @property
    def is_last(self) -> bool:
        return not self.upto

    def holds(self, name: str) -> bool:
        return (not self.after or self.after < name) and (self.is_last or name <= self.upto)


def in_name_order(ranks: Ranks) -> list[int]:
    """The ranks in the order of their names."""
    ordered = list(ranks)
    if ordered and ordered[-1] >= FIVE_DIGITS:
        ordered.sort(key=marker_name)
    return ordered


def ranks_before(rank: int, world_size: int) -> int:
    """How many ranks below `world_size` have a name before that of `rank`."""
    if world_size <= FIVE_DIGITS and rank < FIVE_DIGITS:
        return min(rank, world_size)
    name = marker_name(rank)
    count = 0
    for digits in range(5, len(marker_name(world_size - 1)) + 1):
        if digits <= len(name):
            # Of equal beginnings the shorter name comes first.
            limit = int(name[:digits]) + (digits < len(name))
        else:
            limit = rank * 10 ** (digits - len(name))
        lowest = 0 if digits == 5 else 10 ** (digits - 1)
        count += max(0, min(limit, 10**digits, world_size) - lowest)
    return count


def gaps(ranks: Ranks, ordered: Sequence[int], world_size: int) -> Iterator[tuple[int, int]]:
    """(position, missing) for each gap in the known ranks, in the order of names: `missing` ranks
    lie between the known rank at `position` and the one before it. The last gap is left out."""
    if not ordered or ranks.count_below(world_size) == world_size:
        return
    reached = 0
    if world_size <= FIVE_DIGITS and max(ordered) < FIVE_DIGITS:
        for first, last in ranks.missing_runs(min(world_size, ordered[-1])):
            yield first - reached, last - first + 1
            reached += last - first + 1
        return
    for position, rank in enumerate(ordered):
        before = ranks_before(rank, world_size)
        if before > reached:
            yield position, before - reached
        reached = before + (rank < world_size)


def missing_windows(
    ranks: Ranks,
    ordered: Sequence[int],
    world_size: int,
    expected_new: int,
    page_keys: int = PAGE_KEYS,
) -> list[Window]:
    """As few windows as hold every rank below `world_size` that is not known. Each fits on
    one page unless more than `expected_new` new markers are in it. The last one reaches the
    end of ``completions/``, after which ``executor.json`` comes."""
    windows: list[Window] = []
    first = end = new = 0
    end_of_markers = (len(ordered), expected_new)
    for position, missing in chain(gaps(ranks, ordered, world_size), [end_of_markers]):
        wanted = min(missing, expected_new)
        if end and position + 1 - first + new + wanted > page_keys:
            windows.append(_window(ordered, first, end, min(page_keys, end - first + new)))
            end = 0
        if not end:
            first, new = position, 0
        end, new = position + 1, new + wanted
    return [*windows, _window(ordered, first, end, min(page_keys, end - first + new))]


def all_windows(ordered: Sequence[int], page_keys: int = PAGE_KEYS) -> list[Window]:
    """Windows that together hold all names, with a page of known ranks in each."""
    windows = []
    for first in range(0, len(ordered) + 1, page_keys):
        keys = min(page_keys, len(ordered) - first + _KEYS_AFTER_MARKERS)
        windows.append(_window(ordered, first, first + page_keys, keys))
    return windows


def guessed_windows(
    after: str, world_size: int, density: float, count: int, page_keys: int = PAGE_KEYS
) -> list[Window]:
    """Up to `count` windows in a row, the first after the name of a rank, `after`. Each holds
    about a page if `density` is the share of the ranks that have a marker."""
    reached = ranks_before(int(after), world_size) + 1
    step = max(1, int(page_keys / max(density, 1e-9)))
    windows = []
    for number in range(1, count + 1):
        upto = _name_at(reached + number * step - 1, world_size, int(after[:5]) + 1)
        left = ranks_before(FIVE_DIGITS - 1, world_size) - reached - (number - 1) * step
        keys = page_keys if upto else max(1, min(page_keys, left + _KEYS_AFTER_MARKERS))
        windows.append(Window(after, upto, 0, 0, keys, is_known=False))
        if not upto:
            break
        after = upto
    return windows


def _window(ordered: Sequence[int], first: int, end: int, keys: int) -> Window:
    """The window of the known ranks at these positions; the last one if they go beyond them."""
    after = marker_name(ordered[first - 1]) if first else ""
    upto = marker_name(ordered[end - 1]) if end <= len(ordered) else ""
    return Window(after, upto, first, min(end, len(ordered)), keys)


def _name_at(position: int, world_size: int, lowest: int) -> str:
    """The first name of five digits, from that of the rank `lowest` on, that has `position`
    ranks before it; "" if there is none."""
    if position >= ranks_before(FIVE_DIGITS - 1, world_size):
        return ""
    names = range(FIVE_DIGITS)
    rank = bisect_left(names, position, key=lambda rank: ranks_before(rank, world_size))
    rank = max(rank, lowest)
    return marker_name(rank) if rank < FIVE_DIGITS else ""
