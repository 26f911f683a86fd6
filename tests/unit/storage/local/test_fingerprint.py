"""What a status says of whether a folder or ``executor.json`` changed since."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.storage.local import fingerprint
from exporter.storage.local.fingerprint import ExecutorFile, Listed

SECOND = 10**9
AT = (45, 7, 1_000 * SECOND, 1_000 * SECOND, 4096, 2)
TOUCHED = (45, 7, 2_000 * SECOND, 2_000 * SECOND, 4096, 2)
NO_FILE = ExecutorFile(is_file=False)


class Clock:
    """What the module takes for the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(fingerprint, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.mark.parametrize(
    ("listed", "found", "holds"),
    [
        (Listed(AT, 10.0, 12.0), AT, True),
        (Listed(AT, 10.0, 11.9), AT, False),
        (Listed(AT, 10.0, 12.0), TOUCHED, False),
        (Listed(AT, 10.0, 12.0), None, False),
        (Listed(None, 10.0, 12.0), None, True),
        (Listed(None, 10.0, 11.0), None, False),
        (Listed(None, 10.0, 12.0), AT, False),
        (Listed((45, 7, 0, 5, 0, 2), 10.0, 99.0), (45, 7, 0, 5, 0, 2), False),
        (Listed((45, 7, 5, 0, 0, 2), 10.0, 99.0), (45, 7, 5, 0, 0, 2), False),
    ],
)
def test_a_listing_holds_if_it_began_two_seconds_after_its_status_was_first_seen(
    listed: Listed, found: fingerprint.Fingerprint | None, holds: bool
) -> None:
    """Two changes within a coarse tick leave one status; a time of 0 says nothing at all."""
    assert listed.still_holds(found) == holds


def test_the_time_to_settle_begins_anew_with_each_status(clock: Clock) -> None:
    first = Listed.now(AT, None)
    clock.now = 101.5
    second = Listed.now(AT, first)
    assert (second.first_seen, second.began) == (100.0, 101.5)
    clock.now = 103.0
    changed = Listed.now(TOUCHED, second)
    assert (changed.first_seen, changed.began) == (103.0, 103.0)
    assert [listed.still_holds(listed.fingerprint) for listed in (first, second)] == [False, False]
    assert Listed.now(AT, first).still_holds(AT)


def test_only_another_modification_time_is_another_time() -> None:
    listed = Listed(AT, 0.0, 9.0)
    assert listed.had_other_time(TOUCHED)
    assert not listed.had_other_time((*AT[:4], 8192, 3))
    assert not Listed(None, 0.0, 9.0).had_other_time(AT)


def test_a_time_that_was_set_lies_apart_from_that_of_the_change() -> None:
    copied = (45, 7, 1_000 * SECOND, 1_003 * SECOND, 0, 1)
    assert fingerprint.was_set(copied)
    assert not fingerprint.was_set((45, 7, 1_000 * SECOND, 1_002 * SECOND, 0, 1))
    assert fingerprint.have_one_time(copied, AT)
    assert not fingerprint.have_one_time(copied, TOUCHED)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "executor.json"
    file.write_text("{}")
    return file


def test_a_file_is_read_once_more_when_its_version_has_settled(file: Path, clock: Clock) -> None:
    first = ExecutorFile.now(os.stat(file), NO_FILE)
    clock.now += 1.9
    assert ExecutorFile.now(os.stat(file), first) is first
    clock.now += 0.1
    settled = ExecutorFile.now(os.stat(file), first)
    assert first.version is not None
    assert settled.version is not None
    assert not settled.version.is_same(first.version)
    assert fingerprint.is_same_file(first.version, fingerprint.version_of(os.stat(file)))
    assert fingerprint.is_same_file(settled.version, fingerprint.version_of(os.stat(file)))
    clock.now += 3600
    assert ExecutorFile.now(os.stat(file), settled) is settled


def test_a_file_that_was_written_again_has_another_version_that_has_to_settle(
    file: Path, clock: Clock
) -> None:
    before = ExecutorFile.now(os.stat(file), NO_FILE)
    clock.now += 60
    file.write_text('{"world_size": 4}')
    after = ExecutorFile.now(os.stat(file), before)
    assert after.first_seen == clock.now
    assert before.version is not None
    assert after.version is not None
    assert not after.version.is_same(before.version)
    assert not fingerprint.is_same_file(before.version, after.version)


def test_a_file_with_one_more_name_is_the_same_and_a_folder_is_none(file: Path) -> None:
    """A snapshot of hard links leaves the content as it is; of a folder, links are sub-folders."""
    seen = fingerprint.of(os.stat(file))
    before = ExecutorFile.now(os.stat(file), NO_FILE)
    assert before.version is not None
    assert before.version.token == (seen[:-1], False)
    folder = ExecutorFile.now(os.stat(file.parent), before)
    assert (before.is_file, folder.is_file) == (True, False)


def test_without_times_no_version_is_the_same_as_another(file: Path) -> None:
    os.utime(file, (0, 0))
    version = fingerprint.version_of(os.stat(file))
    assert version.token is None
    assert not version.is_same(version)


def test_where_status_says_nothing_the_content_tells_versions_apart(file: Path) -> None:
    found = os.stat(file)
    one, same, other = (
        fingerprint.version_of_content(found, content) for content in (b"{}", b"{}", b"[]")
    )
    assert one.is_same(same)
    assert not one.is_same(other)
    told = [fingerprint.is_of_content(each) for each in (one, fingerprint.version_of(found))]
    assert told == [True, False]
    assert not fingerprint.is_same_file(one, one)
