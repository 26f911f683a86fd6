"""A request and its answer, as the handlers know them: without an HTTP server."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.metrics.exposition import Body
from exporter.web.negotiation import accepts_gzip

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer may depend on. `below` is the rest of the path after that of the route,
    still percent-encoded. `query` holds decoded name-value pairs. `headers` are found by
    their names in any case. For HEAD only status and headers are wanted, so the body, and what
    only it takes, may be left out."""

    below: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    wants_body: bool = True

    @property
    def accepts_gzip(self) -> bool:
        """Whether the client wants the answer compressed."""
        return accepts_gzip(self.headers.get("Accept-Encoding", ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, complete but for the headers that every response has."""

    body: Body
    content_type: str = TEXT
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def text(sentence: str, status: int = 200) -> Answer:
    """One line or a few, for people."""
    return Answer((f"{sentence}\n".encode(),), status=status)
