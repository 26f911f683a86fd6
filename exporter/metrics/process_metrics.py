"""The exporter's metrics about itself, in a registry of its own.

Few samples that are true at the moment of the scrape, so the library writes them for
each request. What concerns datatrove is in ``families``, not here.
"""

import platform
from collections.abc import Callable, Collection

import prometheus_client
from prometheus_client.openmetrics import exposition as openmetrics

from exporter import __version__


class ProcessMetrics:
    """Gauges about the process, its configuration and its scan workers."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        # Without it, the library's own collectors have no names that could be asked for.
        self._registry = prometheus_client.CollectorRegistry(auto_describe=True)
        prometheus_client.ProcessCollector(registry=self._registry)
        prometheus_client.PlatformCollector(registry=self._registry)
        prometheus_client.GCCollector(registry=self._registry)
        prometheus_client.Info(
            "datatrove_exporter_build",
            "Version of the exporter and of the Python it runs on.",
            registry=self._registry,
        ).info({"version": __version__, "python_version": platform.python_version()})
        self._web = prometheus_client.Gauge(
            "datatrove_exporter_web_info",
            "1. Where people reach the exporter's pages: web.external_url; absent without it.",
            ["external_url"],
            registry=self._registry,
        )
        self._reload_success = self._gauge(
            "config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded, else 0.",
        )
        self._reload_time = self._gauge(
            "config_last_reload_success_timestamp_seconds",
            "Unix time of the last successful load of the configuration.",
        )

    def watch_workers(
        self, size: int, busy: Callable[[], float], stuck: Callable[[], float]
    ) -> None:
        """Publish the state of the scan workers, asked for at each scrape."""
        self._gauge("scan_workers", "Scan workers that may run at a time.").set(size)
        self._gauge(
            "scan_workers_busy", "Scan workers that are reading from storage now."
        ).set_function(busy)
        self._gauge(
            "scan_workers_stuck",
            "Threads that still wait for storage although their scan was given up.",
        ).set_function(stuck)

    def watch_shard(self, index: int, count: int) -> None:
        """Publish which part of the jobs this exporter reads."""
        self._gauge("shard", "Which of the shards this exporter is, counted from 0.").set(index)
        self._gauge(
            "shards", "Exporters that share the jobs of the roots; 1 if this one reads them all."
        ).set(count)

    def reached_at(self, external_url: str | None) -> None:
        """Publish where people reach the pages, for links in alerts; nothing with None."""
        self._web.clear()
        if external_url is not None:
            self._web.labels(external_url).set(1)

    def config_loaded(self, wall_time: float) -> None:
        """The configuration in force was loaded at `wall_time`."""
        self._reload_success.set(1)
        self._reload_time.set(wall_time)

    def config_refused(self) -> None:
        """The last attempt to load the configuration failed; the one before is in force."""
        self._reload_success.set(0)

    def watch_web_config(self) -> Callable[[bool], None]:
        """Publish whether the web configuration file could be read; the returned function tells."""
        gauge = self._gauge(
            "web_config_last_reload_successful",
            "1 if the last attempt to load the web configuration file succeeded, else 0; "
            "absent without such a file.",
        )
        gauge.set(1)
        return gauge.set

    def render(self, *, as_openmetrics: bool, names: Collection[str] = ()) -> bytes:
        """The end of a page: sample lines with HELP and TYPE, and OpenMetrics' end marker.
        With `names`, only the samples of those names."""
        registry = self._registry.restricted_registry(names) if names else self._registry
        if as_openmetrics:
            page: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
            return page
        return prometheus_client.generate_latest(registry)

    def _gauge(self, name: str, text: str) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(f"datatrove_exporter_{name}", text, registry=self._registry)
