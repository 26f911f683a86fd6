"""Durations, read as Prometheus reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (0, 0.0),
        ("0s", 0.0),
        ("1ms", 0.001),
        ("500ms", 0.5),
        ("90s", 90.0),
        ("1m", 60.0),
        ("1h30m", 5400.0),
        ("1d", 86_400.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
        ("100y", 3_153_600_000.0),
        ("007s", 7.0),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "1", "10", "-1s", "+1s", "1.5s", "1e3s", "1 s", " 1s", "1s ", "1s\n", "1S"),
        *("1M", "1min", "30m1h", "1s1s", "1ms1s", "1m 30s", "1:30", "٣m", "1h٣m", "101y", "1us"),
        *("9" * 40 + "y", "1" * 64 + "s", "never", True, False, None, 1, 1.0, 0.0, b"1s", ["1s"]),
    ],
)
def test_what_prometheus_would_not_read_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^(expected a duration|longer than 100 years)"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (90.0, "1m30s"),
        (3600.0, "1h"),
        (604_800.0, "7d"),
        (90_061.001, "1d1h1m1s1ms"),
    ],
)
def test_a_duration_is_written_shortly(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 100 * 31_536_000 * 1000))
def test_every_duration_survives_writing_and_reading(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert round(parse_duration(text) * 1000) == milliseconds
    assert format_duration(parse_duration(text)) == text
