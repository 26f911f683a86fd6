"""The table of routes: paths, methods, who answers, on which thread. The server knows no others;
templates and ``openapi.json`` name them to clients."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from exporter.web.answer import Answer, Request
from exporter.web.operations import Operations
from exporter.web.views import Views

Thread = Literal["loop", "render", "write"]
"""The server's own, for what takes no time; that of scrapes; and another of pages for
people, so that no scrape waits for them."""

_READ = ("GET", "HEAD")
_ACT = ("POST", "PUT")  # as Prometheus has it


@dataclass(frozen=True, slots=True)
class Route:
    """One path, or with `serves_below` every path that is longer than it. Paths match
    exactly, but for more slashes before them, which nginx sends for a location without a slash
    at its end; other methods than `methods` are refused."""

    path: str
    answer: Callable[[Request], Answer | Awaitable[Answer]]
    thread: Thread
    serves_below: bool = False
    methods: tuple[str, ...] = _READ

    def serves(self, path: str) -> bool:
        """Whether this decoded path is the route's."""
        path = re.sub("^/+", "/", path)
        return path.startswith(self.path) and (path != self.path) == self.serves_below

    def below(self, raw_path: str) -> str:
        """What follows this route's path in one that it serves, encoded as it was sent."""
        parts = raw_path.lstrip("/").split("/", self.path.count("/") - 1)
        return parts[-1] if self.serves_below else ""


def routes(views: Views, operations: Operations) -> tuple[Route, ...]:
    """The table."""
    return (
        Route("/", views.index, "write"),
        Route("/jobs/", views.job, "write", serves_below=True),
        Route("/api/v1/jobs", views.api_jobs, "write"),
        Route("/api/v1/jobs/", views.api_job, "write", serves_below=True),
        Route("/api/v1/roots", views.api_roots, "write"),
        Route("/api/v1/stages", views.api_stages, "write"),
        Route("/api/v1/problems", views.api_problems, "write"),
        Route("/api/v1/openapi.json", views.api_description, "write"),
        Route("/metrics", operations.metrics, "render"),
        Route("/-/healthy", operations.healthy, "loop"),
        Route("/-/ready", operations.ready, "loop"),
        Route("/-/reload", operations.reload, "loop", methods=_ACT),
    )
