"""How counts, durations and times read. The status page and the command line use the same.

Nothing is rounded into a statement that is not true: 99.96 % is never 100 %, and a task
completed is never 0 %.
"""

import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Trouble(NamedTuple):
    """Why a job cannot be read, in words; and in sentences what it means, and what helps."""

    words: str
    explained: str


TROUBLES = {
    "timeout": Trouble(
        "the storage did not answer in time",
        "The scan gave it up at its deadline; the next one tries again.",
    ),
    "denied": Trouble(
        "access denied",
        "The user or key that the exporter runs with may not list its folder, or not read its "
        "executor.json or completions/.",
    ),
    "not_found": Trouble(
        "not found",
        "Its executor.json or a folder of it went while it was read, or a link leads nowhere.",
    ),
    "throttled": Trouble(
        "the storage asks to slow down",
        "Scans of this root come too often for the storage, or others use it up.",
    ),
    "unavailable": Trouble(
        "the storage is not available",
        "The storage could not be reached, or broke off; the next scan tries again.",
    ),
    "partial": Trouble(
        "the storage's answer was incomplete",
        "Counts from it would be too low, so none are taken; the next scan tries again.",
    ),
    "invalid": Trouble(
        "executor.json or completions/ is not valid",
        "executor.json is no JSON object whose world_size is a whole number of at least 1, or "
        "completions is no folder. That is so for milliseconds while datatrove writes the file; "
        "if it stays, and nothing of the job runs any more, launch it again.",
    ),
    "too_large": Trouble(
        "executor.json is too large",
        "Its executor.json is larger than is read, and its end does not tell world_size.",
    ),
    "other": Trouble(
        "an unexpected error; the log has it",
        "This is not one of the known troubles: please look at the log, and report it.",
    ),
}
"""By the reason of the error."""

_LATEST = 253_402_300_799  # the end of the year 9999, the last that calendars agree on
_YEAR_SECONDS = 365 * 86_400.0
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def readable(text: str) -> str:
    """The text for a terminal: characters that turn the writing direction, which would make what
    follows read as something else, appear as ``\\u202e``."""
    return text if text.isascii() else _TURNING.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def count(number: int) -> str:
    """``1,574``."""
    return f"{number:,}"


def counted(number: int, one: str, many: str = "") -> str:
    """``1 task``, ``1,574 tasks``; `many` is where the plural has more than an ``s``."""
    return f"{count(number)} {one if number == 1 else many or f'{one}s'}"


def every(number: int, one: str) -> str:
    """``the one job``, ``all 1,574 jobs``."""
    return f"the one {one}" if number == 1 else f"all {count(number)} {one}s"


def percent(ratio: float) -> str:
    """``61 %``; rounded down, and finer near 0 and 1: ``<0.1 %``, ``0.4 %``, ``99.9 %``."""
    if ratio in (0, 1):
        return f"{ratio:.0%}".replace("%", " %")
    if ratio < 0.001:
        return "<0.1 %"
    thousandths = min(999, int(ratio * 1000 + 1e-9))  # 0.29 is 289.999… thousandths
    if 10 <= thousandths < 990:
        return f"{thousandths // 10} %"
    return f"{thousandths / 10:.1f} %"


def rate(per_hour: float) -> str:
    """Tasks an hour: ``1574``, or three digits of fewer: ``12.5``, ``0.0417``."""
    if per_hour < 0.0005:
        return "<0.001"
    digits = f"{per_hour:.3g}"
    return f"{per_hour:.0f}" if "e" in digits else digits


def duration(seconds: float) -> str:
    """The two largest units: ``12 s``, ``2 h 31 min``, ``3 d 4 h``; ``less than 1 s``."""
    if 0 < seconds < 1:
        return "less than 1 s"
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, length in _UNITS:
        amount, left = divmod(left, length)
        if amount:
            parts.append(f"{amount} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def token(seconds: float) -> str:
    """The same as one word, for cells of a table of text: ``12s``, ``2h31m``, ``3d4h``; ``<1s``."""
    return duration(seconds).replace("less than 1 s", "<1s").replace("min", "m").replace(" ", "")


def left(seconds: float) -> str:
    """As `token`, of an estimate: ``>1y`` beyond a year."""
    return ">1y" if is_far(seconds, 0) else token(seconds)


def is_far(timestamp: float, now: float) -> bool:
    """An estimate that lies more than a year ahead is no date: paces do not last so long."""
    return timestamp - now > _YEAR_SECONDS


def ago(seconds: float) -> str:
    """``2 h 31 min ago``."""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def moment(timestamp: float) -> str:
    """``2026-11-22 06:10:02 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", _calendar(timestamp))


def clock(timestamp: float, now: float) -> str:
    """``21:40 UTC`` if it is on the day of `now`, else with the date: ``24 Nov 21:40 UTC``,
    with the year when that is another."""
    there, here = _calendar(timestamp), _calendar(now)
    if there[:3] == here[:3]:
        return time.strftime("%H:%M UTC", there)
    day = f"{there.tm_mday} {time.strftime('%b', there)}"
    year = "" if there.tm_year == here.tm_year else f" {there.tm_year}"
    return f"{day}{year} {time.strftime('%H:%M UTC', there)}"


def day(timestamp: float, now: float) -> str:
    """``9 Dec``, with the year when that is another; within two days of `now` as `clock`."""
    if abs(timestamp - now) < 2 * 86_400:
        return clock(timestamp, now)
    there, here = _calendar(timestamp), _calendar(now)
    year = "" if there.tm_year == here.tm_year else f" {there.tm_year}"
    return f"{there.tm_mday} {time.strftime('%b', there)}{year}"


def _calendar(timestamp: float) -> time.struct_time:
    # A file may have any modification time, and an estimate may lie at any distance.
    return time.gmtime(min(max(timestamp, 0), _LATEST))


def series(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def ranges(runs: Iterable[tuple[int, int]]) -> str:
    """Runs (first, last) of ranks: ``3,17-20``. Nothing for Slurm's ``--array``, whose numbers
    are no ranks to datatrove."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
