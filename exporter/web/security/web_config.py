"""The web configuration file -> WebConfig: TLS, basic authentication, headers, rate limit.

The format is that of Prometheus' exporter-toolkit, so that the file of another exporter
can be used as it is: github.com/prometheus/exporter-toolkit, docs/web-configuration.md.
Where this module is stricter, it refuses what the toolkit would silently not enforce. The
files that the file names are read by ``tls``.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from exporter.config.files import read_config_file
from exporter.config.strict_yaml import LIMIT_BYTES, ParsedYaml
from exporter.config.validation import StrictModel, mistakes_of
from exporter.errors import ConfigError, Location, Mistake
from exporter.web.security import toolkit_format as toolkit

_HASH = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_COST_LIMIT = 20  # 1.5 minutes for each login; each step more doubles that
_VERIFYING = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate or key, within the configuration or in a file of its own, and where
    the configuration names it."""

    location: Location
    line: int | None
    file: Path | None = None
    text: str = field(default="", repr=False)

    def mistake(self, text: str) -> Mistake:
        return Mistake(self.location, text, self.line)


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The section ``tls_server_config``. `client_ca` is there if clients must show a
    certificate, or may (`client_may_stay_unknown`); `client_allowed_sans` restricts whose. With
    `client_is_asked_later`, one that must is let through the handshake without.
    `ciphers` of TLS 1.2 and below are OpenSSL's names, none for its default."""

    certificate: Pem
    key: Pem
    client_ca: Pem | None
    client_may_stay_unknown: bool
    client_is_asked_later: bool
    client_allowed_sans: frozenset[str] | None
    min_version: toolkit.Version
    max_version: toolkit.Version
    ciphers: tuple[str, ...]
    prefer_server_ciphers: bool
    curves: tuple[toolkit.Curve, ...]


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file. `users` are (name, bcrypt hash); without any, nobody is asked for a
    password. A `rate_interval_seconds` of 0 means no limit."""

    source: str = ""
    tls: TlsConfig | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    rate_interval_seconds: float = 0.0
    rate_burst: int = 0
    auth_excluded_paths: frozenset[str] = frozenset()

    @property
    def files(self) -> tuple[str, ...]:
        """The file itself and those it names."""
        tls = self.tls
        pems = (tls.certificate, tls.key, tls.client_ca) if tls is not None else ()
        named = (str(pem.file) for pem in pems if pem is not None and pem.file is not None)
        return (self.source, *named) if self.source else ()

    def secrets(self) -> list[str]:
        """Texts that no log may show."""
        keys = [self.tls.key.text] if self.tls is not None else []
        return [*(hashed for _, hashed in self.users), *keys]


def load(file: str) -> WebConfig:
    """Read a web configuration file, not those it names; raises ConfigError with all mistakes."""
    data = read_config_file(file, LIMIT_BYTES)
    return parse(data, file, Path(os.path.abspath(file)).parent)


_TLS = "tls_server_config"
_INLINE = tuple((_TLS, key) for key in ("cert", "key", "client_ca"))


def parse(data: bytes, source: str, folder: Path) -> WebConfig:
    """The WebConfig that the YAML text `data` means; relative files are below `folder`."""
    parsed = ParsedYaml(data, source, line_breaks_at=_INLINE)
    mistakes = list(parsed.mistakes)
    try:
        model = _FileModel.model_validate(_without_nulls(parsed.value) or {})
    except ValidationError as error:
        whole = "a mapping such as tls_server_config, basic_auth_users"
        mistakes += mistakes_of(error, _FileModel, parsed.mistakes, whole)
    else:
        mistakes += _check_meaning(model)
        if not mistakes:
            return WebConfig(
                source=source,
                tls=_tls_config(model, parsed, folder),
                headers=tuple((k, v) for k, v in model.http_server_config.headers.items() if v),
                users=tuple(model.basic_auth_users.items()),
                rate_interval_seconds=model.rate_limit.interval,
                rate_burst=model.rate_limit.burst,
                auth_excluded_paths=frozenset(model.auth_excluded_paths),
            )
    raise ConfigError(source, [parsed.locate(mistake) for mistake in mistakes])


def _without_nulls(value: object) -> object:
    """The value without keys that have none: the toolkit takes them as left out."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value


def _check_suites(names: list[str]) -> list[str]:
    for number, name in enumerate(names, 1):
        if name not in toolkit.CIPHERS and name not in toolkit.TLS13_CIPHERS:
            raise ValueError(f"number {number} is not a cipher that Go calls secure")
    return names


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name not in toolkit.HEADERS:
            raise ValueError(f"only these can be set: {', '.join(toolkit.HEADERS)}")
        if not value.isascii():
            raise ValueError(f"{name} must be ASCII")
        if value and toolkit.HEADERS[name] and value not in toolkit.HEADERS[name]:
            raise ValueError(f"{name} must be {' or '.join(toolkit.HEADERS[name])}")
    return headers


def _check_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected a path such as /-/healthy")
    return value


