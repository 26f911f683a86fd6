"""Where to listen, and what a mistyped URL was meant to be."""

import pytest

from exporter.config.addresses import (
    check_external_url,
    has_login,
    meant_beginning,
    split_listen_address,
)
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


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://monitor.example.org/datatrove/", "https://monitor.example.org/datatrove"),
        ("http://[fe80::1]:10170", "http://[fe80::1]:10170"),
    ],
)
def test_links_can_be_put_after_an_external_url(url: str, kept: str) -> None:
    assert check_external_url(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        *("monitor.example.org", "ftp://host", "https://", "https:///x", "http://a:b@host"),
        *("http://h?x", "http://h/#x", "http://h/a b", "http://h:x", "http://h:99999"),
        *("http://[x", "http://h/\n"),
    ],
)
def test_what_no_link_can_be_put_after_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected|valid|credentials|no query"):
        check_external_url(url)


@pytest.mark.parametrize("rest", ["k@b/x", "k:s@b/x", "k:a/b@c/x", "k:/b@c", "k:a?b@c", "k:1a/2@c"])
def test_a_login_is_one_also_with_a_slash_in_its_password(rest: str) -> None:
    assert has_login(rest)


@pytest.mark.parametrize(
    "rest",
    [
        *("b/x", "b/x@y", "host:22/x@y", "[::1]:22/x@y", "datasets/who/what@main/logs"),
        "arn:aws:s3:eu-west-1:1:accesspoint/name/x@y",
        "/data/a:b/x@y",
    ],
)
def test_an_at_sign_further_on_is_no_login(rest: str) -> None:
    assert not has_login(rest)
