"""Health and counters of a root, told only how its scans ended."""

import math

from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.scanning.root.health import RootHealth

NOW, WALL = 1000.0, 1_700_000_000.0
DENIED = StorageError("denied", "Permission denied")


def test_what_concerns_the_schedule_and_the_storage_shows_at_once() -> None:
    health = RootHealth(RootConfig("r", "/r"))
    health.scan_skipped()
    health.backs_off(30.0)
    health.count_requests((("list", 7),))
    health.storage_noted(("slow",))
    root = health.root
    assert (root.scans_skipped, root.backoff_seconds, root.requests) == (1, 30.0, (("list", 7),))
    assert root.notes == ("slow",)
    assert not root.attempted
    assert health.root is root


def test_errors_show_when_they_are_published() -> None:
    health = RootHealth(RootConfig("r", "/r"))
    health.count_job_error(DENIED)
    health.count_job_error(DENIED)
    assert not any(count for _, count in health.root.errors)
    health.publish((), WALL)
    assert dict(health.root.errors)["job", "denied"] == 2


def test_a_root_has_failed_since_the_first_failure_and_a_scan_that_succeeds_ends_it() -> None:
    health = RootHealth(RootConfig("r", "/r"))
    health.scan_failed(DENIED, duration_seconds=0.5, now=NOW)
    health.scan_impossible(StorageError("timeout", "it hangs"), NOW + 1)
    assert health.failed_since == NOW
    root = health.root
    assert (root.up, root.attempted, root.error) == (False, True, "timeout: it hangs")
    assert (root.scans, root.last_scan_duration_seconds) == (1, 0.5)
    health.scan_succeeded(duration_seconds=1.5, wall_time=WALL)
    assert health.failed_since == math.inf
    root = health.root
    assert (root.up, root.error, root.scans) == (True, None, 2)
    assert (root.last_scan_duration_seconds, root.last_successful_scan_timestamp) == (1.5, WALL)
