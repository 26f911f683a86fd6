"""The web configuration in force: read again, kept when the new one is bad."""

import asyncio
import base64

import pytest
from support.certificates import Certificates, hashed

from exporter.config.settings import Config, RootConfig
from exporter.errors import ConfigError
from exporter.web.security.access import Access, RateLimit, check_texts

CERTIFICATE = {"subjectAltName": (("DNS", "prometheus"), ("IP Address", "10.0.0.1"))}


def header(password: str) -> str:
    return f"Basic {base64.b64encode(f'alice:{password}'.encode()).decode()}"


def refusal(
    access: Access, authorization: str = "", certificate: object = None, path: str = "/metrics"
) -> int | None:
    return asyncio.run(access.refusal(path, authorization, certificate, "10.0.0.1"))


def test_without_a_file_everyone_is_answered_in_the_clear() -> None:
    access = Access(None)
    assert (access.policy.tls, access.files, refusal(access)) == (None, (), None)


def test_a_file_that_cannot_be_used_is_an_error_at_the_start(made: Certificates) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Access(str(made.folder / "web.yml"))
    with pytest.raises(ConfigError, match="cert_file"):
        Access(str(made.write_web_config(tls_server_config={"cert_file": "nosuch"})))


def test_a_changed_file_is_in_force_once_read(made: Certificates) -> None:
    reread: list[bool] = []
    file = made.write_web_config(basic_auth_users={"alice": hashed("old")})
    access = Access(str(file), reread.append)
    before = access.policy
    made.write_web_config(
        basic_auth_users={"alice": hashed("new")},
        http_server_config={"headers": {"X-Frame-Options": "sameorigin"}},
    )
    access.reread()
    assert refusal(access, header("old")) == 401
    assert refusal(access, header("new")) is None
    assert access.policy.headers == {"X-Frame-Options": "sameorigin"}
    assert access.policy.tls is not before.tls
    assert reread == [True]


@pytest.mark.parametrize("text", ["nosuch: 1", "basic_auth_users: {alice: plain}", "[", "", "{}"])
def test_a_bad_or_emptied_file_keeps_the_last_good_one(made: Certificates, text: str) -> None:
    """An empty file would be valid, and let everyone in."""
    reread: list[bool] = []
    file = made.write_web_config(basic_auth_users={"alice": hashed("old")})
    access = Access(str(file), reread.append)
    before = access.policy
    file.write_text(text)
    access.reread()
    assert access.policy is before
    assert refusal(access) == 401
    assert refusal(access, header("old")) is None
    file.unlink()
    access.reread()
    assert access.policy is before
    made.write_web_config(basic_auth_users={"alice": hashed("new")})
    access.reread()
    assert refusal(access, header("new")) is None
    assert reread == [False, False, True]


def test_tls_alone_or_passwords_alone_cannot_be_taken_away(made: Certificates) -> None:
    users = {"alice": hashed("old")}
    access = Access(str(made.write_web_config(basic_auth_users=users)))
    made.write_web_config(basic_auth_users=users, tls_server_config=None)
    access.reread()
    assert access.policy.tls is not None
    made.write_web_config()
    access.reread()
    assert access.policy.users
    plain = Access(str(made.write_web_config(tls_server_config=None)))
    made.write_web_config(basic_auth_users=users)
    plain.reread()
    assert plain.policy.tls is not None
    assert plain.policy.users


def test_a_pair_that_is_half_replaced_keeps_the_old_one(made: Certificates) -> None:
    access = Access(str(made.write_web_config()))
    before = access.policy.tls
    key = (made.folder / "server.key").read_bytes()
    made.issue("server", "localhost")
    new_key = (made.folder / "server.key").read_bytes()
    (made.folder / "server.key").write_bytes(key)
    access.reread()
    assert access.policy.tls is before
    (made.folder / "server.key").write_bytes(new_key)
    access.reread()
    assert access.policy.tls is not before


def test_only_names_that_are_allowed_get_in(made: Certificates) -> None:
    tls = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.crt"}
    for allowed, expected in ((["prometheus"], None), (["10.0.0.1"], None), (["prom*"], 403)):
        web = made.write_web_config(tls_server_config={**tls, "client_allowed_sans": allowed})
        assert refusal(Access(str(web)), certificate=CERTIFICATE) == expected
        assert refusal(Access(str(web)), certificate=None) == 403
    web = made.write_web_config(tls_server_config={**tls, "client_allowed_sans": []})
    assert refusal(Access(str(web)), certificate=CERTIFICATE) == 403


