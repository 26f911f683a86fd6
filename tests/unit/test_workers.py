"""The thread pool: turns, overdue and stuck calls, bounds."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from exporter.workers import Workers


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.005)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Calls that wait for it hang until it is set."""
    event = threading.Event()
    yield event
    event.set()


def test_calls_run_and_no_more_than_size_at_a_time(gate: threading.Event) -> None:
    workers = Workers(3, patience_seconds=60)
    for _ in range(10):
        workers.submit("a", gate.wait)
    wait_until(lambda: workers.busy == 3)
    workers.relieve()
    time.sleep(0.05)
    assert workers.busy == 3
    gate.set()
    wait_until(lambda: workers.busy == 0)


def test_owners_take_turns(gate: threading.Event) -> None:
    workers = Workers(1, patience_seconds=60)
    order: list[str] = []
    workers.submit("x", gate.wait)
    for _ in range(3):
        workers.submit("a", lambda: order.append("a"))
    for _ in range(3):
        workers.submit("b", lambda: order.append("b"))
    gate.set()
    wait_until(lambda: len(order) == 6)
    assert order == ["a", "b"] * 3


def test_a_hung_owner_gives_its_slots_back(gate: threading.Event) -> None:
    workers = Workers(2, patience_seconds=0.05)
    for _ in range(20):
        workers.submit("hung", gate.wait)
    wait_until(lambda: workers.busy == 2)
    done = threading.Event()
    workers.submit("good", done.set)
    time.sleep(0.1)
    workers.relieve()
    assert done.wait(10)


def test_the_threads_of_a_hung_owner_are_bounded(gate: threading.Event) -> None:
    workers = Workers(8, patience_seconds=0.01)
    before = threading.active_count()
    for owner in range(5):
        for _ in range(50):
            workers.submit(owner, gate.wait)
    for _ in range(60):
        workers.relieve()
        time.sleep(0.005)
    # Each owner: four overdue ones, and what was started in the same moment.
    assert threading.active_count() - before <= 8 + 5 * (4 + 8)
    done = threading.Event()
    workers.submit("good", done.set)
    assert done.wait(10)
    gate.set()
    wait_until(lambda: threading.active_count() - before <= 2 * 8)


def test_an_abandoned_call_is_stuck_until_it_returns(gate: threading.Event) -> None:
    workers = Workers(2, patience_seconds=60)
    ran: list[int] = []
    for _ in range(2):
        workers.submit("a", gate.wait)
    workers.submit("a", lambda: ran.append(1))
    wait_until(lambda: workers.busy == 2)
    workers.abandon("a")
    assert (workers.busy, workers.stuck) == (0, 2)
    done = threading.Event()
    workers.submit("b", done.set)
    assert done.wait(10)
    gate.set()
    wait_until(lambda: workers.stuck == 0)
    assert not ran


def test_closing_drops_what_waits_and_ends_idle_threads(gate: threading.Event) -> None:
    before = threading.active_count()
    workers = Workers(2)
    ran: list[int] = []
    for _ in range(2):
        workers.submit("a", gate.wait)
    wait_until(lambda: workers.busy == 2)
    workers.submit("a", lambda: ran.append(1))
    workers.close()
    gate.set()
    wait_until(lambda: threading.active_count() == before)
    assert not ran


def test_a_call_that_raises_anything_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    workers = Workers(1)
    for error in (ZeroDivisionError, SystemExit, asyncio.CancelledError, KeyboardInterrupt):

        def fail(error: type[BaseException] = error) -> None:
            raise error

        workers.submit("a", fail)
    ran = threading.Event()
    workers.submit("a", ran.set)
    assert ran.wait(20)
    wait_until(lambda: workers.busy == 0)
    assert caplog.text.count("met a bug") == 4
    workers.close()


NO_THREADS = """
import resource, threading
from exporter.workers import Workers

threading.stack_size(1 << 30)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + (1 << 29)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
workers, ran = Workers(4), []
for attempt in range(3):
    try:
        workers.submit("a", lambda: ran.append("refused"))
        print("started")
    except RuntimeError:
        print("refused")
workers.relieve()
workers.abandon("a")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
done = threading.Event()
workers.submit("a", done.set)
print(done.wait(20), ran)
"""


def test_a_system_that_gives_no_threads_is_asked_again_later() -> None:
    """What was refused is not run behind the caller's back once there are threads."""
    run = subprocess.run(
        [sys.executable, "-P", "-c", NO_THREADS], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split("\n") == ["refused"] * 3 + ["True []", ""]
