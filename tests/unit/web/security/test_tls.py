"""TLS handshakes with the contexts that a web configuration means, in memory."""

import contextlib
import os
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from support.certificates import Certificates
from support.servers import HOST

from exporter.errors import ConfigError
from exporter.web.security.tls import names_in, new_context
from exporter.web.security.web_config import load


def context(made: Certificates, **tls: Any) -> ssl.SSLContext:
    file = made.write_web_config(tls_server_config=tls)
    config = load(str(file)).tls
    assert config is not None
    return new_context(config, "web.yml")


def refusal_of(made: Certificates, **tls: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        context(made, **tls)
    return str(caught.value)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """The server's end of a connection; raises SSLError if one side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=HOST)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (one, other):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert one.version() is not None
    assert other.version() is not None
    return other


def test_a_client_that_trusts_the_authority_gets_in(made: Certificates) -> None:
    connection = shake_hands(context(made), made.client())
    assert connection.version() == "TLSv1.3"
    assert connection.selected_alpn_protocol() is None


def test_a_client_may_offer_http_2_and_gets_http_1_1(made: Certificates) -> None:
    client = made.client()
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shake_hands(context(made), client).selected_alpn_protocol() == "http/1.1"


def test_certificates_may_be_within_the_file(made: Certificates) -> None:
    texts = {name: (made.folder / f"server.{name}").read_text() for name in ("crt", "key")}
    server = context(
        made,
        cert_file=None,
        key_file=None,
        cert=texts["crt"],
        key=texts["key"],
        client_ca=made.authority_file.read_text(),
        client_auth_type="RequireAndVerifyClientCert",
    )
    assert shake_hands(server, made.client("prometheus", "prometheus")).getpeercert()
    with pytest.raises(ssl.SSLError):
        shake_hands(server, made.client())


def limited(client: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    client.minimum_version = client.maximum_version = version
    return client


def test_versions_outside_the_limits_are_refused(made: Certificates) -> None:
    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    assert shake_hands(context(made), limited(made.client(), old)).version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        shake_hands(context(made, min_version="TLS13"), limited(made.client(), old))
    with pytest.raises(ssl.SSLError):
        shake_hands(context(made, max_version="TLS12"), limited(made.client(), new))
    assert context(made).minimum_version == old
    assert context(made, min_version="TLS10").minimum_version == ssl.TLSVersion.TLSv1


def test_only_the_ciphers_that_are_named_are_spoken(made: Certificates) -> None:
    server = context(made, cipher_suites=["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"])
    client = limited(made.client(), ssl.TLSVersion.TLSv1_2)
    assert shake_hands(server, client).cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client)


def test_naming_only_ciphers_of_tls_1_3_ends_tls_1_2(made: Certificates) -> None:
    server = context(made, cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert shake_hands(server, made.client()).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        shake_hands(server, limited(made.client(), ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize(("preferred", "first"), [(True, 0), (False, 1)])
def test_who_chooses_the_cipher(made: Certificates, preferred: bool, first: int) -> None:
    names = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    server = context(
        made,
        prefer_server_cipher_suites=preferred,
        cipher_suites=[
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ],
    )
    client = limited(made.client(), ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(":".join(reversed(names)))
    cipher = shake_hands(server, client).cipher()
    assert cipher is not None
    assert cipher[0] == names[first]


@pytest.mark.parametrize(
    ("named", "spoken", "refused"),
    [
        (["CurveP384"], "secp384r1", "prime256v1"),
        (["X25519", "CurveP256"], "prime256v1", "secp384r1"),  # one of them, the common one
    ],
)
def test_only_curves_that_are_named_are_spoken(
    made: Certificates, named: list[str], spoken: str, refused: str
) -> None:
    server = context(made, curve_preferences=named)
    client = made.client()
    client.set_ecdh_curve(spoken)
    assert shake_hands(server, client)
    client.set_ecdh_curve(refused)
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client)


def stranger(made: Certificates) -> ssl.SSLContext:
    """A client whose certificate is of another authority."""
    client = made.client()
    trustme.CA().issue_cert("prometheus").configure_cert(client)
    return client


CLIENTS: dict[str, Callable[[Certificates], ssl.SSLContext]] = {
    "no certificate": lambda made: made.client(),
    "a good one": lambda made: made.client("prometheus", "prometheus"),
    "a stranger's": stranger,
}


@pytest.mark.parametrize(
    ("policy", "welcome"),
    [
        ("NoClientCert", {"no certificate", "a good one", "a stranger's"}),
        ("RequestClientCert", {"no certificate", "a good one", "a stranger's"}),
        ("VerifyClientCertIfGiven", {"no certificate", "a good one"}),
        ("RequireAndVerifyClientCert", {"a good one"}),
    ],
)
@pytest.mark.parametrize("who", CLIENTS)
def test_who_gets_in_by_which_policy(
    made: Certificates, policy: str, welcome: set[str], who: str
) -> None:
    ca = {} if policy in ("NoClientCert", "RequestClientCert") else {"client_ca_file": "ca.crt"}
    server = context(made, client_auth_type=policy, **ca)
    if who in welcome:
        shake_hands(server, CLIENTS[who](made))
    else:
        with pytest.raises(ssl.SSLError):
            shake_hands(server, CLIENTS[who](made))


def test_names_of_every_kind_are_found_in_a_certificate(made: Certificates) -> None:
    names = {"prometheus.example.org", "10.0.0.1", "::1", "ops@example.org"}
    server = context(made, client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.crt")
    connection = shake_hands(server, made.client("prometheus", *names))
    assert names_in(connection.getpeercert()) == names
    uri = {"subjectAltName": (("URI", "spiffe://example.org/prometheus"),)}
    assert names_in(uri) == {"spiffe://example.org/prometheus"}
    assert names_in(None) == names_in({}) == frozenset()


def another_key(made: Certificates) -> None:
    made.issue("other", "other")
    (made.folder / "other.key").rename(made.folder / "server.key")


def with_password(made: Certificates) -> None:
    file = made.folder / "server.key"
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"password")
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(kind, form, encryption))


def fifo(name: str) -> Callable[[Certificates], None]:
    def make(made: Certificates) -> None:
        (made.folder / name).unlink()
        os.mkfifo(made.folder / name)

    return make


def content(name: str, text: str) -> Callable[[Certificates], object]:
    return lambda made: (made.folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "key", "says"),
    [
        (another_key, "key_file", "does not belong to the certificate"),
        (with_password, "key_file", "not a key in PEM without a password"),
        (content("server.key", "CANARY"), "key_file", "not a key in PEM without a password"),
        (content("server.crt", "CANARY"), "cert_file", "not a certificate in PEM"),
        (content("server.crt", ""), "cert_file", "not a certificate in PEM"),
        (content("ca.crt", "CANARY"), "client_ca_file", "not a certificate in PEM"),
        (
            lambda made: (made.folder / "server.crt").unlink(),
            "cert_file",
            "the file cannot be read: No such file or directory",
        ),
        (fifo("server.key"), "key_file", "the file is not a regular file"),
        (fifo("ca.crt"), "client_ca_file", "the file is not a regular file"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named_with_its_line(
    made: Certificates, spoil: Callable[[Certificates], object], key: str, says: str
) -> None:
    spoil(made)
    tls = {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "ca.crt"}
    place, _, text = refusal_of(made, **tls).partition(": tls_server_config.")
    assert text == f"{key}: {says}"
    line = (made.folder / "web.yml").read_text().splitlines()[int(place.split(":")[1]) - 1]
    assert line.strip().startswith(f"{key}:")


def test_all_certificates_that_cannot_be_used_are_named_at_once(made: Certificates) -> None:
    refusal = refusal_of(
        made,
        cert_file="nosuch",
        key_file="nosuch",
        client_ca_file="nosuch",
        client_auth_type="VerifyClientCertIfGiven",
    )
    assert len(refusal.splitlines()) == 3
