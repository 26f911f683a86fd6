"""The web configuration file: what is accepted, what it means, what is refused."""

import json
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certificates import Certificates, hashed
from support.processes import needs

from exporter.errors import ConfigError
from exporter.web.security.toolkit_format import CIPHERS, CURVES, VERSIONS
from exporter.web.security.web_config import WebConfig, load, parse

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
PAIR = "cert_file: a.crt, key_file: a.key"
FOLDER = Path("/etc/exporter")


def read(text: str) -> WebConfig:
    return parse(text.encode(), "web.yml", FOLDER)


def refusal_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "tls_server_config:\nbasic_auth_users:\n", "tls_server_config: {cert_file: }"],
)
def test_a_file_that_asks_for_nothing_is_accepted(text: str) -> None:
    config = read(text)
    assert (config.tls, config.users, config.headers, config.rate_interval_seconds) == (
        None,
        (),
        (),
        0,
    )


EVERYTHING = f"""
tls_server_config:
  cert_file: tls/server.crt
  key_file: /run/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example.org, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: "default-src 'self'"
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "1"
    Strict-Transport-Security: max-age=63072000
basic_auth_users:
  alice: {HASH}
  no: {HASH}
  123: {HASH}
rate_limit:
  interval: 1.5s
  burst: 20
auth_excluded_paths: [/-/healthy, /-/ready]
"""


