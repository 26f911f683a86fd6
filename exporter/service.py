"""Composition root: builds the parts, starts them, waits for a signal, stops them."""

import logging
import os
import signal
import socket
import threading
import time
from types import FrameType

from exporter import __version__, storage
from exporter.config import Config, load, split_listen_address
from exporter.log import event
from exporter.scheduler import Scheduler
from exporter.snapshot import Latest, Snapshot
from exporter.telemetry import Telemetry
from exporter.web import Server
from exporter.workers import Workers

_LOG = logging.getLogger(__name__)
_SCHEDULER_SILENCE_SECONDS = 60


class StartError(Exception):
    """The service cannot start; one line that says why."""


def load_config(file: str) -> Config:
    """Read a configuration file; raises ConfigError with all mistakes at once, among
    them roots that no installed backend can read."""
    return load(file, problem_with=storage.problem_with)


def scan_once(config: Config) -> Snapshot:
    """Scan every root once, each until its end or its deadline."""
    return Scheduler(config.roots, Latest(), Workers(config.scan_workers)).run_once()


class Service:
    """The running exporter. The listener answers before the first scan ends."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._listener = _bind(config.listen_address)
        self._stopping = threading.Event()
        latest = Latest()
        telemetry = Telemetry()
        telemetry.config_loaded(time.time())
        workers = Workers(config.scan_workers)
        telemetry.watch_workers(workers.size, lambda: workers.busy, lambda: workers.stuck)
        self._scheduler = Scheduler(config.roots, latest, workers)
        self._scheduling = threading.Thread(
            target=self._scheduler.run, name="scheduler", daemon=True
        )
        self._server = Server(self._listener, latest, telemetry, self._is_healthy)

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
        self._server.start()
        self._scheduling.start()
        event(
            _LOG,
            logging.INFO,
            "started",
            version=__version__,
            address=self._config.listen_address,
            port=self.port,
            roots=len(self._config.roots),
        )
        self._stopping.wait()
        event(_LOG, logging.INFO, "stopping")
        self._scheduler.stop()
        self._server.stop()

    def _on_signal(self, _: int, __: FrameType | None) -> None:
        if self._stopping.is_set():  # asked twice: do not wait for anything
            os._exit(0)
        self._stopping.set()

    def _is_healthy(self) -> bool:
        silence = time.monotonic() - self._scheduler.last_heartbeat
        return self._scheduling.is_alive() and silence < _SCHEDULER_SILENCE_SECONDS


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
