"""Who may talk to the HTTP server, and how: the web configuration file in force.

The file, and the certificates it names, are read again when they change. A new version is
built whole and then takes the place of the old one. A version with mistakes is logged, and
the last good one stays. It also stays when the new one asks for no TLS or no password where
the old one did: an emptied file must not open the door.
"""

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter import log
from exporter.config.settings import Config
from exporter.errors import ConfigError, Mistake
from exporter.web.security import web_config
from exporter.web.security.basic_auth import BasicAuth
from exporter.web.security.tls import names_in, new_context
from exporter.web.security.web_config import TlsConfig, WebConfig

_LOG = logging.getLogger("exporter.access")
_FAILURES_LOGGED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may ask at one moment, and how: a web configuration file, and what is made of it."""

    config: WebConfig = field(default_factory=WebConfig)
    tls: ssl.SSLContext | None = None
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: "RateLimit | None" = None


class RateLimit:
    """A token bucket: one request per `interval_seconds`, and `burst` at once."""

    def __init__(self, interval_seconds: float, burst: int) -> None:
        self._interval_seconds = interval_seconds
        self._burst = burst
        self._tokens = float(burst)
        self._filled = time.monotonic()

    def allows(self) -> bool:
        """Take a token, if there is one."""
        now = time.monotonic()
        filled = self._tokens + (now - self._filled) / self._interval_seconds
        self._tokens, self._filled = min(filled, self._burst), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Access:
    """Decides which requests are answered, by the policy in force. Without a `file`, all are,
    in the clear. Raises ConfigError if the file cannot be used."""

    def __init__(
        self, file: str | None, on_reread: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._file = file
        self._on_reread = on_reread
        self._auth = BasicAuth()
        self._failures = log.Seldom(_FAILURES_LOGGED_SECONDS)
        self.policy = read_policy(file) if file is not None else Policy()
        """The policy in force: one reference, replaced atomically."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files on which the policy depends."""
        return self.policy.config.files

    def reread(self) -> None:
        """Read the files again. Not to be called on the server's thread: storage may be slow."""
        assert self._file is not None
        try:
            policy = read_policy(self._file, before=self.policy)
        except ConfigError as error:
            mistakes = "; ".join(str(error).splitlines())
            log.event(_LOG, logging.ERROR, "web configuration refused", detail=mistakes)
            self._on_reread(False)  # noqa: FBT003 - says what it is
            return
        self.policy = policy
        log.event(_LOG, logging.INFO, "web configuration loaded", file=self._file)
        self._on_reread(True)  # noqa: FBT003

    async def refusal(
        self, path: str, authorization: str, certificate: object, client: str
    ) -> int | None:
        """The HTTP status with which to refuse a request for a decoded path, or None to answer
        it. `certificate` is the client's, verified; `client` its address. Raises BusyError."""
        policy = self.policy
        if policy.rate_limit is not None and not policy.rate_limit.allows():
            return 429
        if path in policy.config.auth_excluded_paths:
            return None
        reason = _certificate_refused(policy.config.tls, certificate)
        if reason is not None:
            self._failed(reason, client)
            return 403
        if not policy.users:
            return None
        if await self._auth.allows(authorization, policy.users, client):
            return None
        if authorization:
            self._failed("login failed", client)
        return 401

    def _failed(self, message: str, client: str) -> None:
        if self._failures.is_due(message):
            log.event(_LOG, logging.INFO, message, client=client)


def _certificate_refused(tls: TlsConfig | None, certificate: object) -> str | None:
    """Why a client with this certificate, or none, may not ask; None if it may."""
    if tls is None or tls.client_may_stay_unknown:
        return None
    if not certificate:
        return "client has no certificate"
    allowed = tls.client_allowed_sans
    if allowed is not None and not allowed & names_in(certificate):
        return "client certificate has no allowed name"
    return None


def check_texts(config: Config, policy: Policy) -> None:
    """Raises ConfigError where a root shows texts of errors, which come from logs and may hold
    secrets, and somebody might see them who is asked for neither a password nor a certificate."""
    is_open = any(path.startswith(_TELLING) for path in policy.config.auth_excluded_paths)
    if _asks_who(policy.config) and not is_open:
        return
    needs = (
        "text needs a web.config_file that asks for a password or a client certificate"
        if not is_open
        else f"text needs {' and '.join(_TELLING)} to be none of auth_excluded_paths"
    )
    mistakes = [
        Mistake(("roots", index, "show_errors"), needs)
        for index, root in enumerate(config.roots)
        if root.show_errors == "text"
    ]
    if mistakes:
        raise ConfigError(config.source, mistakes)


_TELLING = ("/jobs/", "/api/")


def _asks_who(config: WebConfig) -> bool:
    """Nobody gets an answer without a password, or a certificate of their own."""
    must_show = config.tls is not None and not config.tls.client_may_stay_unknown
    return must_show or bool(config.users)


def read_policy(file: str, before: Policy | None = None) -> Policy:
    """The policy of a web configuration file, to replace the one `before`; raises ConfigError."""
    config = web_config.load(file)
    log.hide(config.secrets())
    if before is not None and before.config.tls is not None and config.tls is None:
        raise ConfigError(file, [Mistake(("tls_server_config",), "to end TLS needs a restart")])
    if before is not None and before.config.users and not config.users:
        text = "to let everyone in needs a restart"
        raise ConfigError(file, [Mistake(("basic_auth_users",), text)])
    if before is not None and _asks_who(before.config) and not _asks_who(config):
        text = "to ask for no certificate needs a restart"
        raise ConfigError(file, [Mistake(("tls_server_config", "client_auth_type"), text)])
    limit = None
    if config.rate_interval_seconds > 0:
        limit = RateLimit(config.rate_interval_seconds, config.rate_burst)
    return Policy(
        config=config,
        tls=new_context(config.tls, file) if config.tls is not None else None,
        users={name.encode(): hashed.encode() for name, hashed in config.users},
        headers=dict(config.headers),
        rate_limit=limit,
    )