def test_every_key_of_the_format_is_understood() -> None:
    config = read(EVERYTHING)
    tls = config.tls
    assert tls is not None
    assert tls.certificate.file == FOLDER / "tls/server.crt"
    assert tls.key.file == Path("/run/server.key")
    assert tls.client_ca is not None
    assert tls.client_ca.file == FOLDER / "ca.crt"
    assert not tls.client_may_stay_unknown
    assert tls.client_allowed_sans == {"prometheus.example.org", "10.0.0.1"}
    assert (tls.min_version, tls.max_version) == ("TLS12", "TLS13")
    assert tls.ciphers == ("ECDHE-ECDSA-AES256-GCM-SHA384",)
    assert not tls.prefer_server_ciphers
    assert tls.curves == ("CurveP256", "X25519")
    assert dict(config.users) == {"alice": HASH, "no": HASH, "123": HASH}
    assert len(config.headers) == 5
    assert (config.rate_interval_seconds, config.rate_burst) == (1.5, 20)
    assert config.auth_excluded_paths == {"/-/healthy", "/-/ready"}
    assert tls.client_is_asked_later
    assert config.files == (
        "web.yml",
        f"{FOLDER}/tls/server.crt",
        "/run/server.key",
        f"{FOLDER}/ca.crt",
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("1500ms", 1.5), ("1m30s", 90), ("2000000000", 2), ("1h", 3600)],
)
def test_the_rate_limits_interval_is_a_duration_of_go(text: str, seconds: float) -> None:
    config = read(f"rate_limit: {{interval: {text}, burst: 1}}")
    assert config.rate_interval_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (
            "nosuch: 1",
            (
                "web.yml:1: nosuch: unknown key; there are tls_server_config, http_server_config, "
                "rate_limit, auth_excluded_paths, basic_auth_users"
            ),
        ),
        (
            "auth_excluded_paths: [/a, metrics]",
            "web.yml:1: auth_excluded_paths[1]: expected a path such as /-/healthy",
        ),
        (
            "ip_socket_config: {dscp: 46}",
            "web.yml:1: ip_socket_config: unknown key; did you mean http_server_config?",
        ),
        ("- a", "web.yml:1: expected a mapping such as tls_server_config, basic_auth_users"),
        (
            "tls_server_config: {cert_fil: a}",
            "web.yml:1: tls_server_config.cert_fil: unknown key; did you mean cert_file?",
        ),
        ("tls_server_config: yes", "web.yml:1: tls_server_config: expected a mapping"),
        (
            "tls_server_config: {cert_file: a.crt}",
            "web.yml:1: tls_server_config.key_file: is required (or key)",
        ),
        (  # the toolkit serves in the clear then
            "tls_server_config: {min_version: TLS13}",
            (
                "web.yml:1: tls_server_config.cert_file: is required (or cert)\n"
                "web.yml:1: tls_server_config.key_file: is required (or key)"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, cert: x}}",
            "web.yml:1: tls_server_config.cert: set either this or cert_file",
        ),
        (
            f"tls_server_config: {{{PAIR}, min_version: SSL30}}",
            (
                "web.yml:1: tls_server_config.min_version: "
                "expected one of 'TLS10', 'TLS11', 'TLS12' or 'TLS13'"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}",
            "web.yml:1: tls_server_config.min_version: is above max_version",
        ),
        (
            f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}",
            (
                "web.yml:1: tls_server_config.cipher_suites: "
                "number 1 is not a cipher that Go calls secure"
            ),
        ),
        (
            (
                f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_AES_128_GCM_SHA256], "
                "max_version: TLS12}"
            ),
            "web.yml:1: tls_server_config.cipher_suites: has none for TLS 1.2 and below",
        ),
        (
            f"tls_server_config: {{{PAIR}, curve_preferences: [P256]}}",
            (
                "web.yml:1: tls_server_config.curve_preferences[0]: "
                "expected one of 'CurveP256', 'CurveP384', 'CurveP521' or 'X25519'"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_ca_file: ca.crt}}",
            (
                "web.yml:1: tls_server_config.client_auth_type: "
                "a client CA does nothing without RequireAndVerifyClientCert here"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert}}",
            (
                "web.yml:1: tls_server_config.client_auth_type: "
                "client_ca_file is required for it (or client_ca)"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}",
            (
                "web.yml:1: tls_server_config.client_auth_type: a certificate that nobody verified "
                "proves nothing and cannot be asked for; use RequireAndVerifyClientCert"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_allowed_sans: [a]}}",
            (
                "web.yml:1: tls_server_config.client_allowed_sans: "
                "needs client_auth_type RequireAndVerifyClientCert"
            ),
        ),
        (
            "http_server_config: {headers: {X-Powered-By: me}}",
            (
                "web.yml:1: http_server_config.headers: only these can be set: "
                "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, "
                "X-Frame-Options, X-XSS-Protection"
            ),
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "web.yml:1: http_server_config.headers: X-Frame-Options must be deny or sameorigin",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nSet-Cookie: a"}}',
            (
                "web.yml:1: http_server_config.headers.X-XSS-Protection: "
                "holds characters that cannot be printed"
            ),
        ),
        (
            "basic_auth_users: {alice: hunter2}",
            (
                "web.yml:1: basic_auth_users.alice: "
                "expected a bcrypt hash, such as htpasswd -nBC 10 makes"
            ),
        ),
        (
            f"basic_auth_users: {{alice: {HASH.replace('$10$', '$31$')}}}",
            "web.yml:1: basic_auth_users.alice: the hash's cost must be between 4 and 20",
        ),
        (
            f"basic_auth_users: {{alice: {HASH}, alice: {HASH}}}",
            "web.yml:1: basic_auth_users.alice: appears twice",
        ),
        (
            "rate_limit: {interval: 1 s, burst: 1}",
            "web.yml:1: rate_limit.interval: expected a duration such as 500ms or 1m30s",
        ),
        (
            "rate_limit: {interval: 1s}",
            "web.yml:1: rate_limit.burst: must be at least 1, or nothing would ever be answered",
        ),
        ("a: &a [*a]", "web.yml:1: anchors and aliases are not supported"),
    ],
)
def test_what_cannot_be_enforced_is_refused(text: str, refusal: str) -> None:
    assert refusal_of(text) == refusal


def test_all_mistakes_are_told_at_once_each_with_its_line() -> None:
    text = "tls_server_config:\n  cert_file: a\n  x: 1\nbasic_auth_users:\n  a: b\nrate_limit: 1\n"
    assert [line.partition(" ")[0] for line in refusal_of(text).splitlines()] == [
        "web.yml:3:",
        "web.yml:5:",
        "web.yml:6:",
    ]


