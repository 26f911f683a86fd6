"""Mounts whose folders do not show what changes, each as its users have it: no number is wrong."""

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.jobs.folders import LAUNCH, write_executor, write_job, write_marker
from support.scans import Watch, jobs_of
from support.servers import BUCKET, S3Server
from support.storages.mounts import Mount, bindfs, juicefs, lying, mergerfs, rclone, s3fs_fuse

from exporter.storage.local import file_system
from exporter.storage.local.storage import LocalStorage

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _an_hour_passes_between_any_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So whatever can be taken on trust is."""
    hours = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(hours) * HOUR)
    monkeypatch.setattr("exporter.storage.local.fingerprint.time", clock)


def put(server: S3Server) -> Callable[[str, bytes], None]:
    client = server.client()
    return lambda key, body=b"": client.put_object(Bucket=BUCKET, Key=key, Body=body)


def rclone_without_cache(server: S3Server, mountpoint: Path) -> AbstractContextManager[Mount]:
    return rclone(server, mountpoint, "--dir-cache-time=0s", "--no-modtime")


MOUNTS = {"s3fs": s3fs_fuse, "rclone": rclone_without_cache}


@pytest.mark.parametrize("name", MOUNTS)
def test_a_marker_that_comes_by_s3_counts_at_the_next_scan_of_the_mounted_bucket(
    name: str, s3_server: S3Server, tmp_path: Path
) -> None:
    write, job = put(s3_server), f"mounted-{name}/job"
    write(f"{job}/executor.json", b'{"world_size": 10}')
    write(f"{job}/completions/00000")
    with (
        MOUNTS[name](s3_server, tmp_path / "mnt"),
        closing(Watch(tmp_path / "mnt" / f"mounted-{name}")) as watch,
    ):
        for rank in range(1, 6):
            assert watch.reading("job").tasks_completed == rank
            assert watch.reading("job").tasks_completed == rank
            write(f"{job}/completions/{rank:05d}")
        (note,) = watch.scan().notes
        assert f"fuse.{name}" in note


@pytest.mark.parametrize("name", MOUNTS)
def test_a_launch_that_comes_by_s3_counts_at_the_next_scan_of_the_mounted_bucket(
    name: str, s3_server: S3Server, tmp_path: Path
) -> None:
    """With rclone its time is the same as before, which many say to save requests."""
    write, job = put(s3_server), f"launched-{name}/job"
    write(f"{job}/executor.json", b'{"world_size": 10}')
    with (
        MOUNTS[name](s3_server, tmp_path / "mnt"),
        closing(Watch(tmp_path / "mnt" / f"launched-{name}")) as watch,
    ):
        for tasks in (10, 20, 30):
            write(f"{job}/executor.json", b'{"world_size": %d}' % tasks)
            assert watch.reading("job").tasks == tasks
            assert watch.reading("job").tasks == tasks


def test_a_launch_that_writes_what_was_there_is_a_launch(tmp_path: Path) -> None:
    job = write_job(tmp_path / "source" / "job", tasks=3, completed=[0])
    with bindfs(tmp_path / "source", tmp_path / "mnt"), closing(Watch(tmp_path / "mnt")) as watch:
        for launch in (LAUNCH, LAUNCH + 1000):
            write_executor(job, tasks=3, launch=launch)
            assert watch.reading("job").launch_timestamp == launch


def test_a_marker_on_any_branch_of_a_union_counts_at_the_next_scan(tmp_path: Path) -> None:
    branches = [tmp_path / "first", tmp_path / "second"]
    for branch in branches:
        (branch / "job" / "completions").mkdir(parents=True)
    write_executor(branches[0] / "job", tasks=4)
    with mergerfs(branches, tmp_path / "mnt"), closing(Watch(tmp_path / "mnt")) as watch:
        for rank, branch in enumerate([branches[1], branches[0], branches[1], branches[1]]):
            assert watch.reading("job").tasks_completed == rank
            (branch / "job" / "completions" / f"{rank:05d}").touch()
        assert watch.reading("job").tasks_completed == 4


def test_a_marker_written_on_another_machine_counts_at_the_next_scan_of_juicefs(
    tmp_path: Path,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    volume = tmp_path / "volume"
    volume.mkdir()
    with juicefs(volume, [here, there]):
        job = write_job(there / "job", tasks=4, completed=[0])
        with closing(Watch(here)) as watch:
            for rank in (1, 2, 3):
                assert watch.reading("job").tasks_completed == rank
                write_marker(job, f"{rank:05d}", LAUNCH)
            assert watch.reading("job").tasks_completed == 4
            (note,) = watch.scan().notes
            assert "fuse.juicefs" in note


def test_two_disks_seen_through_one_mount_lose_no_job(tmp_path: Path) -> None:
    """Inode numbers of both are seen on one device, so some are there twice."""
    write_job(tmp_path / "source" / "a" / "job", tasks=2, completed=[0])
    with lying(tmp_path / "source", tmp_path / "mnt", "inode=one"):
        os.symlink("a", tmp_path / "source" / "linked")
        os.symlink("..", tmp_path / "source" / "a" / "back")
        with closing(Watch(tmp_path / "mnt")) as watch:
            found = jobs_of(watch.scan())
    assert set(found) == {"a/job", "linked/job"}


def test_a_bind_of_a_folder_is_scanned_as_the_folder(tmp_path: Path) -> None:
    job = write_job(tmp_path / "source" / "job", tasks=3, completed=[0])
    with bindfs(tmp_path / "source", tmp_path / "mnt"), closing(Watch(tmp_path / "mnt")) as watch:
        for rank in (1, 2, 3):
            assert watch.reading("job").tasks_completed == rank
            write_marker(job, f"{rank:05d}", LAUNCH + rank)


@pytest.mark.parametrize("links", ["0", "1", "2", "5", "leaf"])
def test_a_folder_named_like_a_marker_is_none_whatever_link_counts_say(
    links: str, tmp_path: Path
) -> None:
    job = write_job(tmp_path / "source" / "job", tasks=5, completed=[0, 1, 2, 3])
    (job / "completions" / "00004").mkdir()
    with lying(tmp_path / "source", tmp_path / "mnt", f"links={links}"):
        with closing(Watch(tmp_path / "mnt")) as watch:
            reading = watch.reading("job")
    assert (reading.tasks_completed, reading.stray_markers) == (4, 1)


def test_names_that_are_listed_twice_count_once(tmp_path: Path) -> None:
    job = write_job(tmp_path / "source" / "job", tasks=5, completed=[0, 1], stray=["x"])
    (job / "completions" / "folder").mkdir()
    with lying(tmp_path / "source", tmp_path / "mnt", "names=twice"):
        with closing(Watch(tmp_path / "mnt")) as watch:
            reading = watch.reading("job")
    assert (reading.tasks_completed, reading.stray_markers) == (2, 2)


def test_times_of_zero_say_nothing_and_are_not_shown(tmp_path: Path) -> None:
    job = write_job(tmp_path / "source" / "job", tasks=4, completed=[0, 1])
    with (
        lying(tmp_path / "source", tmp_path / "mnt", "times=none"),
        closing(Watch(tmp_path / "mnt")) as watch,
    ):
        for tasks in (4, 5, 6):
            write_executor(job, tasks=tasks)
            reading = watch.reading("job")
            assert reading.tasks == tasks
        assert reading.launch_timestamp is None
        assert reading.last_completion_timestamp is None


def test_last_completions_of_a_mounted_job_are_told_by_its_markers(tmp_path: Path) -> None:
    """And not by the folder's time, which is made up."""
    write_job(tmp_path / "source" / "job", tasks=2, completed=[0, 1])
    with lying(tmp_path / "source", tmp_path / "mnt", "times=still"):
        with closing(Watch(tmp_path / "mnt")) as watch:
            assert watch.reading("job").last_completion_timestamp == LAUNCH + 120


