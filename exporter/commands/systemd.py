"""Notifies systemd, or another service manager that speaks its protocol.

The protocol is sd_notify(3)'s: lines of ``NAME=VALUE`` in one datagram to the socket that
NOTIFY_SOCKET names. Where WATCHDOG_USEC is set, the service manager's watchdog wants to be
told at least that often that all is well. Without these variables nothing is sent.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

_LOG = logging.getLogger("exporter.supervisor")
_SEND_SECONDS = 5.0  # a service manager that does not read must not stop the exporter


class Notifier:
    """Notifies the service manager that `environment` names, if it names one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # An abstract address begins with NUL, which sd_notify(3) writes as @.
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._feed_seconds = _feed_seconds(environment)
        self._feed_due = 0.0
        self._has_failed = False

    def ready(self, status: str) -> None:
        """Requests are answered from now on, by the configuration in force; `status` is shown by
        ``systemctl status``."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read anew; `ready` says when that has ended."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The process is about to end."""
        self._send("STOPPING=1")

    def feed_watchdog(self, is_healthy: Callable[[], bool]) -> None:
        """Feed the watchdog, if there is one, when that is due, but only while the exporter
        is healthy. To be called more often than it is due."""
        now = time.monotonic()
        if self._feed_seconds is not None and now >= self._feed_due and is_healthy():
            self._feed_due = now + self._feed_seconds
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address.startswith(("/", "\0")):  # other kinds of sockets are left alone
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._has_failed:
                _LOG.warning("cannot notify the supervisor: %s", error.strerror or error)
            self._has_failed = True


def _feed_seconds(environment: Mapping[str, str]) -> float | None:
    """The interval at which to feed the watchdog: half of what it waits, as
    sd_watchdog_enabled(3) advises. None if there is no watchdog for this process."""
    wanted = environment.get("WATCHDOG_USEC", "")
    is_ours = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
    if not is_ours or not wanted.isdecimal() or int(wanted) == 0:
        return None
    return int(wanted) / 1e6 / 2
