"""What systemd is told, read from a real datagram socket as systemd reads it."""

import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import COMMAND, Exporter
from support.servers import HOST, running, wait_until

from exporter.commands.systemd import Notifier


class Socket:
    """The receiving end, at `address` as NOTIFY_SOCKET spells it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(30)

    def receive(self) -> list[str]:
        """The lines of the next datagram."""
        return self._socket.recv(4096).decode().split("\n")

    def is_empty(self) -> bool:
        return not select.select([self._socket], [], [], 0)[0]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Socket]:
    is_path = request.param == "path"
    receiver = Socket(str(tmp_path / "notify") if is_path else f"@test/{secrets.token_hex(8)}")
    yield receiver
    receiver.close()


def test_a_service_says_when_it_is_ready_that_it_lives_and_that_it_stops(
    receiver: Socket, tmp_path: Path
) -> None:
    config, log = tmp_path / "config.yaml", tmp_path / "exporter.log"
    config.write_text("roots: [.]\n")
    command = [*COMMAND, "serve", f"--config.file={config}", f"--web.listen-address={HOST}:0"]
    environment = {"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "200000"}
    with running(command, log, environment) as process:
        ready, status = receiver.receive()
        assert ready == "READY=1"
        exporter = Exporter(process, log).wait_for_port()
        assert status == f"STATUS=serving on port {exporter.port}"
        assert exporter.get("/-/healthy").status == 200
        for _ in range(3):
            assert receiver.receive() == ["WATCHDOG=1"]
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: receiver.receive() == ["STOPPING=1"], "it says that it stops")
        assert process.wait(timeout=30) == 0


def test_a_reload_is_told_and_what_was_wrong_stays_in_the_status(
    receiver: Socket, tmp_path: Path
) -> None:
    """Type=notify-reload waits for READY=1, and takes none that is older than its signal."""
    config, log = tmp_path / "config.yaml", tmp_path / "exporter.log"
    config.write_text("roots: [.]\n")
    command = [*COMMAND, "serve", f"--config.file={config}", f"--web.listen-address={HOST}:0"]
    with running(command, log, {"NOTIFY_SOCKET": receiver.address}) as process:
        _, serving = receiver.receive()
        one = f"{serving}; configuration refused: {config}:1: roots: must not be empty"
        for text, status in (
            ("roots: []\n", one),
            ("roots: []\nlog: {leevel: info}\nscan: []\n", f"{one} and 2 more"),
            ("roots: [.]\n", serving),
        ):
            config.write_text(text)
            asked = time.monotonic_ns() // 1000
            process.send_signal(signal.SIGHUP)
            reloading, moment = receiver.receive()
            assert reloading == "RELOADING=1"
            assert int(moment.removeprefix("MONOTONIC_USEC=")) >= asked
            assert receiver.receive() == ["READY=1", status]


def test_the_watchdog_starves_while_the_exporter_is_not_healthy(receiver: Socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "1"})
    for is_healthy in (False, False, True, False):
        notifier.feed_watchdog([is_healthy].pop)
    assert receiver.receive() == ["WATCHDOG=1"]
    assert receiver.is_empty()


def test_the_watchdog_is_not_fed_more_often_than_it_asks_for(receiver: Socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "900000000"})
    for _ in range(3):
        notifier.feed_watchdog(lambda: True)
    assert receiver.receive() == ["WATCHDOG=1"]
    assert receiver.is_empty()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid() + 1)},
    ],
)
def test_without_a_watchdog_for_this_process_none_is_fed(
    receiver: Socket, environment: dict[str, str]
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": receiver.address, **environment})
    notifier.feed_watchdog(lambda: True)
    assert receiver.is_empty()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path", "/nowhere/at/all"])
def test_a_supervisor_that_cannot_be_reached_stops_nothing(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("serving")
    notifier.stopping()
    told = [record.getMessage() for record in caplog.records]
    expected = ["cannot notify the supervisor: No such file or directory"]
    assert told == (expected if address == "/nowhere/at/all" else [])
