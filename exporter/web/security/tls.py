"""TLS for the HTTP server: TlsConfig -> SSLContext, reading the certificates it names.

What Python's ssl cannot do becomes stricter, never laxer: of several curves only one is
offered (P-256 if it is among them, which every client of TLS 1.3 has to know).
"""

import os
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

from exporter.config.files import read_file, words_of
from exporter.config.strict_yaml import LIMIT_BYTES
from exporter.errors import ConfigError, Mistake
from exporter.web.security.toolkit_format import CURVES, VERSIONS, Curve
from exporter.web.security.web_config import Pem, TlsConfig


def new_context(config: TlsConfig, source: str) -> ssl.SSLContext:
    """A server's context; raises ConfigError, in the name of the file `source`, with every
    certificate and key that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who writes TLS10 means it
        context.maximum_version = VERSIONS[config.max_version]
        context.minimum_version = VERSIONS[config.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not config.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if config.ciphers:
        context.set_ciphers(":".join(config.ciphers))
    if config.curves:
        curve: Curve = "CurveP256" if "CurveP256" in config.curves else config.curves[0]
        context.set_ecdh_curve(CURVES[curve])
    context.set_alpn_protocols(["http/1.1"])
    mistakes = [*_load_pair(context, config), *_load_ca(context, config)]
    if mistakes:
        raise ConfigError(source, mistakes)
    return context


def names_in(certificate: object) -> frozenset[str]:
    """The subject alternative names of what `SSLSocket.getpeercert` returned, with IP
    addresses in their shortest spelling."""
    if not isinstance(certificate, dict):
        return frozenset()
    names = set()
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            with suppress(ValueError):
                names.add(str(ip_address(name.strip())))
        elif kind in ("DNS", "email", "URI"):
            names.add(name)
    return frozenset(names)


def _load_pair(context: ssl.SSLContext, config: TlsConfig) -> Iterator[Mistake]:
    texts = []
    for pem in (config.certificate, config.key):
        try:
            texts.append(_read(pem))
        except ValueError as error:
            yield pem.mistake(str(error))
    if len(texts) < 2:
        return
    certificate, key = texts
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError):
        yield config.certificate.mistake("not a certificate in PEM")
        return
    try:
        with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
            context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield config.key.mistake("does not belong to the certificate")
        elif error.reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            yield config.certificate.mistake("is too weak for OpenSSL")
        else:
            yield config.key.mistake("not a key in PEM without a password")


def _load_ca(context: ssl.SSLContext, config: TlsConfig) -> Iterator[Mistake]:
    if config.client_ca is None:
        return
    try:
        context.load_verify_locations(cadata=_read(config.client_ca))
    except ssl.SSLError:
        yield config.client_ca.mistake("not a certificate in PEM")
    except ValueError as error:
        yield config.client_ca.mistake(str(error))
    is_optional = config.client_may_stay_unknown or config.client_is_asked_later
    context.verify_mode = ssl.CERT_OPTIONAL if is_optional else ssl.CERT_REQUIRED


def _read(pem: Pem) -> str:
    """The text of a certificate or key; raises ValueError."""
    if pem.file is None:
        return pem.text
    try:
        return read_file(pem.file, LIMIT_BYTES).decode("ascii", "ignore")  # of comments
    except OSError as error:
        raise ValueError(f"the file cannot be read: {words_of(error)}") from None
    except ValueError as error:
        raise ValueError(f"the file is {error}") from None


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """The path of a file in memory: ssl reads a key from a file only, and what was read
    once must not be read a second time, when it may be another."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(text.encode())
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