def _check_hash(value: str) -> str:
    match = _HASH.fullmatch(value)
    if match is None:
        raise ValueError("expected a bcrypt hash, such as htpasswd -nBC 10 makes")
    if not 4 <= int(match[1]) <= _COST_LIMIT:
        raise ValueError(f"the hash's cost must be between 4 and {_COST_LIMIT}")
    return value


class _TlsModel(StrictModel):
    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: toolkit.ClientAuth = ""
    client_allowed_sans: list[str] | None = None
    min_version: toolkit.Version = "TLS12"
    max_version: toolkit.Version = "TLS13"
    cipher_suites: Annotated[list[str], AfterValidator(_check_suites)] = Field(default_factory=list)
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[toolkit.Curve] = Field(default_factory=list)


class _HttpModel(StrictModel):
    http2: bool = True
    headers: Annotated[dict[str, str], AfterValidator(_check_headers)] = Field(default_factory=dict)


class _RateModel(StrictModel):
    interval: Annotated[float, BeforeValidator(toolkit.parse_go_duration)] = 0.0
    burst: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class _FileModel(StrictModel):
    tls_server_config: _TlsModel = _TlsModel()
    http_server_config: _HttpModel = _HttpModel()
    rate_limit: _RateModel = _RateModel()
    auth_excluded_paths: list[Annotated[str, AfterValidator(_check_path)]] = Field(
        default_factory=list
    )
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_check_hash)]] = Field(
        default_factory=dict
    )


def _check_meaning(model: _FileModel) -> Iterator[Mistake]:
    """Mistakes in how several keys go together."""
    if model.rate_limit.interval > 0 and model.rate_limit.burst == 0:
        text = "must be at least 1, or nothing would ever be answered"
        yield Mistake(("rate_limit", "burst"), text)
    tls = model.tls_server_config
    if not tls.model_fields_set:
        return
    for inline, needed in (("cert", True), ("key", True), ("client_ca", False)):
        file = f"{inline}_file"
        given = [name for name in (inline, file) if getattr(tls, name)]
        if len(given) == 2:
            yield Mistake((_TLS, inline), f"set either this or {file}")
        elif needed and not given:  # the toolkit would serve in the clear without a word
            yield Mistake((_TLS, file), f"is required (or {inline})")
    if toolkit.VERSIONS[tls.min_version] > toolkit.VERSIONS[tls.max_version]:
        yield Mistake((_TLS, "min_version"), "is above max_version")
    if tls.max_version != "TLS13" and tls.cipher_suites and not _old_ciphers(tls):
        yield Mistake((_TLS, "cipher_suites"), "has none for TLS 1.2 and below")
    yield from _check_client_auth(tls)


def _check_client_auth(tls: _TlsModel) -> Iterator[Mistake]:
    place = (_TLS, "client_auth_type")
    has_ca = bool(tls.client_ca or tls.client_ca_file)
    if tls.client_auth_type in ("RequireAnyClientCert", "RequireClientCert"):
        text = "a certificate that nobody verified proves nothing and cannot be asked for; "
        yield Mistake(place, f"{text}use RequireAndVerifyClientCert")
    elif tls.client_auth_type in _VERIFYING and not has_ca:
        yield Mistake(place, "client_ca_file is required for it (or client_ca)")
    elif tls.client_auth_type in ("", "NoClientCert") and has_ca:
        yield Mistake(place, "a client CA does nothing without RequireAndVerifyClientCert here")
    must_show = tls.client_auth_type == "RequireAndVerifyClientCert"
    if tls.client_allowed_sans is not None and not must_show:
        place = (_TLS, "client_allowed_sans")
        yield Mistake(place, "needs client_auth_type RequireAndVerifyClientCert")


def _old_ciphers(tls: _TlsModel) -> tuple[str, ...]:
    """OpenSSL's names of the ciphers that are not of TLS 1.3."""
    return tuple(toolkit.CIPHERS[name] for name in tls.cipher_suites if name in toolkit.CIPHERS)


def _tls_config(model: _FileModel, parsed: ParsedYaml, folder: Path) -> TlsConfig | None:
    tls = model.tls_server_config
    if not tls.model_fields_set:
        return None

    ciphers, sans = _old_ciphers(tls), tls.client_allowed_sans
    only_tls13 = bool(tls.cipher_suites) and not ciphers

    def pem(inline: str) -> Pem:
        text, file = getattr(tls, inline), getattr(tls, f"{inline}_file")
        location = (_TLS, inline if text else f"{inline}_file")
        line = parsed.lines.get(location)
        return Pem(location, line, folder / file if file else None, text)

    return TlsConfig(
        certificate=pem("cert"),
        key=pem("key"),
        client_ca=pem("client_ca") if tls.client_auth_type in _VERIFYING else None,
        client_may_stay_unknown=tls.client_auth_type != "RequireAndVerifyClientCert",
        client_is_asked_later=bool(model.auth_excluded_paths),
        client_allowed_sans=None if sans is None else frozenset(sans),
        min_version="TLS13" if only_tls13 else tls.min_version,
        max_version=tls.max_version,
        ciphers=ciphers,
        prefer_server_ciphers=tls.prefer_server_cipher_suites,
        curves=tuple(tls.curve_preferences),
    )
