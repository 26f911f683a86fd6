"""Of which devices the status of folders is believed."""

import logging
from dataclasses import replace

import pytest

from exporter.storage.local.fingerprint import Listed
from exporter.storage.local.trust import Trust

DEVICE = 45
BEFORE = (DEVICE, 7, 1_000, 1_000, 4096, 2)
MOVED = (DEVICE, 7, 2_000, 2_000, 4096, 2)
SETTLED = Listed(BEFORE, first_seen=0.0, began=100.0)
KEEPING = ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "nfs", "nfs4", "lustre", "gpfs", "ceph"]
SHOWING_OTHERS = ["fuse", "fuseblk", "fuse.s3fs", "fuse.rclone", "fuse.mergerfs", "fuse.juicefs"]
SHOWING_OTHERS += ["overlay", "aufs", "9p", "virtiofs", "fuse.ext4"]
UNKNOWN = ["", "newfs", "ext4\n", "nfsd"]


def trust_in(kind: str) -> Trust:
    return Trust("/root", lambda _: kind)


def believes(trust: Trust) -> bool:
    return trust.believes_times(DEVICE, "/root/job")


@pytest.mark.parametrize("kind", KEEPING)
def test_file_systems_that_keep_the_status_of_folders_are_believed(kind: str) -> None:
    trust = trust_in(kind)
    assert believes(trust)
    assert trust.believes_links(DEVICE, "/root/job")
    assert not trust.notes


@pytest.mark.parametrize("kind", SHOWING_OTHERS)
def test_what_shows_other_file_systems_is_never_believed(kind: str) -> None:
    """The next folder may lie on another branch, or change by another way."""
    trust = trust_in(kind)
    assert not believes(trust)
    trust.content_changed(SETTLED, MOVED)
    assert not believes(trust)
    assert not trust.believes_links(DEVICE, "/root/job")
    (note,) = trust.notes
    assert kind in note


@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_unknown_file_system_is_believed_once_a_time_moved_with_a_change(kind: str) -> None:
    trust = trust_in(kind)
    assert not believes(trust)
    trust.content_changed(replace(SETTLED, fingerprint=None), MOVED)
    assert not believes(trust), "the folder was not there before"
    trust.content_changed(SETTLED, (*BEFORE[:4], 8192, 3))
    assert not believes(trust), "only its size moved"
    trust.content_changed(SETTLED, MOVED)
    assert believes(trust)
    assert not trust.believes_links(DEVICE, "/root/job")


@pytest.mark.parametrize("kind", ["ext4", "nfs4", "newfs"])
def test_what_contradicted_itself_once_is_never_believed_again(kind: str) -> None:
    trust = trust_in(kind)
    believes(trust)
    trust.content_changed(SETTLED, BEFORE)
    for _ in range(3):
        trust.content_changed(SETTLED, MOVED)
    assert not believes(trust)
    assert not trust.believes_links(DEVICE, "/root/job")


def test_a_change_at_a_time_that_is_not_over_is_no_contradiction() -> None:
    trust = trust_in("ext4")
    believes(trust)
    trust.content_changed(replace(SETTLED, began=0.5), BEFORE)
    assert believes(trust)


def test_times_of_zero_contradict_nothing() -> None:
    trust = trust_in("ext4")
    believes(trust)
    without = (DEVICE, 7, 0, 0, 4096, 2)
    trust.content_changed(replace(SETTLED, fingerprint=without), without)
    assert believes(trust)


def test_each_device_is_known_apart() -> None:
    kinds = {"/root/a": "ext4", "/root/b": "fuse.s3fs"}
    trust = Trust("/root", lambda folder: kinds[folder])
    assert trust.believes_times(1, "/root/a")
    assert not trust.believes_times(2, "/root/b")
    assert trust.believes_times(1, "/root/b"), "its type was asked for once"


def test_a_file_system_that_took_the_number_of_another_is_a_new_one() -> None:
    kinds = ["ext4"]
    trust = Trust("/root", lambda _: kinds[-1])
    assert believes(trust)
    trust.root_listed(DEVICE)
    assert believes(trust)
    kinds.append("fuse.s3fs")
    trust.root_listed(DEVICE)
    assert not believes(trust)


def test_the_log_says_once_what_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trust = Trust("/root", lambda folder: "fuse.s3fs" if "bucket" in folder else "nfs4")
    for _ in range(3):
        trust.believes_times(1, "/root/bucket")
        trust.believes_times(DEVICE, "/root/job")
        trust.content_changed(SETTLED, BEFORE)
        trust.content_changed(SETTLED, (1, *BEFORE[1:]))
    bucket, nfs = caplog.records
    assert (bucket.levelno, nfs.levelno) == (logging.INFO, logging.WARNING)
    assert bucket.fields == {"root": "/root", "file_system": "fuse.s3fs"}  # type: ignore[attr-defined]
    assert nfs.fields == {"root": "/root", "file_system": "nfs4"}  # type: ignore[attr-defined]
