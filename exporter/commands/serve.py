"""The command ``serve``. The composition root: builds the parts, connects them, starts and
stops them."""

import errno
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import click

from exporter import __version__, log
from exporter.commands import terminal
from exporter.commands.file_watcher import FileWatcher
from exporter.commands.reloader import Reloader
from exporter.commands.systemd import Notifier
from exporter.config.addresses import split_listen_address
from exporter.config.settings import Config
from exporter.errors import CommandError, ConfigError
from exporter.log import event
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.web.security.access import Access, check_texts
from exporter.web.server import Server
from exporter.workers import Workers

_LOG = logging.getLogger("exporter.service")
_SCHEDULER_SILENCE_SECONDS = 60
_SIGNAL_SECONDS = 0.2
_GARBAGE_COLLECTION_SECONDS = 600.0  # why: see python_tuning
_QUEUE = 1024  # connections that the system keeps until they are accepted, if it allows so many
_IF_IT_CANNOT_LISTEN: dict[int | None, str] = {
    errno.EADDRINUSE: "; perhaps by another exporter: --web.listen-address=:PORT takes another one",
    errno.EACCES: "; ports below 1024 need CAP_NET_BIND_SERVICE",
}
_NEED_A_RESTART = {
    # Key of the configuration -> field of Config.
    "web.listen_address": "listen_address",
    "web.config_file": "web_config_file",
    "scan.workers": "scan_workers",
}


def run(
    read_config: Callable[[], Config],
    *,
    enable_lifecycle: bool,
    watch: bool,
    ends_with_terminal: bool,
) -> None:
    """Serve what `read_config` reads until SIGTERM or SIGINT; see `Exporter`."""
    config = read_config()
    log.set_up(config.log_level, config.log_format, in_background=True)
    exporter = Exporter(
        config,
        read_config,
        enable_lifecycle=enable_lifecycle,
        watch=watch,
        ends_with_terminal=ends_with_terminal,
    )
    if not config.source:  # somebody typed what to look at, and wants to see it
        exporter.announce()
    exporter.run()


