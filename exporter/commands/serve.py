"""Composition root: builds the parts, starts them, waits for a signal, stops them."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

from exporter import __version__, log
from exporter.commands import python_tuning
from exporter.commands.file_watcher import Watch
from exporter.commands.reloader import Reloader
from exporter.commands.systemd import Supervisor
from exporter.config.addresses import split_listen_address
from exporter.config.settings import Config
from exporter.errors import ConfigError
from exporter.log import event
from exporter.metrics.process_metrics import Telemetry
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.web.security.access import Access
from exporter.web.server import Server
from exporter.workers import Workers

_LOG = logging.getLogger("exporter.service")
_SCHEDULER_SILENCE_SECONDS = 60
_SIGNAL_SECONDS = 0.2
_HOUSEKEEPING_SECONDS = 600.0


class StartError(Exception):
    """The service cannot start; one line that says why."""


class Service:
    """The running exporter. The listener answers before the first scan ends. Raises
    StartError, or ConfigError for the web configuration file."""

    def __init__(
        self,
        config: Config,
        load_again: Callable[[], Config] | None = None,
        *,
        enable_lifecycle: bool = False,
        watch: bool = False,
    ) -> None:
        """`load_again` reads the configuration anew (ConfigError): at SIGHUP, with
        `enable_lifecycle` also by HTTP, with `watch` also when its file changes, or one
        that it takes secrets from."""
        self._config = config
        self._files = [config.source, *config.secret_files]
        self._load_again = load_again
        self._stopping = threading.Event()
        self._supervisor = Supervisor()
        self._reloader = Reloader(self._reload)
        self._watch = Watch(lambda: self._files, self._reloader.ask) if watch else None
        latest = Latest()
        self._telemetry = telemetry = Telemetry()
        telemetry.config_loaded(time.time())
        telemetry.watch_shard(config.shard.index, config.shard.count)
        self._access, self._web_watch = _access(config.web_config_file, telemetry)
        workers = Workers(config.scan_workers)
        telemetry.watch_workers(workers.size, lambda: workers.busy, lambda: workers.stuck)
        self._scheduler = Scheduler(config.roots, latest, workers)
        self._listener = _bind(config.listen_address)
        self._scheduling = threading.Thread(
            target=self._scheduler.run, name="scheduler", daemon=True
        )
        self._server = Server(
            self._listener,
            latest,
            telemetry,
            self._is_healthy,
            access=self._access,
            reload=self._reloader.ask if enable_lifecycle else None,
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._listener.getsockname()[1]
        return port

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Must be called from the main thread. Threads
        that hang in storage are left behind: the caller has to end the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._load_again is not None:
            signal.signal(signal.SIGHUP, self._on_hangup)
            self._reloader.start()
        self._server.start()
        for watch in (self._watch, self._web_watch):
            if watch is not None:
                watch.start()
        self._scheduling.start()
        event(
            _LOG,
            logging.INFO,
            "started",
            version=__version__,
            address=self._config.listen_address,
            port=self.port,
            tls=self._access.terms.tls is not None,
            basic_auth=bool(self._access.terms.users),
            roots=len(self._config.roots),
            shard=str(self._config.shard),
        )
        self._supervisor.ready(f"serving on port {self.port}")
        self._wait()
        event(_LOG, logging.INFO, "stopping")
        self._supervisor.stopping()
        self._scheduler.stop()
        self._server.stop()

    def _wait(self) -> None:
        """Return when asked to stop; keep house meanwhile."""
        due = time.monotonic() + _HOUSEKEEPING_SECONDS
        # A signal that comes just before the thread falls asleep does not wake it.
        while not self._stopping.wait(_SIGNAL_SECONDS):
            self._supervisor.feed_watchdog(self._is_healthy)
            if time.monotonic() >= due:
                python_tuning.keep_house()
                due = time.monotonic() + _HOUSEKEEPING_SECONDS

    def _on_signal(self, _: int, __: FrameType | None) -> None:
        if self._stopping.is_set():  # asked twice: do not wait for anything
            os._exit(0)
        self._stopping.set()

    def _on_hangup(self, _: int, __: FrameType | None) -> None:
        self._reloader.ask()

    def _reload(self) -> str | None:
        """Put the configuration in force as it is now; why that failed, if it did. The
        new one is complete before anything of the old one is let go."""
        assert self._load_again is not None
        try:
            config = self._load_again()
        except ConfigError as error:
            self._telemetry.config_refused()
            # The file that is missing may be the next to come.
            self._files = [*self._files, *(f for f in error.secret_files if f not in self._files)]
            mistakes = "; ".join(str(error).splitlines())
            event(_LOG, logging.ERROR, "configuration refused", detail=mistakes)
            return str(error)
        self._files = [config.source, *config.secret_files]
        log.set_up(config.log_level, config.log_format)
        self._scheduler.reconfigure(config.roots)
        self._telemetry.config_loaded(time.time())
        event(_LOG, logging.INFO, "configuration loaded", roots=len(config.roots))
        for key, before, now in (
            ("web.listen_address", self._config.listen_address, config.listen_address),
            ("web.config_file", self._config.web_config_file, config.web_config_file),
            ("scan.workers", self._config.scan_workers, config.scan_workers),
        ):
            if before != now:
                event(_LOG, logging.WARNING, "a change needs a restart", key=key)
        return None

    def _is_healthy(self) -> bool:
        silence = time.monotonic() - self._scheduler.last_heartbeat
        is_scanning = self._scheduling.is_alive() and silence < _SCHEDULER_SILENCE_SECONDS
        return is_scanning and self._server.is_showing


def _access(file: str | None, telemetry: Telemetry) -> tuple[Access, Watch | None]:
    """On which terms to serve, and who tells that they have changed."""
    if file is None:
        return Access(None), None
    access = Access(file, on_reread=telemetry.watch_web_config())
    return access, Watch(lambda: access.files, access.reread)


def _bind(address: str) -> socket.socket:
    host, port = split_listen_address(address)
    try:
        if host is None and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512
            )
        family, _, _, _, sockaddr = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(sockaddr[:2], family=family, backlog=512)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "unknown host"
        raise StartError(f"cannot listen on {address}: {reason}") from None
