"""How many messages people get by the example of routes, counted behind a real Alertmanager.

Only its pauses are shorter: a second for a minute, two for the ten between messages of a group.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.monitoring import (
    SCRAPE_JOB,
    Receiver,
    alertmanager,
    alerts,
    hurried_alertmanager,
    receiver,
    send_alerts,
)
from support.paths import PROJECT
from support.servers import wait_until

INTERVAL_SECONDS = 2


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Receiver]]:
    with watching(tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


@contextmanager
def watching(folder: Path, *, not_by: str = "") -> Iterator[tuple[int, Receiver]]:
    """An Alertmanager with the routes of the example, and what it sends; groups are not told apart
    by one label."""
    with receiver() as received:
        config = hurried_alertmanager(received.url)
        config["route"]["group_by"] = [by for by in config["route"]["group_by"] if by != not_by]
        config["route"] |= {"group_wait": "1s", "group_interval": f"{INTERVAL_SECONDS}s"}
        for route in config["route"]["routes"]:
            route.pop("group_wait", None)
        with alertmanager(folder, config) as port:
            yield port, received


def alert(name: str, **labels: str) -> dict[str, str]:
    """An alert as the shipped rules raise it."""
    return {"alertname": name, "job": SCRAPE_JOB, **alerts()[name]["labels"], **labels}


def messages(
    watched: tuple[int, Receiver], *story: tuple[list[dict[str, str]], bool], count: int
) -> Counter[tuple[str, str, int]]:
    """The messages sent while alerts come, or end, one after the other; at least so many."""
    port, received = watched
    before = len(received.messages)
    for told, resolved in story:
        sent = len(received.messages)
        send_alerts(port, *told, resolved=resolved)
        if count:
            wait_until(lambda sent=sent: len(received.messages) > sent, "a message", 60)
    time.sleep(2 * INTERVAL_SECONDS)  # any that should not come
    found = received.messages[before:]
    assert len(found) >= count
    return Counter(found)


def test_a_root_that_cannot_be_reached_is_one_page_and_one_resolve(
    watched: tuple[int, Receiver],
) -> None:
    at = {"instance": "a:1", "root": "outage"}
    stale = alert("DatatroveScanStale", **at)
    errors = alert("DatatroveScanErrors", **at, scope="root", reason="unavailable")
    sent = messages(watched, ([stale, errors], False), ([stale, errors], True), count=2)
    assert sent == {("/oncall", "firing", 1): 1, ("/oncall", "resolved", 1): 1}


def test_a_cluster_that_pauses_is_one_message_for_each_root(
    watched: tuple[int, Receiver],
) -> None:
    jobs = [
        alert("DatatroveJobStalled", root="paused", job_name=f"job-{n}", state="stalled")
        for n in range(20)
    ]
    sent = messages(watched, (jobs, False), (jobs, True), count=2)
    assert sent == {("/team", "firing", 20): 1, ("/team", "resolved", 20): 1}


def test_storage_that_hangs_below_all_workers_is_a_message_for_each_stage_or_one(
    watched: tuple[int, Receiver], tmp_path: Path
) -> None:
    jobs = [
        alert("DatatroveJobStalled", root="hangs", stage=stage, job_name=f"{stage}/{n}",
              state="stalled")
        for stage in ("extract", "filter", "dedup") for n in range(4)
    ]  # fmt: skip
    assert messages(watched, (jobs, False), count=3) == {("/team", "firing", 4): 3}
    with watching(tmp_path, not_by="stage") as by_root:
        assert messages(by_root, (jobs, False), count=1) == {("/team", "firing", 12): 1}


def test_a_day_of_three_problems_and_fifty_abandoned_jobs_is_six_messages_and_no_page(
    watched: tuple[int, Receiver],
) -> None:
    """Six hundred jobs in four roots; the abandoned ones are one note, which is not taken back."""
    stalled = alert("DatatroveJobStalled", root="r1", job_name="a", state="stalled")
    failed = alert("DatatroveJobFailed", root="r2", job_name="b", state="failed")
    unreadable = alert("DatatroveJobUnreadable", root="r3", job_name="c")
    old = alert("DatatroveJobsAbandoned", root="r4", state="abandoned")
    day = [([each], ended) for each in (stalled, failed, unreadable) for ended in (False, True)]
    sent = messages(watched, ([old], False), *day, count=7)
    assert sent == {
        ("/team", "firing", 1): 3,
        ("/team", "resolved", 1): 3,
        ("/notes", "firing", 1): 1,
    }


def test_an_exporter_that_is_down_hides_nothing_of_another_team_or_replica(
    watched: tuple[int, Receiver],
) -> None:
    down = alert("DatatroveExporterDown", instance="a:1", team="a")
    other = alert("DatatroveScanStale", instance="b:1", team="b", root="theirs")
    replica = alert("DatatroveScanStale", instance="c:1", team="c", root="shared")
    seen = alert("DatatroveJobStalled", team="c", root="shared", job_name="j", state="stalled")
    sent = messages(watched, ([down, other, replica, seen], False), count=1)
    assert sent == {("/oncall", "firing", 1): 3, ("/team", "firing", 1): 1}


@pytest.mark.timeout(400)
def test_half_a_day_of_real_folders_tells_of_its_three_problems_and_nothing_else() -> None:
    """Six hundred jobs and a day take five minutes: make alarms, whose result is committed."""
    script = PROJECT / "tests" / "benchmarks" / "noise.py"
    command = [sys.executable, script, "--hours=12", "--dumps=24"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    for text in (result.stdout, (PROJECT / "deploy/prometheus/tests/noise.txt").read_text()):
        told = re.findall(r"^(Datatrove\w+) *(\w*)", text, re.MULTILINE)
        assert told == [
            ("DatatroveJobFailed", "signatures"),
            ("DatatroveJobStalled", "base_processing"),
            ("DatatroveJobUnreadable", "buckets"),
            ("DatatroveJobsAbandoned", ""),
        ]
        assert re.search(r"^oncall +0 +0$", text, re.MULTILINE)
        assert "6 messages to people" in text
