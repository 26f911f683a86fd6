"""No secret of a failed task's log gets out: 13 real ones hold an API key that loguru printed."""

import json
import logging
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.jobs.task_states import SECRETS, unpack
from support.snapshots.collector import SnapshotCollector
from support.snapshots.pages import asked, below, shown
from support.status import status

from exporter import log
from exporter.config.settings import RootConfig, ShowErrors
from exporter.model.snapshot import Latest, Snapshot
from exporter.scanning.scheduler import Scheduler
from exporter.web.views import Views
from exporter.workers import Workers


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("kinds")) / "local/kinds"


def snapshot_of(folder: Path, show: ShowErrors) -> Snapshot:
    workers = Workers(2)
    root = RootConfig("kinds", str(folder), show_errors=show, abandoned_after_seconds=1e9)
    snapshot = Scheduler([root], Latest(), workers).run_once()
    workers.close()
    return snapshot


def metrics_of(snapshot: Snapshot) -> str:
    latest, registry = Latest(), CollectorRegistry()
    latest.publish(snapshot)
    registry.register(SnapshotCollector(latest))
    return generate_latest(registry).decode()


def details_of(snapshot: Snapshot) -> list[str]:
    """The page of the job, and what the API says of it."""
    views = Views(lambda: snapshot, time.time)
    answers = (
        views.job(below("kinds/.")),
        views.api_job(below("kinds/.")),
        views.api_jobs(asked()),
    )
    return [shown(answer) for answer in answers]


def secrets_in(texts: list[str]) -> set[str]:
    return {secret for secret in SECRETS if any(secret in text for text in texts)}


def test_the_logs_do_hold_them(kinds: Path) -> None:
    assert secrets_in([f.read_text(errors="replace") for f in kinds.glob("logs/*")]) == set(SECRETS)


@pytest.mark.parametrize("show", ["none", "types", "text"])
def test_no_secret_of_a_log_is_in_metrics_snapshot_list_or_log_line(
    kinds: Path, show: ShowErrors, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        snapshot = snapshot_of(kinds, show)
    assert snapshot.totals.tasks_failed["program"] > 0
    page = shown(Views(lambda: snapshot, time.time).index(asked()))
    told = [metrics_of(snapshot), repr(snapshot), page, caplog.text]
    assert secrets_in(told) == set()


@pytest.mark.parametrize("show", ["none", "types"])
def test_no_secret_of_a_log_is_on_a_page_or_in_the_api_without_texts(
    kinds: Path, show: ShowErrors
) -> None:
    details = details_of(snapshot_of(kinds, show))
    assert secrets_in(details) == set()
    assert ("SecretError" in details[0]) == (show == "types")


def test_texts_are_the_first_line_of_a_message_and_nothing_beside_it(kinds: Path) -> None:
    """What a message itself mentions is shown: so the port asks who is there. What loguru prints
    of variables is not."""
    page, *_ = details_of(snapshot_of(kinds, "text"))
    assert "bad document" in page
    assert "line one" in page
    assert "line two" not in page
    assert not any(character in page for character in "│└├")


def test_texts_do_not_show_what_is_configured_as_secret(
    kinds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = snapshot_of(kinds, "text")
    assert secrets_in(details_of(snapshot)) != set()
    monkeypatch.setattr(log, "_secrets", set())
    log.hide(SECRETS)
    assert secrets_in(details_of(snapshot)) == set()


def test_status_tells_none_unless_asked_for_lines(kinds: Path) -> None:
    for options in (("--failed",), ("--failed", "--json"), ("--missing", "--json"), ()):
        run = status(*options, kinds)
        assert secrets_in([run.out, run.err]) == set(), options
    assert json.loads(status("--failed", "--json", kinds).out)["jobs"][0]["failed_tasks"]
