"""The image's HEALTHCHECK, for exporters that are configured in every way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.certificates import Certificates, hashed
from support.jobs.folders import write_job
from support.paths import PROJECT
from support.processes import serving
from support.servers import HOST, free_ports, is_listening, running, wait_until

HANGS_UP = """
import socket, ssl, struct, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", int(sys.argv[3])))
while True:
    connection, _ = listener.accept()
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    received.write(connection.recv(10_000))
    try:
        context.wrap_bio(received, sent, server_side=True).do_handshake()
    except ssl.SSLError:  # it wants to read more, or this is no TLS
        pass
    connection.sendall(sent.read())
    connection.shutdown(socket.SHUT_WR)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
"""
"""It says its part of the handshake, ends the stream and resets the connection: what is written
to it then meets a broken pipe."""


def asked(process: int) -> tuple[int, str]:
    """Exit code and message for the exporter that is this process."""
    run = subprocess.run(
        [sys.executable, "-m", "exporter.commands.healthcheck", str(process)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == ""
    return run.returncode, run.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:0", ":0", "[::1]:0", "[::]:0"])
def test_it_finds_the_address_and_port(tmp_path: Path, address: str) -> None:
    write_job(tmp_path / "root" / "job", tasks=4)
    web = {"listen_address": address}
    with serving(tmp_path, roots=[str(tmp_path / "root")], web=web) as exporter:
        assert asked(exporter.process.pid) == (0, "")
        exporter.end(signal.SIGTERM)
        assert asked(exporter.process.pid) == (1, "no exporter listens\n")


def test_a_flag_or_the_environment_may_say_the_port(tmp_path: Path) -> None:
    write_job(tmp_path / "root" / "job", tasks=4)
    (port,) = free_ports(1)
    environment = {"DATATROVE_EXPORTER_WEB_LISTEN_ADDRESS": f"{HOST}:{port}"}
    with serving(tmp_path, roots=[str(tmp_path / "root")], environment=environment) as exporter:
        assert exporter.port == port
        assert asked(exporter.process.pid) == (0, "")


@pytest.mark.parametrize("client_certificate", [False, True])
@pytest.mark.parametrize("tls", ["TLS12", "TLS13"])
def test_it_speaks_tls_and_takes_a_refusal_for_an_answer(
    tmp_path: Path, tls: str, *, client_certificate: bool
) -> None:
    made = Certificates(tmp_path)
    mutual = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.crt"}
    file = made.write_web_config(
        tls_server_config={"max_version": tls, **(mutual if client_certificate else {})},
        basic_auth_users={"prometheus": hashed("secret")},
    )
    write_job(tmp_path / "root" / "job", tasks=4)
    web = {"config_file": str(file)}
    with serving(tmp_path, roots=[str(tmp_path / "root")], web=web) as exporter:
        assert asked(exporter.process.pid) == (0, "")


def test_one_that_hangs_up_on_whoever_has_no_certificate_is_healthy(tmp_path: Path) -> None:
    Certificates(tmp_path)
    (port,) = free_ports(1)
    files = (tmp_path / "server.crt", tmp_path / "server.key")
    command = [sys.executable, "-c", HANGS_UP, *files, str(port), "exporter"]
    with running(command, tmp_path / "log") as server:
        wait_until(lambda: is_listening(port), "it listens")
        assert {asked(server.pid) for _ in range(5)} == {(0, "")}


def test_one_that_does_not_answer_is_not_healthy(tmp_path: Path) -> None:
    write_job(tmp_path / "root" / "job", tasks=4)
    with serving(tmp_path, roots=[str(tmp_path / "root")]) as exporter:
        os.kill(exporter.process.pid, signal.SIGSTOP)
        code, said = asked(exporter.process.pid)
        os.kill(exporter.process.pid, signal.SIGCONT)
    assert code == 1
    assert "timed out" in said


def test_the_image_runs_it() -> None:
    check = 'CMD ["python", "-m", "exporter.commands.healthcheck"]'
    assert check in (PROJECT / "Dockerfile").read_text()