class Claimed:
    """A mount with standing times that is taken for NFS."""

    def __init__(self, source: Path, mountpoint: Path) -> None:
        self.source = source
        self.storage = LocalStorage(str(mountpoint))
        self.folder = self.storage.list_folder(("job",), with_subfolders=True)
        self.look = self.storage.look(("job",), self.folder)

    def count(self, *, thorough: bool = False) -> int:
        path = ("job",)
        self.folder = self.storage.list_folder(
            path, self.folder, with_subfolders=True, thorough=thorough
        )
        self.look = self.storage.look(path, self.folder, self.look, thorough=thorough)
        return len(self.look.markers.ranks)


@pytest.fixture
def claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Claimed]:
    monkeypatch.setattr(file_system, "type_of", lambda _: "nfs4")
    write_job(tmp_path / "source" / "job", tasks=9, completed=[0])
    with lying(tmp_path / "source", tmp_path / "mnt", "times=still", "links=2"):
        yield Claimed(tmp_path / "source" / "job", tmp_path / "mnt")


def test_a_file_system_that_contradicted_itself_once_is_never_trusted_again(
    claimed: Claimed, caplog: pytest.LogCaptureFixture
) -> None:
    assert claimed.count() == 1
    write_marker(claimed.source, "00001", LAUNCH)
    assert claimed.count() == 1, "its times were not believed in the first place"
    assert claimed.count(thorough=True) == 2
    for rank in (2, 3, 4):
        write_marker(claimed.source, f"{rank:05d}", LAUNCH)
        assert claimed.count() == rank + 1
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert record.fields["file_system"] == "nfs4"  # type: ignore[attr-defined]
    assert record.fields["root"].endswith("mnt")  # type: ignore[attr-defined]


def test_a_new_folder_in_one_whose_times_stand_still_is_a_contradiction(claimed: Claimed) -> None:
    assert claimed.count() == 1
    (claimed.source / "inner").mkdir()
    assert "inner" not in claimed.folder.subfolders
    claimed.count(thorough=True)
    assert "inner" in claimed.folder.subfolders
    write_marker(claimed.source, "00001", LAUNCH)
    assert claimed.count() == 2


def test_a_link_that_leads_elsewhere_now_contradicts_nothing(
    claimed: Claimed, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    (claimed.source / "link").symlink_to(target)
    for _ in range(2):
        claimed.count(thorough=True)
    assert "link" not in claimed.folder.subfolders
    target.mkdir()
    claimed.count(thorough=True)
    assert "link" in claimed.folder.subfolders
    assert not claimed.storage.notes


def test_a_launch_lists_the_markers_whatever_the_times_say(claimed: Claimed) -> None:
    assert claimed.count() == 1
    write_marker(claimed.source, "00001", LAUNCH)
    write_executor(claimed.source, tasks=8, launch=LAUNCH + 100)
    assert claimed.count() == 2
