"""From a job folder to the message: exporter, Prometheus and Alertmanager as processes."""

import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support import servers
from support.jobs.folders import write_job
from support.jobs.pipelines import datatrove_process
from support.monitoring import (
    SCRAPE_JOB,
    Receiver,
    alertmanager,
    alerts,
    hurried_alertmanager,
    hurried_rules,
    receiver,
    sending_to,
)
from support.processes import Exporter, Prometheus, get, prometheus, serving
from support.servers import (
    FTP_PASSWORD,
    FTP_USER,
    HOST,
    free_ports,
    is_listening,
    running,
    wait_until,
)

HOUR = 3600
PATIENCE_SECONDS = 90
"""How long the three processes may take to pass something on, on a busy machine."""

pytestmark = pytest.mark.timeout(400)


@contextmanager
def monitored(
    folder: Path, *, seconds: dict[str, str] | None = None, **config: object
) -> Iterator[tuple[Exporter, Prometheus, Receiver]]:
    """The exporter with this configuration, watched by Prometheus with the shipped rules,
    whose alerts go through Alertmanager with the shipped routes to a receiver."""
    with ExitStack() as stack:
        received = stack.enter_context(receiver())
        port = stack.enter_context(alertmanager(folder, hurried_alertmanager(received.url)))
        exporter = stack.enter_context(serving(folder, **config))
        watching = stack.enter_context(
            prometheus(
                folder,
                exporter.port,
                {"rule_files": hurried_rules(folder, seconds), "alerting": sending_to(port)},
                job_name=SCRAPE_JOB,
            )
        )
        yield exporter, watching, received


def test_a_job_that_stalled_reaches_the_team_with_its_labels(tmp_path: Path) -> None:
    root = tmp_path / "root"
    long_ago = time.time() - 20 * HOUR
    write_job(root / "moving", tasks=10, completed=range(5), launch=time.time() - 300)
    write_job(root / "done", tasks=5, completed=range(5), launch=long_ago)
    write_job(root / "cc main/stall", tasks=100, completed=range(50), launch=long_ago)
    with monitored(
        tmp_path,
        roots=[{"name": "prod", "url": str(root)}],
        scan={"interval": "1s"},
        web={"external_url": "https://monitor.example.org/datatrove"},
    ) as (exporter, _, received):
        entries = wait_until(
            lambda: received.named("DatatroveJobStalled"), "the alert", PATIENCE_SECONDS
        )
        path, alert = entries[0]
        assert path == "/team"
        assert alert["status"] == "firing"
        assert alert["labels"] == {
            "alertname": "DatatroveJobStalled",
            "severity": "warning",
            "job": SCRAPE_JOB,
            "root": "prod",
            "job_name": "cc main/stall",
            "state": "stalled",
        }
        annotations = alert["annotations"]
        shipped = alerts()["DatatroveJobStalled"]["annotations"]
        assert annotations["runbook_url"] == shipped["runbook_url"]
        assert annotations["page_url"] == (
            "https://monitor.example.org/datatrove/jobs/-?root=prod&job_name=cc+main%2Fstall"
        )
        _, _, path = annotations["page_url"].partition("datatrove")
        assert "cc main/stall" in get(exporter.port, path).body.decode()
        told = "It completed 50 of 100 tasks, the last one 19h"
        assert told in annotations["description"]
        write_job(root / "cc main/stall", tasks=100, completed=range(50), launch=time.time() - 3000)
        wait_until(
            lambda: [a for _, a in received.alerts if a["status"] == "resolved"],
            "it goes on",
            PATIENCE_SECONDS,
        )
        assert {alert["labels"]["alertname"] for _, alert in received.alerts} == {
            "DatatroveJobStalled"
        }


def test_a_real_pipeline_that_fails_reaches_the_team_with_what_its_logs_tell(
    tmp_path: Path,
) -> None:
    """By a real datatrove. Ranks run one after another, so the third one's failure is the end."""
    job = tmp_path / "root" / "job"
    with datatrove_process(tmp_path / "datatrove.log") as datatrove:
        assert not datatrove.launch(job, tasks=5, failing=[2]).succeeded
    with monitored(
        tmp_path,
        roots=[{"name": "prod", "url": str(tmp_path / "root")}],
        scan={"interval": "1s"},
        web={"external_url": "https://monitor.example.org"},
    ) as (exporter, _, received):
        (path, alert), *_ = wait_until(
            lambda: received.named("DatatroveJobFailed"), "the alert", PATIENCE_SECONDS
        )
        assert (path, alert["labels"]["job_name"]) == ("/team", "job")
        description = alert["annotations"]["description"]
        assert "It completed 2 of 5 tasks, the last one " in description
        assert " 1 failed" in description
        _, _, page = alert["annotations"]["page_url"].partition("monitor.example.org")
        assert "RuntimeError" in get(exporter.port, page).body.decode()
        assert not received.named("DatatroveJobStalled")


