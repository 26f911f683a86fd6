"""What scrapes cost while clients mean no good, against scrapes alone in the same run.

A real ``serve`` of 20,000 jobs is scraped again and again, each time on a new connection, with
gzip; beside that a process of its own plays one abuse after the other. Prints scrapes a
second, their median and 99 %, and how many failed; how long the first login takes while
passwords are guessed; and how many scrapes a real Prometheus loses that scrapes every second
meanwhile. Each abuse is compared with scrapes alone just before it: only such ratios mean
anything. Fails if a scrape fails, or if the 99 %
under an abuse is more than ten times that alone.

    python tests/benchmarks/abuse.py [NAME…]
"""

import asyncio
import base64
import gzip
import http.client
import itertools
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.certificates import hashed
from support.jobs import write_job
from support.processes import Exporter, prometheus, serving
from support.servers import HOST

JOBS = int(os.environ.get("BENCH_JOBS", "20000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
TIMES_SLOWER = 10
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
    """What each of so many clients says, again and again, after its answer and a pause."""

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
    "700 that say nothing": Abuse(700, lambda: b"", pause_seconds=1),
    "700 that stop within a request": Abuse(700, lambda: b"GET /met", reads=False, pause_seconds=1),
    "700 that do not read": Abuse(700, lambda: request("GET /metrics"), reads=False),
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
        with suppress(OSError, EOFError, ValueError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(HOST, port, local_addr=local)
            try:
                while True:
                    said = kind.says()
                    writer.write(said)
                    await writer.drain()
                    if not (kind.reads and said):
                        await reader.read() if not said else await asyncio.sleep(3600)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    if length and not said.startswith(b"HEAD"):
                        await reader.readexactly(int(length[1]))
                    await asyncio.sleep(kind.pause_seconds)
                    if not kind.stays:
                        break
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.01)


async def abuse(name: str, port: int) -> None:
    kind = {**ABUSES, **GUESSES}[name]
    await asyncio.gather(*(abuse_with(kind, port, number) for number in range(kind.clients)))


@contextmanager
def abused(name: str, port: int, families: str = "") -> Iterator[None]:
    """A process does that meanwhile. It has less right to the machine: those who do so have
    machines of their own."""
    command = ["nice", sys.executable, __file__, "--abuse", name, str(port)]
    environment = {**os.environ, "FAMILIES": families}
    with subprocess.Popen(command, env=environment) as process:
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

    times: list[float]
    failed: int
    seconds: float

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


def scrapes(port: int, authorization: str = "") -> Scrapes:
    times, failed, began = [], 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < SECONDS:
        taken = scrape(port, authorization)
        if taken is None:
            failed += 1
        else:
            times.append(taken)
    return Scrapes(times, failed, seconds)


def first_login(folder: Path, root: Path, name: str) -> tuple[float, int]:
    """Seconds until the right password is let in for the first time, by a scraper whose timeout
    is ten seconds, and how often it had to try."""
    with guarded(folder, root) as exporter, abused(name, exporter.port):
        began = time.perf_counter()
        for attempt in itertools.count(1):
            if scrape(exporter.port, basic(PASSWORD)) is not None:
                return time.perf_counter() - began, attempt
    raise AssertionError


@contextmanager
def guarded(folder: Path, root: Path) -> Iterator[Exporter]:
    web = folder / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: '{hashed(PASSWORD, cost=COST)}'}}")
    with serving(folder, f"--web.config.file={web}", roots=[str(root)]) as exporter:
        yield exporter


def beside_prometheus(folder: Path, exporter: Exporter, names: list[str], **scrape: object) -> int:
    """How many scrapes a Prometheus lost that scraped every second meanwhile."""
    folder.mkdir()
    with prometheus(folder, exporter.port, **scrape) as server:
        began = time.monotonic()
        for name in names:
            with abused(name, exporter.port, "datatrove_job_tasks datatrove_job_started"):
                time.sleep(SECONDS)
        window = f"up[{int(time.monotonic() - began) + 5}s]"
        made = server.value(f"count_over_time({window})") or 0
        answered = server.value(f"sum_over_time({window})") or 0
    print(f"of {made:.0f} scrapes of a Prometheus every second, lost: {made - answered:.0f}")
    return int(made - answered)


def run(wanted: list[str], folder: Path) -> int:
    many, few = folder / "many", folder / "few"
    for number in range(JOBS):
        write_job(many / f"job-{number:05d}", tasks=10, completed=[0])
    write_job(few / "job", tasks=10)
    slow = failed = 0
    print("| meanwhile | scrapes a second | median ms | 99 % ms | alone before | times | failed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")

    def compare(exporter: Exporter, name: str, families: str = "", authorization: str = "") -> None:
        nonlocal slow, failed
        alone = scrapes(exporter.port, authorization)
        with abused(name, exporter.port, families):
            measured = scrapes(exporter.port, authorization)
        print(measured.row(name, alone), flush=True)
        failed += measured.failed
        slow += not measured.times or measured.part(0.99) > TIMES_SLOWER * alone.part(0.99)

    with serving(folder, roots=[str(many)], scan={"interval": "1h"}) as exporter:
        exporter.wait_until_ready()
        page = exporter.wait_for(lambda page: page.value("datatrove_jobs") == JOBS, "all jobs")
        families = " ".join({name for name, _ in page.samples if name.startswith("datatrove_job_")})
        for name in wanted or ABUSES:
            if name in ABUSES:
                compare(exporter, name, families)
    with guarded(folder, few) as exporter:
        scrape(exporter.port, basic(PASSWORD))
        for name in wanted or GUESSES:
            if name in GUESSES:
                compare(exporter, name, authorization=basic(PASSWORD))
    print("\n| meanwhile | first login, seconds | attempts of ten seconds |\n| --- | --- | --- |")
    for name in wanted or GUESSES:
        if name in GUESSES:
            logins = sorted(first_login(folder, few, name) for _ in range(5))
            (median, _), (longest, attempts) = logins[2], logins[-1]
            print(f"| {name} | {median:.2f} (at most {longest:.2f}) | {attempts} |", flush=True)
    print()
    wanted = wanted or [*ABUSES, *GUESSES]
    some = folder / "some"
    for number in range(JOBS // 20):
        write_job(some / f"job-{number:05d}", tasks=10, completed=[0])
    with serving(folder, roots=[str(some)], scan={"interval": "1h"}) as exporter:
        exporter.wait_until_ready()
        open_to_all = [name for name in wanted if name in ABUSES]
        failed += beside_prometheus(folder / "open", exporter, open_to_all)
    basic_auth = {"basic_auth": {"username": "alice", "password": PASSWORD}}
    with guarded(folder, some) as exporter:
        guessers = [name for name in wanted if name in GUESSES]
        failed += beside_prometheus(folder / "guarded", exporter, guessers, **basic_auth)
    print(f"\n{failed} scrapes failed; {slow} times the 99 % was over {TIMES_SLOWER} times as long")
    return 1 if failed or slow else 0


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    if sys.argv[1:2] == ["--abuse"]:
        asyncio.run(abuse(sys.argv[2], int(sys.argv[3])))
    with tempfile.TemporaryDirectory(prefix="abuse-") as name:
        sys.exit(run(sys.argv[1:], Path(name)))
