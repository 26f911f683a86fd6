"""A request and its answer, as the handlers know them: without an HTTP server."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.metrics.exposition import Body

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer may depend on.

    `below` is the rest of the path after that of the route, still percent-encoded. `query`
    holds decoded name-value pairs. `headers` are found by their names in any case.
    """

    below: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def accepts_gzip(self) -> bool:
        for part in self.headers.get("Accept-Encoding", "")[:4096].lower().split(","):
            coding, *parameters = (item.strip() for item in part.split(";"))
            if coding in ("gzip", "*"):
                return not any(p.replace(" ", "") in ("q=0", "q=0.0") for p in parameters)
        return False


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, complete but for the headers that every response has."""

    body: Body
    content_type: str = TEXT
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def text(sentence: str, status: int = 200) -> Answer:
    """One line or a few, for people."""
    return Answer(Body((f"{sentence}\n".encode(),)), status=status)