def test_only_a_certificate_and_a_key_may_have_several_lines() -> None:
    config = read("tls_server_config:\n  cert: |\n    a\n    b\n  key: |\n    c\n    d\n")
    assert config.tls is not None
    assert (config.tls.certificate.text, config.tls.key.text) == ("a\nb\n", "c\nd\n")
    assert "cannot be printed" in refusal_of('tls_server_config: {cert_file: "a\\nb"}')


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth_users: {alice: CANARY}",
        "basic_auth_users: {alice: [CANARY]}",
        "basic_auth_users: CANARY",
        "basic_auth_users: {alice: 'CANARY",
        "tls_server_config: {key: CANARY}",
        "tls_server_config: {client_auth_type: CANARY}",
        "tls_server_config: {cipher_suites: [CANARY]}",
        "http_server_config: {headers: {X-Frame-Options: CANARY}}",
        "rate_limit: {interval: CANARY, burst: CANARY}",
    ],
)
def test_a_value_is_never_repeated(text: str) -> None:
    assert "CANARY" not in refusal_of(text)


def test_a_hash_or_key_is_not_in_a_repr() -> None:
    config = read(f"{EVERYTHING.replace('key_file: /run/server.key', 'key: CANARY')}")
    assert HASH not in repr(config)
    assert "CANARY" not in repr(config)
    assert config.secrets() == [HASH, HASH, HASH, "CANARY"]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit", "x"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["cert", "key_file", "headers", "interval", "burst", "alice"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_anything_is_a_web_configuration_or_a_config_error(value: object) -> None:
    with suppress(ConfigError):
        assert isinstance(read(json.dumps(value)), WebConfig)


def test_openssl_knows_every_cipher_curve_and_version() -> None:
    for name in CIPHERS.values():
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(name)
    for name in CURVES.values():
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(name)
    assert len(VERSIONS) == 4


def minimal(made: Certificates) -> Path:
    return made.write_web_config()


def with_everything(made: Certificates) -> Path:
    return made.write_web_config(
        tls_server_config={
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "ca.crt",
            "min_version": "TLS12",
            "max_version": "TLS13",
            "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"],
            "prefer_server_cipher_suites": False,
            "curve_preferences": ["CurveP256", "X25519"],
        },
        http_server_config={"http2": False, "headers": {"X-Frame-Options": "deny"}},
        basic_auth_users={"alice": hashed("a"), "no": hashed("b")},
    )


def without_tls(made: Certificates) -> Path:
    return made.write_web_config(tls_server_config=None, basic_auth_users={"alice": hashed("a")})


def unknown_key(made: Certificates) -> Path:
    return made.write_web_config(nosuch=1)


def no_key_file(made: Certificates) -> Path:
    return made.write_web_config(tls_server_config={"key_file": ""})


def wrong_header(made: Certificates) -> Path:
    return made.write_web_config(http_server_config={"headers": {"X-Frame-Options": "x"}})


def wrong_hash(made: Certificates) -> Path:
    return made.write_web_config(basic_auth_users={"alice": "plain"})


def ca_without_policy(made: Certificates) -> Path:
    return made.write_web_config(tls_server_config={"client_ca_file": "ca.crt"})


@pytest.mark.parametrize("write", [minimal, with_everything, without_tls])
def test_promtool_accepts_what_is_accepted_here(
    tmp_path: Path, write: Callable[[Certificates], Path]
) -> None:
    file = write(Certificates(tmp_path))
    load(str(file))
    assert promtool(file).returncode == 0


@pytest.mark.parametrize(
    "write", [unknown_key, no_key_file, wrong_header, wrong_hash, ca_without_policy]
)
def test_promtool_refuses_what_is_refused_here(
    tmp_path: Path, write: Callable[[Certificates], Path]
) -> None:
    file = write(Certificates(tmp_path))
    with pytest.raises(ConfigError):
        load(str(file))
    assert promtool(file).returncode == 1


def promtool(file: Path) -> "subprocess.CompletedProcess[bytes]":
    command = [needs("promtool"), "check", "web-config", str(file)]
    return subprocess.run(command, capture_output=True, check=False)
