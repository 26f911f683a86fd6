"""Answers to Prometheus and to operators: metrics, health, readiness and reloading."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from exporter.metrics.exposition import CONTENT_TYPES, Body, Format
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.web.answer import Answer, Request, text
from exporter.web.negotiation import metrics_format

Reload = Callable[[], "Future[str | None]"]
"""Asks for a reload; its outcome is why it failed, or None."""

_RELOAD_SECONDS = 60
_MAX_NAMES = 100

# A page from elsewhere can make a browser send a POST, also one that looks as if it came
# from here (DNS rebinding: Origin and Host then agree). Browsers mark each with one of
# these; nobody else does, and none of our pages has to reload anything.
_SENT_BY_BROWSERS = ("Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode")


class Operations:
    """Answers from what is published, and about the process. `reload` None refuses reloading."""

    def __init__(
        self,
        publisher: Publisher,
        process_metrics: ProcessMetrics,
        is_healthy: Callable[[], bool],
        reload: Reload | None,
    ) -> None:
        self._publisher = publisher
        self._process_metrics = process_metrics
        self._is_healthy = is_healthy
        self._reload = reload

    def metrics(self, request: Request) -> Answer:
        """A scrape: the snapshot's exposition, then the exporter's own metrics."""
        page_format = metrics_format(request.headers.get("Accept", ""))
        compressed = request.accepts_gzip
        headers = {"Vary": "Accept, Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        body = self._body(request, page_format, compressed=compressed) if request.wants_body else ()
        return Answer(body, CONTENT_TYPES[page_format], headers=headers)

    def _body(self, request: Request, page_format: Format, *, compressed: bool) -> Body:
        exposition = self._publisher.exposition(page_format, compressed=compressed)
        body_of = exposition.gzip_body if compressed else exposition.body
        names, as_openmetrics = _wanted_names(request), page_format == "openmetrics"
        live = self._process_metrics.render(as_openmetrics=as_openmetrics, names=names)
        return body_of(live, names)

    def healthy(self, _: Request) -> Answer:
        """Says that the exporter itself works, whatever its storage does."""
        if self._is_healthy():
            return text("The exporter is healthy.")
        return text("The scheduler does not respond.", 503)

    def ready(self, _: Request) -> Answer:
        """Says that every root had one attempt."""
        if self._publisher.read().is_ready:
            return text("The exporter is ready.")
        return text("Not every root has been scanned once.", 503)

    async def reload(self, request: Request) -> Answer:
        """Reads the configuration anew, and waits until that is done."""
        if self._reload is None:
            return text("Lifecycle API is not enabled.", 403)
        if any(name in request.headers for name in _SENT_BY_BROWSERS):
            return text("A browser may not do this.", 403)
        try:
            async with asyncio.timeout(_RELOAD_SECONDS):
                failure = await asyncio.shield(asyncio.wrap_future(self._reload()))
        except TimeoutError:
            failure = "the configuration could not be read in time"
        if failure is not None:
            return text(f"The configuration was not reloaded:\n{failure}", 500)
        return text("The configuration was reloaded.")


def _wanted_names(request: Request) -> frozenset[str]:
    """The names of samples that are asked for; none if all are. A family may be named as
    OpenMetrics has it, without the suffix of its samples."""
    wanted = [value for name, value in request.query if name == "name[]"][:_MAX_NAMES]
    return frozenset(name + suffix for name in wanted for suffix in ("", "_total", "_info"))
