"""What clients accept, by what they really send and by what nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.answer import Request
from exporter.web.negotiation import accepts_gzip, metrics_format, prefers_csv

OPENMETRICS = "application/openmetrics-text"
TEXT, UTF8 = "text/plain;version=0.0.4", "escaping=allow-utf-8"


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("", False),
        ("*", True),
        ("br, GZIP", True),
        ("identity", False),
        ("gzip;q=0.001", True),
        ("gzip; q=0", False),
        ("gzip ; Q = 0", False),
        ("gzip;q=0.0, br", False),
        ("gzip;q=0.000", False),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0, *;q=1", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=1.0", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("gzip;q=much", False),
        ("gzip;q=-1", False),
        ("gzip;q=nan", False),
        ("gzip;q=", False),
    ],
)
def test_gzip_is_for_those_who_want_it(header: str, *, is_accepted: bool) -> None:
    assert accepts_gzip(header) is is_accepted
    assert Request(headers={"Accept-Encoding": header}).accepts_gzip is is_accepted


def test_who_says_nothing_gets_plain_text() -> None:
    assert not Request().accepts_gzip
    assert metrics_format("") == "text"


@pytest.mark.parametrize(
    "header",
    [
        # As Prometheus 2.4, 2.42 and 3.5 have sent it.
        f"{OPENMETRICS}; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,{TEXT};q=0.5,*/*;q=0.1",
        (
            f"{OPENMETRICS};version=1.0.0;{UTF8};q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,"
            f"text/plain;version=1.0.0;{UTF8};q=0.3,{TEXT};q=0.2,*/*;q=0.1"
        ),
        OPENMETRICS,
        f'{OPENMETRICS};version="1.0.0"',
        f"{OPENMETRICS};q=0.2, text/plain;q=0.2",
        f"{OPENMETRICS};q=0.2, text/plain;version=1.0.0;q=0.9",
        f"{OPENMETRICS};q=0.2, text/plain;q=0.1, */*;q=0.9",
    ],
)
def test_openmetrics_is_for_those_who_want_it_no_less_than_text(header: str) -> None:
    assert metrics_format(header) == "openmetrics"


@pytest.mark.parametrize(
    "header",
    [
        "*/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        f"text/plain;version=0.0.4;q=0.5,{OPENMETRICS};version=1.0.0;q=0.4,*/*;q=0.1",
        f"text/plain, {OPENMETRICS};q=0",
        f"{OPENMETRICS};q=0.000",
        f"{OPENMETRICS};q=0.5, text/*",
        f"{OPENMETRICS};q=0.5, */*",
        f"{OPENMETRICS};version=2.0.0",
        f"{OPENMETRICS};q=0.9.9",
        "application/*",
        "*/*;q=0",
    ],
)
def test_text_is_for_all_others(header: str) -> None:
    assert metrics_format(header) == "text"


@given(st.text() | st.text('gzip*;=,q01. /openmetrics-text"', max_size=100))
def test_no_header_is_too_odd(header: str) -> None:
    assert accepts_gzip(header) in (True, False)
    assert metrics_format(header) in ("text", "openmetrics")


@pytest.mark.parametrize(
    "header", ["text/csv", "text/csv, */*;q=0.1", "TEXT/CSV;q=0.2, application/json;q=0.1"]
)
def test_csv_is_for_those_who_prefer_it_to_json(header: str) -> None:
    assert prefers_csv(header)


@pytest.mark.parametrize(
    "header",
    ["", "*/*", "text/*", "text/html, */*;q=0.8", "application/json, text/csv", "text/csv;q=0",
     "text/csv;q=0.5, application/json", "text/csv;version=9"],
)  # fmt: skip
def test_json_is_for_all_others(header: str) -> None:
    assert not prefers_csv(header)
