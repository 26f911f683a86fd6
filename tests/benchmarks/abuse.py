"""What scrapes cost while clients mean no good, against scrapes alone in the same run.

A real ``serve`` of 20,000 jobs is scraped again and again, each time on a new connection, with
gzip; beside that a process of its own plays one abuse after the other. Prints scrapes a
second, their median and 99 %, and how many failed; how many of a thousand honest scrapes at
once are lost; how long the first login takes while passwords are guessed; and how many scrapes
a real Prometheus loses that scrapes every second meanwhile. Scrapes alone and beside the abuse
take turns, so that what else the machine does falls on both: only such ratios mean anything.
Fails if a scrape fails, or if the 99 % under an abuse is more than ten times that alone.

    python tests/benchmarks/abuse.py [--part scrapes|crowd|logins|prometheus] [NAME…]
"""

import argparse
import asyncio
import base64
import gzip
import http.client
import itertools
import os
import re
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.certificates import Certificates, hashed
from support.jobs.folders import write_job
from support.processes import Exporter, get, prometheus, serving
from support.servers import HOST, wait_until

JOBS = int(os.environ.get("BENCH_JOBS", "20000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "4"))
TIMES_SLOWER = 10
CROWD = 1000
COST = 10  # of a password, as the exporter-toolkit's documentation has it
PASSWORD = "wonderland"
NAMES = "name[]"


def request(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: a", *headers, "", "")).encode()


def basic(password: str) -> str:
    return f"Authorization: Basic {base64.b64encode(f'alice:{password}'.encode()).decode()}"


_numbers = itertools.count()
BOMB = gzip.compress(bytes(20 << 20))
GZIP = "Accept-Encoding: gzip"


@dataclass(frozen=True)
class Abuse:
    """What each of so many clients says, again and again, after its answer and a pause. Who
    says nothing waits until the server hangs up, and comes back at once; who does not read,
    after its pause."""

    clients: int
    says: Callable[[], bytes]
    pause_seconds: float = 0
    reads: bool = True
    addresses: int = 1
    first_address: int = 1
    """The scraper has the first one."""
    stays: bool = True
    """On its connection, for as long as it may."""


def filtered(method: str) -> bytes:
    """A page of nearly all families, another one each time."""
    families = os.environ["FAMILIES"].split()
    left_out = next(_numbers) % len(families)
    names = [(NAMES, name) for place, name in enumerate(families) if place != left_out]
    return request(f"{method} /metrics?{urlencode(names)}", GZIP)


def guess() -> bytes:
    return request("GET /metrics", basic(f"{os.getpid()} {next(_numbers)}"))


ABUSES = {
    "700 that say nothing": Abuse(700, lambda: b""),
    "700 that stop within a request": Abuse(700, lambda: b"GET /met", reads=False, pause_seconds=1),
    "700 that do not read": Abuse(
        700, lambda: request("GET /metrics"), reads=False, pause_seconds=3600
    ),
    "520 that ask every 0.7 s": Abuse(520, lambda: request("GET /nosuch"), pause_seconds=0.7),
    "60 × HEAD, filtered": Abuse(60, lambda: filtered("HEAD"), stays=False),
    "60 × GET, filtered": Abuse(60, lambda: filtered("GET"), stays=False),
    "60 × GET, all, not compressed": Abuse(60, lambda: request("GET /metrics"), pause_seconds=1),
    "60 × status page": Abuse(60, lambda: request("GET /", GZIP), stays=False),
    "60 × 1,000 jobs as JSON": Abuse(
        60, lambda: request("GET /api/v1/jobs?per_page=1000&sort=name", GZIP)
    ),
    "16 that send bodies of gzip": Abuse(
        16,
        lambda: request("GET /", "Content-Encoding: gzip", f"Content-Length: {len(BOMB)}") + BOMB,
    ),
    "16 that send chunks of a byte": Abuse(
        16,
        lambda: request("GET /-/healthy", "Transfer-Encoding: chunked") + b"1\r\na\r\n" * 20_000,
    ),
    "60 that expect something": Abuse(60, lambda: request("GET /nosuch", "Expect: x"), stays=False),
    "60 that ask without pause": Abuse(60, lambda: request("GET /nosuch")),
}
GUESSES = {
    "17 guessers at another address": Abuse(17, guess, addresses=1, first_address=2),
    "17 guessers at the same address": Abuse(17, guess),
    "100 guessers at the same address": Abuse(100, guess),
    "400 guessers at 200 addresses": Abuse(400, guess, addresses=200, first_address=2),
}


# --- Those who mean no good


async def abuse_with(kind: Abuse, port: int, number: int) -> None:
    local = (f"127.0.0.{kind.first_address + number % kind.addresses}", 0)
    while True:
        with suppress(OSError, EOFError, ValueError):
            reader, writer = await asyncio.open_connection(HOST, port, local_addr=local)
            try:
                while await says_its_part(kind, reader, writer):
                    pass
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.01)


async def says_its_part(
    kind: Abuse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Whether there is more to say on this connection."""
    said = kind.says()
    writer.write(said)
    await writer.drain()
    if not said:
        await reader.read()
        return False
    if kind.reads:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length and not said.startswith(b"HEAD"):
            await reader.readexactly(int(length[1]))
    await asyncio.sleep(kind.pause_seconds)
    return kind.stays and kind.reads


async def abuse(name: str, port: int) -> None:
    kind = {**ABUSES, **GUESSES}[name]
    await asyncio.gather(*(abuse_with(kind, port, number) for number in range(kind.clients)))


@contextmanager
def abused(name: str, port: int, families: str = "") -> Iterator[None]:
    """A process does that meanwhile. It has less right to the machine: those who do so have
    machines of their own. The exporter is in a session of its own, and Linux may share the
    processors out by session first (autogroup), where niceness within one means nothing."""
    command = ["nice", sys.executable, __file__, f"--abuse={port}", name]
    environment = {**os.environ, "FAMILIES": families}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        with suppress(OSError):  # not every kernel does so
            Path(f"/proc/{process.pid}/autogroup").write_text("19")
        time.sleep(2)
        try:
            yield
        finally:
            assert process.poll() is None, "the abuse ended early"
            process.send_signal(signal.SIGKILL)


# --- The one who scrapes


def scrape(port: int, authorization: str = "", timeout_seconds: float = 10) -> float | None:
    """Seconds that a scrape takes, or None if it fails."""
    headers = {"Accept-Encoding": "gzip"}
    if authorization:
        headers["Authorization"] = authorization.partition(" ")[2]
    began = time.perf_counter()
    with closing(http.client.HTTPConnection(HOST, port, timeout=timeout_seconds)) as connection:
        try:
            connection.request("GET", "/metrics", headers=headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return None
    return time.perf_counter() - began if answer.status == 200 else None


@dataclass(frozen=True)
class Scrapes:
    """Times in seconds of scrapes one after the other, and how many failed."""

    times: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0

    def __add__(self, other: "Scrapes") -> "Scrapes":
        return Scrapes(
            self.times + other.times, self.failed + other.failed, self.seconds + other.seconds
        )

    def part(self, share: float) -> float:
        return sorted(self.times)[min(len(self.times) - 1, int(len(self.times) * share))]

    def row(self, name: str, alone: "Scrapes") -> str:
        if not self.times:
            return f"| {name} | 0 | | | | | {self.failed} |"
        under, before = self.part(0.99) * 1000, alone.part(0.99) * 1000
        return (
            f"| {name} | {len(self.times) / self.seconds:.0f} | {self.part(0.5) * 1000:.0f} "
            f"| {under:.0f} | {before:.0f} | {under / before:.1f} | {self.failed} |"
        )


def scrapes(port: int, seconds: float, authorization: str = "") -> Scrapes:
    times, began = [], time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        times.append(scrape(port, authorization))
    answered = [each for each in times if each is not None]
    return Scrapes(answered, len(times) - len(answered), taken)


def in_turns(
    exporter: Exporter, name: str, families: str = "", authorization: str = ""
) -> tuple[Scrapes, Scrapes]:
    """Scrapes alone and beside the abuse, a part of each in each round."""
    alone, beside = Scrapes(), Scrapes()
    for _ in range(ROUNDS):
        alone += scrapes(exporter.port, SECONDS / ROUNDS, authorization)
        with abused(name, exporter.port, families):
            beside += scrapes(exporter.port, SECONDS / ROUNDS, authorization)
        time.sleep(0.5)  # until the last of them are noticed to be gone
    return alone, beside


def first_login(folder: Path, name: str) -> tuple[float, int]:
    """Seconds until the right password is let in for the first time, by a scraper whose timeout
    is ten seconds, and how often it had to try."""
    with guarded(folder) as exporter, abused(name, exporter.port):
        began = time.perf_counter()
        for attempt in itertools.count(1):
            if scrape(exporter.port, basic(PASSWORD)) is not None:
                return time.perf_counter() - began, attempt
    raise AssertionError


@contextmanager
def guarded(folder: Path) -> Iterator[Exporter]:
    web = folder / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: '{hashed(PASSWORD, cost=COST)}'}}")
    with open_to_all(folder, 1, f"--web.config.file={web}") as exporter:
        yield exporter


def beside_prometheus(folder: Path, exporter: Exporter, names: list[str], **scrape: object) -> int:
    """How many scrapes a Prometheus lost that scraped every second meanwhile."""
    folder.mkdir()
    made = answered = 0.0
    with prometheus(folder, exporter.port, **scrape) as server:
        for name in names:
            began = time.monotonic()
            with abused(name, exporter.port, "datatrove_job_tasks datatrove_job_started"):
                time.sleep(SECONDS)
            window = f"up[{int(time.monotonic() - began)}s]"
            here = server.value(f"count_over_time({window})") or 0
            there = server.value(f"sum_over_time({window})") or 0
            made, answered = made + here, answered + there
            if here > there:
                print(f"{name}: {here - there:.0f} of {here:.0f} scrapes lost", flush=True)
    print(f"of {made:.0f} scrapes of a Prometheus every second, lost: {made - answered:.0f}")
    return int(made - answered)


def write_jobs(root: Path, jobs: int) -> str:
    for number in range(jobs):
        write_job(root / f"job-{number:05d}", tasks=10, completed=[0])
    return str(root)


@contextmanager
def open_to_all(folder: Path, jobs: int, *options: str) -> Iterator[Exporter]:
    roots = [write_jobs(folder / f"{jobs} jobs", jobs)]
    with serving(folder, *options, roots=roots, scan={"interval": "1h"}) as exporter:
        yield exporter


def all_jobs(exporter: Exporter) -> str:
    """The names of the families of jobs, once all are there."""
    page = exporter.wait_for(lambda page: page.value("datatrove_jobs") == JOBS, "all jobs")
    return " ".join({name for name, _ in page.samples if name.startswith("datatrove_job_")})


def compare_scrapes(wanted: list[str], folder: Path) -> int:
    """Times that scrapes failed, or took too long."""
    wrong = 0

    def compare(exporter: Exporter, name: str, **more: str) -> None:
        nonlocal wrong
        alone, beside = in_turns(exporter, name, **more)
        print(beside.row(name, alone), flush=True)
        slow = not beside.times or beside.part(0.99) > TIMES_SLOWER * alone.part(0.99)
        wrong += slow + beside.failed

    print("| meanwhile | scrapes a second | median ms | 99 % ms | alone | times | failed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with open_to_all(folder, JOBS) as exporter:
        families = all_jobs(exporter)
        for name in filter(ABUSES.__contains__, wanted):
            compare(exporter, name, families=families)
    with guarded(folder) as exporter:
        scrape(exporter.port, basic(PASSWORD))
        for name in filter(GUESSES.__contains__, wanted):
            compare(exporter, name, authorization=basic(PASSWORD))
    return wrong


async def one_of_a_crowd(port: int, tls: ssl.SSLContext | None) -> bool:
    with suppress(OSError, EOFError, ValueError):
        reader, writer = await asyncio.open_connection(HOST, port, ssl=tls)
        writer.write(request("GET /metrics", GZIP, "Connection: close"))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        body = await reader.readexactly(length)
        writer.transport.abort()
        return head.startswith(b"HTTP/1.1 200 ") and len(body) > 0
    return False


def is_ready(port: int, tls: ssl.SSLContext | None) -> bool:
    return bool(get(port, "/-/ready", tls=tls).status == 200)


def scrape_at_once(wanted: list[str], folder: Path) -> int:
    """How many of a thousand honest scrapes at once are lost, in the clear and over TLS."""

    async def come(port: int, tls: ssl.SSLContext | None) -> int:
        crowd = (one_of_a_crowd(port, tls) for _ in range(CROWD))
        return (await asyncio.gather(*crowd)).count(False)

    certificates = Certificates(folder / "certificates")
    options = f"--web.config.file={certificates.write_web_config()}"
    lost = 0
    for tls, more in ((None, ()), (certificates.client(), (options,))):
        with open_to_all(folder, JOBS, *more) as exporter:
            port = exporter.port
            wait_until(partial(is_ready, port, tls), "all jobs")
            get(exporter.port, "/metrics", {"Accept-Encoding": "gzip"}, tls)
            began = time.monotonic()
            count = asyncio.run(come(exporter.port, tls))
            lost += count
            kind = "in the clear" if tls is None else "over TLS"
            taken = time.monotonic() - began
            print(f"of {CROWD} scrapes at once {kind}, lost: {count} ({taken:.1f} s)", flush=True)
    return lost


def log_in(wanted: list[str], folder: Path) -> int:
    """How long a first login takes."""
    print("\n| meanwhile | first login, seconds | attempts of ten seconds |\n| --- | --- | --- |")
    for name in filter(GUESSES.__contains__, wanted):
        logins = sorted(first_login(folder, name) for _ in range(5))
        (median, _), (longest, attempts) = logins[2], logins[-1]
        print(f"| {name} | {median:.2f} (at most {longest:.2f}) | {attempts} |", flush=True)
    return 0


def scrape_by_prometheus(wanted: list[str], folder: Path) -> int:
    """How many scrapes a real Prometheus loses."""
    lost = 0
    with open_to_all(folder, JOBS // 20) as exporter:
        exporter.wait_until_ready()
        names = list(filter(ABUSES.__contains__, wanted))
        lost += beside_prometheus(folder / "open", exporter, names)
    basic_auth = {"basic_auth": {"username": "alice", "password": PASSWORD}}
    with guarded(folder) as exporter:
        names = list(filter(GUESSES.__contains__, wanted))
        lost += beside_prometheus(folder / "guarded", exporter, names, **basic_auth)
    return lost


PARTS = {
    "scrapes": compare_scrapes,
    "crowd": scrape_at_once,
    "logins": log_in,
    "prometheus": scrape_by_prometheus,
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *ABUSES, *GUESSES], metavar="NAME")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--abuse", type=int, metavar="PORT", help="only do what is named, there")
    asked = parser.parse_args()
    if asked.abuse:
        asyncio.run(abuse(asked.names[0], asked.abuse))
    wrong = 0
    for part in asked.part or PARTS:
        with tempfile.TemporaryDirectory(prefix="abuse-") as folder:
            wrong += PARTS[part](asked.names or [*ABUSES, *GUESSES], Path(folder))
    print(f"\n{wrong} scrapes lost, or more than {TIMES_SLOWER} times as long")
    return 1 if wrong else 0


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    sys.exit(main())
