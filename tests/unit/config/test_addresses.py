"""Where to listen, as one text."""

import pytest

from exporter.config.addresses import split_listen_address


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("0.0.0.0:10170", "0.0.0.0", 10170),
        (":9100", None, 9100),
        ("[::]:9100", "::", 9100),
        ("[fe80::1%0]:1", "fe80::1%0", 1),
        ("localhost:0", "localhost", 0),
        ("exporter.example.org:65535", "exporter.example.org", 65535),
    ],
)
def test_a_listen_address_is_a_host_and_a_port(address: str, host: str | None, port: int) -> None:
    assert split_listen_address(address) == (host, port)


@pytest.mark.parametrize(
    "address",
    ["", ":", "x", "x:", "x:y", "x:-1", "x:65536", "x:999999", "::1:80", "[::1]", "[x]:1", "x:٣"],
)
def test_what_is_no_listen_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^expected HOST:PORT or :PORT$"):
        split_listen_address(address)
