"""``python -m exporter.commands.healthcheck``: whether the exporter in this container is healthy.

It asks where the exporter listens, which the kernel knows: a flag, an environment variable and
a configuration are all the same to it. With TLS it asks over TLS. What refuses it for want of a
password or a certificate does answer, and is taken for healthy.
"""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path

_SECONDS = 1.5
_LISTENING = "0A"  # of proc(5), /proc/net/tcp
_REFUSALS = (401, 403, 429)
_LOOPBACK = {4: ("127.0.0.1",), 6: ("127.0.0.1", "::1")}  # by what a listener everywhere speaks


def main(processes: str = "[0-9]*") -> str | None:
    """Why no exporter among these `processes` of /proc is healthy, or None."""
    verdict: str | None = "no exporter listens"
    for host, port in _places(processes):
        verdict = _ask(host, port)
        if verdict is None:
            break
    return verdict


def _places(processes: str) -> Iterator[tuple[str, int]]:
    """Hosts and ports at which exporters among the processes listen."""
    listeners = dict(_listeners())
    for command in Path("/proc").glob(f"{processes}/cmdline"):
        with suppress(OSError):  # another user's, or it has ended
            if b"exporter" not in command.read_bytes():
                continue
            for descriptor in (command.parent / "fd").iterdir():
                yield from listeners.get(os.readlink(descriptor), ())


def _listeners() -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Each socket that listens, as /proc names it, with where it can be reached."""
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                if fields[3] == _LISTENING:
                    hosts = _hosts(bytes.fromhex(address))
                    yield f"socket:[{fields[9]}]", [(host, int(port, 16)) for host in hosts]


def _hosts(raw: bytes) -> tuple[str, ...]:
    """Where a listener can be reached whose address is made of these words of the machine."""
    words = [raw[i : i + 4] for i in range(0, len(raw), 4)]
    in_order = [word[::-1] if sys.byteorder == "little" else word for word in words]
    address = ip_address(b"".join(in_order))
    return _LOOPBACK[address.version] if address.is_unspecified else (str(address),)


def _ask(host: str, port: int) -> str | None:
    """Why it is not healthy, or None."""
    try:
        return _judge(HTTPConnection(host, port, timeout=_SECONDS))
    except TimeoutError as error:
        return str(error)
    except (OSError, HTTPException):  # maybe it speaks TLS
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        return _judge(HTTPSConnection(host, port, timeout=_SECONDS, context=unverified))
    except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
        return None  # it wants a certificate, and hangs up: before, while or after we ask
    except (OSError, HTTPException) as error:
        return str(error)


def _judge(connection: HTTPConnection) -> str | None:
    with closing(connection):
        connection.request("GET", "/-/healthy")
        status = connection.getresponse().status
    return None if status in (200, *_REFUSALS) else f"answers {status}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