def test_excluded_paths_and_no_others_are_for_everyone(made: Certificates) -> None:
    """They match exactly; the rate limit counts them all the same."""
    tls = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.crt"}
    web = made.write_web_config(
        tls_server_config={**tls, "client_allowed_sans": ["prometheus"]},
        basic_auth_users={"alice": hashed("right")},
        auth_excluded_paths=["/-/healthy"],
        rate_limit={"interval": "1h", "burst": 7},
    )
    access = Access(str(web))
    assert refusal(access, path="/-/healthy") is None
    for path in ("/metrics", "/-/healthy/", "//-/healthy"):
        assert refusal(access, header("right"), path=path) == 403
    assert refusal(access, header("wrong"), CERTIFICATE) == 401
    assert refusal(access, header("right"), CERTIFICATE) is None
    assert refusal(access, header("right"), {"subject": "other"}) == 403
    assert refusal(access, path="/-/healthy") == 429


def test_more_requests_than_the_limit_allows_are_refused(made: Certificates) -> None:
    web = made.write_web_config(rate_limit={"interval": "1h", "burst": 3})
    access = Access(str(web))
    assert [refusal(access) for _ in range(5)] == [None, None, None, 429, 429]


def test_tokens_come_back_with_time_but_not_more_than_the_burst() -> None:
    limit = RateLimit(1e-9, 2)
    assert all(limit.allows() for _ in range(100))
    assert limit._tokens <= 2


def texts_are_allowed(access: Access) -> bool:
    roots = (RootConfig("a", "/a"), RootConfig("b", "/b", show_errors="text"))
    check_texts(Config(roots[:1]), access.policy)  # types are for everyone
    try:
        check_texts(Config(roots, "c.yml"), access.policy)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    ("client_auth", "with_password", "are_allowed"),
    [
        (None, False, False),
        (None, True, True),
        ("VerifyClientCertIfGiven", False, False),
        ("RequireAndVerifyClientCert", False, True),
    ],
)
def test_texts_of_errors_are_for_those_who_are_asked_who_they_are(
    made: Certificates, client_auth: str | None, *, with_password: bool, are_allowed: bool
) -> None:
    tls: dict[str, object] = {"cert_file": "server.crt", "key_file": "server.key"}
    if client_auth:
        tls |= {"client_auth_type": client_auth, "client_ca_file": "ca.crt"}
    users = {"basic_auth_users": {"alice": hashed("a")}} if with_password else {}
    access = Access(str(made.write_web_config(tls_server_config=tls, **users)))
    assert texts_are_allowed(access) == are_allowed


def test_texts_of_errors_are_refused_without_a_web_configuration() -> None:
    config = Config((RootConfig("b", "/b", show_errors="text"),), "c.yml")
    with pytest.raises(ConfigError, match=r"^c.yml: roots\[0\].show_errors: text needs a web.conf"):
        check_texts(config, Access(None).policy)


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/jobs/a/b"])
def test_texts_of_errors_are_refused_where_their_pages_are_for_everyone(
    made: Certificates, path: str
) -> None:
    users = {"basic_auth_users": {"alice": hashed("a")}}
    made.write_web_config(**users, auth_excluded_paths=["/metrics"])
    access = Access(str(made.folder / "web.yml"))
    assert texts_are_allowed(access)
    made.write_web_config(**users, auth_excluded_paths=[path])
    assert not texts_are_allowed(Access(str(made.folder / "web.yml")))


def test_the_demand_for_a_certificate_cannot_be_taken_away(made: Certificates) -> None:
    tls = {"cert_file": "server.crt", "key_file": "server.key", "client_ca_file": "ca.crt"}
    strict = {**tls, "client_auth_type": "RequireAndVerifyClientCert"}
    access = Access(str(made.write_web_config(tls_server_config=strict)))
    made.write_web_config(tls_server_config={**tls, "client_auth_type": "VerifyClientCertIfGiven"})
    access.reread()
    assert refusal(access) == 403
