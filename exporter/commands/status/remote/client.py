"""Asks a running exporter's API. Whatever is wrong is one line for people.

No redirect is followed and no proxy is used: the password goes to the named host and nowhere else.
Each answer is bounded in size, and all of a question together in time.
"""

import gzip
import json
import os
import ssl
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NoReturn, TypeVar
from urllib.parse import SplitResult, urlencode, urlsplit

from exporter import __version__
from exporter.datatrove.layout import display_name
from exporter.errors import CommandError

USER = "DATATROVE_EXPORTER_STATUS_USER"
PASSWORD = "DATATROVE_EXPORTER_STATUS_PASSWORD"  # noqa: S105
_STEP_SECONDS = 10.0
_SECONDS = 60.0
_MOST_BYTES = 64 * 2**20
T = TypeVar("T")

Get = Callable[[str, Sequence[tuple[str, str]]], Any]
"""The JSON document at a path of the API with a query; raises CommandError."""


class Client:
    """Asks one exporter; `url` is the address of its status page. Raises CommandError."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        parts = _parts(url)
        self.url = display_name(parts.geturl())
        self._prefix = parts.path.rstrip("/")
        self._host, self._port = parts.hostname or "", parts.port
        self._is_tls = parts.scheme == "https"
        self._user = environment.get(USER, "")
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"datatrove-exporter/{__version__}",
        }
        if self._user:
            login = f"{self._user}:{environment.get(PASSWORD, '')}".encode()
            self._headers["Authorization"] = f"Basic {b64encode(login).decode()}"

    def ask(self, question: Callable[[Get], T]) -> T:
        """What the question makes of as many answers as it likes, over one connection. It is given
        up when all of them take too long."""
        answer = Future[T]()

        def run() -> None:
            try:
                with closing(self._connection()) as connection:
                    answer.set_result(question(lambda *asked: self._get(connection, *asked)))
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, name="client", daemon=True).start()
        try:
            return answer.result(_SECONDS)
        except TimeoutError:
            self.fail(f"did not answer within {_SECONDS:.0f} seconds")

    def fail(self, why: str) -> NoReturn:
        """Raise the line that says why this exporter cannot be asked."""
        raise CommandError(f"{self.url}: {why}")

    def _connection(self) -> HTTPConnection:
        if not self._is_tls:
            return HTTPConnection(self._host, self._port, timeout=_STEP_SECONDS)
        context = ssl.create_default_context()  # it knows SSL_CERT_FILE
        return HTTPSConnection(self._host, self._port, timeout=_STEP_SECONDS, context=context)

    def _get(
        self, connection: HTTPConnection, path: str, query: Sequence[tuple[str, str]] = ()
    ) -> Any:
        target = f"{self._prefix}{path}{'?' if query else ''}{urlencode(query)}"
        try:
            connection.request("GET", target, headers=self._headers)
            response = connection.getresponse()
            self._check(response)
            return json.loads(self._body(response), parse_constant=_refuse)
        except (OSError, HTTPException) as error:
            self.fail(self._in_words(error))
        except (ValueError, RecursionError, EOFError, zlib.error):
            self.fail("is no datatrove-exporter: what it answers is not JSON")

    def _check(self, response: HTTPResponse) -> None:
        if response.status == 200:
            return
        if 300 <= response.status < 400:
            to = display_name(response.headers.get("Location", "")[:200])
            self.fail(f"sends elsewhere, to {to or 'nowhere'}; name the exporter's own address")
        said = {
            401: f"refuses the user {display_name(self._user)} or the password"
            if self._user
            else f"wants a password: {USER} and {PASSWORD} are for it",
            403: "denies access",
            404: "is no datatrove-exporter, or not this address: its page has it, without /metrics "
            "or /jobs/…",
            429: "asks to slow down",
        }
        self.fail(said.get(response.status, f"answers with an error, {response.status}"))

    def _body(self, response: HTTPResponse) -> bytes:
        stream: Any = response
        if response.headers.get("Content-Encoding") == "gzip":
            stream = gzip.GzipFile(fileobj=response)
        body: bytes = stream.read(_MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            self.fail("answers with more than it should")
        response.close()
        return body

    def _in_words(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {error.verify_message}; SSL_CERT_FILE names a CA"
            )
        if isinstance(error, ssl.SSLError):
            return "does not speak TLS as it should; or is it http://?"
        if isinstance(error, TimeoutError):
            return f"did not answer within {_STEP_SECONDS:.0f} seconds"
        or_else = "" if self._is_tls else "; or is it https://?"
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return f"hangs up without an answer{or_else}"
        if isinstance(error, OSError):
            return f"cannot be reached: {error.strerror or type(error).__name__}"
        return f"does not speak HTTP as it should{or_else}"


def _parts(url: str) -> SplitResult:
    """The URL of an exporter, without a secret in what may be shown of it."""
    shown = display_name(url.partition("?")[0].rpartition("@")[2])
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise CommandError(f"{shown}: is no valid address") from None
    if not parts.hostname:
        raise CommandError(f"{shown}: names no host")
    if "@" in parts.netloc:
        host = display_name(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        raise CommandError(f"{host}: no password belongs into a URL; use {USER} and {PASSWORD}")
    if parts.query or parts.fragment:
        raise CommandError(f"{shown}: filters are options here, such as --state and --match")
    return parts


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
