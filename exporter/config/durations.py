"""Durations in Prometheus' syntax (``1h30m``), read and written. Pure; no I/O."""

import re

DURATION_EXPECTED = "expected a duration such as 30s, 5m or 1h30m"

_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_UNIT_SECONDS = (31_536_000, 604_800, 86_400, 3_600, 60, 1, 0.001)
_LONGEST_SECONDS = 100 * 31_536_000
_WRITTEN_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def parse_duration(text: object) -> float:
    """Seconds of a duration (``1h30m``, ``500ms``, ``0``); raises ValueError."""
    if text == "0" or (type(text) is int and text == 0):
        return 0.0
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) < 64 else None
    if match is None or not match[0]:
        raise ValueError(DURATION_EXPECTED)
    amounts = zip(match.groups(default="0"), _UNIT_SECONDS, strict=True)
    seconds = sum(int(amount) * unit for amount, unit in amounts)
    if seconds > _LONGEST_SECONDS:
        raise ValueError("longer than 100 years")
    return float(seconds)


def parse_interval(text: object) -> float:
    """Seconds of a duration that is not shorter than one second; raises ValueError."""
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError("shorter than 1s")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit, length in _WRITTEN_UNITS_MS.items():
        amount, milliseconds = divmod(milliseconds, length)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