def test_stalls_of_one_stage_are_one_message_where_labels_give_stages(tmp_path: Path) -> None:
    """And a job that no label tells a stage of is in a message of its own."""
    root, long_ago = tmp_path / "root", time.time() - 20 * HOUR
    for job in ("minhash/a/buckets", "minhash/b/buckets", "minhash/a/filter", "single"):
        write_job(root / job, tasks=100, completed=range(50), launch=long_ago)
    config = {"name": "prod", "url": str(root), "labels": ["minhash/{dump}/{stage}"]}
    with monitored(tmp_path, roots=[config], scan={"interval": "1s"}) as (_, _, received):
        wait_until(
            lambda: len(received.named("DatatroveJobStalled")) >= 4, "alerts", PATIENCE_SECONDS
        )
        labels = {alert["labels"]["job_name"]: alert["labels"] for _, alert in received.alerts}
        stages = {name: told.get("stage") for name, told in labels.items()}
        assert stages == {
            "minhash/a/buckets": "buckets",
            "minhash/b/buckets": "buckets",
            "minhash/a/filter": "filter",
            "single": None,
        }
        assert all("dump" not in told for told in labels.values())
        of_a_group = Counter(count for _, status, count in received.messages if status == "firing")
        assert of_a_group == {2: 1, 1: 2}


@contextmanager
def frozen_root(folder: Path) -> Iterator[tuple[dict[str, object], Callable[[], None]]]:
    """A root behind an FTP server, and what freezes that server."""
    (port,) = free_ports(1)
    command = [sys.executable, servers.__file__, "ftp", str(port), folder, "1"]
    with running(command, folder.parent / "ftp.log") as process:
        wait_until(lambda: is_listening(port), "the FTP server listens", PATIENCE_SECONDS)
        options = {"username": FTP_USER, "password": FTP_PASSWORD}
        url = f"ftp://{HOST}:{port}/"
        yield (
            {"url": url, "storage_options": options},
            lambda: process.send_signal(signal.SIGSTOP),
        )


@contextmanager
def denied_root(folder: Path) -> Iterator[tuple[dict[str, object], Callable[[], None]]]:
    """A root in a folder, and what forbids to read it."""
    yield {"url": str(folder)}, lambda: folder.chmod(0)
    folder.chmod(0o755)


@pytest.mark.parametrize("making", [frozen_root, denied_root])
def test_storage_that_does_not_answer_is_stale_and_no_job_on_it_stalled(
    tmp_path: Path, making: Callable[..., object]
) -> None:
    lost, alive, patient = (tmp_path / name for name in ("lost", "alive", "patient"))
    for folder in (lost, alive, patient):
        folder.mkdir()
        write_job(folder / "ready", tasks=1, completed=[0])
    seconds = {"600": "6"}  # of the rules' numbers only this: how long data is recent
    with ExitStack() as stack:
        root, break_it = stack.enter_context(making(lost))
        roots = [{"name": "lost", **root}, {"name": "alive", "url": str(alive)}]
        roots.append({"name": "patient", "url": str(patient), "stalled_after": "3h"})
        scan, jobs = {"interval": "1s", "timeout": "3s"}, {"stalled_after": "20s"}
        web = {"external_url": "https://monitor.example.org"}
        exporter, watching, received = stack.enter_context(
            monitored(tmp_path, seconds=seconds, roots=roots, scan=scan, jobs=jobs, web=web)
        )
        state = 'root_job_name:datatrove_job_state:group{job_name="job"}'
        for folder in (lost, alive, patient):
            launch = time.time() - 50
            write_job(
                folder / "job", tasks=100, completed=range(50), launch=launch, seconds_between=1
            )
        wait_until(lambda: len(watching.query(state)) == 3, "all jobs are known", PATIENCE_SECONDS)
        break_it()
        stale = wait_until(
            lambda: received.named("DatatroveScanStale"), "the stale scan", PATIENCE_SECONDS
        )
        stalled = wait_until(
            lambda: received.named("DatatroveJobStalled"), "the stall", PATIENCE_SECONDS
        )
        for path, alert in stale:
            labels = alert["labels"]
            assert (path, labels["severity"], labels["root"]) == ("/oncall", "critical", "lost")
            assert labels["instance"].startswith(HOST)
            told = alert["annotations"]
            assert re.search(r"failed in the last half hour for: \w+", told["description"])
            assert told["page_url"] == "https://monitor.example.org/?root=lost"
        shown = get(exporter.port, "/?root=lost").body.decode()
        assert re.search(r"root</span>\s*<b><bdi>lost</bdi></b> <span>cannot be scanned: ", shown)
        # The same job where storage answers: so it is old data that silences the other, and the
        # root's own configuration the third.
        assert {alert["labels"]["root"] for _, alert in stalled} == {"alive"}
        idle = 'time() - datatrove_job_last_completion_timestamp_seconds{root="patient"}'
        wait_until(
            lambda: watching.query(f"{idle} > 25"),
            "it has been idle for longer than it may",
            PATIENCE_SECONDS,
        )
        about_jobs = 'ALERTS{root!="alive", alertname=~"DatatroveJob(Stalled.*|Vanished)"}'
        assert watching.query(f"count_over_time({about_jobs}[10m])") == []


def test_an_exporter_that_ends_is_reported_down(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_job(root / "job", tasks=2, completed=[0])
    with monitored(tmp_path, roots=[str(root)]) as (exporter, watching, received):
        wait_until(lambda: watching.value("up") == 1, "a scrape", PATIENCE_SECONDS)
        os.kill(exporter.process.pid, signal.SIGTERM)
        entries = wait_until(
            lambda: received.named("DatatroveExporterDown"), "the alert", PATIENCE_SECONDS
        )
        path, alert = entries[0]
        assert path == "/oncall"
        assert alert["labels"]["instance"] == f"{HOST}:{exporter.port}"
        assert not received.named("DatatroveJobVanished")