class Exporter:
    """The running exporter. The listener answers before the first scan ends. Raises
    CommandError when it cannot listen, ConfigError for the web configuration file."""

    def __init__(
        self,
        config: Config,
        read_config: Callable[[], Config] | None = None,
        *,
        enable_lifecycle: bool = False,
        watch: bool = False,
        ends_with_terminal: bool = False,
    ) -> None:
        """`read_config` reads the configuration again (ConfigError): at SIGHUP, with
        `enable_lifecycle` also by HTTP, with `watch` also when its file changes, or one
        that it takes secrets from. `ends_with_terminal`: SIGHUP of a terminal that was closed
        stops it."""
        self._config = config
        self._read_config = read_config
        self._ends_with_terminal = ends_with_terminal
        self._stopping = threading.Event()
        self._systemd = Notifier()
        self._reloader = Reloader(self._reload)
        self._watched_files = [config.source, *config.secret_files]
        self._watchers = []
        if watch:
            self._watchers.append(FileWatcher(lambda: self._watched_files, self._reloader.ask))
        latest = Latest()
        self._process_metrics = process_metrics = ProcessMetrics()
        process_metrics.config_loaded(time.time())
        process_metrics.reached_at(config.external_url)
        process_metrics.watch_shard(config.shard.index, config.shard.count)
        self._access = self._access_of(config)
        workers = Workers(config.scan_workers)
        process_metrics.watch_workers(workers.size, lambda: workers.busy, lambda: workers.stuck)
        self._scheduler = scheduler = Scheduler(config.roots, latest, workers)
        self._scheduling = threading.Thread(target=scheduler.run, name="scheduler", daemon=True)
        self._listener = _bind(config.listen_address)
        self._publisher = Publisher(latest)
        self._server = Server(
            self._listener,
            self._publisher,
            process_metrics,
            self._is_healthy,
            access=self._access,
            reload=self._reloader.ask if enable_lifecycle else None,
        )

    def _access_of(self, config: Config) -> Access:
        """Who may ask, by a file that is watched if there is one."""
        if config.web_config_file is None:
            access = Access(None)
        else:
            access = Access(config.web_config_file, self._process_metrics.watch_web_config())
            self._watchers.append(FileWatcher(lambda: access.files, access.reread))
        check_texts(config, access.policy)
        return access

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.getsockname()[1])

    def announce(self) -> None:
        """Print where to look, as a browser on this machine finds it."""
        host, _ = split_listen_address(self._config.listen_address)
        if host in (None, "0.0.0.0"):  # noqa: S104
            host = "localhost"
        elif ":" in host:
            host = f"[{host}]"
        scheme = "http" if self._access.policy.tls is None else "https"
        url = f"{scheme}://{host}:{self.port}"
        click.echo(f"Open {url}/ – metrics: {url}/metrics – Ctrl-C to stop.")

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or until SIGHUP where nothing can be read again. Must be
        called from the main thread. Threads that hang in storage are left behind: the caller
        has to end the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._read_config is not None or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_hangup)  # unless under nohup
        if self._ends_with_terminal:
            signal.signal(signal.SIGCONT, self._on_continue)
        self._publisher.start()
        self._server.start()
        for watcher in self._watchers:
            watcher.start()
        self._scheduling.start()
        event(
            _LOG,
            logging.INFO,
            "started",
            version=__version__,
            address=self._config.listen_address,
            port=self.port,
            tls=self._access.policy.tls is not None,
            basic_auth=bool(self._access.policy.users),
            roots=len(self._config.roots),
            shard=str(self._config.shard),
        )
        self._systemd.ready(self._status)
        if self._read_config is not None:
            self._reloader.start()
        self._wait()
        event(_LOG, logging.INFO, "stopping")
        self._systemd.stopping()
        self._scheduler.stop()
        self._server.stop()
        self._publisher.stop()

    def _wait(self) -> None:
        """Return when asked to stop. Until then, feed systemd's watchdog and now and then
        collect garbage."""
        due = time.monotonic() + _GARBAGE_COLLECTION_SECONDS
        # A signal that comes just before the thread falls asleep does not wake it.
        while not self._stopping.wait(_SIGNAL_SECONDS):
            self._systemd.feed_watchdog(self._is_healthy)
            if time.monotonic() >= due:
                gc.collect()
                due = time.monotonic() + _GARBAGE_COLLECTION_SECONDS

    def _on_signal(self, *_: object) -> None:
        if self._stopping.is_set():  # asked twice: do not wait for anything
            os._exit(0)
        self._stopping.set()

    def _on_hangup(self, *_: object) -> None:
        has_ended = self._ends_with_terminal and terminal.is_gone()
        if has_ended or self._read_config is None:
            self._stopping.set()  # a shell may send it once more
        else:
            self._reloader.ask()

    def _on_continue(self, *_: object) -> None:
        """A shell moved it to the background, where no terminal ends it, or back."""
        if not terminal.is_gone():
            self._ends_with_terminal = terminal.holds_this_process()

    @property
    def _status(self) -> str:
        return f"serving on port {self.port}"

    def _reload(self) -> str | None:
        """Put the configuration in force as it is now; why that failed, if it did."""
        status = f"{self._status}; the configuration could not be loaded"
        self._systemd.reloading()
        try:
            refusal = self._load_config()
            status = self._status
            if refusal is not None:
                first, *more = refusal.splitlines()
                also = f" and {len(more)} more" if more else ""
                status += f"; configuration refused: {first}{also}"
        finally:
            self._systemd.ready(status)
        return refusal

    def _load_config(self) -> str | None:
        """Read the configuration and put it in force, or say why not. The new one is complete
        before anything of the old one is let go."""
        assert self._read_config is not None
        try:
            config = self._read_config()
            check_texts(config, self._access.policy)
        except ConfigError as error:
            self._process_metrics.config_refused()
            # A missing file may be the next to appear.
            more = (file for file in error.secret_files if file not in self._watched_files)
            self._watched_files = [*self._watched_files, *more]
            mistakes = "; ".join(str(error).splitlines())
            event(_LOG, logging.ERROR, "configuration refused", detail=mistakes)
            return str(error)
        self._watched_files = [config.source, *config.secret_files]
        log.set_up(config.log_level, config.log_format, in_background=True)
        self._scheduler.reconfigure(config.roots)
        self._process_metrics.config_loaded(time.time())
        self._process_metrics.reached_at(config.external_url)
        event(_LOG, logging.INFO, "configuration loaded", roots=len(config.roots))
        for key, field in _NEED_A_RESTART.items():
            if getattr(config, field) != getattr(self._config, field):
                event(_LOG, logging.WARNING, "a change needs a restart", key=key)
        return None

    def _is_healthy(self) -> bool:
        silence = time.monotonic() - self._scheduler.last_heartbeat
        is_scanning = self._scheduling.is_alive() and silence < _SCHEDULER_SILENCE_SECONDS
        return is_scanning and self._publisher.is_alive


def _bind(address: str) -> socket.socket:
    host, port = split_listen_address(address)
    is_dual = host is None and socket.has_dualstack_ipv6()
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    try:
        found = socket.getaddrinfo("::" if is_dual else host, port, type=kind, flags=flags)
        family, _, _, _, place = found[0]
        return socket.create_server(
            place[:2], family=family, backlog=_QUEUE, dualstack_ipv6=is_dual
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "unknown host"
        advice = _IF_IT_CANNOT_LISTEN.get(error.errno, "")
        raise CommandError(f"cannot listen on {address}: {reason}{advice}") from None
