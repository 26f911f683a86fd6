"""When a folder is listed again, what that costs, and whom its listing tells to trust."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.costs import asked
from support.jobs.folders import write_executor

from exporter.datatrove.layout import EXECUTOR_FILE
from exporter.storage.base import Folder, Requests
from exporter.storage.local import fingerprint
from exporter.storage.local.folders import Folders, state_of
from exporter.storage.local.trust import Trust

AT = ("runs",)


@pytest.fixture(autouse=True)
def _times_tell_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "_SETTLING_SECONDS", 0.0)


class Listed:
    """The folders of a root on a file system of some kind, and what listing them cost."""

    def __init__(self, root: Path, kind: str = "ext4") -> None:
        self.trust = Trust(str(root), lambda _: kind)
        self.requests = Requests("stat", "readdir")
        self.folders = Folders(str(root), self.trust, self.requests)

    def list(self, last: Folder | None = None, **options: bool) -> Folder:
        return self.folders.list(AT, last, **{"with_subfolders": True, **options})

    def cost(self, list_it: Callable[[], object]) -> dict[str, int]:
        return asked(self.requests, list_it)


@pytest.fixture
def runs(root: Path) -> Path:
    """A folder with one sub-folder."""
    folder = root / AT[0]
    (folder / "one").mkdir(parents=True)
    return folder


def test_a_folder_that_did_not_change_costs_its_status_and_is_the_very_same(
    root: Path, runs: Path
) -> None:
    listed = Listed(root)
    last = listed.list()
    assert (last.subfolders, last.has_executor_file) == (("one",), False)
    assert listed.cost(lambda: listed.list(last)) == {"stat": 1, "readdir": 0}
    assert listed.list(last) is last
    assert listed.list(last, thorough=True) is last
    write_executor(runs)
    job = listed.list(last)
    assert job.has_executor_file
    assert listed.cost(lambda: listed.list(job)) == {"stat": 2, "readdir": 0}
    job = listed.list(job)  # once a version has settled, it is another
    assert listed.list(job) is job


def test_a_sub_folder_that_came_or_went_is_seen(root: Path, runs: Path) -> None:
    listed = Listed(root)
    first = listed.list()
    (runs / "two").mkdir()
    second = listed.list(first)
    assert sorted(second.subfolders) == ["one", "two"]
    (runs / "one").rmdir()
    assert listed.list(second).subfolders == ("two",)
    assert listed.trust.notes == ()


def test_a_job_that_is_launched_again_is_seen_without_a_listing(root: Path, runs: Path) -> None:
    """The file is written in place, which does not change its folder."""
    write_executor(runs)
    listed = Listed(root)
    last = listed.list()
    write_executor(runs, tasks=55, launch=1_800_000_000)
    assert listed.cost(lambda: listed.list(last)) == {"stat": 2, "readdir": 0}
    again = listed.list(last)
    assert again.has_executor_file
    assert state_of(again).executor.version != state_of(last).executor.version
    assert state_of(again).listed is state_of(last).listed


def test_what_status_does_not_show_is_found_by_a_thorough_listing_and_never_believed_again(
    root: Path, runs: Path
) -> None:
    listed = Listed(root)
    last = replace(listed.list(), subfolders=("one", "gone"))  # as if it had been there
    assert listed.list(last) is last
    assert listed.trust.notes == ()
    assert listed.list(last, thorough=True).subfolders == ("one",)
    assert len(listed.trust.notes) == 1
    assert listed.cost(lambda: listed.list(last)) == {"stat": 1, "readdir": 1}


def test_where_times_are_not_believed_every_listing_is_one(root: Path, runs: Path) -> None:
    listed = Listed(root, "fuse.s3fs")
    last = listed.list()
    assert listed.cost(lambda: listed.list(last)) == {"stat": 1, "readdir": 1}
    assert listed.list(last) is last
    as_before = replace(last, subfolders=())
    assert listed.list(as_before).subfolders == ("one",)


def test_what_a_link_leads_to_may_come_and_go_unseen_by_the_folder(
    root: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (runs / "link").symlink_to(elsewhere)
    listed = Listed(root)
    both = listed.list()
    assert set(both.subfolders) == {"one", "link"}
    assert both.links == (("link", str(elsewhere)),)
    elsewhere.rmdir()
    assert listed.list(both) is both
    assert listed.list(both, thorough=True).subfolders == ("one",)
    assert listed.trust.notes == ()


def test_looking_for_a_job_alone_costs_one_status_and_needs_no_folder(
    root: Path, runs: Path
) -> None:
    listed = Listed(root)
    found = [listed.list(with_subfolders=False)]
    write_executor(runs)
    assert listed.cost(lambda: listed.list(with_subfolders=False)) == {"stat": 1, "readdir": 0}
    found.append(listed.list(with_subfolders=False))
    assert [each.has_executor_file for each in found] == [False, True]
    assert [each.subfolders for each in found] == [(), ()]
    nowhere = listed.folders.list(("no", "where"), with_subfolders=False)
    assert not nowhere.has_executor_file
    with pytest.raises(FileNotFoundError):
        listed.folders.list(("no", "where"), with_subfolders=True)


def test_a_root_that_is_missing_is_no_folder_without_a_job(root: Path, runs: Path) -> None:
    listed = Listed(root)
    there = listed.folders.list((), with_subfolders=False)
    assert (there.subfolders, there.real_path) == ((), os.path.realpath(root))
    assert listed.list().real_path is None
    missing = Listed(root / "missing")
    with pytest.raises(FileNotFoundError):
        missing.folders.list((), with_subfolders=False)


def test_a_file_that_leads_in_circles_is_there_and_a_folder_of_its_name_is_none(
    root: Path, runs: Path
) -> None:
    """Reading the first says why it cannot be read."""
    (runs / EXECUTOR_FILE).symlink_to(EXECUTOR_FILE)
    listed = Listed(root)
    circle = listed.list()
    assert (circle.has_executor_file, state_of(circle).executor.version) == (True, None)
    (runs / EXECUTOR_FILE).unlink()
    (runs / EXECUTOR_FILE).mkdir()
    assert not listed.list(circle).has_executor_file


def test_link_counts_are_seen_to_count_only_where_they_count_all(root: Path, runs: Path) -> None:
    listed = Listed(root)
    status = runs.stat()
    counting = status.st_dev if status.st_nlink == 3 else None  # btrfs counts none
    assert state_of(listed.list()).link_counting_device == counting
    (runs / "link").symlink_to(runs / "one")
    assert state_of(listed.list()).link_counting_device is None
    (runs / "link").unlink()
    (runs / "one").rmdir()
    assert state_of(listed.list()).link_counting_device is None, "nothing to count"


def test_another_folder_of_the_same_name_has_another_identity(root: Path, runs: Path) -> None:
    listed = Listed(root)
    before = listed.list()
    runs.rename(root / "before")
    (runs / "one").mkdir(parents=True)
    after = listed.list(before)
    assert after.subfolders == before.subfolders
    assert None is not after.identity != before.identity is not None
