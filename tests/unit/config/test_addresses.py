"""Where to listen, and what a mistyped URL was meant to be."""

import pytest

from exporter.config.addresses import meant_beginning, split_listen_address
from exporter.storage import SCHEMES


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("0.0.0.0:10170", "0.0.0.0", 10170),
        (":9100", None, 9100),
        ("[::]:9100", None, 9100),
        ("[0:0:0:0:0:0:0:0]:9100", None, 9100),
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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_mistyped_url_of_every_scheme_is_recognised(scheme: str) -> None:
    beginning = f"{scheme}://" + ("/" if scheme == "file" else "")
    for text in (f"{scheme}:/x", f"{scheme}//x", f"{scheme.upper()}://x", f"{scheme}:x"):
        assert meant_beginning(text) == beginning
    assert meant_beginning(f"./{scheme}:/x") is None
